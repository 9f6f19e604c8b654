"""The API is killed again and again while many ask for the same: each key leads to one task, and only one."""

from __future__ import annotations

import concurrent.futures
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from querytask import names
from tests.controlplane.conftest import Sites
from tests.controlplane.kit import api, script
from tests.controlplane.kit.api import WRITE, Accounts, ApiProcess
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import until

KEYS = [f"killed-{number}" for number in range(40)]
ROUNDS = 3
CLIENTS = 6


class Apis:
    """One API after the other on the volumes of a site, on free ports, with one certificate."""

    def __init__(self, site: Site, folder: Path) -> None:
        self._folder, self._numbers = folder, itertools.count(1)
        self._pki = api.certificates(folder / "pki")
        self._environment = api.environment(
            site.plane,
            site.namespace,
            self._pki,
            history=site.history_dir,
            exports=site.exports,
            authority=site.plane.folder / "pki" / "ca.crt",
        )
        self.running = self.start()

    def start(self) -> ApiProcess:
        """The next one, ready."""
        log = self._folder / f"api-{next(self._numbers)}.log"
        self.running = ApiProcess(self._environment, log, self._pki)
        return self.running.wait_ready()

    def kill(self) -> None:
        """SIGKILL."""
        self.running.process.kill()
        self.running.process.wait(10)


@pytest.fixture
def site(sites: Sites) -> Site:
    """With a history that an operator has made, and keeps."""
    made = sites(max_running=1)
    made.operator()
    return made


@pytest.fixture
def apis(site: Site, tmp_path: Path) -> Iterator[Apis]:
    found = Apis(site, tmp_path)
    yield found
    found.kill()


def ask(client: httpx.Client, key: str) -> httpx.Response:
    """Submit what the key stands for."""
    body = {"sql": script.sql("succeed"), "parameters": {}, "priority": KEYS.index(key)}
    return client.post("/api/v1/tasks", json=body, headers={"Idempotency-Key": key})


def hammer(process: ApiProcess, token: str, keys: Iterator[str], answered: threading.Semaphore) -> None:
    """Ask for one key after the other until the API is gone."""
    with process.client(token) as client:
        for key in keys:
            try:
                assert ask(client, key).status_code in (200, 202)
            except httpx.TransportError:
                return
            answered.release()


def test_each_key_makes_one_task(site: Site, apis: Apis):
    """Whatever the program was doing when it was killed, and however many asked for the same at that time."""
    token = Accounts(site.plane, site.namespace).make("killer", WRITE)
    for _ in range(ROUNDS):
        answered = threading.Semaphore(0)
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            asking = [
                pool.submit(hammer, apis.running, token, itertools.cycle(KEYS), answered)
                for _ in range(CLIENTS)
            ]
            for _ in range(len(KEYS) // 2):
                assert answered.acquire(timeout=30)
            apis.kill()
            for one in asking:
                one.result(30)
        apis.start()
    with apis.running.client(token) as client:
        found = [ask(client, key).json()["uid"] for key in KEYS]
        assert [ask(client, key).json()["uid"] for key in KEYS] == found

    listed = site.plane.api.call("GET", site.path(names.TASK_PLURAL))["items"]
    assert sorted(item["metadata"]["uid"] for item in listed) == sorted(set(found))
    assert len(listed) == len(KEYS)
    rows = site.history.rows("SELECT uid FROM api_keys WHERE uid IS NOT NULL")
    assert sorted(row["uid"] for row in rows) == sorted(found)
    until(lambda: len(site.history.tasks()) == len(KEYS), 30, what="the operator has them all")
