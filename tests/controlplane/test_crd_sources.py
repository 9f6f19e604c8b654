"""The API server's own answer to every bound and rule of a QuerySource."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.harness import ControlPlane
from tests.controlplane.objects import Objects, refused, source

INSIDE = "must be a path inside the claim: no / at its start, and no .. in it"
NAME = (
    "metadata.name must be at most 63 characters of a-z, 0-9 and -, for queries read a directory of that name"
)
FULL = {"claimName": "lake", "subPath": "2026/flights", "supplementalGroups": [1, 2_147_483_647]}

GOOD = {
    "whole claim": {"claimName": "lake"},
    "claim of the greatest length": {"claimName": "c" * 63 + "." + "d" * 189},
    "directory and groups": FULL,
    "directory with two dots in a name": {"claimName": "lake", "subPath": "a..b/c"},
}

BAD = {
    "no claim": ({}, "spec.volume.claimName: Required value"),
    "claim in capitals": ({"claimName": "Lake"}, "spec.volume.claimName in body should match"),
    "claim too long": ({"claimName": "c" * 254}, "spec.volume.claimName: Too long"),
    "absolute path": (FULL | {"subPath": "/etc"}, f'{INSIDE}; not "/etc"'),
    "path that leaves": (FULL | {"subPath": "a/../../b"}, f'{INSIDE}; not "a/../../b"'),
    "path that is only two dots": (FULL | {"subPath": ".."}, f'{INSIDE}; not ".."'),
    "path that is empty": (
        FULL | {"subPath": ""},
        "spec.volume.subPath in body should be at least 1 chars long",
    ),
    "path too long": (FULL | {"subPath": "p" * 513}, "spec.volume.subPath: Too long"),
    "root's group": (
        FULL | {"supplementalGroups": [0]},
        "spec.volume.supplementalGroups[0] in body should be greater than or equal to 1",
    ),
    "a group twice": (
        FULL | {"supplementalGroups": [7, 7]},
        "spec.volume.supplementalGroups[1]: Duplicate value: 7",
    ),
    "too many groups": (
        FULL | {"supplementalGroups": list(range(1, 18))},
        "spec.volume.supplementalGroups: Too many: 17: must have at most 16 items",
    ),
}


@pytest.fixture
def objects(control_plane: ControlPlane, namespace: str) -> Objects:
    """The API server, seen from the test's own namespace: a source has a name of its own."""
    return Objects(control_plane, namespace)


@pytest.mark.parametrize("volume", GOOD.values(), ids=GOOD)
def test_source_is_taken(objects: Objects, volume: dict[str, Any]) -> None:
    """A source is a claim, perhaps a directory in it, perhaps groups that may read it."""
    assert objects.create(source("lake", volume=volume))["spec"] == {"volume": volume}


@pytest.mark.parametrize(("volume", "sentence"), BAD.values(), ids=BAD)
def test_source_is_refused(objects: Objects, volume: dict[str, Any], sentence: str) -> None:
    """A source cannot leave its claim or join root's group."""
    answer = refused(objects.create, source("lake", volume=volume))
    assert "spec.volume" in answer
    assert sentence in answer


def test_exactly_one_kind(objects: Objects) -> None:
    """A source without a kind reads nothing."""
    answer = refused(objects.create, source("lake"))
    assert 'spec: Invalid value: "object": must set exactly one kind of source: volume' in answer


@pytest.mark.parametrize("name", ["s" * 64, "with.dot"])
def test_name_is_no_directory(objects: Objects, name: str) -> None:
    """Its name is a directory's and, for databases to come, a schema's."""
    assert f'{NAME}; not "{name}"' in refused(objects.create, source(name, volume=FULL))


def test_longest_name(objects: Objects) -> None:
    """63 characters are a DNS label."""
    assert objects.create(source("s" * 63, volume=FULL))["metadata"]["name"] == "s" * 63


def test_a_source_may_change(objects: Objects) -> None:
    """An administrator moves the data; tasks that start later read it there."""
    stored = objects.create(source("lake", volume=FULL))
    moved = objects.with_spec(stored, volume={"claimName": "lake-2"})
    assert (moved["spec"], moved["metadata"]["generation"]) == ({"volume": {"claimName": "lake-2"}}, 2)
