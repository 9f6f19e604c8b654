"""Writes the pages of ``docs/reference`` that follow from the code: settings, metrics, reasons, exit codes.

    python -m scripts.reference [--check]

Each row is read from where the operator reads it, so that a page cannot say what the code does not do; the
sentences that the code has no use for stand in ``reference_texts``. A test runs ``--check``, and fails on a
name without a sentence.
"""

from __future__ import annotations

import argparse
import dataclasses
import enum
import json
import sys
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic.alias_generators import to_camel

from querytask import metrics, names
from querytask import settings as configuration
from querytask.core import conclusion
from querytask.names import RETRIED_REASONS, Phase, Reason
from querytask.web import settings as web_configuration
from querytask_worker.contract import ExitCode
from scripts import reference_texts as texts

FOLDER = Path("docs/reference")
MADE = "<!-- Made by `python -m scripts.reference`. Do not edit. -->\n"

FROM_CHART = {
    "namespace": "the release's namespace",
    "pod_name": "the pod's name",
    "worker_image": "`worker.image`",
    "exports_claim": "`exports`",
    "history_dir": "`/history`",
    "history_url": "`history.database`",
    "exports_dir": "`/exports`",
    "reserved_claims": "`history`",
    "exports_access_mode": "`exports.accessMode`",
    "operator_labels": "the pod's labels",
    "worker_service_account": "`worker.serviceAccount`",
    "worker_image_pull_policy": "`worker.image.pullPolicy`",
    "worker_image_pull_secrets": "`worker.imagePullSecrets`",
    "worker_node_selector": "`worker.nodeSelector`",
    "worker_tolerations": "`worker.tolerations`",
    "worker_priority_class": "`worker.priorityClassName`",
    "port": "`8080`",
}
"""Settings that the chart fills in, each with the value that it takes for it; every other one is
``settings.…`` there."""

FROM_CHART_FOR_API = {
    "namespace": "the release's namespace",
    "history_dir": "`/history`",
    "history_url": "`history.database`",
    "exports_dir": "`/exports`",
    "cluster_url": "none: the pod is told",
    "cluster_ca": "`/cluster-ca/ca.crt`",
    "operator_metrics_url": "none: the operator in the same pod",
    "api_host": "none: all addresses",
    "api_port": "`8443`",
    "api_tls": "`api.tls.enabled`",
    "api_certificate": "`/tls/tls.crt`",
    "api_key": "`/tls/tls.key`",
}
"""The same for the API; every other one is ``api.settings.…`` there, without its beginning ``api_``."""

LABELS = {
    "phase": ", ".join(f"`{phase}`" for phase in Phase),
    "reason": "the [reasons](reasons.md)",
    "state": "`held`, `waiting`, `limit`",
    "result": "of a reconcile `ok`, `retry`, `error`; of a backup `ok`, `error`",
    "verb": "`get`, `post`, `put`, `patch`, `delete`",
    "resource": "the plural of an object's kind, such as `pods`",
    "kind": "of an API error its class, such as `Conflict` or `Unavailable`; of a removal what was removed",
    "operation": "what was asked of the history, such as `record`",
    "action": "`delete`, `force-delete`",
    "volume": "`exports`, `history`",
}


class Measure(NamedTuple):
    """A metric, as the docstring of ``querytask.metrics`` lists it."""

    name: str
    labels: tuple[str, ...]
    kind: str
    meaning: str


def pages() -> dict[str, str]:
    """The text of every page, by its file's name."""
    return {
        "settings.md": settings_page(),
        "metrics.md": metrics_page(),
        "reasons.md": reasons_page(),
        "exit-codes.md": exit_codes_page(),
    }


# settings


def settings_page() -> str:
    """Every field of ``Settings``."""
    hints = typing.get_type_hints(configuration.Settings)
    rows = [
        _setting(item, hints[item.name], FROM_CHART.get(item.name, f"`settings.{to_camel(item.name)}`"))
        for item in dataclasses.fields(configuration.Settings)
    ]
    return f"""{MADE}# Reference of the settings

What whoever installs the operator can set. The operator reads the variables once, when it starts, and does
not start with one that is unknown, missing or out of its bounds; it says which and why. With Helm a setting
is a value of the chart `querytask-operator`, such as `--set settings.maxRunning=20`; the chart checks the
same bounds, and fills in the settings for which another value is named here.

Times are in seconds; where the value may be a fraction, the type says number.

{_table(("Variable", "Value of the chart", "Type", "Default", "Meaning"), rows)}
## The API

Of the container that serves the [REST API](rest-api.md); read in the same manner.

{_table(("Variable of the API", "Value of the chart", "Type", "Default", "Meaning"), _api_settings())}"""


