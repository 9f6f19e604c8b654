"""The control plane that all these tests run against keeps its own promises."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.harness import ControlPlane
from cluster.harness.errors import ApiError, PartError
from cluster.harness.layout import REPOSITORY
from cluster.harness.processes import read_stat

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
WIDGETS = "/apis/example.org/v1/namespaces/default/widgets"
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.org"},
    "spec": {
        "group": "example.org",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }
        ],
    },
}
START_AND_WAIT = """
import pathlib, sys, time
from cluster.harness import ControlPlane
control_plane = ControlPlane(pathlib.Path(sys.argv[1]))
control_plane.start()
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    folder = tmp_path_factory.mktemp("own")
    definition = folder / "widgets.json"
    definition.write_text(json.dumps(DEFINITION))
    with ControlPlane(folder / "state", manifests=[definition]) as started:
        yield started


def config_map(name: str, **metadata: object) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}


def eventually(question: Callable[[], bool], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline, f"{what} must happen within {seconds:g} s"
        time.sleep(0.05)


def exists(control_plane: ControlPlane, path: str) -> bool:
    try:
        control_plane.api.call("GET", path)
    except ApiError as error:
        if error.status == 404:
            return False
        raise
    return True


def test_the_api_server_comes_back_with_its_data_and_address(control_plane: ControlPlane):
    """A test that takes it away finds everything again, with the kubeconfigs that were given out."""
    control_plane.api.call("POST", CONFIG_MAPS, config_map("kept"))
    url = control_plane.url
    control_plane.stop_apiserver()
    with pytest.raises(OSError, match="refused"):
        control_plane.api.call("GET", CONFIG_MAPS)
    control_plane.start_apiserver()
    assert control_plane.url == url
    assert exists(control_plane, f"{CONFIG_MAPS}/kept")


def test_a_service_account_has_the_rights_of_its_role_and_no_others(control_plane: ControlPlane):
    """The operator runs in the tests with the rights of the chart's Role: what is missing there must show."""
    kubeconfig = control_plane.service_account_kubeconfig("default", "default")
    command = [*control_plane.kubectl[:2], f"--kubeconfig={kubeconfig}", "auth", "can-i", "list", "pods"]
    before = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    binding = ["create", "rolebinding", "view", "--clusterrole=view", "--serviceaccount=default:default"]
    subprocess.run([*control_plane.kubectl, *binding], check=True, capture_output=True)
    after = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    assert (before, after) == ("no\n", "yes\n")


def test_what_an_object_of_a_new_kind_owns_goes_with_it(control_plane: ControlPlane):
    """The garbage collector knows kinds from `manifests` from its start, not half a minute later."""
    widget = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "owner"}}
    uid = control_plane.api.call("POST", WIDGETS, widget)["metadata"]["uid"]
    owner = {"apiVersion": "example.org/v1", "kind": "Widget", "name": "owner", "uid": uid}
    control_plane.api.call("POST", CONFIG_MAPS, config_map("owned", ownerReferences=[owner]))
    control_plane.api.call("DELETE", f"{WIDGETS}/owner")
    eventually(lambda: not exists(control_plane, f"{CONFIG_MAPS}/owned"), "the end of what was owned")


def test_a_quota_is_enforced(control_plane: ControlPlane):
    """Admission is what a cluster has by default."""
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"secrets": "0"}}}
    path = "/api/v1/namespaces/default"
    control_plane.api.call("POST", f"{path}/resourcequotas", quota)
    eventually(
        lambda: bool(control_plane.api.call("GET", f"{path}/resourcequotas/none")["status"]),
        "the first count",
    )
    with pytest.raises(ApiError, match="exceeded quota"):
        control_plane.api.call("POST", f"{path}/secrets", {"metadata": {"name": "one-too-many"}})


def test_everything_ends_with_the_process_that_made_it(tmp_path: Path):
    """A test run that is killed leaves no API server behind."""
    command = [sys.executable, "-c", START_AND_WAIT, str(tmp_path)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "ready\n"
        made = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if uses(pid, str(tmp_path))]
        assert len(made) == 3
        maker.send_signal(signal.SIGKILL)
    eventually(lambda: not any(runs(pid) for pid in made), "the end of all parts", seconds=5)


def test_a_part_that_does_not_come_up_shows_its_log(tmp_path: Path):
    """The reason is in the message, and nothing goes on running."""
    control_plane = ControlPlane(tmp_path, apiserver_flags=["--no-such-flag"])
    with pytest.raises(PartError, match=r"(?s)apiserver ended with exit code 1.*no-such-flag"):
        control_plane.start()
    assert not [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if uses(pid, str(tmp_path))]


def uses(pid: int, folder: str) -> bool:
    """Whether a part of the control plane works in a folder."""
    try:
        return "/node-" in (command := Path(f"/proc/{pid}/cmdline").read_text()) and folder in command
    except (FileNotFoundError, ProcessLookupError):
        return False


def runs(pid: int) -> bool:
    stat = read_stat(pid)
    return stat is not None and stat.state != "Z"
