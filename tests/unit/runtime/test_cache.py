"""The caches: what concerns whom, what is news, and what a stale list cannot do."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from querytask import names
from querytask.runtime.cache import Cache, Key
from tests import builders as make

RUNNING = {"running": {"startedAt": "2026-11-22T11:59:55Z"}}
ENDED = {
    "terminated": {"exitCode": 0, "startedAt": "2026-11-22T11:59:55Z", "finishedAt": "2026-11-22T11:59:58Z"}
}
TASK = Key(names.TASK_KIND, make.NAMESPACE, make.NAME)


@pytest.fixture
def cache() -> Cache:
    return Cache(make.NAMESPACE)


def task(version: int = 100, phase: str = "Queued", uid: str = make.UID, **spec: Any) -> dict[str, Any]:
    return make.raw_task(
        spec=spec, status={"phase": phase}, metadata={"resourceVersion": str(version), "uid": uid}
    )


def pod(version: int = 200, attempt: int = 1, state=RUNNING, uid: str = "") -> dict[str, Any]:
    metadata = {"resourceVersion": str(version)} | ({"uid": uid} if uid else {})
    return make.raw_pod(attempt, container=state, metadata=metadata, node="node-a")


def claim(name: str = "lake") -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": f"claim-{name}", "resourceVersion": "1"}}


def key(name: str, kind: str = names.TASK_KIND) -> Key:
    return Key(kind, make.NAMESPACE, name)


# tasks


def test_a_task_is_news_once(cache):
    """The same version again, or an older one, concerns nobody."""
    assert cache.put_task(task(100)) == [TASK]
    assert cache.put_task(task(100)) == []
    assert cache.put_task(task(99, "Running")) == []
    assert cache.tasks[make.NAME]["status"]["phase"] == "Queued"
    assert cache.put_task(task(101, "Running")) == [TASK]
    assert cache.tasks[make.NAME]["status"]["phase"] == "Running"


def test_versions_are_compared_as_numbers(cache):
    """999 is older than 1000."""
    cache.put_task(task(999))
    assert cache.put_task(task(1000, "Running")) == [TASK]


def test_another_object_of_the_name_is_news(cache):
    """Its versions are its own."""
    cache.put_task(task(100))
    assert cache.put_task(task(50, uid="another")) == [TASK]
    assert cache.tasks[make.NAME]["metadata"]["uid"] == "another"


@pytest.mark.parametrize("phase", sorted(names.TERMINAL_PHASES))
def test_finished_tasks_are_not_kept(cache, phase):
    """Ten thousand of them cost nothing; that this one finished is news."""
    cache.put_task(task(100))
    assert cache.put_task(task(101, phase)) == [TASK]
    assert cache.tasks == {}


def test_a_late_event_does_not_bring_a_finished_task_back(cache):
    """Our own write has told its end before; the next full list is newer than any event before it."""
    cache.put_task(task(100))
    cache.put_task(task(105, "Succeeded"))
    assert cache.put_task(task(104, "Running")) == []
    assert replace(cache, tasks=[task(103, "Running")]) == set()
    assert cache.tasks == {}
    assert cache.put_task(task(90, uid="another")) == [TASK], "another object has its own versions"


def test_a_task_that_is_gone(cache):
    """Is forgotten, and looked at once more."""
    cache.put_task(task())
    assert cache.drop_task(make.NAME, make.UID) == [TASK]
    assert cache.tasks == {}


def test_a_task_that_leaves_the_watch_because_it_has_ended(cache):
    """Its end was news, that it is no longer among the unfinished is none; and it takes nobody with it."""
    cache.put_task(task(100, "Succeeded"))
    cache.put_task(task(101, uid="another"))
    assert cache.drop_task(make.NAME, make.UID) == []
    assert cache.tasks[make.NAME]["metadata"]["uid"] == "another"


# pods


def test_a_pod_concerns_its_task(cache):
    """By its label and the name in its annotation."""
    assert cache.put_pod(pod()) == [TASK]
    assert [found.name for found in cache.pods_of(make.UID)] == [names.pod_name(make.UID, 1)]
    assert cache.pods_of("another") == ()
    assert cache.pod_owners() == {make.UID: make.NAME}


def test_pods_come_oldest_attempt_first(cache):
    """Whatever the order in which they were seen."""
    for attempt in (3, 1, 2):
        cache.put_pod(pod(attempt=attempt))
    assert [found.attempt for found in cache.pods_of(make.UID)] == [1, 2, 3]


def test_an_older_state_of_a_pod_is_no_news(cache):
    """An event that was late does not bring a container back to life."""
    cache.put_pod(pod(201, state=ENDED))
    assert cache.put_pod(pod(201, state=ENDED)) == [], "the same again concerns nobody"
    assert cache.put_pod(pod(200, state=RUNNING)) == []
    assert cache.pods_of(make.UID)[0].ended
    assert cache.put_pod(pod(5, state=RUNNING, uid="another")) == [TASK], "another pod of that name is news"


def test_a_pod_that_is_gone_keeps_its_last_state(cache):
    """Whoever concludes how the attempt ended needs it; then it is forgotten."""
    cache.put_pod(pod(200))
    assert cache.drop_pod(pod(205, state=ENDED)) == [TASK]
    found = cache.pods_of(make.UID)[0]
    assert (found.gone, found.terminated.exit_code) == (True, 0)
    assert cache.put_pod(pod(204, state=RUNNING)) == [], "a late event of the same pod"
    cache.forget_pods(make.UID, [found.name])
    assert cache.pods_of(make.UID) == ()
    assert cache.pod_owners() == {}


def test_a_pod_that_we_deleted_after_its_tasks_end_concerns_nobody(cache):
    """Its deletion was the last step."""
    cache.put_pod(pod(200, state=ENDED))
    cache.expect_gone(cache.pods_of(make.UID)[0])
    assert cache.drop_pod(pod(205, state=ENDED)) == []
    assert cache.pods_of(make.UID) == ()


# sources and claims


def test_a_source_concerns_itself_and_who_waits_for_it(cache):
    """Tasks that name it are looked at again."""
    cache.put_task(task(sources=["flights"]))
    source = make.raw_source()
    assert cache.put_source(source) == [key("flights", names.SOURCE_KIND), TASK]
    assert cache.put_source(copy.deepcopy(source)) == []
    assert cache.drop_source("flights") == [TASK]
    assert cache.sources == {}


def test_a_claim_concerns_the_sources_on_it(cache):
    """And through them the tasks."""
    cache.put_task(task(sources=["flights"]))
    cache.put_source(make.raw_source())
    both = [key("flights", names.SOURCE_KIND), TASK]
    assert cache.put_claim(claim()) == both
    assert cache.put_claim(claim("other")) == []
    assert cache.drop_claim("lake") == both
    assert set(cache.claims) == {"other"}


# resync


def replace(cache: Cache, **lists: Any) -> set[Key]:
    """A full list, with nothing where nothing is said."""
    empty: dict[str, Any] = {"tasks": [], "pods": [], "sources": [], "claims": []}
    return cache.replace(**empty | lists)


def test_a_full_list_replaces_everything(cache):
    """What it does not have is gone; whatever is or was there is looked at."""
    cache.put_task(task())
    cache.put_pod(pod())
    cache.put_source(make.raw_source("old"))
    cache.put_claim(claim("old"))
    new = make.raw_task(metadata={"name": "new", "uid": "new"})
    keys = replace(cache, tasks=[new], sources=[make.raw_source()], claims=[claim()])
    assert set(cache.tasks) == {"new"}
    assert set(cache.sources) == {"flights"}
    assert set(cache.claims) == {"lake"}
    assert cache.pods_of(make.UID) == ()
    assert keys == {TASK, key("new"), key("flights", names.SOURCE_KIND)}


def test_a_list_that_is_older_than_an_event(cache):
    """Between list and replacement an event may have told more: of a task, a pod's end, or its deletion."""
    cache.put_task(task(105, "Running"))
    cache.put_pod(pod(205, attempt=1, state=ENDED))
    cache.drop_pod(pod(206, attempt=2, state=ENDED))
    replace(cache, tasks=[task(100)], pods=[pod(200, attempt=1), pod(200, attempt=2)])
    assert cache.tasks[make.NAME]["status"]["phase"] == "Running"
    first, second = cache.pods_of(make.UID)
    assert first.ended
    assert second.gone


def test_what_was_last_seen_of_a_pod_survives_as_long_as_its_task_does(cache):
    """No list has a pod that is gone, and its end is still to be concluded."""
    cache.put_task(task())
    cache.drop_pod(pod(206, state=ENDED))
    replace(cache, tasks=[task()])
    assert cache.pods_of(make.UID)[0].gone
    replace(cache)
    assert cache.pods_of(make.UID) == ()
    assert cache.pod_owners() == {}


def test_a_pod_whose_deletion_nobody_has_seen_is_just_not_there(cache):
    """Its task is looked at, and asks for it by name."""
    cache.put_task(task())
    cache.put_pod(pod())
    assert TASK in replace(cache, tasks=[task()])
    assert cache.pods_of(make.UID) == ()


def test_a_deletion_that_was_expected_is_expected_no_longer_than_the_pod_is_listed(cache):
    """What was kept for an event that never came is let go."""
    cache.put_pod(pod(200, state=ENDED, uid="gone-unseen"))
    cache.expect_gone(cache.pods_of(make.UID)[0])
    replace(cache)
    cache.put_pod(pod(300, uid="gone-unseen"))
    assert cache.drop_pod(pod(301, uid="gone-unseen")) == [TASK]
