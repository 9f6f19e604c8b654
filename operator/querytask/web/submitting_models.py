"""What a task is submitted as: a query in the API's spelling, or a whole QueryTask; and the object that is
made of either.

Bounds, units and what fits together are not looked at here: the API server does, for every way in, and its
sentences come back with the names of the fields as they were sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    Tag,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from querytask import names
from querytask.api.task_spec import Compression, Format

Raw = dict[str, Any]

NAME_PREFIX = "query-"
"""Of a task that is given no name."""
OWNER_CHARACTERS = 253
_SET_BY_THE_CLUSTER = frozenset(
    {"namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"}
)

Duration = StrictStr | StrictInt
Quantity = StrictStr | StrictInt | StrictFloat
Value = StrictBool | StrictInt | StrictFloat | StrictStr


class Part(BaseModel):
    """Base of what is sent: a field that is not known is refused."""

    model_config = ConfigDict(extra="forbid")


class Parameter(Part):
    """A value for a `$name` of the SQL."""

    name: str
    type: str = Field(description="DuckDB type in capitals, such as INTEGER, DECIMAL(18,3) or VARCHAR[].")
    value: Value | None = Field(None, description="As text, so that no digit is lost; absent means NULL.")
    values: list[Value] | None = Field(None, description="The elements of a list; absent means NULL.")

    def document(self) -> Raw:
        """As the object has it."""
        found: Raw = {"name": self.name, "type": self.type}
        if self.value is not None:
            found["value"] = text_of(self.value)
        if self.values is not None:
            found["values"] = [text_of(item) for item in self.values]
        return found


class ExportRequest(Part):
    """The file to write."""

    format: str = Field(Format.PARQUET, description="`Parquet`, `CSV` or `JSON`, in any case.")
    compression: str | None = Field(
        None, description="`Uncompressed`, `Snappy`, `Gzip`, `Zstd`, `Lz4` or `Brotli`, in any case."
    )
    file_name: str | None = None
    retention: Duration | None = Field(None, description="How long it is kept, such as `7d`.")

    @field_validator("format", "compression")
    @classmethod
    def _as_the_object_writes_it(cls, text: str | None) -> str | None:
        known = {str(word).lower(): str(word) for word in (*Format, *Compression)}
        return None if text is None else known.get(text.lower(), text)


class PreviewRequest(Part):
    """The rows that are kept beside the file."""

    rows: StrictInt | None = None


class ResourcesRequest(Part):
    """What the worker gets, as Kubernetes quantities."""

    cpu: Quantity | None = None
    memory: Quantity | None = None
    spill: Quantity | None = None


class RetryRequest(Part):
    """What happens when a worker is lost."""

    limit: StrictInt | None = None
    backoff: Duration | None = None


class QuerySubmission(Part):
    """A query. What is not given has the default of a QueryTask's field of that name."""

    sql: str = Field(description="The SQL, at most 64 KiB.")
    name: str | None = Field(None, description="Of the task; generated where it is not given.")
    owner: str | None = Field(None, description="For whom it runs; the caller where it is not given.")
    user_id: str | None = Field(None, description="The same as `owner`.")
    labels: dict[str, str] = Field({}, description="Labels of the task's object.")
    parameters: list[Parameter] | dict[str, Value | list[Value] | None] = Field(
        [],
        description="A list of `{name, type, value}`; or an object of names and values, whose types are"
        " BOOLEAN, BIGINT, DOUBLE or VARCHAR, or a list of one of them.",
    )
    sources: list[str] = Field([], description="Names of QuerySources of the namespace.")
    export: ExportRequest | None = Field(None, description="Absent: only the preview's rows are kept.")
    preview: PreviewRequest | None = None
    resources: ResourcesRequest | None = None
    queue_timeout: Duration | None = None
    timeout: Duration | None = None
    priority: StrictInt | None = None
    retry: RetryRequest | None = None
    ttl_after_finished: Duration | None = None

    @model_validator(mode="after")
    def _one_owner(self) -> Self:
        if self.owner is not None and self.user_id not in (None, self.owner):
            raise ValueError("owner and user_id must be the same where both are given")
        return self

    @field_validator("parameters")
    @classmethod
    def _lists_of_one_type(cls, given: Any) -> Any:
        if isinstance(given, dict):
            for name, value in given.items():
                type_of(name, value)
        return given

    def document(self, caller: str) -> Raw:
        """The object."""
        spec: Raw = {"sql": self.sql, "owner": self.owner or self.user_id or caller[:OWNER_CHARACTERS]}
        if parameters := self._parameters():
            spec["parameters"] = parameters
        if self.sources:
            spec["sources"] = self.sources
        for field in ("export", "preview", "resources", "retry"):
            part: Part | None = getattr(self, field)
            if part is not None:
                given = part.model_dump(exclude_none=True)
                spec[field] = {to_camel(key): _plain(value) for key, value in given.items()}
        for field in ("queue_timeout", "timeout", "priority", "ttl_after_finished"):
            if (value := getattr(self, field)) is not None:
                spec[to_camel(field)] = value
        metadata: Raw = {"name": self.name} if self.name is not None else {"generateName": NAME_PREFIX}
        return _object(metadata | ({"labels": dict(self.labels)} if self.labels else {}), spec)

    def _parameters(self) -> list[Raw]:
        if isinstance(self.parameters, list):
            return [item.document() for item in self.parameters]
        return [parameter_of(name, value).document() for name, value in self.parameters.items()]


