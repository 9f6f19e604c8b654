"""The words of the API: every phase and every state of an export has its own, and filters find it again."""

from __future__ import annotations

import pytest

from querytask.names import DELETED, ExportState, Phase
from querytask.web import words
from querytask.web.words import ExportStatus, State, Status

EVERY_PHASE = {*Phase, DELETED}


def test_every_phase_has_its_words():
    """And no word stands for two phases, or for none."""
    assert set(words.PHASES) == EVERY_PHASE
    assert sorted(item.status for item in words.PHASES.values()) == sorted(Status)
    assert {item.state for item in words.PHASES.values()} == set(State)


def test_every_export_has_its_word():
    """One for each state."""
    assert set(words.EXPORTS) == set(ExportState)
    assert sorted(words.EXPORTS.values()) == sorted(ExportStatus)
    assert words.export_status_of(None) is ExportStatus.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("state", "phases"),
    [
        ("wait", {"Queued"}),
        ("run", {"Running", "Cancelling"}),
        ("done", {"Succeeded"}),
        ("error", {"Failed", "Cancelled", "Deleted"}),
    ],
)
def test_the_coarse_words(state, phases):
    """What each of the four takes in."""
    assert words.phases_of([], [state.upper()]) == phases
    assert {phase for phase in EVERY_PHASE if words.state_of(phase) == state} == phases


@pytest.mark.parametrize("phase", sorted(EVERY_PHASE))
def test_a_filter_finds_what_an_answer_says(phase):
    """In capital letters, too."""
    assert words.phases_of([words.status_of(phase)], []) == {phase}
    assert words.phases_of([words.status_of(phase).upper()], []) == {phase}


@pytest.mark.parametrize("word", ["success", "Success", "SUCCEEDED"])
def test_success_is_taken_for_succeeded(word):
    """Many say it so."""
    assert words.phases_of([word], []) == {"Succeeded"}


def test_both_kinds_of_words_together():
    """Both must hold."""
    assert words.phases_of(["failed", "running"], ["error"]) == {"Failed"}
    assert words.phases_of(["queued"], ["done"]) == frozenset()


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda: words.phases_of(["done"], []), 'status must be one of queued, .*, not "done"'),
        (
            lambda: words.phases_of([], ["succeeded"]),
            'state must be one of wait, run, done, error, not "s',
        ),
        (lambda: words.export_states_of(["gone"]), 'export_status must be one of .*, not "gone"'),
    ],
)
def test_a_word_that_is_none(ask, sentence):
    """The sentence says which there are."""
    with pytest.raises(ValueError, match=sentence):
        ask()


def test_words_may_be_parted_by_commas_or_spaces():
    """Or be given one by one."""
    assert words.split(["a, b", "c d", ",", "e"]) == ["a", "b", "c", "d", "e"]
