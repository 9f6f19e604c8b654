"""Asks the operator's HTTP endpoints from outside, through ``kubectl port-forward``."""

from __future__ import annotations

import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from scripts import kube as kubectl
from scripts.kube import Kube


@contextmanager
def forwarded(kube: Kube, target: str, port: int = 8080) -> Iterator[str]:
    """The address of a port of this machine that leads to ``target``: ``pod/NAME`` or ``service/NAME``."""
    command = [kubectl.tool("kubectl"), "--kubeconfig", kube.kubeconfig, "--namespace", kube.namespace]
    command += ["port-forward", target, f":{port}", "--address=127.0.0.1"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True) as process:
        try:
            said = process.stdout.readline() if process.stdout else ""
            found = re.search(r"127\.0\.0\.1:(\d+)", said)
            if found is None:
                raise RuntimeError(f"kubectl port-forward {target} must say its port; it said: {said}")
            yield f"http://127.0.0.1:{found.group(1)}"
        finally:
            process.terminate()


def get(url: str) -> tuple[int, str]:
    """Status and body of the answer, whatever the status."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
