"""Whatever a query produces, the status that is written fits."""

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querytask.api import bounds
from querytask.api.metadata import Condition
from querytask.api.task_status import (
    COLUMNS,
    PREVIEW_BYTES,
    STATUS_BYTES,
    ErrorCategory,
    TaskError,
    TaskStatus,
)
from querytask.names import Phase, Reason

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "most", "cut"),
    [
        ("short", 5, "short"),
        ("longer", 5, "lo…"),
        ("ééé", 6, "ééé"),
        ("éééé", 7, "éé…"),
        ("a\ud800b", 10, "a?b"),
        ("", 5, ""),
    ],
)
def test_text(text, most, cut):
    """Text is cut between characters and marked; what UTF-8 cannot hold is replaced."""
    assert bounds.text(text, most) == cut


@given(st.text(), st.integers(3, 50))
def test_text_never_exceeds(text, most):
    """The limit holds in bytes, for any text."""
    assert len(bounds.text(text, most).encode()) <= most


def test_a_small_result_is_whole():
    """Nothing is left out of what fits."""
    result = bounds.result(2, [("n", "INTEGER")], ["[1]", "[2]"], truncated=False)
    assert result.document() == {
        "rows": 2,
        "columns": [{"name": "n", "type": "INTEGER"}],
        "preview": ["[1]", "[2]"],
        "truncated": False,
    }


@pytest.mark.parametrize(
    ("rows", "columns", "preview", "truncated"),
    [(3, 1, 2, False), (2, 1, 2, True), (2, COLUMNS + 1, 2, False), (500, 1, 500, False)],
)
def test_what_is_missing_is_said(rows, columns, preview, truncated):
    """Rows that are not shown, cells that were cut, columns beyond the first fifty: the result says that
    it is not all."""
    names = [(f"c{number}", "INTEGER") for number in range(columns)]
    result = bounds.result(rows, names, [f"[{number}]" for number in range(preview)], truncated)
    assert result.truncated
    assert len(result.columns) <= COLUMNS


def test_the_preview_stops_at_the_first_row_that_does_not_fit():
    """A row is whole or absent, and none is skipped."""
    rows = ["[1]", json.dumps(["x" * PREVIEW_BYTES]), "[3]"]
    assert bounds.result(3, [], rows, truncated=False).preview == ("[1]",)


def test_the_texts_of_a_first_row_that_is_too_long_are_cut():
    """A plan is one long text: its beginning says more than nothing."""
    rows = [json.dumps([7, "ä\n" * PREVIEW_BYTES, "short", None]), "[1]"]
    result = bounds.result(2, [], rows, truncated=False)
    (shown,) = result.preview
    number, plan, *rest = json.loads(shown)
    assert (number, rest) == (7, ["short", None])
    assert plan.startswith("ä\nä\n")
    assert plan.endswith(("ä…", "\n…"))
    assert PREVIEW_BYTES / 4 < len(shown.encode()) <= PREVIEW_BYTES
    assert result.truncated


@pytest.mark.parametrize(
    "row",
    [json.dumps([1.5] * PREVIEW_BYTES), json.dumps([{"a": "x" * PREVIEW_BYTES}]), "[" * PREVIEW_BYTES * 2],
)
def test_a_first_row_that_cannot_be_cut_is_left_out(row):
    """Only texts are cut: half a number would be a lie."""
    assert bounds.result(1, [], [row], truncated=False).preview == ()


def condition(number, message):
    return Condition(
        type=f"Condition{number}",
        status="True",
        reason="A" * 64,
        message=message,
        last_transition_time=NOW,
        observed_generation=1,
    )


@given(
    st.lists(st.tuples(st.text(), st.text()), max_size=60),
    st.lists(st.text(max_size=400), max_size=60),
    st.text(max_size=2_000),
)
def test_fit(columns, preview, message):
    """The worst status is still under the limit, and still valid."""
    status = TaskStatus(
        phase=Phase.SUCCEEDED,
        reason=Reason.COMPLETED,
        message=bounds.text(message, bounds.MESSAGE),
        conditions=tuple(
            condition(number, bounds.text(message, bounds.CONDITION_MESSAGE)) for number in range(7)
        ),
        result=bounds.result(10**15, columns, [json.dumps([row]) for row in preview], truncated=False),
        error=TaskError(
            category=ErrorCategory.USER,
            code=Reason.SQL_ERROR,
            message=bounds.text(message, bounds.ERROR_MESSAGE),
        ),
        pod_name="p" * 253,
    )
    fitted = bounds.fit(status)
    assert bounds.size(fitted) <= STATUS_BYTES
    assert TaskStatus.model_validate(fitted.document()) == fitted


def test_fit_gives_up_the_preview_first():
    """Of what does not fit, the rows go before the columns, for the manifest has them all."""
    wide = [("c" * 60, "DECIMAL(38,10)")] * 50
    status = TaskStatus(
        result=bounds.result(9, wide, ['["' + "x" * 1_900 + '"]'], truncated=False),
        conditions=tuple(condition(number, "m" * 512) for number in range(7)),
    )
    assert bounds.size(status) > STATUS_BYTES
    fitted = bounds.fit(status)
    assert fitted.result is not None
    assert fitted.result.preview == ()
    assert fitted.result.truncated
    assert fitted.conditions == status.conditions


def test_fit_leaves_what_fits():
    """A status that fits is not touched."""
    status = TaskStatus(phase=Phase.QUEUED)
    assert bounds.fit(status) is status
