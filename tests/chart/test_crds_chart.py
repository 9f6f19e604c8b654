"""The chart of the CRDs carries the tree's CRDs, and keeps them."""

import yaml

from cluster.harness import ControlPlane
from tests.chart.helm import ROOT, Chart, render, run


def crds():
    return {
        path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in (ROOT / "crds").glob("*.yaml")
    }


def test_its_files_are_the_trees(crds_chart: Chart):
    """`make crds` writes both places; nobody edits one of them."""
    files = {path.name: path.read_bytes() for path in (crds_chart.path / "files").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (ROOT / "crds").iterdir()}


def test_it_renders_them_whole(crds_chart: Chart):
    """Nothing but labels and annotations comes on top, and no number or pattern is lost on the way through
    helm."""
    rendered = render(crds_chart)
    assert {item["metadata"]["name"]: item["spec"] for item in rendered} == {
        item["metadata"]["name"]: item["spec"] for item in crds().values()
    }


def test_they_stay(crds_chart: Chart):
    """Uninstalling must not remove every task of the cluster, unless somebody says so."""
    for item in render(crds_chart):
        assert item["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    for item in render(crds_chart, {"keep": False, "labels": {"team": "data"}}):
        assert "annotations" not in item["metadata"]
        assert item["metadata"]["labels"]["team"] == "data"


def test_the_api_server_takes_them(control_plane: ControlPlane, crds_chart: Chart):
    """They are established as rendered: the server's own schema is the tree's."""
    for name in ("querytasks.querytask.dev", "querysources.querytask.dev"):
        stored = control_plane.api.call(
            "GET", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
        )
        conditions = {item["type"]: item["status"] for item in stored["status"]["conditions"]}
        assert conditions["Established"] == "True"
        assert "NonStructuralSchema" not in conditions
        wanted = crds()[f"{name}.yaml"]["spec"]["versions"][0]["schema"]
        assert stored["spec"]["versions"][0]["schema"] == wanted


def test_lint(crds_chart: Chart):
    """helm itself has nothing to say."""
    for scenario in crds_chart.scenarios:
        assert "0 chart(s) failed" in run("lint", "--strict", crds_chart.path, "--values", scenario)
