"""The CRDs in the tree are the models', and they keep the conventions of the Kubernetes API."""

import re
from pathlib import Path

import pytest
import yaml

from querytask import names
from querytask.api import crds

ROOT = Path(__file__).parents[3]
FILES = crds.files()
CRDS = {name: yaml.safe_load(text) for name, text in FILES.items()}
KEYWORDS = {
    "additionalProperties",
    "anyOf",
    "default",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "pattern",
    "properties",
    "required",
    "type",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-validations",
}
ENVELOPE = {"apiVersion", "kind", "metadata"}


def walk(schema, path=""):
    """Every schema below ``schema`` with its path; the elements of a list end in ``[]``."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        if path or name not in ENVELOPE:
            yield from walk(child, f"{path}.{name}")
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")


FIELDS = [
    (crd["spec"]["names"]["shortNames"][0] + path, node)
    for crd in CRDS.values()
    for path, node in walk(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    if path
]
each_crd = pytest.mark.parametrize("crd", list(CRDS.values()), ids=list(CRDS))


@pytest.mark.parametrize("name", list(FILES))
def test_no_drift(name):
    """`crds/` is what `make crds` makes of the models."""
    assert (ROOT / "crds" / name).read_text(encoding="utf-8") == FILES[name], "run make crds"


def test_nothing_else_is_there():
    """No CRD lies about that no model makes."""
    assert {path.name for path in (ROOT / "crds").iterdir()} == set(FILES)


def test_check_names_what_differs(tmp_path, capsys):
    """The command writes, then finds nothing to write, and finds a file that somebody edited."""
    assert crds.main([str(tmp_path), "--check"]) == 1
    assert crds.main([str(tmp_path)]) == 0
    assert crds.main([str(tmp_path), "--check"]) == 0
    (tmp_path / "querytasks.querytask.dev.yaml").write_text("edited")
    capsys.readouterr()
    assert crds.main([str(tmp_path), "--check"]) == 1
    assert "querytasks.querytask.dev.yaml must be made again: run make crds" in capsys.readouterr().err


def test_keywords():
    """Only what a structural schema takes: no references, no titles, no null, nothing that is not
    validated."""
    for path, node in FIELDS:
        assert set(node) <= KEYWORDS, path


def test_types():
    """No floats, and a type everywhere but where text and integers are both welcome."""
    for path, node in FIELDS:
        if node.get("x-kubernetes-int-or-string"):
            assert "type" not in node, path
            assert node["anyOf"] == [{"type": "integer"}, {"type": "string"}], path
        else:
            assert node["type"] in {"object", "array", "string", "integer", "boolean"}, path


def test_bounds():
    """Every string has a greatest length, every list a greatest number of items, every integer both
    bounds."""
    for path, node in FIELDS:
        kinds = {node.get("type")} | ({"string", "integer"} if "anyOf" in node else set())
        if "string" in kinds and node.get("format") != "date-time":
            assert node["maxLength"] > 0, path
        if "integer" in kinds:
            assert node["minimum"] < node["maximum"] < 2**53, path
        if "array" in kinds:
            assert node["maxItems"] > 0, path
        if "object" in kinds:
            assert node["properties"], path


def test_lists_say_how_they_merge():
    """Each list is a set, a map or atomic, so that server-side apply knows what two writers mean."""
    for path, node in FIELDS:
        if node.get("type") == "array":
            assert node["x-kubernetes-list-type"] in {"set", "map", "atomic"}, path


def test_descriptions():
    """Each field has at least one sentence, in one paragraph, for `kubectl explain`."""
    for path, node in FIELDS:
        if not path.endswith("[]") or node["type"] == "object":
            assert re.fullmatch(r"[A-Za-z][^\n]*\.", node["description"]), path
            assert "``" not in node["description"], path


def test_names():
    """camelCase; times end in At (or are metav1's), measured times in Seconds, sizes in Bytes, each with
    its type."""
    for path, node in FIELDS:
        name = path.rpartition(".")[2].removesuffix("[]")
        assert re.fullmatch(r"[a-z]+[a-z0-9]*([A-Z][a-z0-9]+)*", name), path
        if name != "lastTransitionTime":
            assert name.endswith("At") == (node.get("format") == "date-time"), path
        if name.endswith("Seconds"):
            assert (node["type"], node["pattern"]) == ("string", r"^[0-9]{1,12}(\.[0-9]{1,3})?$"), path
        if name.endswith("Bytes"):
            assert node["type"] == "integer", path


def test_enums():
    """Values are CamelCase words, acronyms in capitals."""
    for path, node in FIELDS:
        for value in node.get("enum", ()):
            assert re.fullmatch(r"([A-Z][a-z0-9]+)+|[A-Z]{3,4}", value), path


def test_rules_speak():
    """A rule says what must be, whether or not it can show the value, and gives the API a reason."""
    rules = [(path, rule) for path, node in FIELDS for rule in node.get("x-kubernetes-validations", ())]
    for crd in CRDS.values():
        root = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        rules += [("root", rule) for rule in root["x-kubernetes-validations"]]
    assert len(rules) > 30
    for path, rule in rules:
        assert " must " in f" {rule['message']}", path
        assert rule["reason"] in {"FieldValueInvalid", "FieldValueForbidden"}, path
        if "messageExpression" in rule:
            assert rule["messageExpression"].startswith(f"'{rule['message']}"), path


def test_cancel_is_the_only_boolean_of_spec():
    """A boolean never gets a third value, so each one is a decision."""
    assert [path for path, node in FIELDS if ".spec." in path and node.get("type") == "boolean"] == [
        "qt.spec.cancel"
    ]


@each_crd
def test_conditions_are_metav1(crd):
    """Both kinds carry conditions as every other kind does, keyed by their type, beside
    observedGeneration."""
    status = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    conditions = status["conditions"]
    assert (conditions["x-kubernetes-list-type"], conditions["x-kubernetes-list-map-keys"]) == (
        "map",
        ["type"],
    )
    assert set(conditions["items"]["properties"]) == {
        "type", "status", "reason", "message", "lastTransitionTime", "observedGeneration",
    }  # fmt: skip
    assert conditions["items"]["properties"]["status"]["enum"] == ["True", "False", "Unknown"]
    assert "observedGeneration" in status


@each_crd
def test_status_is_a_subresource_and_spec_required(crd):
    """Users write spec, the operator status; neither can write the other's."""
    version = crd["spec"]["versions"][0]
    assert version["subresources"] == {"status": {}}
    assert version["schema"]["openAPIV3Schema"]["required"] == ["spec"]
    assert "default" not in version["schema"]["openAPIV3Schema"]["properties"]["status"]


@each_crd
def test_identity(crd):
    """Group, version, names and scope are those of `names`; no category, for `kubectl delete all --all`
    would take tasks with it."""
    spec = crd["spec"]
    assert (spec["group"], spec["versions"][0]["name"], spec["scope"]) == (
        names.GROUP,
        names.VERSION,
        "Namespaced",
    )
    assert "categories" not in spec["names"]
    assert crd["metadata"]["name"] == f"{spec['names']['plural']}.{names.GROUP}"
    assert spec["names"]["shortNames"] in (["qt"], ["qs"])


def test_printer_columns():
    """What `kubectl get qt` shows, and what only `-o wide` does."""
    columns = CRDS["querytasks.querytask.dev.yaml"]["spec"]["versions"][0]["additionalPrinterColumns"]
    shown = [column["name"] for column in columns if column["priority"] == 0]
    wide = [column["name"] for column in columns if column["priority"] == 1]
    assert shown == ["Phase", "Progress", "Rows", "Export", "Duration", "Age"]
    assert wide == ["Attempt", "Reason", "Pod"]


def test_nothing_gives_power_over_pods():
    """The right to create tasks stays weaker than the right to create pods: no field chooses what runs,
    where, or as whom."""
    spec = CRDS["querytasks.querytask.dev.yaml"]["spec"]["versions"][0]["schema"]["openAPIV3Schema"][
        "properties"
    ]["spec"]
    fields = {path.rpartition(".")[2].removesuffix("[]") for path, _ in walk(spec, "spec")}
    forbidden = (
        "image",
        "command",
        "args",
        "serviceaccount",
        "host",
        "namespace",
        "secret",
        "env",
        "node",
        "volume",
        "user",
    )
    assert not [name for name in fields for word in forbidden if word in name.lower()]


def test_every_field_of_spec_is_fixed_or_known_to_change():
    """A field that is added is immutable by itself: the rule comes from the model."""
    schema = CRDS["querytasks.querytask.dev.yaml"]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    fixed = {
        rule["fieldPath"].removeprefix(".spec.")
        for rule in schema["x-kubernetes-validations"]
        if rule["message"].endswith("must not change; create another QueryTask")
    }
    assert fixed | {"cancel", "priority", "ttlAfterFinished"} == set(
        schema["properties"]["spec"]["properties"]
    )
