"""The metrics, read through the Service as Prometheus would."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from querytask import metrics
from tests.e2e.kit.http import forwarded, get
from tests.e2e.kit.site import Site

DOCUMENTED = dict(
    re.findall(
        r"^    (\w+?)(?:_total)?(?:\{.*\})? +(gauge|counter|histogram) ", metrics.__doc__, re.MULTILINE
    )
)
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def text(site: Site) -> str:
    """What is scraped after at least one task has succeeded."""
    site.run("measured", "SELECT 42 AS answer", export={"format": "CSV"})
    service = f"http:{site.fullname}:http"
    return site.kube("get", "--raw", f"/api/v1/namespaces/{site.namespace}/services/{service}/proxy/metrics")


def test_names(text: str) -> None:
    """Every documented metric is there, of the documented type, and no other."""
    found = {
        family.name.removeprefix("querytask_"): family.type for family in text_string_to_metric_families(text)
    }

    assert len(DOCUMENTED) > 20
    assert found == DOCUMENTED


def test_values(text: str) -> None:
    """The numbers tell what has happened."""
    samples: Samples = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    done = frozenset({("phase", "Succeeded"), ("reason", "Completed")})
    assert samples["querytask_tasks_finished_total", done] >= 1
    assert samples["querytask_tasks", frozenset({("phase", "Succeeded")})] >= 1
    assert samples["querytask_export_duration_seconds_count", frozenset()] >= 1
    for volume in ("exports", "history"):
        label = frozenset({("volume", volume)})
        assert (
            0 < samples["querytask_volume_free_bytes", label] <= samples["querytask_volume_size_bytes", label]
        )


@pytest.mark.parametrize("path", ["healthz", "readyz"])
def test_probes(site: Site, path: str) -> None:
    """Both probes answer through a forwarded port, and name what they have checked."""
    with forwarded(site.kube, f"service/{site.fullname}") as address:
        code, body = get(f"{address}/{path}")

    assert code == 200, body
    assert '"ok": true' in body
