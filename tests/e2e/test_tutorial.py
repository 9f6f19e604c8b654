"""The tutorial is true: every command of it works as it stands, and prints what the page shows.

What differs from run to run (ids, times, sums of files that hold none of ours) is masked on both sides.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts import kube as kubectl
from tests.e2e.kit.site import Site
from tests.unit.markdown import ROOT, Page, dialogue

TUTORIAL = Page(ROOT / "docs" / "tutorial" / "README.md")
OF_THE_DEMO = re.compile(r"make |export KUBECONFIG=")
"""Commands that only the demo's cluster needs."""
END = "--end-of-command--"
TELL = f"code=$?; echo; echo '{END}' $code; (exit $code)"
"""After each command; what follows still sees how the command ended."""
MASKS = [
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"\b(\d+[dhms])+\b|\b\d+\.\d+s\b", "AGE"),
    (r"node \S+$", "node NAME"),
    (r"Running\s+\d+( \(AGE ago\))?", "Running RESTARTS"),
    (r"\s+", " "),
]


@dataclass(frozen=True)
class Spoken:
    """A command, what the page shows of it, and what it did."""

    command: str
    shown: list[str]
    printed: list[str]
    code: int


def masked(lines: list[str]) -> list[str]:
    """The lines without what differs from run to run, and without blank ones."""
    kept = []
    for line in lines:
        text = line
        for pattern, word in MASKS:
            text = re.sub(pattern, word, text)
        kept.append(text.strip())
    return [line for line in kept if line]


def talk(site: Site, folder: Path) -> Iterator[Spoken]:
    """Type the whole tutorial into one shell."""
    parts = [part for block in TUTORIAL.blocks("console") for part in dialogue(block.text)]
    return typed(site, folder, [part for part in parts if not OF_THE_DEMO.match(part[0])])


def typed(site: Site, folder: Path, parts: list[tuple[str, list[str]]]) -> Iterator[Spoken]:
    """Type commands, each with what a page shows of it, into one shell in ``folder``, which holds a
    ``kubeconfig``; the names of the demo stand for those of ``site``."""
    script = "".join(f"{command}\n{TELL}\n" for command, _ in parts)
    script = script.replace("querytask-demo", site.namespace)
    script = script.replace("querytask-querytask-operator", site.fullname)
    done = subprocess.run(
        ["bash"],
        input=script,
        cwd=folder,
        env=os.environ | {"KUBECONFIG": str(folder / "kubeconfig"), "PATH": path_of_tools()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    printed = done.stdout.replace(site.namespace, "querytask-demo")
    printed = printed.replace(site.fullname, "querytask-querytask-operator")
    answers = re.split(rf"^{END} (\d+)\n", printed, flags=re.MULTILINE)
    for (command, shown), text, code in zip(parts, answers[:-1:2], answers[1::2], strict=True):
        yield Spoken(command, shown, text.splitlines(), int(code))


def path_of_tools() -> str:
    """The PATH, with the kubectl of this project first."""
    return f"{Path(kubectl.tool('kubectl')).parent}:{os.environ['PATH']}"


def test_the_tutorial(site: Site, tmp_path: Path) -> None:
    """Each command ends well, unless the page shows that it is refused, and prints what the page has.

    Of a quick task the Event of its start may be missing.
    """
    shutil.copy(site.kube.kubeconfig, tmp_path / "kubeconfig")
    for name in ("examples", ".venv"):
        (tmp_path / name).symlink_to(ROOT / name)
    site.kube("apply", "-f", str(ROOT / "examples" / "01-first-query.yaml"))

    for spoken in talk(site, tmp_path):
        refused = any("is invalid" in line for line in spoken.shown)
        assert (spoken.code != 0) == refused, f"{spoken.command}\n" + "\n".join(spoken.printed)
        shown, printed = masked(spoken.shown), masked(spoken.printed)
        if spoken.command.startswith("kubectl events"):
            assert set(printed) <= set(shown)
        else:
            assert printed == shown, spoken.command
