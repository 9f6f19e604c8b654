"""The documentation links and lists what is there: files, headings, examples, decisions, folders, and the
edges of the state machine."""

from __future__ import annotations

import re

import pytest

from querytask.core import phases
from tests.unit import markdown
from tests.unit.markdown import ROOT, Page

PAGES = markdown.pages()
WRITTEN = [page for page in PAGES if not page.generated]
INDEX = Page(ROOT / "docs" / "README.md")
LIFE = Page(ROOT / "docs" / "explanation" / "life-of-a-task.md")
every_page = pytest.mark.parametrize("page", PAGES, ids=str)
every_written_page = pytest.mark.parametrize("page", WRITTEN, ids=str)

TOP = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name not in markdown.GENERATED}
"""The folders of the tree: a path in a sentence begins with one of them."""


# links


@every_page
def test_links_lead_somewhere(page):
    """A relative link leads to a file of the tree, and to a heading in it where it names one."""
    for link in page.links():
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.path.parent / path).resolve() if path else page.path
        assert target.is_relative_to(ROOT), f"{link} must stay within the tree"
        assert target.exists(), f"{link} must exist"
        if anchor:
            assert anchor in Page(target).anchors(), f"{link} must name a heading"


@every_written_page
def test_paths_in_sentences_exist(page):
    """A path of the tree that stands in a sentence is there; ``*`` and ``…`` stand for more."""
    for span in page.spans():
        path = span.split(" ")[0]
        if "/" in path and path.split("/")[0] in TOP and not re.search(r"[$<>{}:…]|NAME", path):
            found = list(ROOT.glob(path)) if "*" in path else [ROOT / path]
            assert found, f"{span} must exist"
            assert all(item.exists() for item in found), f"{span} must exist"


@every_page
def test_no_path_of_one_machine(page):
    """Pages name no home and no temporary folder of whoever wrote them."""
    found = re.findall(r"(?<![\w.])/(?:work|root|home|Users)/\S*", page.text)
    assert not found, f"{found} must not be named"


# indexes


def test_every_example_is_in_the_index():
    """The index of the documentation links each example, and says of it what the example says of itself."""
    for path in sorted((ROOT / "examples").rglob("[0-9]*.yaml")):
        sentence = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        row = f"| [{path.name}](../{path.relative_to(ROOT)}) | {sentence} |"
        assert row in INDEX.text.splitlines(), f"docs/README.md must have the row: {row}"


@pytest.mark.parametrize("folder", ["docs/how-to", "docs/explanation", "docs/reference"])
def test_every_page_is_in_the_index(folder):
    """The index of the documentation links each page of it."""
    linked = {(INDEX.path.parent / link.partition("#")[0]).resolve() for link in INDEX.links()}
    assert sorted(set((ROOT / folder).glob("*.md")) - linked) == []


@pytest.mark.parametrize("folder", ["docs/decisions", "docs/runbooks"])
def test_every_page_is_in_the_index_of_its_folder(folder):
    """A folder with an index of its own has each page in it."""
    index = Page(ROOT / folder / "README.md")
    linked = {(index.path.parent / link).resolve() for link in index.links()}
    assert sorted(set((ROOT / folder).glob("*.md")) - linked - {index.path}) == []


def test_decisions_have_numbers_of_their_own_and_their_titles():
    """No two decisions share a number, and the index gives each by its number and title."""
    index = Page(ROOT / "docs/decisions/README.md")
    numbers = []
    for path in sorted((ROOT / "docs/decisions").glob("[0-9]*.md")):
        numbers.append(path.name[:4])
        line = f"- [{path.name[:4]}]({path.name}) {Page(path).title}"
        assert line in index.text.splitlines(), f"docs/decisions/README.md must have the line: {line}"
    assert len(numbers) == len(set(numbers))


def test_every_folder_is_on_the_map():
    """CONTRIBUTING has a line for each folder of the tree."""
    spans = Page(ROOT / "CONTRIBUTING.md").spans()
    seen = {name for name in TOP if not name.startswith(".")} | {".ci"}
    assert [name for name in sorted(seen) if not any(span.startswith(f"{name}/") for span in spans)] == []


# the state machine


def drawn() -> set[tuple[str, str]]:
    """The edges of the block ``state-machine``, one a line."""
    [block] = LIFE.blocks("state-machine")
    return {(old, new) for old, _, new in (line.partition(" -> ") for line in block.text.splitlines())}


def test_the_state_machine_is_the_one_of_the_code():
    """The page lists each edge that the code knows, and no other."""
    known = {(old.value, new.value) for old, after in phases.TRANSITIONS.items() for new in after}
    assert drawn() == known


def test_the_diagram_shows_the_state_machine():
    """The picture and the table of its edges have the same edges as the list."""
    [block] = [block for block in LIFE.blocks("mermaid") if block.text.startswith("stateDiagram")]
    assert set(re.findall(r"^ *(\w+) --> (\w+)$", block.text, re.MULTILINE)) == drawn()
    assert set(re.findall(r"^\| `(\w+) -> (\w+)` \|", LIFE.text, re.MULTILINE)) == drawn()


# the checks themselves

WRONG = [
    (test_links_lead_somewhere, "[a](missing.md)"),
    (test_links_lead_somewhere, "[a](#no-such-heading)"),
    (test_links_lead_somewhere, "[a](../../../etc/passwd)"),
    (test_paths_in_sentences_exist, "`operator/querytask/core/decider.py`"),
    (test_paths_in_sentences_exist, "`examples/*.json`"),
    (test_no_path_of_one_machine, "see /home/somebody/notes"),
]


@pytest.mark.parametrize(("check", "text"), WRONG)
def test_what_is_wrong_is_seen(check, text, tmp_path):
    """Each check fails for a page with the mistake that it is there for."""
    path = tmp_path / "page.md"
    path.write_text(f"# Page\n\n{text}\n", encoding="utf-8")
    with pytest.raises(AssertionError):
        check(Page(path))
