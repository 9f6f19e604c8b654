"""``QueryTask``: one query, run once. Here are the rules that look at ``spec`` and ``status`` together,
and at what was before."""

from __future__ import annotations

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from querytask import names
from querytask.api.fields import Model
from querytask.api.metadata import Metadata
from querytask.api.rules import FORBIDDEN, Rule, list_text, validations
from querytask.api.task_spec import TaskSpec
from querytask.api.task_status import TaskStatus

ENDS = list_text(sorted(names.TERMINAL_PHASES))
WAS_FINISHED = f"(has(oldSelf.status) && has(oldSelf.status.phase) && oldSelf.status.phase in {ENDS})"
WAS_QUEUED = "(!has(oldSelf.status) || !has(oldSelf.status.phase) || oldSelf.status.phase == 'Queued')"
MUTABLE = frozenset({"cancel", "priority", "ttl_after_finished"})


def _fixed(name: str) -> Rule:
    """The rule that a field of ``spec`` never changes, comes or goes."""
    field, now, before = to_camel(name), f"self.spec.{to_camel(name)}", f"oldSelf.spec.{to_camel(name)}"
    return Rule(
        f"has({now}) == has({before}) && (!has({now}) || {now} == {before})",
        f"spec.{field} must not change; create another QueryTask",
        path=f".spec.{field}",
        reason=FORBIDDEN,
    )


def _kept(field: str) -> str:
    """CEL: a field of ``status`` is what it was."""
    now = f"self.status.{field}"
    return f"(has(self.status) && has({now}) && {now} == oldSelf.status.{field})"


CANCEL_RULES = (
    Rule(
        f"!{WAS_FINISHED} || self.spec.cancel == oldSelf.spec.cancel",
        "spec.cancel must not change once the task has finished",
        "; it is %s",
        ("oldSelf.status.phase",),
        ".spec.cancel",
        FORBIDDEN,
    ),
    Rule(
        "!oldSelf.spec.cancel || self.spec.cancel",
        "spec.cancel must stay true; a cancellation cannot be taken back",
        path=".spec.cancel",
        reason=FORBIDDEN,
    ),
)
PRIORITY_RULE = Rule(
    f"self.spec.priority == oldSelf.spec.priority || {WAS_QUEUED}",
    "spec.priority must not change unless status.phase is Queued",
    "; it must stay %s, for the task is %s",
    ("oldSelf.spec.priority", "oldSelf.status.phase"),
    ".spec.priority",
    FORBIDDEN,
)
STATUS_RULES = (
    Rule(
        f"!{WAS_FINISHED} || {_kept('phase')}",
        "status.phase must not change once it is Succeeded, Failed or Cancelled",
        "; it must stay %s",
        ("oldSelf.status.phase",),
        ".status.phase",
        FORBIDDEN,
    ),
    Rule(
        f"!{WAS_FINISHED} || !has(oldSelf.status.reason) || {_kept('reason')}",
        "status.reason must not change once the task has finished",
        "; it must stay %s",
        ("oldSelf.status.reason",),
        ".status.reason",
        FORBIDDEN,
    ),
    Rule(
        "!has(oldSelf.status) || !has(oldSelf.status.attempt) || "
        "(has(self.status) && has(self.status.attempt) && self.status.attempt >= oldSelf.status.attempt)",
        "status.attempt must not fall",
        "; it must be at least %s",
        ("oldSelf.status.attempt",),
        ".status.attempt",
        FORBIDDEN,
    ),
)
FIXED_RULES = tuple(_fixed(name) for name in TaskSpec.model_fields if name not in MUTABLE)


class QueryTask(Model):
    """One SQL query, run once by DuckDB in a pod of its own. The result is a file with a checksum and an
    expiry date, and the first rows stand in the status."""

    model_config = ConfigDict(
        json_schema_extra=validations(*CANCEL_RULES, PRIORITY_RULE, *FIXED_RULES, *STATUS_RULES)
    )

    metadata: Metadata
    spec: TaskSpec
    """The query and how it is to be run. Nothing here but cancel, priority while Queued, and
    ttlAfterFinished may change later."""
    status: TaskStatus = TaskStatus()
    """What the operator has seen of the task. Written by the operator alone."""

    @property
    def finished(self) -> bool:
        """Whether the task has come to an end that never changes again."""
        return self.status.phase is not None and self.status.phase.terminal
