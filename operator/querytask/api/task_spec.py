"""``spec`` of a QueryTask: what somebody asks for. Every default and bound stands here, and is enforced by
the API server.

Absent is not the same as default for a few fields whose value the operator's settings or another field
decide; ``resolve`` knows those.
"""

from __future__ import annotations

import enum
from typing import Annotated

from pydantic import ConfigDict, Field

from querytask.api.fields import DnsLabel, Model, default, nested
from querytask.api.rules import Rule, validations
from querytask.api.spellings import Cpu, Duration, Size

SECOND, HOUR, DAY = 1, 3_600, 86_400
MI, GI, TI = 2**20, 2**30, 2**40
SQL_BYTES = 65_536
MOST_CHARACTERS, MOST_ELEMENTS = 262_144, 50_000
"""Of all values of all parameters together: an object that etcd, every cache and every list can hold."""
PARAMETER_TYPE = (
    r"^(BOOLEAN|U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|FLOAT|DOUBLE"
    r"|DECIMAL([(][0-9]{1,2}(, ?[0-9]{1,2})?[)])?"
    r"|VARCHAR|BLOB|DATE|TIME|TIMESTAMP|TIMESTAMPTZ|INTERVAL|UUID)([[][]])?$"
)


class Format(enum.StrEnum):
    """The format of an exported file."""

    PARQUET = "Parquet"
    CSV = "CSV"
    JSON = "JSON"


class Compression(enum.StrEnum):
    """The compression of an exported file."""

    UNCOMPRESSED = "Uncompressed"
    SNAPPY = "Snappy"
    GZIP = "Gzip"
    ZSTD = "Zstd"
    LZ4 = "Lz4"
    BROTLI = "Brotli"


TYPE_RULE = Rule(
    f"self.matches('{PARAMETER_TYPE}')",
    "must be a DuckDB type in capitals, such as INTEGER, DECIMAL(18,3) or VARCHAR, with [] for a list",
    '; not "%s"',
    ("self",),
)


class Parameter(Model):
    """A value for a `$name` of the SQL. It is cast to its type and bound to the prepared statement, never
    spliced into the text."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            Rule(
                "!(has(self.value) && has(self.values))",
                "must set at most one of value and values",
                ", which parameter %s does not",
                ("self.name",),
            ),
            Rule(
                "!has(self.values) || self.type.endsWith('[]')",
                "must set value, not values, unless type is a list such as INTEGER[]",
                "; parameter %s is %s",
                ("self.name", "self.type"),
                ".values",
            ),
            Rule(
                "!has(self.value) || !self.type.endsWith('[]')",
                "must set values, not value, where type is a list such as INTEGER[]",
                "; parameter %s is %s",
                ("self.name", "self.type"),
                ".value",
            ),
        )
    )

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """Name of the parameter, without the dollar sign: `minutes` is used as `$minutes`."""
    type: Annotated[str, Field(min_length=1, max_length=32)] = Field(json_schema_extra=validations(TYPE_RULE))
    """DuckDB type in capitals, such as INTEGER, DECIMAL(18,3), TIMESTAMPTZ or VARCHAR; with [] at its end
    it is a list of that type."""
    value: Annotated[str, Field(max_length=32_768)] | None = None
    """The value as text, always quoted, so that no digit is lost: "60", "2026-01-31", "true". Absent means
    NULL."""
    values: Annotated[tuple[Annotated[str, Field(max_length=1_024)], ...], Field(max_length=5_000)] | None = (
        Field(default=None, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    )
    """The elements of a list, each as text; none of them can be NULL. Only for types that end in []; absent
    means NULL, [] is the empty list."""


FILE_NAME_RULE = Rule(
    r"self.matches('^[^/\\x00-\\x1f\\x7f._][^/\\x00-\\x1f\\x7f]*$') && !self.contains('..') && "
    "bytes(self).size() <= 200",
    "must be a plain file name: no /, no .., no control character, no . or _ at its start, at most 200 bytes",
    '; not "%s"',
    ("self",),
)


class Export(Model):
    """The file that the result is written to."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            Rule(
                "!has(self.compression) || self.format == 'Parquet' || "
                "self.compression in ['Uncompressed', 'Gzip', 'Zstd']",
                "must be Uncompressed, Gzip or Zstd where format is CSV or JSON",
                "; %s is not for %s",
                ("self.compression", "self.format"),
                ".compression",
            )
        )
    )

    format: Annotated[Format, Field(max_length=16)] = Format.PARQUET
    """Parquet, CSV (with a header line) or JSON (one object a line)."""
    compression: Annotated[Compression, Field(max_length=16)] | None = None
    """Compression of the file. Absent means Zstd for Parquet, and Uncompressed for CSV and JSON, which
    take only Uncompressed, Gzip and Zstd."""
    file_name: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, json_schema_extra=validations(FILE_NAME_RULE)
    )
    """Name of the file, without a directory; at most 200 bytes. The ending, such as .parquet or .csv.gz,
    is added where it is missing. Absent means the name of the task."""
    retention: Annotated[float, Duration(SECOND, 3_650 * DAY)] | None = None
    """How long the file is kept from its publication, such as 30m, 12h, 7d or plain seconds. Absent means
    the operator's default, seven days unless it was set otherwise; the operator's maximum holds for every
    task."""