def _texts(given: Any) -> Any:
    if given is not None and not (
        isinstance(given, dict) and all(isinstance(text, str) for text in given.values())
    ):
        raise ValueError(f"must be texts by name, not {json.dumps(given)[:100]}")
    return given


Texts = Annotated[dict[str, str] | None, BeforeValidator(_texts)]


class ManifestMetadata(BaseModel):
    """The metadata of a QueryTask, as `kubectl` takes it."""

    model_config = ConfigDict(extra="allow")

    name: StrictStr | None = Field(None, description="Generated where neither this nor a prefix is given.")
    generateName: StrictStr | None = Field(None, description="A prefix.")  # noqa: N815 - as in the object
    namespace: StrictStr | None = Field(None, description="The one that is served, or none.")
    labels: Texts = None
    annotations: Texts = None


class ManifestSubmission(BaseModel):
    """A whole QueryTask, as `kubectl` takes it. What the cluster itself writes is left out."""

    model_config = ConfigDict(extra="ignore")

    apiVersion: Literal["querytask.dev/v1alpha1"]  # noqa: N815 - the object's own spelling
    kind: Literal["QueryTask"]
    metadata: ManifestMetadata = ManifestMetadata()
    spec: dict[str, Any]

    def document(self, caller: str) -> Raw:
        """The object; of the caller's, where it names no owner."""
        given = self.metadata.model_dump(exclude_unset=True)
        metadata = {key: value for key, value in given.items() if key not in _SET_BY_THE_CLUSTER}
        if not metadata.get("name") and not metadata.get("generateName"):
            metadata["generateName"] = NAME_PREFIX
        return _object(metadata, {"owner": caller[:OWNER_CHARACTERS]} | self.spec)


def _form(body: Any) -> str:
    whole = isinstance(body, (dict, ManifestSubmission)) and (
        isinstance(body, ManifestSubmission) or not {"kind", "apiVersion", "spec"}.isdisjoint(body)
    )
    return "<manifest>" if whole else "<query>"


Submission = Annotated[
    Annotated[QuerySubmission, Tag("<query>")] | Annotated[ManifestSubmission, Tag("<manifest>")],
    Discriminator(_form),
]
"""The body of a submission: which of the two it is follows from its fields."""


def parameter_of(name: str, value: Value | Sequence[Value] | None) -> Parameter:
    """The parameter of a name and a value."""
    if isinstance(value, (list, tuple)):
        return Parameter(name=name, type=type_of(name, value), values=list(value))
    return Parameter(name=name, type=type_of(name, value), value=value)


def type_of(name: str, value: Any) -> str:
    """The DuckDB type of a value of JSON; raises ``ValueError`` for a list of several."""
    if not isinstance(value, (list, tuple)):
        return _scalar(value)
    found = {_scalar(item) for item in value} or {"VARCHAR"}
    if found <= {"BIGINT", "HUGEINT", "DOUBLE"}:
        return next(kind for kind in ("DOUBLE", "HUGEINT", "BIGINT") if kind in found) + "[]"
    if len(found) > 1:
        raise ValueError(f'the elements of "{name}" must be of one type, not {", ".join(sorted(found))}')
    return f"{found.pop()}[]"


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "BOOLEAN"
    if isinstance(value, int):
        return "BIGINT" if -(2**63) <= value < 2**63 else "HUGEINT"
    return "DOUBLE" if isinstance(value, float) else "VARCHAR"


def text_of(value: Value) -> str:
    """A value of JSON as a parameter has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) else value


def _object(metadata: Mapping[str, Any], spec: Mapping[str, Any]) -> Raw:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.TASK_KIND,
        "metadata": dict(metadata),
        "spec": dict(spec),
    }
