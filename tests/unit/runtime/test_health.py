"""What the probes are told, and that they can really fail."""

from __future__ import annotations

import pytest

from querytask.runtime.health import STUCK_SECONDS, Health


class Facts:
    """A clock, and how long the longest work takes."""

    def __init__(self) -> None:
        self.seconds, self.longest = 0.0, 0.0
        self.health = Health(lambda: self.seconds, 20, lambda: self.longest)


@pytest.fixture
def facts() -> Facts:
    return Facts()


async def test_at_the_start_it_lives_and_is_not_ready(facts):
    """A restart would not help, and no work is done yet."""
    facts.health.waiting_for["history"] = "the history is not open yet"
    assert not any((await facts.health.alive()).values())
    assert await facts.health.ready() == {"history": "the history is not open yet"}
    facts.health.waiting_for.clear()
    assert (await facts.health.ready())["apiServer"] == "no resync has ended yet"


async def test_a_resync_makes_it_ready(facts):
    """From then on everything is well."""
    facts.health.tried("")
    assert await facts.health.ready() == {"resyncTimer": "", "reconcile": "", "apiServer": "", "history": ""}


async def test_what_is_no_longer_waited_for_does_not_count(facts):
    """An empty text is no reason to be unready."""
    facts.health.tried("")
    facts.health.waiting_for["lease"] = ""
    assert "lease" not in await facts.health.ready()
    facts.health.waiting_for["lease"] = "it is held by another"
    assert await facts.health.ready() == {"lease": "it is held by another"}


async def test_an_api_server_that_refuses_makes_it_unready_and_not_dead(facts):
    """A restart mends no API server. One missed resync is no outage."""
    facts.health.tried("")
    facts.seconds = 45
    facts.health.tried("the API server did not answer")
    assert (await facts.health.ready())["apiServer"] == ""
    facts.seconds = 45.1
    assert (await facts.health.ready())["apiServer"] == "the API server did not answer"
    assert not any((await facts.health.alive()).values())
    facts.health.tried("")
    assert (await facts.health.ready())["apiServer"] == ""


async def test_a_first_resync_that_never_returns_is_noticed(facts):
    """It has a time-out for each call; when it hangs all the same, only a restart helps."""
    facts.health.began()
    facts.seconds = 120
    assert not any((await facts.health.alive()).values())
    facts.seconds = 121
    assert (await facts.health.alive())["resyncTimer"] == "no resync was tried for 121 s"
    facts.health.tried("")
    facts.seconds = 122
    facts.health.began()
    assert not any((await facts.health.alive()).values())


async def test_an_api_server_that_never_answered(facts):
    """Its error is told."""
    facts.health.tried("no route")
    assert (await facts.health.ready())["apiServer"] == "no route"


async def test_a_timer_that_died_is_dead(facts):
    """Nobody has tried a resync for three of its periods and a minute: only a restart mends that."""
    facts.health.tried("")
    facts.seconds = 120
    assert (await facts.health.alive())["resyncTimer"] == ""
    facts.seconds = 121
    assert (await facts.health.alive())["resyncTimer"] == "no resync was tried for 121 s"
    assert (await facts.health.ready())["resyncTimer"] != ""


async def test_a_reconcile_that_hangs_is_dead(facts):
    """Every call in it has a shorter time-out."""
    facts.health.tried("")
    facts.longest = STUCK_SECONDS
    assert (await facts.health.alive())["reconcile"] == ""
    facts.longest = STUCK_SECONDS + 1
    assert (await facts.health.alive())["reconcile"] == "one reconcile has taken 121 s so far"


async def test_a_history_that_refuses_makes_it_unready(facts):
    """And not dead: a full disk stays full."""

    async def full() -> str:
        return "the history is full"

    facts.health.tried("")
    facts.health.history = full
    assert (await facts.health.ready())["history"] == "the history is full"
    assert "history" not in await facts.health.alive()
