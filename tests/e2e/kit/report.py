"""What a person would look at first when a test has failed: the operator's log, the objects, the Events."""

from __future__ import annotations

import subprocess

from scripts.kube import CommandFailed
from tests.e2e.kit.site import Site

LOG_LINES, EVENT_LINES, TASKS = 60, 40, 3


def sections(site: Site) -> list[tuple[str, str]]:
    """Titles and texts of the report of one namespace; what cannot be had says why."""
    log = ("logs", site.operator, f"--tail={LOG_LINES}")
    wanted = {
        "operator's log": _ask(site, *log),
        "operator's log before its last restart": _ask(site, *log, "--previous"),
        "pods": _ask(site, "get", "pods", "--output=wide"),
        "tasks": _ask(site, "get", "querytasks", "--output=wide"),
        "newest tasks": _newest_tasks(site),
        "Events": "\n".join(_ask(site, "events").splitlines()[-EVENT_LINES:]),
    }
    return [(f"{site.namespace}: {title}", text) for title, text in wanted.items()]


def _newest_tasks(site: Site) -> str:
    names = _ask(site, "get", "querytasks", "--sort-by=.metadata.creationTimestamp", "--output=name").split()
    return _ask(site, "describe", *names[-TASKS:]) if names else "none"


def _ask(site: Site, *command: str) -> str:
    try:
        return site.kube(*command, timeout=60)
    except (CommandFailed, subprocess.TimeoutExpired) as error:
        return str(error)
