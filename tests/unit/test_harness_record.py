"""What a later command knows of a node is what the earlier one wrote."""

from pathlib import Path

from cluster.harness.layout import Layout
from cluster.harness.network import Link
from cluster.harness.processes import ProcessRef
from cluster.harness.record import Record
from cluster.harness.sandbox import Sandbox

ENDED = ProcessRef(pid=1 << 30, started=7, boot="b")


def record(**changes) -> Record:
    values = {"link": Link("qt-1", "10.250.0.4/30"), "cgroup": "querytask-1", "binary": "/node", **changes}
    return Record(**values)


def test_a_record_is_read_as_it_was_written(tmp_path: Path):
    """Nothing of what `down` needs is lost on the way through the file."""
    written = record(
        folders=["/var/lib/kubelet"], sandbox=Sandbox(ENDED, ENDED), parts={"etcd": ENDED}, complete=True
    )
    written.write(tmp_path / "node.json")
    assert Record.read(tmp_path / "node.json") == written
    assert [file.name for file in tmp_path.iterdir()] == ["node.json"]


def test_a_start_that_got_nowhere_is_a_record_too(tmp_path: Path):
    """The command may be killed before it has started anything: `down` still knows the names."""
    record().write(tmp_path / "node.json")
    assert Record.read(tmp_path / "node.json") == record()


def test_no_file_is_no_node(tmp_path: Path):
    """Most commands ask this first."""
    assert Record.read(tmp_path / "node.json") is None


def test_parts_that_ended_are_named():
    """`up` starts a broken node anew, and `status` says what broke."""
    assert record(parts={"etcd": ENDED, "kubelet": ENDED}).dead() == ["etcd", "kubelet"]


def test_all_state_is_below_one_folder(tmp_path: Path):
    """`rm -r` of that folder is the end of it, and nothing else holds state."""
    layout = Layout(tmp_path)
    places = [layout.kubeconfig, layout.pki, layout.logs, layout.record, layout.lock, layout.volumes]
    assert all(place.is_relative_to(tmp_path) for place in places)
