"""The settings: read once, each within its bounds, and every fault named by its variable."""

from __future__ import annotations

import dataclasses

import pytest

from querytask import settings
from querytask.api import durations
from querytask.errors import SettingsError
from querytask.settings import Settings

NEEDED = {
    "QUERYTASK_NAMESPACE": "analytics",
    "QUERYTASK_WORKER_IMAGE": "worker:1",
    "QUERYTASK_EXPORTS_CLAIM": "exports",
}


def read(**changes: str) -> Settings:
    """The settings from what is needed and some variables, without their prefix."""
    return settings.read(NEEDED | {f"QUERYTASK_{name}": text for name, text in changes.items()})


def test_what_is_needed_is_enough():
    """Everything else has a default."""
    found = read()
    assert (found.namespace, found.worker_image, found.exports_claim) == ("analytics", "worker:1", "exports")
    assert (found.max_running, found.keep_finished_pods, found.port) == (10, "Failed", 8080)
    assert (found.worker_node_selector, found.worker_tolerations, found.reserved_claims) == ({}, [], ())


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("how", ["missing", "empty"])
def test_what_is_needed_must_be_set(name, how):
    """Absent or empty: the operator does not start, and says what is missing."""
    environment = {key: text for key, text in NEEDED.items() if key != name}
    if how == "empty":
        environment[name] = ""
    with pytest.raises(SettingsError, match=f"^{name} must be set$"):
        settings.read(environment)


def test_other_variables_are_not_its_business():
    """A container's environment is full of them."""
    assert settings.read(NEEDED | {"PATH": "/bin", "KUBERNETES_PORT": "tcp"}) == read()


def test_an_unknown_setting_is_refused():
    """A misspelt name must not look as if it worked."""
    with pytest.raises(SettingsError, match="QUERYTASK_MAX_RUNING must be a known setting"):
        read(MAX_RUNING="5")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("MAX_RUNNING", "25", 25),
        ("RESYNC_SECONDS", "2.5", 2.5),
        ("RESYNC_SECONDS", "30", 30.0),
        ("LOG_LEVEL", "DEBUG", "DEBUG"),
        ("TASK_RETENTION", "1h30m", "1h30m"),
        ("TASK_RETENTION", "86400", "86400"),
        ("RESERVED_CLAIMS", "history, other ,", ("history", "other")),
        ("WORKER_NODE_SELECTOR", '{"disk": "fast"}', {"disk": "fast"}),
        ("WORKER_TOLERATIONS", '[{"operator": "Exists"}]', [{"operator": "Exists"}]),
        ("WORKER_PRIORITY_CLASS", "", ""),
    ],
)
def test_values(name, text, value):
    """Each kind in its own spelling; an empty variable is the default."""
    assert getattr(read(**{name: text}), name.lower()) == value


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("MAX_RUNNING", "many", 'must be a whole number, not "many"'),
        ("MAX_RUNNING", "2.5", 'must be a whole number, not "2.5"'),
        ("MAX_RUNNING", "0", "must be at least 1, not 0"),
        ("RESYNC_SECONDS", "soon", 'must be a number, not "soon"'),
        ("RESYNC_SECONDS", "nan", "must be at least 1, not nan"),
        ("RESYNC_SECONDS", "0.5", "must be at least 1, not 0.5"),
        ("TASK_RETENTION", "soon", 'must be a duration such as 7d, 30m, 2h or plain seconds, not "soon"'),
        ("TASK_RETENTION", "-1d", "must be a duration"),
        ("LOG_LEVEL", "info", 'must be one of DEBUG, INFO, WARNING, ERROR, not "info"'),
        ("KEEP_FINISHED_PODS", "Some", 'must be one of None, Failed, All, not "Some"'),
        ("WORKER_NODE_SELECTOR", "disk=fast", 'must be a JSON object, not "disk=fast"'),
        ("WORKER_NODE_SELECTOR", "[]", 'must be a JSON object, not "\\[\\]"'),
        ("WORKER_TOLERATIONS", "{}", 'must be a JSON list, not "{}"'),
    ],
)
def test_faults(name, text, sentence):
    """The sentence names the variable, says what must be, and shows the value."""
    with pytest.raises(SettingsError, match=f"^QUERYTASK_{name} {sentence}"):
        read(**{name: text})


def test_bounds_hold_for_whoever_makes_settings():
    """Not only for those that are read."""
    with pytest.raises(SettingsError, match="QUERYTASK_MAX_RUNNING must be at least 1"):
        Settings(namespace="n", worker_image="w", exports_claim="e", max_running=0)


@pytest.mark.parametrize(("text", "found"), [("3600", "3600"), ("2h", "2h"), ("", "7d")])
def test_the_other_name_of_a_setting_wins(text, found):
    """`TASK_RETENTION_SECONDS` is what the environment of a whole installation may have; empty, it says
    nothing."""
    environment = NEEDED | {"QUERYTASK_TASK_RETENTION": "7d", "TASK_RETENTION_SECONDS": text}
    assert settings.read(environment).task_retention == found


def test_a_fault_under_the_other_name_is_named_by_it():
    """By the variable that somebody has written."""
    with pytest.raises(SettingsError, match="TASK_RETENTION_SECONDS must be a duration"):
        settings.read(NEEDED | {"TASK_RETENTION_SECONDS": "for ever"})


def test_a_duration_is_spelt_as_in_every_object():
    """The settings cannot import the grammar; so it must be the same."""
    assert settings.DURATION == durations.PATTERN


def test_settings_are_not_shared():
    """A default that is a list or an object is a new one for each."""
    assert read().worker_tolerations is not read().worker_tolerations


@pytest.mark.parametrize("item", dataclasses.fields(Settings), ids=lambda item: item.name)
def test_every_setting_says_what_it_means(item):
    """In a sentence; and its default is within its own bounds, which reading them proves."""
    assert item.metadata["text"].endswith(".")
    assert settings.variable(item.name) == f"QUERYTASK_{item.name.upper()}"
