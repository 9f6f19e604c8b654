"""The history as an administrator keeps it: the how-to is typed as it stands, and a file that is really
damaged is really replaced."""

from __future__ import annotations

import re
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from scripts.kube import until
from tests.e2e.conftest import begin
from tests.e2e.kit import installing
from tests.e2e.kit.site import Site
from tests.e2e.test_tutorial import masked, typed
from tests.unit.markdown import ROOT, Page, dialogue

HOW_TO = Page(ROOT / "docs" / "how-to" / "keep-history-and-exports.md")
TYPED = ("Back up the history", "Restore the history")
"""The sections whose commands are typed, one after the other, in one shell."""
TOLD = re.compile(r"querytask\.cli\.history (restore|backup$)")
"""Commands whose answer is the same each time, but for names and sizes."""


@pytest.fixture(scope="module")
def kept(cleanup: ExitStack, request: pytest.FixtureRequest) -> Site:
    """An installation whose history these tests may harm."""
    made = begin(cleanup, request, "history")
    cleanup.enter_context(installing.installed(made))
    return made


def commands() -> list[tuple[str, list[str]]]:
    """The commands of the sections, with what the page shows of each."""
    found: list[tuple[str, list[str]]] = []
    for title in TYPED:
        section = HOW_TO.text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
        for text in re.findall(r"^```console\n(.*?)^```$", section, re.MULTILINE | re.DOTALL):
            found += dialogue(text)
    return found


def names(lines: list[str]) -> list[str]:
    """Lines without the time of a backup and without sizes."""
    return [re.sub(r"\d{8}T\d{6}Z|\d+ bytes", "N", line) for line in masked(lines)]


def test_the_how_to(kept: Site, tmp_path: Path) -> None:
    """Every command of it works as it stands; what it restores is what was backed up, and tasks go on."""
    shutil.copy(kept.kube.kubeconfig, tmp_path / "kubeconfig")
    before = kept.run("before", "SELECT 42")["metadata"]["uid"]
    here: tuple[str, list[str]] = ("kubectl config set-context --current --namespace=querytask-demo", [])
    for one in typed(kept, tmp_path, [here, *commands()]):
        assert one.code == 0, f"{one.command}\n" + "\n".join(one.printed)
        if TOLD.search(one.command) and one.shown:
            assert names(one.printed) == names(one.shown), one.command
    kept.ready()
    assert kept.history("SELECT name, phase FROM tasks WHERE uid = ?", before) == [
        {"name": "before", "phase": "Succeeded"}
    ]
    listed = kept.execute(kept.operator, "ls", "/history").split()
    assert (
        len([name for name in listed if name.startswith("history.db.replaced-") and name.endswith("Z")]) == 2
    )
    assert kept.run("after", "SELECT 42")["status"]["phase"] == "Succeeded"


def restarts(site: Site) -> int:
    """How often the operator's container has begun anew; the API's, beside it, goes on."""
    states = site.kube.get("pod", site.operator)["status"]["containerStatuses"]
    assert [state["restartCount"] for state in states if state["name"] != "operator"] == [0]
    return int(next(state["restartCount"] for state in states if state["name"] == "operator"))


def test_a_damaged_file_is_replaced_and_told(kept: Site) -> None:
    """The start restores the newest backup, though the API has the file open; it records again what the
    cluster knows, and says so in the log and on its pod; what the file was lies beside it."""
    known = kept.run("known", "SELECT 42")["metadata"]["uid"]
    kept.execute(kept.operator, "python3", "-m", "querytask.cli.history", "backup")
    unknown = kept.run("unknown", "SELECT 43")["metadata"]["uid"]
    harm = "dd if=/dev/zero of=/history/history.db bs=100 count=1 conv=notrunc 2>/dev/null"
    kept.execute(kept.operator, "sh", "-c", harm)
    kept.execute(kept.operator, "python3", "-c", "import os; os.kill(1, 15)")
    until("the operator's container to begin anew", lambda: restarts(kept), 60)
    kept.ready()

    def recorded() -> bool:
        rows = kept.history("SELECT uid, phase FROM tasks WHERE uid IN (?, ?)", known, unknown)
        return sorted(row["phase"] for row in rows) == ["Succeeded", "Succeeded"]

    until("both tasks to be recorded", recorded, 420)
    log = kept.kube("logs", kept.operator)
    assert "The history was damaged or lost" in log
    assert "the backup of" in log
    until("the Event", lambda: "HistoryReplaced" in kept.kube("events", f"--for=pod/{kept.operator}"), 30)
    assert "history.db.damaged-" in kept.execute(kept.operator, "ls", "/history")
