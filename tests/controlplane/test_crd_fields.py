"""The API server's own answer to every bound and rule of the fields: what it takes, and the sentence with
which it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.harness import ControlPlane
from tests.controlplane.objects import Objects, refused, task

INVALID_NAME = (
    "must be a plain file name: no /, no .., no control character, no . or _ at its start, at most 200 bytes"
)
NO_LIST = "must set value, not values, unless type is a list such as INTEGER[]"
A_LIST = "must set values, not value, where type is a list such as INTEGER[]"
TYPE = "must be a DuckDB type in capitals, such as INTEGER, DECIMAL(18,3) or VARCHAR, with [] for a list"
PLAIN = "must be Uncompressed, Gzip or Zstd where format is CSV or JSON"
TEXT_COMPRESSIONS = ("Uncompressed", "Gzip", "Zstd")
INTEGERS = [
    sign + size for sign in ("", "U") for size in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
]
NUMBERS = ["FLOAT", "DOUBLE", "DECIMAL", "DECIMAL(18)", "DECIMAL(38,10)", "DECIMAL(5, 2)"]
TIMES = ["DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ", "INTERVAL"]
TYPES = ["BOOLEAN", *INTEGERS, *NUMBERS, *TIMES, "VARCHAR", "BLOB", "UUID", "UUID[]", "DECIMAL(18,3)[]"]
DURATION = "must be a duration such as 30m, 7d, 1h30m or plain seconds"
QUANTITY = "must be a quantity such as 500m, 2, 512Mi or 4Gi"
TOGETHER = "must hold at most 262144 characters and 50000 list elements, all values together"


@pytest.fixture(scope="module")
def objects(control_plane: ControlPlane) -> Objects:
    """Nothing here needs a namespace of its own: every object gets a name from the server."""
    return Objects(control_plane, "default")


def parameter(**fields: Any) -> dict[str, Any]:
    return {"parameters": [{"name": "p", "type": "VARCHAR"} | fields]}


def parameters(count: int, **fields: Any) -> dict[str, Any]:
    return {"parameters": [{"name": f"p{number}", "type": "VARCHAR"} | fields for number in range(count)]}


GOOD_TASKS = {
    "sql of 64 KiB": {"sql": "x" * 65_536},
    "sql of 64 KiB in two-byte letters": {"sql": "é" * 32_768},
    "sql with every line end and quote": {"sql": "SELECT '\"\\\r\n\t\u2028' -- 🦆"},
    "parameter absent: NULL": parameter(),
    "parameter empty": parameter(value=""),
    "parameter of the greatest length": parameter(value="v" * 32_768),
    "parameter of an empty list": parameter(type="VARCHAR[]", values=[]),
    "parameter with the most elements": parameter(type="BIGINT[]", values=["1"] * 5_000),
    "parameter with a long element": parameter(type="VARCHAR[]", values=["v" * 1_024]),
    "the most parameters": parameters(100),
    "the most characters": parameters(8, value="v" * 32_768),
    "the most elements": parameters(10, type="VARCHAR[]", values=["vvvvv"] * 5_000),
    "parameter with a name of the greatest length": parameter(name="_" + "a" * 62),
    **{f"parameter type {name}": parameter(type=name) for name in TYPES},
    "the most sources": {"sources": [f"s{number}" for number in range(16)]},
    "source of the greatest length": {"sources": ["s" * 63]},
    "owner in any script": {"owner": "Ünïcode team <a@b>"},
    "empty export": {"export": {}},
    **{f"CSV {word}": {"export": {"format": "CSV", "compression": word}} for word in TEXT_COMPRESSIONS},
    **{f"JSON {word}": {"export": {"format": "JSON", "compression": word}} for word in TEXT_COMPRESSIONS},
    **{
        f"Parquet {word}": {"export": {"format": "Parquet", "compression": word}}
        for word in ("Uncompressed", "Snappy", "Gzip", "Zstd", "Lz4", "Brotli")
    },
    "compression without a format": {"export": {"compression": "Brotli"}},
    "file name of the greatest length": {"export": {"fileName": "é" * 100}},
    "file name with blanks and dots": {"export": {"fileName": "late flights.2026.csv"}},
    "preview of no rows": {"preview": {"rows": 0}},
    "preview of the most rows": {"preview": {"rows": 1_000}},
    "least cpu": {"resources": {"cpu": "10m"}},
    "cpu as an integer": {"resources": {"cpu": 256}},
    "cpu as a fraction": {"resources": {"cpu": "0.5"}},
    "least memory": {"resources": {"memory": "128Mi"}},
    "memory in bytes": {"resources": {"memory": 134_217_728}},
    "memory with an exponent": {"resources": {"memory": "1.5e9"}},
    "most memory": {"resources": {"memory": "16Ti"}},
    "least spill": {"resources": {"spill": "16Mi"}},
    "most spill": {"resources": {"spill": "64Ti"}},
    **{
        f"timeout {text!r}": {"timeout": text}
        for text in (1, "1", "1s", "1.5h", "1h30m", "7d", "1w", 604_800, "6d23h59m60s")
    },
    "least queueTimeout": {"queueTimeout": "1s"},
    "most queueTimeout": {"queueTimeout": "30d"},
    "retention in weeks": {"export": {"retention": "52w"}},
    "most retention": {"export": {"retention": "3650d"}},
    "least priority": {"priority": -1_000},
    "most priority": {"priority": 1_000},
    "no retry": {"retry": {"limit": 0}},
    "most retries": {"retry": {"limit": 10, "backoff": "1d"}},
    "deleted at once": {"ttlAfterFinished": 0},
    "deleted late": {"ttlAfterFinished": "3650d"},
    "cancelled from the start": {"cancel": True},
}

BAD_TASKS = {
    "no sql": ({"sql": None}, "spec.sql: Required value"),
    "empty sql": ({"sql": ""}, "spec.sql in body should be at least 1 chars long"),
    "sql over 64 KiB": ({"sql": "x" * 65_537}, "spec.sql: Too long: may not be more than 65536 bytes"),
    "sql over 64 KiB as UTF-8": (
        {"sql": "é" * 32_769},
        'spec.sql: Invalid value: "string": must be at most 65536 bytes as UTF-8, not 65538',
    ),
    "too many parameters": (parameters(101), "spec.parameters: Too many: 101: must have at most 100 items"),
    "the same parameter twice": (
        {"parameters": [{"name": "a", "type": "DATE"}, {"name": "a", "type": "DATE"}]},
        'spec.parameters[1]: Duplicate value: {"name":"a"}',
    ),
    "parameter without a type": ({"parameters": [{"name": "a"}]}, "spec.parameters[0].type: Required value"),
    "parameter with a number": (
        parameter(value=5),
        'spec.parameters[0].value in body must be of type string: "integer"',
    ),
    "parameter too long": (parameter(value="v" * 32_769), "spec.parameters[0].value: Too long"),
    "element too long": (
        parameter(type="VARCHAR[]", values=["v" * 1_025]),
        "spec.parameters[0].values[0]: Too long",
    ),
    "too many elements": (
        parameter(type="VARCHAR[]", values=["v"] * 5_001),
        "spec.parameters[0].values: Too many: 5001",
    ),
    "too many characters": (parameters(9, value="v" * 30_000), f"spec.parameters: {{value}}{TOGETHER}"),
    "too many elements together": (
        parameters(11, type="VARCHAR[]", values=["v"] * 5_000),
        f"spec.parameters: {{value}}{TOGETHER}",
    ),
    "value and values": (
        parameter(type="DATE[]", value="x", values=[]),
        "spec.parameters[0]: {value}must set at most one of value and values, which parameter p does not",
    ),
    "values of a scalar": (
        parameter(type="INTEGER", values=["1"]),
        f"spec.parameters[0].values: {{value}}{NO_LIST}; parameter p is INTEGER",
    ),
    "value of a list": (
        parameter(type="INTEGER[]", value="1"),
        f"spec.parameters[0].value: {{value}}{A_LIST}; parameter p is INTEGER[]",
    ),
    **{
        f"parameter name {name!r}": (parameter(name=name), "spec.parameters[0].name in body should match")
        for name in ("1a", "a-b", "a b", "$a", "é")
    },
    **{
        f"parameter type {name!r}": (
            parameter(type=name),
            f'spec.parameters[0].type: {{value}}{TYPE}; not "{name}"',
        )
        for name in (
            "int",
            "INT",
            "integer",
            "INTEGER[3]",
            "INTEGER[][]",
            "STRUCT(a INT)",
            "DECIMAL(1,2",
            "VARCHAR; x",
        )
    },
    "source in capitals": ({"sources": ["Lake"]}, "spec.sources[0] in body should match"),
    "source with a path": ({"sources": ["../lake"]}, "spec.sources[0] in body should match"),
    "source twice": ({"sources": ["a", "a"]}, 'spec.sources[1]: Duplicate value: "a"'),
    "too many sources": (
        {"sources": [f"s{n}" for n in range(17)]},
        "spec.sources: Too many: 17: must have at most 16 items",
    ),
    "owner with a line end": ({"owner": "a\nb"}, "spec.owner in body should match"),
    "empty owner": ({"owner": ""}, "spec.owner in body should be at least 1 chars long"),
    "owner too long": ({"owner": "o" * 254}, "spec.owner: Too long"),
    "unknown format": (
        {"export": {"format": "Xml"}},
        'spec.export.format: Unsupported value: "Xml": supported values: "Parquet", "CSV", "JSON"',
    ),
    "format in small letters": (
        {"export": {"format": "csv"}},
        'spec.export.format: Unsupported value: "csv"',
    ),
    "unknown compression": (
        {"export": {"compression": "Rar"}},
        'spec.export.compression: Unsupported value: "Rar"',
    ),
    **{
        f"{form} {word}": (
            {"export": {"format": form, "compression": word}},
            f"spec.export.compression: {{value}}{PLAIN}; {word} is not for {form}",
        )
        for form in ("CSV", "JSON")
        for word in ("Snappy", "Lz4", "Brotli")
    },
    **{
        f"file name {name!r}": (
            {"export": {"fileName": name}},
            f'spec.export.fileName: {{value}}{INVALID_NAME}; not "{name}"',
        )
        for name in ("../x", "a/b", "/a", "..", "a..b", ".hidden", "_manifest", "é" * 101)
    },
    "file name with a control character": ({"export": {"fileName": "a\x07b"}}, INVALID_NAME),
    "file name with a NUL": ({"export": {"fileName": "a\x00b"}}, INVALID_NAME),
    "empty file name": (
        {"export": {"fileName": ""}},
        "spec.export.fileName in body should be at least 1 chars long",
    ),
    "file name too long": ({"export": {"fileName": "a" * 201}}, "spec.export.fileName: Too long"),
    "negative preview": (
        {"preview": {"rows": -1}},
        "spec.preview.rows in body should be greater than or equal to 0",
    ),
    "preview too long": (
        {"preview": {"rows": 1_001}},
        "spec.preview.rows in body should be less than or equal to 1000",
    ),
    "cpu too small": (
        {"resources": {"cpu": "9m"}},
        "spec.resources.cpu: {value}must be at least 10m and at most 256, not 9m",
    ),
    "no cpu": (
        {"resources": {"cpu": 0}},
        "spec.resources.cpu: {value}must be at least 10m and at most 256, not 0",
    ),
    "cpu too big": (
        {"resources": {"cpu": "257"}},
        "spec.resources.cpu: {value}must be at least 10m and at most 256, not 257",
    ),
    "memory too small": (
        {"resources": {"memory": "512m"}},
        "spec.resources.memory: {value}must be at least 128Mi and at most 16Ti, not 512m",
    ),
    "memory too big": (
        {"resources": {"memory": "17Ti"}},
        "spec.resources.memory: {value}must be at least 128Mi and at most 16Ti, not 17Ti",
    ),
    "spill too small": (
        {"resources": {"spill": "1Mi"}},
        "spec.resources.spill: {value}must be at least 16Mi and at most 64Ti, not 1Mi",
    ),
    **{
        f"memory {text!r}": (
            {"resources": {"memory": text}},
            f'spec.resources.memory: {{value}}{QUANTITY}; not "{text}"',
        )
        for text in ("lots", "1 Gi", "-1Gi", "1GB", "1gi")
    },
    **{
        f"timeout {text!r}": ({"timeout": text}, f'spec.timeout: {{value}}{DURATION}; not "{text}"')
        for text in ("soon", "30m1h", "1h1h", "5ms", "-1s", "1.2.3h", "1e3", "1h ")
    },
    "timeout of nothing": (
        {"timeout": "0s"},
        "spec.timeout: {value}must be at least 1s and at most 7d, not 0s",
    ),
    "timeout of 0": ({"timeout": 0}, "spec.timeout in body should be greater than or equal to 1"),
    "timeout of a fraction": ({"timeout": 1.5}, "spec.timeout in body must be of type integer,string"),
    "timeout too long": (
        {"timeout": "7d1s"},
        "spec.timeout: {value}must be at least 1s and at most 7d, not 7d1s",
    ),
    "timeout too many seconds": (
        {"timeout": 604_801},
        "spec.timeout in body should be less than or equal to 604800",
    ),
    "queueTimeout too long": (
        {"queueTimeout": "31d"},
        "spec.queueTimeout: {value}must be at least 1s and at most 30d, not 31d",
    ),
    "retention too short": (
        {"export": {"retention": "0.5"}},
        "spec.export.retention: {value}must be at least 1s and at most 3650d, not 0.5",
    ),
    "retention too long": (
        {"export": {"retention": "522w"}},
        "spec.export.retention: {value}must be at least 1s and at most 3650d, not 522w",
    ),
    "priority too low": (
        {"priority": -1_001},
        "spec.priority in body should be greater than or equal to -1000",
    ),
    "priority too high": ({"priority": 1_001}, "spec.priority in body should be less than or equal to 1000"),
    "too many retries": (
        {"retry": {"limit": 11}},
        "spec.retry.limit in body should be less than or equal to 10",
    ),
    "backoff of nothing": (
        {"retry": {"backoff": "0s"}},
        "spec.retry.backoff: {value}must be at least 1s and at most 1d, not 0s",
    ),
    "ttl too long": (
        {"ttlAfterFinished": "3651d"},
        "spec.ttlAfterFinished: {value}must be at least 0s and at most 3650d, not 3651d",
    ),
    "negative ttl": (
        {"ttlAfterFinished": -1},
        "spec.ttlAfterFinished in body should be greater than or equal to 0",
    ),
    "cancel as text": ({"cancel": "true"}, 'spec.cancel in body must be of type boolean: "string"'),
}


@pytest.mark.parametrize("spec", GOOD_TASKS.values(), ids=GOOD_TASKS)
def test_task_is_taken(objects: Objects, spec: dict[str, Any]) -> None:
    """Up to its bounds, a field takes what it is for, and keeps it as it was written."""
    stored = objects.create(task(**spec))["spec"]
    for field, value in spec.items():
        assert stored[field] == (stored[field] | value if isinstance(value, dict) else value)


@pytest.mark.parametrize(("spec", "sentence"), BAD_TASKS.values(), ids=BAD_TASKS)
def test_task_is_refused(objects: Objects, spec: dict[str, Any], sentence: str) -> None:
    """Beyond them it is refused by the API server itself, with a sentence that names the field and says
    what must be."""
    answer = refused(objects.create, task(**spec))
    field, _, rest = sentence.partition("{value}")
    assert field in answer
    assert rest in answer
    assert "evaluating rule" not in answer
