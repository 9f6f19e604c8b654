"""Everything that whoever installs the operator can set, read once from the environment, each with its unit,
default and reason.

The field ``max_running`` is the variable ``QUERYTASK_MAX_RUNNING`` and the chart's value
``settings.maxRunning``; the page ``docs/reference/settings.md`` is generated from this class. A leaf: every
layer may take a ``Settings``, none may read the environment by itself.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from querytask import urls
from querytask.errors import SettingsError

PREFIX = "QUERYTASK_"

_NUMBER = r"[0-9]{1,9}(\.[0-9]{1,3})?"
DURATION = f"^({_NUMBER}|({_NUMBER}w)?({_NUMBER}d)?({_NUMBER}h)?({_NUMBER}m)?({_NUMBER}s)?)$"
"""How a duration is written, as in every field of the objects, whose grammar a leaf cannot import."""


def option(
    default: Any,
    text: str,
    *,
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] = (),
    duration: bool = False,
    database: bool = False,
    instead: str = "",
) -> Any:
    """A setting: its default (``...`` where there is none), what it means, its bounds or the closed set of
    its values; whether it is a duration as people write them; whether it is the URL of a database, which
    holds a password and is never shown; a variable of another name that wins over its own."""
    metadata = {
        "text": text,
        "least": least,
        "most": most,
        "choices": choices,
        "duration": duration,
        "database": database,
        "instead": instead,
    }
    if default is ...:
        return dataclasses.field(metadata=metadata)
    if isinstance(default, (dict, list)):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata, repr=not database)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The operator's settings; see ``read``."""

    namespace: str = option(..., "The namespace that is served, the operator's own. The chart fills it in.")
    pod_name: str = option(
        "querytask-operator-0", "The operator's own pod: the holder of the lease. The chart fills it in."
    )
    worker_image: str = option(
        ..., "The image of the workers. No field of a QueryTask can choose one. The chart fills it in."
    )
    exports_claim: str = option(
        ..., "The PersistentVolumeClaim of the exports volume, mounted by the workers. The chart fills it in."
    )

    history_dir: str = option(
        "/history", "Directory of the history database, on a volume of its own that no other node writes to."
    )
    history_url: str = option(
        "",
        "A PostgreSQL database that holds the history in place of that directory, such as"
        " `postgresql://user:password@host:5432/database?sslmode=verify-full`. It is never shown.",
        database=True,
    )
    exports_dir: str = option("/exports", "Where the operator sees the exports volume.")
    reserved_claims: tuple[str, ...] = option(
        (),
        "Claims that no QuerySource may name, beside the exports claim, comma-separated. From the chart.",
    )
    exports_access_mode: str = option(
        "ReadWriteOnce",
        "Access mode of the exports claim. With ReadWriteOnce every worker is bound to the operator's node.",
        choices=("ReadWriteOnce", "ReadWriteMany"),
    )
    operator_labels: dict[str, str] = option(
        {},
        "Labels of the operator's pod, as a JSON object; for ReadWriteOnce. The chart fills it in.",
    )

    worker_service_account: str = option(
        "querytask-worker", "The ServiceAccount of the workers; it has no rights and no token."
    )
    worker_image_pull_policy: str = option(
        "IfNotPresent", "Pull policy of the workers' image.", choices=("Always", "IfNotPresent", "Never")
    )
    worker_image_pull_secrets: tuple[str, ...] = option(
        (), "Names of pull secrets of the workers' image, comma-separated."
    )
    worker_node_selector: dict[str, str] = option({}, "Node selector of the workers, as a JSON object.")
    worker_tolerations: list[Any] = option([], "Tolerations of the workers, as a JSON list.")
    worker_priority_class: str = option("", "PriorityClass of the workers; empty for none.")

    max_running: int = option(10, "How many tasks may hold a slot, that is have a pod, at one time.", least=1)
    start_deadline_seconds: float = option(
        300.0,
        "From the slot to the start of the container. A source missing this long fails its task, too.",
        least=1,
    )
    stop_grace_seconds: int = option(
        15,
        "terminationGracePeriodSeconds of the workers: how long a stop may take before the kubelet kills.",
        least=3,
    )
    timeout_margin_seconds: float = option(
        10.0,
        "How long after a task's timeout the operator stops a worker that has not stopped itself.",
        least=1,
    )
    max_backoff_seconds: float = option(
        600.0, "The longest wait between two attempts; it doubles from `retry.backoff`.", least=1
    )
    default_retention_seconds: float = option(
        604_800.0, "How long an export is kept when its task does not say: seven days.", least=1
    )
    max_retention_seconds: float = option(
        2_592_000.0, "The longest retention that a task gets, whatever it asks for: thirty days.", least=1
    )

    long_running_seconds: float = option(
        3600.0,
        "A task that runs longer than this gets the condition LongRunning and an Event, once.",
        least=1,
    )
    watchdog_seconds: float = option(
        5.0,
        "Between two looks for tasks that have been Cancelling for longer than a stop may take.",
        least=0.5,
    )

    keep_finished_pods: str = option(
        "Failed",
        "Which pods stay, for their logs, after their end was recorded.",
        choices=("None", "Failed", "All"),
    )
    kept_pod_seconds: float = option(3600.0, "How long a pod that stays is kept.", least=0)

    resync_seconds: float = option(
        20.0, "Between two full lists of unfinished tasks and of pods, which replace the caches.", least=1
    )
    finished_scan_seconds: float = option(
        300.0,
        "Between two walks over the finished tasks: finds a changed `ttlAfterFinished` and unseen deletions.",
        least=1,
    )
    progress_seconds: float = option(
        5.0, "Between two looks at a running worker's mailbox for its progress.", least=0.5
    )
    concurrency: int = option(16, "How many tasks are reconciled at one time.", least=1)
    collect_seconds: float = option(
        60.0, "Between two runs of the collector of expired and left-over files.", least=1
    )
    orphan_grace_seconds: float = option(
        3600.0,
        "How old left-over files must be before the collector takes them: longer than any clock skew.",
        least=0,
    )

    task_retention: str = option(
        "90d",
        "How long the history keeps a finished task whose object is gone, from the last change of its row:"
        " `7d`, `30m`, `2h` or plain seconds. The variable `TASK_RETENTION_SECONDS` wins over it.",
        duration=True,
        instead="TASK_RETENTION_SECONDS",
    )
    backup_seconds: float = option(
        21_600.0, "Between two backups of the history, in a directory beside it: six hours.", least=10
    )
    backups_kept: int = option(
        2,
        "How many backups of the history are kept, on its own volume, which must have room for them;"
        " 0 makes none.",
        least=0,
    )

    lease_seconds: int = option(
        15, "How long the lease of a silent operator holds off a second one.", least=3
    )
    port: int = option(8080, "Port of `/healthz`, `/readyz` and `/metrics`; 0 takes a free one.", least=0)
    log_level: str = option(
        "INFO", "Least level of the log's lines.", choices=("DEBUG", "INFO", "WARNING", "ERROR")
    )

    def __post_init__(self) -> None:
        """Raise ``SettingsError`` for a value out of its bounds."""
        check(self)


