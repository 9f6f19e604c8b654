"""Who may have a pod, and who is next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from querytask.runtime.slots import Rank, Slots


def rank(uid: str, priority: int = 0, created: float = 0.0) -> Rank:
    return Rank(-priority, created, uid)


class Line:
    """Slots, and who was told that they have one."""

    def __init__(self, limit: int, opened: bool = True) -> None:
        self.told: list[str] = []
        self.slots = Slots(limit, self.told.append)
        if opened:
            self.slots.open()

    def want(self, *uids: str) -> list[bool]:
        """Ask in that order, each older than the next."""
        return [self.slots.request(rank(uid, created=number)) for number, uid in enumerate(uids)]


def test_no_more_than_the_limit():
    """The first have theirs at once and need not be told; the others wait."""
    line = Line(2)
    assert line.want("a", "b", "c") == [True, True, False]
    assert (line.slots.held, line.slots.waiting, line.slots.limit) == (2, 1, 2)
    assert line.told == []


def test_a_slot_that_is_released_goes_to_the_next():
    """Who waited is told, because nobody else would look at it."""
    line = Line(1)
    line.want("a", "b", "c")
    line.slots.release("a")
    assert line.told == ["b"]
    assert line.slots.holds("b")
    assert not line.slots.holds("c")
    line.slots.release("b")
    assert line.told == ["b", "c"]


def test_higher_priority_first_then_first_come_first_served():
    """And by uid where both are equal, so that the order is total."""
    line = Line(1)
    line.slots.hold("running")
    for which in (rank("young", 0, 9), rank("old", 0, 1), rank("twin-b", 0, 5), rank("twin-a", 0, 5)):
        line.slots.request(which)
    line.slots.request(rank("urgent", 10, 99))
    line.slots.request(rank("lazy", -10, 0))
    order = []
    current = "running"
    for _ in range(6):
        line.slots.release(current)
        current = line.told[-1]
        order.append(current)
    assert order == ["urgent", "old", "twin-a", "twin-b", "young", "lazy"]


def test_a_changed_priority_moves_a_task_in_the_line():
    """Up and down, and it stands in the line once."""
    line = Line(1)
    line.slots.hold("running")
    line.slots.request(rank("a", 0, 1))
    line.slots.request(rank("b", 0, 2))
    line.slots.request(rank("b", 5, 2))
    assert line.slots.waiting == 2
    line.slots.request(rank("c", 3, 3))
    line.slots.request(rank("b", -5, 2))
    line.slots.release("running")
    assert line.told == ["c"]
    line.slots.release("c")
    line.slots.release("a")
    assert line.told == ["c", "a", "b"]


def test_nobody_new_before_it_is_open():
    """A restart must not let anybody overtake whom nobody has looked at yet."""
    line = Line(1, opened=False)
    assert line.want("young") == [False]
    line.slots.request(rank("urgent", 10, 5))
    assert line.told == []
    line.slots.open()
    assert line.told == ["urgent"]


def test_a_living_pod_holds_a_slot_even_over_the_limit():
    """Nothing that runs is stopped for it; nobody new gets in before there is room again."""
    line = Line(1, opened=False)
    for uid in ("a", "b", "c"):
        line.slots.hold(uid)
    line.slots.request(rank("d"))
    line.slots.open()
    assert (line.slots.held, line.told) == (3, [])
    line.slots.release("a")
    line.slots.release("b")
    assert line.told == []
    line.slots.release("c")
    assert line.told == ["d"]


def test_asking_again_keeps_the_place_and_the_slot():
    """Every look at a task asks."""
    line = Line(1)
    assert line.want("a", "a", "b", "b") == [True, True, False, False]
    assert (line.slots.held, line.slots.waiting) == (1, 1)


def test_who_leaves_the_line_gets_nothing():
    """A task that was cancelled while it waited is not told of a slot."""
    line = Line(1)
    line.want("a", "b", "c")
    line.slots.release("b")
    line.slots.release("a")
    assert line.told == ["c"]
    assert (line.slots.held, line.slots.waiting) == (1, 0)


def test_who_leaves_and_comes_back_stands_in_the_line_once():
    """Back-off and missing sources take a task out of the line and put it back."""
    line = Line(1)
    line.slots.hold("running")
    for _ in range(5):
        line.slots.request(rank("a", 0, 1))
        line.slots.release("a")
    line.slots.request(rank("a", 0, 1))
    line.slots.request(rank("b", 0, 2))
    line.slots.release("running")
    assert line.told == ["a"]
    line.slots.release("a")
    assert line.told == ["a", "b"]


def test_who_waits_and_turns_out_to_have_a_pod_holds_a_slot():
    """An attempt that was started before a crash is found alive."""
    line = Line(1, opened=False)
    line.slots.request(rank("a"))
    line.slots.hold("a")
    assert (line.slots.held, line.slots.waiting) == (1, 0)
    line.slots.open()
    assert line.told == []


STEPS = st.lists(
    st.tuples(st.sampled_from(["request", "hold", "release"]), st.sampled_from("abcdef"), st.integers(-1, 1)),
    max_size=40,
)


@examples(max_examples=100, deadline=None, derandomize=True, database=None)
@given(limit=st.integers(1, 3), steps=STEPS)
def test_whatever_happens(limit, steps):
    """Nobody waits beside a free slot, and a grant never goes over the limit."""
    granted: list[str] = []
    slots = Slots(limit, granted.append)
    slots.open()
    forced: set[str] = set()
    for what, uid, priority in steps:
        if what == "request":
            slots.request(rank(uid, priority))
        elif what == "hold":
            forced |= {uid} if not slots.holds(uid) else set()
            slots.hold(uid)
        else:
            slots.release(uid)
            forced.discard(uid)
        assert slots.waiting == 0 or slots.held >= limit
        assert slots.held <= max(limit, limit + len(forced))


@pytest.mark.parametrize("limit", [1, 3])
def test_every_slot_is_used(limit):
    """As many tasks as slots have one, at any time while more wait."""
    line = Line(limit)
    line.want(*(f"task-{number:02}" for number in range(20)))
    done = 0
    while line.slots.held:
        assert line.slots.held == min(limit, 20 - done)
        line.slots.release(next(uid for uid in (f"task-{n:02}" for n in range(20)) if line.slots.holds(uid)))
        done += 1
    assert done == 20
