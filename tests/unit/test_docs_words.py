"""Code within sentences of the documentation still means something: fields, settings, reasons, metrics.

A name that is changed in the code is changed in the pages, or a test says where it stands. Decisions are left
out: they tell of what was not chosen, too.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from pydantic.alias_generators import to_camel

from querytask import names
from querytask.settings import Settings
from querytask_worker import contract
from tests.unit import markdown
from tests.unit.markdown import ROOT, Page
from tests.unit.schemas import CRDS, choices, field_names, schema_of

WRITTEN = [page for page in markdown.pages() if not page.generated and "decisions" not in page.path.parts]
every_written_page = pytest.mark.parametrize("page", WRITTEN, ids=str)

OF_OTHERS = """activeDeadlineSeconds appVersion emptyDir fsGroup generateName healthCheckExprs
    imagePullSecrets podAffinity resourceVersion subPath supplementalGroups"""
"""Words of Kubernetes and of other tools that sentences use beside our own: fields."""
KINDS_OF_OTHERS = """ClusterRole ConfigMap ForceDeleted HistoryReplaced NetworkPolicy PersistentVolumeClaim
    PriorityClass PrometheusRule QueryTaskCancellingStale QueryTaskHistoryFailing ReadOnlyMany ReadWriteMany
    ReadWriteOnce ReadWriteOncePod ResourceQuota RoleBinding RuntimeDefault ServiceAccount ServiceMonitor
    StatefulSet StorageClass"""
"""The same: kinds, modes, alerts."""


@functools.cache
def fields() -> frozenset[str]:
    """What a word like ``startDeadlineSeconds`` may be: a field, a setting, a value, a key of the mailbox."""
    messages = (item for item in vars(contract).values() if dataclasses.is_dataclass(item))
    keys = {to_camel(field.name) for item in (*messages, Settings) for field in dataclasses.fields(item)}
    for kind in CRDS:
        keys.update(field_names(schema_of(kind)))
    values = yaml.safe_load((ROOT / "charts/querytask-operator/values.yaml").read_text(encoding="utf-8"))
    return frozenset({*keys, *keys_of(values), *OF_OTHERS.split()})


@functools.cache
def words() -> frozenset[str]:
    """What a word like ``SqlError`` may be: a phase, a reason, a condition, a kind, a value of a field."""
    enums = (item for item in vars(names).values() if isinstance(item, type) and issubclass(item, enum.Enum))
    ours = {str(member) for kind in enums for member in kind} | {names.DELETED, *CRDS}
    for kind in CRDS:
        ours.update(choices(schema_of(kind)))
    return frozenset({*ours, *KINDS_OF_OTHERS.split()})


def keys_of(values: Any) -> Iterator[str]:
    """All keys of nested mappings."""
    if isinstance(values, dict):
        for key, inner in values.items():
            yield key
            yield from keys_of(inner)


@every_written_page
def test_words_stand_for_something(page):
    """A word of code in a sentence that looks like a field, a setting, a reason or a condition is one."""
    for span in page.spans():
        if re.fullmatch(r"[a-z]+([A-Z][a-z0-9]*)+", span):
            assert span in fields(), f"{span} must be a field, a setting or a value"
        elif re.fullmatch(r"([A-Z][a-z]+){2,}", span):
            assert span in words(), f"{span} must be a reason, a condition, a phase or a kind"


@every_written_page
def test_paths_of_fields_exist(page):
    """``spec.…``, ``status.…`` and ``settings.…`` in sentences lead to a field or a setting."""
    for span in page.spans():
        for part in re.findall(r"^(?:spec|status|settings|export|error)\.(?!py$)([\w.]+)", span):
            assert set(part.split(".")) <= fields(), f"{span} must be a field or a setting"


@every_written_page
def test_metrics_exist(page):
    """A metric that a page names is one that the operator exposes."""
    reference = (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8")
    for span in page.spans():
        for metric in re.findall(r"^querytask_[a-z_]+", span):
            assert f"`{metric}" in reference or metric == "querytask_worker", f"{metric} must be a metric"


@every_written_page
def test_environment_variables_exist(page):
    """A variable of the operator that a page names is a setting."""
    known = {f"QUERYTASK_{field.name.upper()}" for field in dataclasses.fields(Settings)}
    for variable in re.findall(r"\bQUERYTASK_[A-Z_]*[A-Z]", page.text):
        assert variable in known | {contract.MEMORY_ENV, contract.CPU_ENV}, variable


WRONG = [
    (test_words_stand_for_something, "`startDeadline`"),
    (test_words_stand_for_something, "`SqlFault`"),
    (test_paths_of_fields_exist, "`spec.export.retain`"),
    (test_metrics_exist, "`querytask_tasks_lost_total`"),
    (test_environment_variables_exist, "QUERYTASK_MAX_RUNING"),
]


@pytest.mark.parametrize(("check", "text"), WRONG)
def test_what_is_wrong_is_seen(check, text, tmp_path):
    """Each check fails for a page with the mistake that it is there for."""
    path = tmp_path / "page.md"
    path.write_text(f"# Page\n\n{text}\n", encoding="utf-8")
    with pytest.raises(AssertionError):
        check(Page(path))
