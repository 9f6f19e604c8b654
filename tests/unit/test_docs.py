"""The reference pages say what the code says, of every setting, metric, reason and exit code."""

from __future__ import annotations

import dataclasses
import enum
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic.alias_generators import to_camel

from querytask.names import RETRIED_REASONS, Reason
from querytask.settings import DURATION, Settings
from scripts import reference
from scripts import reference_texts as texts

ROOT = Path(__file__).parents[2]
PAGES = reference.pages()
SCHEMA = json.loads((ROOT / "charts/querytask-operator/values.schema.json").read_text(encoding="utf-8"))
CHART: dict[str, Any] = SCHEMA["properties"]["settings"]["properties"]


def rows(page: str, first: str) -> dict[str, list[str]]:
    """The rows of the table of ``page`` whose first heading is ``first``, by their first cell."""
    lines = PAGES[page].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first} |"))
    found = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        found[cells[0].strip("`")] = cells[1:]
    return found


@pytest.mark.parametrize("name", PAGES)
def test_the_page_in_the_tree_is_the_one_that_the_code_makes(name):
    """`python -m scripts.reference` makes it anew."""
    assert (ROOT / "docs/reference" / name).read_text(encoding="utf-8") == PAGES[name]


def test_nothing_is_undocumented():
    """Every name of every closed set has its sentence."""
    assert reference.undocumented() == []


def test_a_missing_page_a_stale_one_and_a_good_one_are_told_apart(tmp_path):
    """The check can fail."""
    assert reference.main(["--folder", str(tmp_path)]) == 0
    assert reference.stale(tmp_path) == []
    (tmp_path / "settings.md").unlink()
    with (tmp_path / "reasons.md").open("a", encoding="utf-8") as page:
        page.write("more\n")
    assert reference.stale(tmp_path) == ["settings.md", "reasons.md"]


def test_the_check_is_a_command(tmp_path, capsys):
    """It names what is wrong, writes nothing, and says how it ended."""
    assert reference.main(["--check", "--folder", str(tmp_path)]) == 1
    assert f"{tmp_path}/settings.md must be made anew" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert reference.main(["--check", "--folder", str(ROOT / "docs/reference")]) == 0


def test_every_setting_has_its_row():
    """By its variable, with a meaning, and where the chart has it."""
    table = rows("settings.md", "Variable")
    assert set(table) == {f"QUERYTASK_{item.name.upper()}" for item in dataclasses.fields(Settings)}
    for item in dataclasses.fields(Settings):
        chart, _, _, meaning = table[f"QUERYTASK_{item.name.upper()}"]
        assert chart
        assert len(meaning.split()) >= 4


@pytest.mark.parametrize("item", dataclasses.fields(Settings), ids=lambda item: item.name)
def test_the_chart_checks_the_same_bounds(item):
    """A setting is a value of the chart with the same bounds, or one that the chart fills in."""
    name = to_camel(item.name)
    if item.name in reference.FROM_CHART:
        assert name not in CHART
        return
    assert CHART[name].get("minimum") == item.metadata["least"]
    assert CHART[name].get("enum", []) == list(item.metadata["choices"])
    kinds = {"int": "integer", "float": "number", "str": "string"}
    if item.metadata["duration"]:
        assert (CHART[name]["type"], CHART[name]["pattern"]) == (["string", "number"], DURATION)
    else:
        assert CHART[name]["type"] == kinds[item.type]


def test_the_chart_knows_no_other_setting():
    """One that the operator would refuse."""
    assert set(CHART) <= {to_camel(item.name) for item in dataclasses.fields(Settings)}


def test_every_reason_has_its_row():
    """With its category, and whether it is retried."""
    table = rows("reasons.md", "Reason")
    assert set(table) == {reason.value for reason in Reason}
    assert {name for name, cells in table.items() if cells[1] == "yes"} == RETRIED_REASONS
    assert table["SqlError"][0] == "User"
    assert table["Evicted"][0] == "External"
    assert table["Started"][0] == ""


def test_sentences_are_sentences():
    """Each begins with a capital and ends with a full stop, and says more than the name."""
    tables: list[dict[Any, Any]] = [getattr(texts, name) for name in dir(texts) if name.isupper()]
    for table in tables:
        for name, words in table.items():
            assert isinstance(name, enum.Enum)
            for sentence in words if isinstance(words, tuple) else (words,):
                assert sentence[0].isupper() or sentence[0] == "`", sentence
                assert sentence.endswith("."), sentence


def test_links_lead_somewhere():
    """From one page of the reference to another."""
    assert "(reasons.md)" in PAGES["metrics.md"]
    assert "reasons.md" in PAGES
