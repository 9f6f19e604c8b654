"""The reference page is the models', complete, and its examples are objects."""

import re
from pathlib import Path

import yaml

from querytask.api import crds, docs, parse
from querytask.api.docs import _anchor

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "api.md"


def examples():
    return [
        yaml.safe_load(block)
        for block in re.findall(r"^```yaml\n(.*?)^```", docs.page(), re.MULTILINE | re.DOTALL)
    ]


def fields(node, path):
    for name, child in node.get("properties", {}).items():
        yield path, name
        inner = child.get("items", child)
        yield from fields(inner, f"{path}.{name}" + ("[]" if "items" in child else ""))


def test_no_drift():
    """The page is what `make crds` makes of the models."""
    assert PAGE.read_text(encoding="utf-8") == docs.page(), "run make crds"


def test_check_sees_an_edit(tmp_path, capsys):
    """The command writes, then finds nothing to write, and finds a page that somebody edited."""
    page = tmp_path / "reference" / "api.md"
    assert docs.main([str(page), "--check"]) == 1
    assert docs.main([str(page)]) == 0
    assert docs.main([str(page), "--check"]) == 0
    page.write_text("edited")
    assert docs.main([str(page), "--check"]) == 1
    assert f"{page} must be made again: run make crds" in capsys.readouterr().err


def test_every_field_has_its_row():
    """In the section of its object."""
    sections = {part.split("\n", 1)[0]: part for part in docs.page().split("\n### ")}
    for crd in (crds.task_crd(), crds.source_crd()):
        kind = crd["spec"]["names"]["kind"]
        root = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        for half in ("spec", "status"):
            for path, name in fields(root[half], half):
                assert f"\n| `{name}` | " in sections[f"{kind}: {path}"], (path, name)


def test_every_row_has_four_cells():
    """No text breaks its table."""
    for line in docs.page().splitlines():
        if line.startswith("| `"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (4, 5), line


def test_every_link_leads_somewhere():
    """To a heading of the page."""
    page = docs.page()
    headings = {_anchor(line.lstrip("#").strip()) for line in page.splitlines() if line.startswith("#")}
    links = re.findall(r"\]\(#([^)]+)\)", page)
    assert links
    assert set(links) <= headings


def test_examples_are_objects():
    """As our own models read them; that the API server takes them, the control-plane tests show."""
    task, source = examples()
    assert parse.task(task).spec.timeout == 600
    volume = parse.source(source).spec.volume
    assert volume is not None
    assert volume.claim_name == "lake"
