"""``QuerySource``: a named, read-only input that an administrator writes, so that whoever creates tasks
never chooses volumes."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from querytask.api.fields import LABEL_PATTERN, Count, DnsName, Model
from querytask.api.metadata import Condition, Metadata, condition
from querytask.api.rules import Rule, validations

KINDS = ("volume",)
"""The kinds of source: exactly one of these fields of ``spec`` is set."""
READY = "Ready"


class VolumeSource(Model):
    """A directory of a PersistentVolumeClaim."""

    claim_name: DnsName
    """Name of the PersistentVolumeClaim in the same namespace. It is mounted read-only and never written
    to."""
    sub_path: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        default=None,
        json_schema_extra=validations(
            Rule(
                "!self.startsWith('/') && !self.split('/').exists(part, part == '..')",
                "must be a path inside the claim: no / at its start, and no .. in it",
                '; not "%s"',
                ("self",),
            )
        ),
    )
    """Directory inside the claim that tasks see. Absent means all of the claim."""
    supplemental_groups: Annotated[
        tuple[Annotated[int, Field(ge=1, le=2_147_483_647)], ...], Field(max_length=16)
    ] = Field(default=(), json_schema_extra={"x-kubernetes-list-type": "set"})
    """Numbers of groups that the worker joins to read files that belong to others. The root group, 0, is
    not among them."""


class SourceSpec(Model):
    """Where the data is. Exactly one kind of source is set."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            Rule(
                f"[{', '.join(f'has(self.{kind})' for kind in KINDS)}].filter(set, set).size() == 1",
                f"must set exactly one kind of source: {', '.join(KINDS)}",
            )
        )
    )

    volume: VolumeSource | None = None
    """Files on a volume. A task reads them relative to the source's name: FROM 'flights/2026.parquet' for
    a source named flights."""


class SourceStatus(Model):
    """What the operator has seen of the source."""

    conditions: Annotated[tuple[Condition, ...], Field(max_length=8)] = Field(
        default=(),
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    """Ready says whether tasks can use the source; while it is not true, tasks that name it wait."""
    observed_generation: Count | None = None
    """The metadata.generation that this status was made for."""


class QuerySource(Model):
    """A named, read-only input for QueryTasks of the same namespace, written by an administrator."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            Rule(
                f"self.metadata.name.size() <= 63 && self.metadata.name.matches('{LABEL_PATTERN}')",
                "metadata.name must be at most 63 characters of a-z, 0-9 and -, "
                "for queries read a directory of that name",
                '; not "%s"',
                ("self.metadata.name",),
            )
        )
    )

    metadata: Metadata
    spec: SourceSpec
    """Where the data is. Exactly one kind of source is set."""
    status: SourceStatus = SourceStatus()
    """What the operator has seen of the source. Written by the operator alone."""

    @property
    def ready(self) -> bool:
        """Whether the condition Ready is true."""
        found = condition(self.status.conditions, READY)
        return found is not None and found.true
