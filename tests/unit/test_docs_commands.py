"""What the documentation lets people apply and type fits what there is: objects, kinds, fields, conditions,
make targets, charts, values.

Cheap checks on the text; that commands do what a page says is for whoever runs them.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from pydantic.alias_generators import to_camel

from querytask import names
from querytask.api import parse
from querytask.errors import ObjectInvalid
from querytask.settings import Settings
from tests.unit import markdown
from tests.unit.markdown import ROOT, Page
from tests.unit.schemas import CRDS, KINDS, SELECTABLE, has_field, schema_of, unknown

every_page = pytest.mark.parametrize("page", markdown.pages(), ids=str)


def objects(page: Page) -> Iterator[dict[str, Any]]:
    """The QueryTasks and QuerySources that a page shows, in a block or fed to a command."""
    texts = [block.text for block in page.blocks("yaml")]
    for block in page.blocks("console", "bash", ""):
        texts += markdown.fed(block.text)
    for text in texts:
        if re.search(r"^kind: Query", text, re.MULTILINE):
            yield from (item for item in yaml.safe_load_all(text) if item["kind"] in CRDS)


@every_page
def test_objects_are_what_they_say(page):
    """A QueryTask or QuerySource on a page fits the models, and has no field that the CRD does not know."""
    for shown in objects(page):
        identity = {"name": "unnamed", "namespace": "docs", "uid": "0", "resourceVersion": "1"}
        raw = shown | {"metadata": identity | shown["metadata"]}
        (parse.task if shown["kind"] == names.TASK_KIND else parse.source)(raw)
        assert list(unknown(schema_of(shown["kind"]), shown)) == []


def test_objects_are_found():
    """The check above sees the objects of blocks and those that are fed to a command."""
    assert len(list(objects(Page(ROOT / "README.md")))) == 1
    assert len(list(objects(Page(ROOT / "docs/tutorial/README.md")))) > 4


# kubectl

OTHERS = """all crd events job namespace node nodes persistentvolumeclaim pod pods pvc resourcequota role
    rolebinding secret service statefulset statefulsets NAME"""
KNOWN = {*KINDS, *OTHERS.split()} | {crd["metadata"]["name"] for crd in CRDS.values()}
CONDITIONS = {*names.Condition, "Ready", "Established", "Complete"}
TAKES_KIND = {"get", "describe", "delete", "wait", "patch", "annotate", "label", "edit"}
TAKES_VALUE = {"-n", "--namespace", "-f", "-l", "--selector", "-o", "--kubeconfig", "-p", "--field-selector"}


def kubectl(page: Page) -> Iterator[list[str]]:
    """The kubectl commands of a page: each from the verb on, without what kubectl is told before it."""
    for command in page.commands():
        for part in re.findall(r"(?:^|[|(&;!]\s*|xargs[^|]*\s)kubectl\s+([^|)>]*)", command):
            arguments = markdown.words(part) or part.split()
            while arguments and arguments[0].startswith("-"):
                arguments = arguments[2:] if arguments[0] in TAKES_VALUE else arguments[1:]
            if arguments:
                yield arguments


def kind_of(arguments: list[str]) -> str:
    """The kind that a command is about, as it is typed; empty where it names none."""
    rest = iter(arguments[1:])
    for word in rest:
        if word in TAKES_VALUE:
            next(rest, None)
        elif not word.startswith(("-", "$", '"', "'")):
            return re.split("[/,]", word)[0]
    return ""


@every_page
def test_kubectl_commands_name_kinds_that_exist(page):
    """What a command gets, waits for or patches is a kind of ours or of Kubernetes."""
    for arguments in kubectl(page):
        if arguments[0] in TAKES_KIND and (kind := kind_of(arguments)):
            assert kind in KNOWN, f"kubectl {' '.join(arguments)}: no kind {kind}"


@every_page
def test_commands_wait_for_conditions_that_exist(page):
    """``--for=condition=…`` names a condition of ours, or one of the few that others have."""
    for command in page.commands():
        for condition in re.findall(r"--for=condition=(\w+)", command):
            assert condition in CONDITIONS, command


@every_page
def test_commands_select_by_fields_that_can_be_selected(page):
    """``--field-selector`` uses what the CRDs offer."""
    for command in page.commands():
        for selector in re.findall(r"--field-selector[ =](\S+)", command):
            for term in selector.split(","):
                assert re.split("!?=", term)[0] in SELECTABLE | {"metadata.name", "involvedObject.name"}, (
                    command
                )


@every_page
def test_commands_show_and_explain_fields_that_exist(page):
    """A jsonpath of one of our objects, and what is asked to be explained, is a field of the schema."""
    for arguments in kubectl(page):
        if arguments[0] == "explain" and len(arguments) > 1:
            kind, *path = arguments[1].split(".")
            assert has_field(KINDS[kind], path), arguments[1]
        if arguments[0] == "get" and kind_of(arguments) in KINDS:
            for shown in re.findall(r"\{(?:range )?\.((?:status|spec)[\w.\[\]*]*)\}", " ".join(arguments)):
                keys = [key for key in re.sub(r"\[[\w*]*\]", "", shown).split(".") if key]
                assert has_field(KINDS[kind_of(arguments)], keys), shown


# make and helm

TARGETS = set(
    re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
)
VALUES = yaml.safe_load((ROOT / "charts/querytask-operator/values.yaml").read_text(encoding="utf-8"))
SETTINGS = {to_camel(field.name) for field in dataclasses.fields(Settings)}


@every_page
def test_make_targets_exist(page):
    """Each target of ``make`` that a page names is in the Makefile."""
    for command in page.commands():
        for part in re.findall(r"(?:^|\s)make((?: [a-z][a-z0-9-]*)+)", command):
            assert set(part.split()) <= TARGETS, command


@every_page
def test_charts_and_values_exist(page):
    """A chart that is installed lies there, and a value that is set is one of its values."""
    for command in page.commands():
        for chart in re.findall(r"(?<![\w/.])(charts/[\w-]+)", command):
            assert (ROOT / chart / "Chart.yaml").exists(), command
        for value in re.findall(r"--set(?:-json)?[ =]([\w.]+)=", command):
            assert is_value(VALUES, value.split(".")), f"{value} must be a value of the chart"


def is_value(values: Any, path: list[str]) -> bool:
    """Whether the chart has the value; below ``settings`` it is a setting of the operator."""
    if path[0] == "settings":
        return len(path) == 2 and path[1] in SETTINGS
    for key in path:
        if not isinstance(values, dict) or key not in values:
            return False
        values = values[key]
    return True


# the checks themselves

HEAD = "apiVersion: querytask.dev/v1alpha1\nkind: QueryTask\nmetadata: {name: a}\nspec:\n  sql: SELECT 1\n"
WRONG = [
    (test_objects_are_what_they_say, f"```yaml\n{HEAD}  export: {{formt: CSV}}\n```"),
    (
        test_objects_are_what_they_say,
        f"```console\n$ kubectl apply -f - <<END\n{HEAD}  timeout: soon\nEND\n```",
    ),
    (test_kubectl_commands_name_kinds_that_exist, "```console\n$ kubectl -n a get querytaks\n```"),
    (test_kubectl_commands_name_kinds_that_exist, "`kubectl wait tsk/hello --for=condition=Finished`"),
    (test_commands_wait_for_conditions_that_exist, "`kubectl wait qt/a --for=condition=Done`"),
    (test_commands_select_by_fields_that_can_be_selected, "`kubectl get qt --field-selector spec.sql=a`"),
    (test_commands_show_and_explain_fields_that_exist, "`kubectl explain querytask.spec.exports`"),
    (
        test_commands_show_and_explain_fields_that_exist,
        "```console\n$ a=$(kubectl get qt a -o jsonpath='{.status.export.paths}')\n```",
    ),
    (test_make_targets_exist, "```console\n$ CLUSTER=kind make demonstration\n```"),
    (test_charts_and_values_exist, "`helm install a charts/querytask-operater`"),
    (test_charts_and_values_exist, "`helm install a charts/querytask-operator --set settings.maxRuning=1`"),
    (test_charts_and_values_exist, "`helm install a charts/querytask-operator --set image.name=a`"),
]


@pytest.mark.parametrize(("check", "text"), WRONG)
def test_what_is_wrong_is_seen(check, text, tmp_path):
    """Each check fails for a page with the mistake that it is there for."""
    path = tmp_path / "page.md"
    path.write_text(f"# Page\n\n{text}\n", encoding="utf-8")
    with pytest.raises((AssertionError, ObjectInvalid)):
        check(Page(path))
