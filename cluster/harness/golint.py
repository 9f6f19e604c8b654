"""Style, correctness and tests of the Go sources.

`go vet` and `go test` look at our own packages only: for the program itself they would first analyse all of
Kubernetes, which takes five minutes. What there is to test is kept out of it.
"""

from pathlib import Path

from cluster.harness.binary import Say, find_go, go_environment
from cluster.harness.commands import run
from cluster.harness.errors import HarnessError
from cluster.harness.layout import NODE_SOURCE

OWN_PACKAGES = ("./internal/...", "./pause")


def lint(report: Say) -> None:
    """Checks the Go sources.

    Raises:
        HarnessError: a file is not formatted, `go vet` has found something, or a test failed.
    """
    go = find_go(report)
    gofmt = Path(run([str(go), "env", "GOROOT"]).strip()) / "bin" / "gofmt"
    unformatted = run([str(gofmt), "-l", "."], cwd=NODE_SOURCE).split()
    if unformatted:
        raise HarnessError(f"these files must be formatted with gofmt: {', '.join(unformatted)}")
    for command in ("vet", "test"):
        run([str(go), command, *OWN_PACKAGES], cwd=NODE_SOURCE, environment=go_environment())
