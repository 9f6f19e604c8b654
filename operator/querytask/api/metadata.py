"""The part of ``metav1.ObjectMeta`` that the operator reads, and ``metav1.Condition`` as both kinds carry
it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from querytask.api.fields import Count, Model, Moment, Second


class Metadata(Model):
    """Standard object metadata."""

    name: str
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: Moment | None = None
    deletion_timestamp: Moment | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class Condition(Model):
    """One aspect of the object's state, with the semantics of metav1.Condition."""

    type: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Z][A-Za-z0-9]*$")]
    """Name of the condition, such as Finished. Each type stands at most once."""
    status: Annotated[Literal["True", "False", "Unknown"], Field(max_length=7)]
    """True, False or Unknown."""
    reason: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Z][A-Za-z0-9]*$")]
    """Why the condition has this status, as one CamelCase word."""
    message: Annotated[str, Field(max_length=512)] = ""
    """The same for people, in a sentence. May be empty."""
    last_transition_time: Second
    """When status last changed from one value to another."""
    observed_generation: Count | None = None
    """The metadata.generation that the condition was set for. An older one than the object's means that
    the condition is out of date."""

    @property
    def true(self) -> bool:
        """Whether the status is ``True``."""
        return self.status == "True"


def set_condition(conditions: tuple[Condition, ...], new: Condition) -> tuple[Condition, ...]:
    """``conditions`` with ``new`` in place of the one of its type, whose transition time stays where the
    status does; the order stays, too."""
    old = next((item for item in conditions if item.type == new.type), None)
    if old is None:
        return (*conditions, new)
    if old.status == new.status:
        new = new.model_copy(update={"last_transition_time": old.last_transition_time})
    return tuple(new if item.type == new.type else item for item in conditions)


def condition(conditions: tuple[Condition, ...], kind: str) -> Condition | None:
    """The condition of type ``kind``, or ``None``."""
    return next((item for item in conditions if item.type == kind), None)
