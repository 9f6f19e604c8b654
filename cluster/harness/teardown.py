"""Ending a node so that nothing of it is left: processes, mounts, control groups, interfaces, folders."""

import shutil
import time
from pathlib import Path

from cluster.harness import cgroups, mountpoints, network
from cluster.harness.errors import HarnessError
from cluster.harness.layout import Layout
from cluster.harness.processes import collect, end, wait_until
from cluster.harness.record import Record

KEPT = ("logs", "lock")


def teardown(layout: Layout, record: Record) -> None:
    """Ends what the record tells of, and removes the state but for the logs. May be repeated after a failure.

    The first process of the node's pid namespace is killed, and with it the kernel kills all others,
    containers included, and drops the mounts. Nobody is asked to end in good order: nothing of the state is
    used again.

    Raises:
        HarnessError: something would not end.
    """
    network.disconnect(record.link)
    if record.sandbox is not None:
        end(record.sandbox.holder, grace=0)
    if not wait_until(lambda: not record.survivors(), 15):
        raise HarnessError(
            f"these parts must end when they are killed, but run on: {', '.join(record.survivors())}"
        )
    for part in record.parts.values():
        collect(part)
    cgroups.remove(record.cgroup)
    with mountpoints.machine_lock():
        mountpoints.remove(record.folders)
    for entry in layout.state.iterdir():
        if entry.name not in KEPT and entry != layout.record:
            remove(entry)
    layout.record.unlink()


def remove(entry: Path) -> None:
    """Removes a file or a tree.

    Files of containers that end just now may still come and go: it is tried again.
    """
    for last in (False, False, True):
        if not entry.is_dir() or entry.is_symlink():
            entry.unlink(missing_ok=True)
            return
        shutil.rmtree(entry, ignore_errors=not last)
        if not entry.exists():
            return
        time.sleep(0.2)