def _api_settings() -> list[tuple[str, ...]]:
    hints = typing.get_type_hints(web_configuration.ApiSettings)
    return [
        _setting(item, hints[item.name], FROM_CHART_FOR_API.get(item.name, _api_value(item.name)))
        for item in dataclasses.fields(web_configuration.ApiSettings)
    ]


def _api_value(name: str) -> str:
    return f"`api.settings.{to_camel(name.removeprefix('api_'))}`"


def _setting(item: dataclasses.Field[Any], hint: Any, chart: str) -> tuple[str, ...]:
    least, most, choices = (item.metadata[name] for name in ("least", "most", "choices"))
    bounds = f" At least {least:g}." if least is not None else ""
    bounds += f" At most {most:g}." if most is not None else ""
    kind = " or ".join(f"`{choice}`" for choice in choices) or _KINDS[typing.get_origin(hint) or hint]
    if item.metadata["duration"]:
        kind = "duration"
    return (
        f"`{configuration.variable(item.name)}`",
        chart,
        kind,
        _default(item),
        item.metadata["text"] + bounds,
    )


_KINDS = {
    str: "text",
    int: "whole number",
    float: "number",
    tuple: "list, comma-separated",
    dict: "JSON object",
    list: "JSON list",
}


def _default(item: dataclasses.Field[Any]) -> str:
    if item.default_factory is not dataclasses.MISSING:
        return f"`{json.dumps(item.default_factory())}`"
    if item.default is dataclasses.MISSING:
        return "required"
    if item.default in ("", ()):
        return "none"
    return (
        f"`{item.default:g}`"
        if isinstance(item.default, float) and item.default < 1e5
        else f"`{item.default}`"
    )


# metrics


def measures() -> list[Measure]:
    """The metrics that the docstring of ``querytask.metrics`` lists."""
    found = []
    for line in (metrics.__doc__ or "").splitlines():
        parts = [part.strip() for part in line.strip().split("  ") if part.strip()]
        if len(parts) == 3 and line.startswith("    "):
            name, _, labels = parts[0].partition("{")
            kinds = tuple(label for label in labels.rstrip("}").split(",") if label)
            found.append(Measure(f"querytask_{name}", kinds, parts[1], parts[2]))
    return found


def metrics_page() -> str:
    """Every metric, and what its labels can say."""
    known = measures()
    rows = [
        (
            f"`{item.name}`",
            item.kind,
            ", ".join(f"`{label}`" for label in item.labels),
            _sentence(item.meaning),
        )
        for item in known
    ]
    used = {label for item in known for label in item.labels}
    labels = [(f"`{label}`", LABELS[label]) for label in LABELS if label in used]
    return f"""{MADE}# Reference of the metrics

`/metrics` on the operator's port, in the text format of Prometheus. Durations are in seconds and sizes in
bytes. No label has values that grow with the number of tasks. What is counted at the scrape is left out of
the answer when it cannot be read at that moment; what is said of the history's volume, backups and damaged
files is left out where the history is in PostgreSQL. Beside each counter and histogram the client library
tells since when it counts, as `…_created`.

{_table(("Metric", "Type", "Labels", "Meaning"), rows)}
## Labels

{_table(("Label", "Values"), labels)}"""


# reasons


