"""What a machine lacks is said in sentences, all at once, before anything is started."""

from dataclasses import replace
from pathlib import Path

import pytest

from cluster.harness.prerequisites import Machine, look, problems

SOUND = Machine(
    root=True,
    missing_programs=(),
    plugins=True,
    missing_controllers=(),
    namespaces=True,
    loop_devices=True,
    state=Path("/srv"),
    free_gib=50.0,
)


def test_a_sound_machine_lacks_nothing():
    """The table below says what makes a difference."""
    assert problems(SOUND) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"root": False}, "must be started as root"),
        ({"missing_programs": ("runc", "ctr")}, "must be installed: runc, ctr; `make setup` does it"),
        ({"plugins": False}, "the CNI plugins bridge, host-local, loopback, portmap must be installed"),
        ({"missing_controllers": ("memory",)}, "the control groups memory must be mounted at /sys/fs/cgroup"),
        ({"namespaces": False}, "making namespaces must be allowed"),
        ({"loop_devices": False}, "/dev/loop-control"),
        ({"free_gib": 1.26}, "/srv must have 4 GiB free, but has 1.3 GiB"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_each_lack_is_one_sentence(change: dict, words: str):
    """It names what is missing, and what to do where something can be done."""
    [sentence] = problems(replace(SOUND, **change))
    assert words in sentence
    assert "\n" not in sentence


def test_all_lacks_are_told_at_once():
    """Nobody likes to repair a machine one message at a time."""
    bad = replace(SOUND, plugins=False, namespaces=False, free_gib=0.0)
    assert len(problems(bad)) == 3


def test_without_root_only_that_is_told():
    """What an ordinary user sees of the machine says nothing of what root could do."""
    assert len(problems(replace(SOUND, root=False, namespaces=False, loop_devices=False))) == 1


def test_a_folder_that_is_yet_to_be_made_is_looked_at_above(tmp_path: Path):
    """The state folder does not exist before the first start."""
    machine = look(tmp_path / "not" / "yet")
    assert machine.state == tmp_path
    assert machine.free_gib > 0
