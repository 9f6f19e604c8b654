"""``batch/v1`` Jobs that run a worker's pod: the baseline of what brings tasks to their end."""

from __future__ import annotations

from benchmarks.plane import Installation, task
from querytask.api import parse
from querytask.core import pods
from tests.controlplane.kit.client import Json


def template(place: Installation) -> Json:
    """The pod that the operator would make, as a Job's template."""
    example = task("example", export={})
    example["metadata"] |= {"namespace": place.namespace, "uid": "0" * 36, "generation": 1}
    spec = pods.pod(parse.task(example), 1, {}, place.settings())["spec"]
    return {"metadata": {"labels": {"app.kubernetes.io/name": "bench"}}, "spec": spec}


def job(name: str, pod: Json) -> Json:
    """A Job that runs the pod once."""
    spec = {"backoffLimit": 0, "template": pod}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}