S = TypeVar("S")


def read(environment: Mapping[str, str]) -> Settings:
    """The operator's settings from ``environment``; raises as ``read_into``."""
    return read_into(Settings, environment)


def read_into(kind: type[S], environment: Mapping[str, str]) -> S:
    """Settings of one program, a dataclass of ``option``s, from the variables ``QUERYTASK_…``.

    Raises ``SettingsError``, naming the variable, for one that is missing, unknown or not of its type.
    """
    fields = {variable(item.name): item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    if unknown := sorted(name for name in environment if name.startswith(PREFIX) and name not in fields):
        raise SettingsError(f"{unknown[0]} must be a known setting; see the reference of settings")
    values = {}
    for name, item in fields.items():
        if environment.get(name, "") != "":
            values[item.name] = _parse(name, hints[item.name], environment[name])
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            raise SettingsError(f"{name} must be set")
        if (other := item.metadata["instead"]) and environment.get(other, "") != "":
            _check(item, environment[other], other)
            values[item.name] = _parse(other, hints[item.name], environment[other])
        if item.metadata["database"] and item.name in values:
            values[item.name] = values[item.name].strip()  # a file that became a Secret ends with a new line
    return kind(**values)


def check(settings: Any) -> None:
    """Raise ``SettingsError`` for a value of ``settings`` that is out of its bounds."""
    for item in dataclasses.fields(settings):
        _check(item, getattr(settings, item.name))


def variable(field: str) -> str:
    """The environment variable of a field."""
    return PREFIX + field.upper()


def spoken(field: str, environment: Mapping[str, str]) -> str:
    """The variable that has decided about a field of the operator's settings."""
    other = next(item.metadata["instead"] for item in dataclasses.fields(Settings) if item.name == field)
    return other if other and environment.get(other, "") != "" else variable(field)


def _parse(name: str, hint: Any, text: str) -> Any:
    kind = typing.get_origin(hint) or hint
    try:
        if kind in (dict, list):
            value = json.loads(text)
            if not isinstance(value, kind):
                raise ValueError
            return value
        if kind is tuple:
            return tuple(part.strip() for part in text.split(",") if part.strip())
        return kind(text)
    except ValueError:
        wanted = {dict: "a JSON object", list: "a JSON list", int: "a whole number", float: "a number"}[kind]
        raise SettingsError(f'{name} must be {wanted}, not "{text}"') from None


def _check(item: dataclasses.Field[Any], value: Any, name: str = "") -> None:
    name, known = name or variable(item.name), item.metadata
    if known["least"] is not None and not value >= known["least"]:
        raise SettingsError(f"{name} must be at least {known['least']:g}, not {value}")
    if known["most"] is not None and not value <= known["most"]:
        raise SettingsError(f"{name} must be at most {known['most']:g}, not {value}")
    if known["choices"] and value not in known["choices"]:
        raise SettingsError(f'{name} must be one of {", ".join(known["choices"])}, not "{value}"')
    if known["duration"] and not (value and re.fullmatch(DURATION, value)):
        raise SettingsError(f'{name} must be a duration such as 7d, 30m, 2h or plain seconds, not "{value}"')
    if known["database"] and value and (fault := urls.fault(value)):
        raise SettingsError(f"{name} {fault}")
