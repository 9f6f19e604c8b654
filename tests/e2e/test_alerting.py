"""A real Prometheus scrapes the real operator, and wakes somebody for a task that hangs in Cancelling."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.kube import ROOT, run, tool, until
from tests.e2e.kit import node
from tests.e2e.kit.http import forwarded, get
from tests.e2e.kit.site import Site
from tests.e2e.kit.tasks import ENDLESS

ALERT = "QueryTaskCancellingStale"
THRESHOLD_SECONDS = 3
pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus must be installed")


def rules(site: Site, folder: Path) -> Path:
    """The chart's rules, with a threshold that a test can wait for."""
    alert = {"thresholdSeconds": THRESHOLD_SECONDS, "for": "1s"}
    values = {"prometheusRule": {"enabled": True, "alerts": {"cancellingStale": alert}}}
    (folder / "values.yaml").write_text(yaml.safe_dump(values))
    chart = str(ROOT / "charts" / "querytask-operator")
    only = "--show-only=templates/prometheusrule.yaml"
    command = [tool("helm"), "template", site.release, chart, "--namespace", site.namespace, only]
    rendered = yaml.safe_load(run([*command, "--values", str(folder / "values.yaml")]))
    file = folder / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": rendered["spec"]["groups"]}))
    return file


@contextmanager
def prometheus(site: Site, target: str, folder: Path) -> Iterator[str]:
    """A Prometheus that scrapes ``target`` every second; its address."""
    scrape = {
        "job_name": "querytask",
        "static_configs": [{"targets": [target], "labels": {"namespace": site.namespace}}],
    }
    clocks = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config = {"global": clocks, "rule_files": [str(rules(site, folder))], "scrape_configs": [scrape]}
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
    ]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def states(address: str) -> list[str]:
    """The states of the alert: ``pending``, ``firing``, or none."""
    try:
        _, body = get(f"{address}/api/v1/alerts")
    except OSError:
        return []
    found: list[dict[str, Any]] = json.loads(body)["data"]["alerts"]
    return [item["state"] for item in found if item["labels"]["alertname"] == ALERT]


@node.needed
def test_a_hanging_cancellation_wakes_somebody(site: Site, tmp_path: Path) -> None:
    """While a container cannot be stopped the task stays Cancelling, the alert fires, and it resolves when
    the task has become Cancelled."""
    task = site.running("hangs", ENDLESS)
    pod = task["status"]["podName"]
    with (
        forwarded(site.kube, f"pod/{site.operator}") as address,
        prometheus(site, address.removeprefix("http://"), tmp_path) as server,
    ):
        until("an answer of Prometheus", lambda: get_ready(server), 60)
        assert states(server) == []
        with node.frozen_shim(site, pod):
            site.cancel("hangs")
            site.reached("hangs", "Cancelling")
            until("the alert", lambda: "firing" in states(server), 60)
            assert site.status("hangs")["phase"] == "Cancelling"
        assert site.ended("hangs")["status"]["phase"] == "Cancelled"
        until("the end of the alert", lambda: states(server) == [], 60)


def get_ready(server: str) -> bool:
    """Whether Prometheus has started and scraped the operator once."""
    try:
        _, body = get(f"{server}/api/v1/query?query=querytask_resync_timestamp_seconds")
    except OSError:
        return False
    return bool(json.loads(body)["data"]["result"])
