"""Folders that several nodes mount over go with the last of them, and nobody else's ever go."""

from pathlib import Path

import pytest

from cluster.harness import mountpoints


@pytest.fixture
def processes(tmp_path: Path) -> Path:
    """A folder like /proc, at first without processes."""
    made = tmp_path / "proc"
    made.mkdir()
    return made


def add_process(processes: Path, pid: int, namespace: str, *mounted: str) -> None:
    folder = processes / str(pid)
    (folder / "ns").mkdir(parents=True)
    (folder / "ns" / "mnt").symlink_to(f"mnt:[{namespace}]")
    lines = [f"{number} 1 8:1 / {place} rw - ext4 /dev/sda rw\n" for number, place in enumerate(mounted)]
    (folder / "mountinfo").write_text("".join(lines))


def test_missing_folders_are_made_with_their_parents(tmp_path: Path, processes: Path):
    """Parents come first, so that they are removed last."""
    place = tmp_path / "var" / "lib" / "kubelet"
    made = mountpoints.make([str(place)], processes)
    assert made == [str(tmp_path / "var"), str(tmp_path / "var" / "lib"), str(place)]
    mountpoints.remove(made, processes)
    assert not (tmp_path / "var").exists()


def test_a_folder_that_was_there_is_not_ours(tmp_path: Path, processes: Path):
    """An empty folder may belong to a package of the machine."""
    (tmp_path / "kubelet").mkdir()
    assert mountpoints.make([str(tmp_path / "kubelet")], processes) == []


def test_a_folder_with_something_in_it_stays(tmp_path: Path, processes: Path):
    """Somebody has installed a Kubernetes of the machine's own meanwhile."""
    made = mountpoints.make([str(tmp_path / "kubelet")], processes)
    (tmp_path / "kubelet" / "config").touch()
    mountpoints.remove(made, processes)
    assert (tmp_path / "kubelet" / "config").exists()


def test_the_last_of_two_nodes_removes_what_the_first_has_made(tmp_path: Path, processes: Path):
    """Removing it earlier would take the other node's mounts away."""
    place = str(tmp_path / "kubelet")
    first = mountpoints.make([place], processes)
    add_process(processes, 100, "4026531001", "/", place)
    second = mountpoints.make([place], processes)
    assert first == second == [place]
    mountpoints.remove(first, processes)
    assert Path(place).exists(), "a process of the second node still sees a mount on it"
    (processes / "100" / "mountinfo").write_text("")
    mountpoints.remove(second, processes)
    assert not Path(place).exists()


def test_one_namespace_is_read_once(processes: Path):
    """A machine has hundreds of processes and few namespaces."""
    add_process(processes, 1, "4026531001", "/", "/one")
    add_process(processes, 2, "4026531001", "/never-read")
    add_process(processes, 3, "4026531002", "/two")
    found = mountpoints.mounted_anywhere(processes)
    assert "/two" in found
    assert len(found & {"/one", "/never-read"}) == 1


def test_only_one_at_a_time_may_start_or_end(tmp_path: Path):
    """The lock is on a folder and is free again after use."""
    with mountpoints.machine_lock(tmp_path):
        pass
    with mountpoints.machine_lock(tmp_path):
        assert list(tmp_path.iterdir()) == []