def reasons_page() -> str:
    """Every phase, reason and condition, with what to do."""
    rows = [
        (
            f"`{reason}`",
            _category(reason),
            "yes" if reason in RETRIED_REASONS else "no",
            *texts.REASONS[reason],
        )
        for reason in Reason
    ]
    return f"""{MADE}# Reference of phases, reasons and conditions

## Phases

`status.phase` of a QueryTask. The ends never change again. The history knows one more end,
`{names.DELETED}`: the object was deleted before its task had an end.

{_listing("Phase", texts.PHASES)}
## Reasons

`status.reason` of a QueryTask, and `status.error.code` of one that has failed: a closed set. The category
is `status.error.category`, and says who can mend it: `User` (whoever wrote the query), `Resource` (its
limits, or those of the namespace), `External` (the cluster) or `Internal` (a fault of QueryTask). Retried
are only faults of the infrastructure, at most `spec.retry.limit` times.

{_table(("Reason", "Category", "Retried", "Meaning", "What to do"), rows)}
## Conditions

The conditions of a QueryTask are the contract for scripts and controllers; each carries `observedGeneration`.

{_listing("Condition", texts.CONDITIONS)}
A condition has the reason of its task, or one of these:

{_listing("Reason", texts.CONDITION_REASONS)}
## Sources

Reasons of the condition `Ready` of a QuerySource.

{_listing("Reason", texts.SOURCE_REASONS)}
## Exports

`status.export.state`.

{_listing("State", texts.EXPORT_STATES)}
## Cancellations

`status.cancel.step`.

{_listing("Step", texts.CANCEL_STEPS)}"""


def _category(reason: Reason) -> str:
    waits = {Reason.WAITING_FOR_SLOT, Reason.POD_PENDING, Reason.BACKING_OFF, Reason.STARTED}
    if reason in waits | {Reason.COMPLETED, Reason.CANCEL_REQUESTED, Reason.CANCEL_TIMEOUT}:
        return ""
    return conclusion.CATEGORIES.get(reason, "External")


# exit codes


def exit_codes_page() -> str:
    """Every exit code of the worker."""
    rows = [(f"{code:d}", f"`{code.reason}`", _ends(code), texts.EXIT_CODES[code]) for code in ExitCode]
    return f"""{MADE}# Reference of the worker's exit codes

The exit code of the container of a worker's pod, by the class of its end. A worker also writes an outcome,
which says more and is believed first; the code alone counts where there is none. Any other code, such as
137 after a SIGKILL, is an end of which the worker could say nothing: `WorkerLost`, unless the pod says
more.

{_table(("Code", "Class", "End of the task", "Meaning"), rows)}"""


def _ends(code: ExitCode) -> str:
    if code is ExitCode.STOPPED:
        return "`Cancelled`, `Failed` with `Timeout`, or the pod's own fault"
    if code is ExitCode.COMPLETED:
        return "`Succeeded`"
    return "`Failed`"


# Markdown


def _listing(kind: str, meanings: Mapping[Any, str]) -> str:
    return _table((kind, "Meaning"), [(f"`{name}`", meaning) for name, meaning in meanings.items()])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def undocumented() -> list[str]:
    """Names that the code has and the pages do not explain, or the other way round."""
    known: list[tuple[type[enum.Enum], Mapping[Any, Any]]] = [
        (Phase, texts.PHASES),
        (Reason, texts.REASONS),
        (names.Condition, texts.CONDITIONS),
        (names.ConditionReason, texts.CONDITION_REASONS),
        (names.SourceReason, texts.SOURCE_REASONS),
        (names.ExportState, texts.EXPORT_STATES),
        (names.CancelStep, texts.CANCEL_STEPS),
        (ExitCode, texts.EXIT_CODES),
    ]
    found = [f"{kind.__name__}.{item.name}" for kind, table in known for item in set(kind) - set(table)]
    labels = {label for item in measures() for label in item.labels}
    return sorted([*found, *(f"label {label}" for label in labels ^ set(LABELS))])


def stale(folder: Path) -> list[str]:
    """The pages in ``folder`` that are missing, or not what the code says."""
    return [
        name
        for name, text in pages().items()
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text
    ]


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or with ``--check`` say which are not as they should be; 1 where some are not."""
    parser = argparse.ArgumentParser(prog="python -m scripts.reference", description="Write docs/reference.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail where a page is out of date"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args(arguments)
    if not options.check:
        options.folder.mkdir(parents=True, exist_ok=True)
        for name, text in pages().items():
            (options.folder / name).write_text(text, encoding="utf-8")
        return 0
    wrong = [f"{options.folder / name} must be made anew" for name in stale(options.folder)]
    wrong += [f"{name} must have a sentence in scripts/reference_texts.py" for name in undocumented()]
    for line in wrong:
        sys.stderr.write(line + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
