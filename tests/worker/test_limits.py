"""Limits: what the container really got, and how many processes the kernel killed in it."""

from __future__ import annotations

import pytest

from querytask_worker.contract import CPU_ENV, MEMORY_ENV
from querytask_worker.limits import OomCounter, limits
from tests.worker.builders import GIB, assignment

MIB = 1024 * 1024


def test_the_containers_own_limits_win():
    asked = assignment(memory_bytes=GIB, cpu_millis=4000)
    found = limits(asked, {MEMORY_ENV: str(2 * GIB), CPU_ENV: "1500"})
    assert (found.memory_bytes, found.threads) == (2 * GIB, 2)


def test_without_them_what_was_asked_for_holds():
    found = limits(assignment(memory_bytes=GIB, cpu_millis=100), {MEMORY_ENV: ""})
    assert (found.memory_bytes, found.threads) == (GIB, 1)


def test_the_engine_gets_a_share_and_its_process_a_bound():
    found = limits(assignment(memory_bytes=GIB), {})
    assert 0.55 * GIB <= found.engine_bytes <= 0.6 * GIB
    assert found.data_bytes == GIB - 48 * MIB + 7 * MIB, (
        "less the reserve, and the stack of the second thread"
    )


def test_a_small_container_spills_before_it_fails():
    """DuckDB's own limit must be reached before the bound on the process, else nothing would ever spill."""
    for megabytes in (128, 192, 256, 1024):
        found = limits(assignment(memory_bytes=megabytes * MIB, cpu_millis=8000), {})
        assert found.engine_bytes + 60 * MIB <= found.data_bytes
        assert found.threads == min(8, megabytes // 128)


def test_a_limit_that_is_no_number_is_told():
    with pytest.raises(ValueError, match=f"{MEMORY_ENV} must be a whole number, not '1Gi'"):
        limits(assignment(), {MEMORY_ENV: "1Gi"})


@pytest.mark.parametrize(
    ("membership", "path", "text"),
    [
        ("0::/pod/box\n", "pod/box/memory.events", "low 0\noom 3\noom_kill 2\n"),
        ("0::/elsewhere\n", "memory.events", "low 0\noom 3\noom_kill 2\n"),
        (
            "4:memory:/pod/box\n0::/\n",
            "memory/pod/box/memory.oom_control",
            "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        ),
        ("4:memory:/elsewhere\n", "memory/memory.oom_control", "oom_kill 2\n"),
    ],
    ids=["v2", "v2 in a namespace", "v1", "v1 in a namespace"],
)
def test_oom_kills_are_counted_in_both_versions_of_cgroups(tmp_path, membership: str, path: str, text: str):
    (tmp_path / "self").write_text(membership)
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(text)
    assert OomCounter(str(tmp_path), str(tmp_path / "self")).read() == 2


def test_where_nothing_tells_it_is_none(tmp_path):
    assert OomCounter(str(tmp_path), str(tmp_path / "missing")).read() == 0