class Preview(Model):
    """The rows that are shown without opening a file."""

    rows: Annotated[int, Field(ge=0, le=1_000)] = 20
    """How many rows of the result the manifest holds. The status shows the first of them, as many as fit
    into 2 KiB."""


class Resources(Model):
    """What the worker's pod gets: requests and limits are the same."""

    cpu: Annotated[int, Cpu(10, 256_000)] = default("1")
    """CPU of the worker as a Kubernetes quantity, such as 500m or 4. DuckDB gets one thread for each core
    begun."""
    memory: Annotated[int, Size(128 * MI, 16 * TI)] = default("1Gi")
    """Memory of the worker as a Kubernetes quantity, such as 512Mi or 8Gi. A query that needs more spills
    to disk, and ends with OutOfMemory where it cannot."""
    spill: Annotated[int, Size(16 * MI, 64 * TI)] = default("4Gi")
    """Disk for what does not fit into memory, as a Kubernetes quantity. A query that needs more ends with
    SpillFull."""


class Retry(Model):
    """What happens when a worker is lost through no fault of the query. A wrong query is never run again."""

    limit: Annotated[int, Field(ge=0, le=10)] = 2
    """How many more attempts may follow the first."""
    backoff: Annotated[float, Duration(SECOND, DAY)] = default("10s")
    """The wait before the second attempt, such as 10s; it doubles with each attempt. No slot is held
    meanwhile."""


VALUES_RULE = Rule(
    "!has(self.parameters) || ("
    f"self.parameters.map(p, has(p.values) ? p.values.size() : 0).sum() <= {MOST_ELEMENTS} && "
    "self.parameters.map(p, (has(p.value) ? p.value.size() : 0) + "
    f"(has(p.values) ? p.values.map(v, v.size()).sum() : 0)).sum() <= {MOST_CHARACTERS})",
    f"must hold at most {MOST_CHARACTERS} characters and {MOST_ELEMENTS} list elements, all values together",
    path=".parameters",
)


class TaskSpec(Model):
    """The query and how it is to be run. Nothing here but cancel, priority while Queued, and
    ttlAfterFinished may change later."""

    model_config = ConfigDict(json_schema_extra=validations(VALUES_RULE))

    sql: Annotated[str, Field(min_length=1, max_length=SQL_BYTES)] = Field(
        json_schema_extra=validations(
            Rule(
                f"bytes(self).size() <= {SQL_BYTES}",
                f"must be at most {SQL_BYTES} bytes as UTF-8",
                ", not %s",
                ("bytes(self).size()",),
            )
        )
    )
    """The SQL: one SELECT (or EXPLAIN) at the end, before it only what prepares it, that is temporary
    tables, views and macros. At most 64 KiB as UTF-8."""
    parameters: Annotated[tuple[Parameter, ...], Field(max_length=100)] = Field(
        default=(),
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    """Values for the `$name`s of the SQL; each of them must be here, and no other. All values together
    have at most 262144 characters."""
    sources: Annotated[tuple[DnsLabel, ...], Field(max_length=16)] = Field(
        default=(), json_schema_extra={"x-kubernetes-list-type": "set"}
    )
    """Names of QuerySources of the same namespace. Files of a source are read relative to its name: FROM
    'flights/2026.parquet'."""
    owner: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[^\x00-\x1f\x7f]+$")] | None = None
    """For whom the task runs, for lists and filters. Free text: it proves nothing."""
    export: Export | None = None
    """The file to write. Absent means that only the preview rows are kept."""
    preview: Preview = nested(Preview)
    """The rows that are shown without opening a file."""
    resources: Resources = nested(Resources)
    """What the worker's pod gets."""
    queue_timeout: Annotated[float, Duration(SECOND, 30 * DAY)] = default("24h")
    """How long the task may wait for a slot, counted from its creation, such as 30m, 24h or plain seconds;
    then it fails with QueueTimeout."""
    timeout: Annotated[float, Duration(SECOND, 7 * DAY)] = default("30m")
    """How long each attempt may run, counted from the start of its container, such as 90s, 30m, 1h30m or
    plain seconds; then the task fails with Timeout."""
    priority: Annotated[int, Field(ge=-1_000, le=1_000)] = 0
    """Among tasks that wait for a slot the higher priority goes first, and within one priority the older
    task. May change while Queued."""
    retry: Retry = nested(Retry)
    """What happens when a worker is lost through no fault of the query."""
    ttl_after_finished: Annotated[float, Duration(0, 3_650 * DAY)] | None = None
    """How long the object stays after the task has finished, such as 24h or plain seconds; 0 deletes it at
    once. Absent means for ever. The history and the exported file outlive it. Leave it out where a GitOps
    tool would make the object, and so run the query, again."""
    cancel: bool = False
    """Set to true to stop the task. It can never be set back, and a finished task refuses it."""
