"""The operator as a process of its own, started as the image starts it: ``python -m querytask`` and an
environment."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.controlplane.kit import logscan
from tests.controlplane.kit.chart import ROOT
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.waiting import until
from tests.controlplane.kit.zygote import DIE_WITH_US, Forked, Zygote

START_SECONDS = 60.0
STOP_SECONDS = 20.0
_PORT = re.compile(r"Probes and metrics are on port (\d+)")


class OperatorProcess:
    """One process; ``log`` is the file of its standard error. With ``zygote`` it is forked there."""

    def __init__(
        self,
        environment: Mapping[str, str],
        log: Path,
        allowed: Sequence[str] = (),
        *,
        zygote: Zygote | None = None,
    ) -> None:
        self.log, self.allowed = log, list(allowed)
        self._scanned = 0
        log.touch()
        whole = base_environment() | dict(environment)
        self.process = Forked(zygote.path, whole, log) if zygote is not None else _execute(whole, log)

    # its life

    def wait_ready(self, timeout: float = START_SECONDS) -> OperatorProcess:
        """Come back when ``/readyz`` says so."""
        until(self.ready, timeout, what="the operator is ready", told=self.story)
        return self

    def ready(self) -> bool:
        """Whether ``/readyz`` says so; fails when the process has ended."""
        assert self.alive, f"the operator has ended with {self.process.returncode}:\n{self.story()}"
        return self.port is not None and self.probe("readyz")[0] == 200

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def stop(self, timeout: float = STOP_SECONDS) -> int:
        """SIGTERM, as the kubelet sends it; the exit code."""
        if self.alive:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def kill(self) -> None:
        """SIGKILL: nothing of it gets another chance."""
        self.process.kill()
        self.process.wait(10)

    def freeze(self) -> None:
        """SIGSTOP: the process is there, and does nothing; its threads stop one after the other."""
        self.process.send_signal(signal.SIGSTOP)
        threads = Path(f"/proc/{self.process.pid}/task")
        until(
            lambda: {_state(thread) for thread in threads.iterdir()} == {"T"},
            what="every thread stands still",
        )

    def thaw(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    # what it tells

    @property
    def port(self) -> int | None:
        """Where probes and metrics are; ``None`` until the log says so."""
        found = _PORT.search(self.log.read_text("utf-8", "replace"))
        return int(found[1]) if found else None

    def probe(self, name: str, timeout: float = 5.0) -> tuple[int, Json]:
        """Status and body of ``/healthz`` or ``/readyz``; status 0 when there was no answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{name}", timeout=timeout) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())
        except OSError as error:
            return 0, {"error": str(error)}

    def exposition(self) -> str:
        """The text of ``/metrics``."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=20) as answer:
            return str(answer.read().decode())

    def metric(self, name: str, **labels: str) -> float:
        """The value of one sample; 0 where there is none."""
        for family in text_string_to_metric_families(self.exposition()):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return float(sample.value)
        return 0.0

    def lines(self) -> list[Json]:
        """The log so far."""
        return logscan.lines(self.log)

    def said(self, pattern: str) -> list[Json]:
        """The lines whose message the pattern is found in."""
        return [line for line in self.lines() if re.search(pattern, str(line["message"]))]

    def unexpected(self) -> list[str]:
        """What the log holds that nobody expects, each line once: it is the fault of one test."""
        found = logscan.unexpected(self.log, self.allowed)
        new, self._scanned = found[self._scanned :], len(found)
        return new

    def story(self) -> str:
        """The end of the log."""
        return f"the operator's log {self.log} ends:\n{logscan.tail(self.log)}"


def base_environment() -> dict[str, str]:
    """What every process needs to find Python and the operator."""
    roots = os.pathsep.join(str(ROOT / name) for name in ("operator", "worker-image"))
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
    return kept | {"PYTHONPATH": roots, "PYTHONUNBUFFERED": "1"}


def _execute(environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(
            [*DIE_WITH_US, sys.executable, "-m", "querytask"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )


def _state(thread: Path) -> str:
    """The letter that the kernel gives; the name before it, in brackets, may hold anything."""
    return (thread / "stat").read_text().rpartition(")")[2].split()[0]
