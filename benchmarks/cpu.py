"""Seconds of CPU by process: where the time of a run goes, whatever else the machine does meanwhile."""

from __future__ import annotations

from collections.abc import Mapping

import psutil

PARTS = {
    "etcd": "etcd",
    "apiserver": "API server",
    "controller-manager": "controller-manager",
    "querytask": "operator",
    "querytask.web": "API",
}


def spent() -> dict[str, float]:
    """What this process and its children of a control plane have used so far."""
    own = psutil.Process()
    found = {"kubelet and measuring": _seconds(own)}
    for child in own.children(recursive=True):
        if (part := _part(child)) is not None:
            found[part] = found.get(part, 0.0) + _seconds(child)
    return found


def since(before: Mapping[str, float]) -> dict[str, float]:
    """What they have used since."""
    return {part: seconds - before.get(part, 0.0) for part, seconds in spent().items()}


def _part(process: psutil.Process) -> str | None:
    try:
        words = process.cmdline()
    except psutil.Error:
        return None
    return next((name for word, name in PARTS.items() if word in words[1:3]), None)


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
