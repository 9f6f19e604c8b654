"""Control groups of both versions, on a tree of files that looks like the kernel's."""

from pathlib import Path

import pytest

from cluster.harness import cgroups


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    for name in ("cpu,cpuacct", "cpuset", "memory", "pids", "unified"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").touch()
    (tmp_path / "cpu").symlink_to("cpu,cpuacct")
    (tmp_path / "cpuset" / "cpuset.cpus").write_text("0-1\n")
    (tmp_path / "cpuset" / "cpuset.mems").write_text("0\n")
    return tmp_path


@pytest.fixture
def version_2(tmp_path: Path) -> Path:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (tmp_path / "cgroup.subtree_control").touch()
    (tmp_path / "cgroup.procs").touch()
    return tmp_path


def test_each_hierarchy_of_version_1_gets_the_group_once(version_1: Path):
    """`cpu` is only another name of `cpu,cpuacct`."""
    names = [folder.name for folder in cgroups.hierarchies(version_1)]
    assert names == ["cpu,cpuacct", "cpuset", "memory", "pids", "unified"]
    assert cgroups.missing_controllers(version_1) == []


def test_a_new_group_of_version_1_has_processors(version_1: Path):
    """Without any, the kernel lets no process in, and no pod would start."""
    cgroups.create("qt", version_1)
    assert (version_1 / "cpuset" / "qt" / "cpuset.cpus").read_text() == "0-1\n"
    assert (version_1 / "memory" / "qt").is_dir()


def test_version_2_has_one_group_and_hands_controllers_down(version_2: Path):
    """What the root does not hand down, a pod's limits cannot use."""
    cgroups.create("qt", version_2)
    assert cgroups.hierarchies(version_2) == [version_2]
    assert (version_2 / "qt").is_dir()
    assert (version_2 / "cgroup.subtree_control").read_text().startswith("+")


def test_missing_controllers_are_named(tmp_path: Path):
    """A machine without them cannot limit memory, so a node there would be of no use."""
    (tmp_path / "cgroup.controllers").write_text("cpu io\n")
    assert cgroups.missing_controllers(tmp_path) == ["memory", "pids"]
    assert cgroups.missing_controllers(tmp_path / "none") == ["cpu", "memory", "pids"]


def test_a_group_is_removed_from_its_leaves_on(tmp_path: Path):
    """The kernel removes only groups without children."""
    (tmp_path / "qt" / "kubepods" / "pod1").mkdir(parents=True)
    assert cgroups.gone(tmp_path / "qt")
    assert cgroups.gone(tmp_path / "qt"), "a group that is not there is gone"


def test_a_group_in_use_is_not_gone(tmp_path: Path):
    """A directory that cannot be removed stands for a group with a process in it."""
    (tmp_path / "qt" / "pod").mkdir(parents=True)
    (tmp_path / "qt" / "pod" / "busy").touch()
    assert not cgroups.gone(tmp_path / "qt")
