"""The metrics: what is documented is there, with those labels, and nothing else is."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from querytask.metrics import Metrics, Snapshot
from scripts import reference

FULL = Snapshot(
    tasks={"Queued": 3},
    oldest_seconds={"Queued": 12.5},
    slots={"held": 1},
    queue_depth=4,
    queue_oldest_seconds=0.5,
    volume_free={"exports": 10},
    volume_size={"exports": 20},
    backup_at=1_795_348_700,
    damaged_files=1,
)


def exercised() -> Metrics:
    """Metrics of which every verb was used once."""
    metrics = Metrics()
    metrics.finished("Failed", "SqlError")
    metrics.retried("Evicted")
    metrics.took(queue=1, start=2, run=3)
    metrics.exported(4)
    metrics.reconciled("ok", 0.1)
    metrics.api_called("get", "pods", "NotFound", 0.01)
    metrics.history_failed("record")
    metrics.purged(2)
    metrics.backed_up("error")
    metrics.removed("export", 100)
    metrics.removal_failed()
    metrics.resynced(1_795_348_800)
    metrics.watchdog_acted("delete")
    metrics.source_restarted()
    return metrics


def samples(metrics: Metrics, snapshot: Snapshot = FULL) -> dict[str, float]:
    """Every sample by its name and its labels' values, in the order of the labels' names."""
    return {
        sample.name + "".join(f"/{value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.exposition(snapshot).decode())
        for sample in family.samples
    }


def test_what_is_documented_is_what_there_is():
    """The list in the docstring, from which the reference is made, has every metric, its type and labels."""
    found = {}
    for family in text_string_to_metric_families(exercised().exposition(FULL).decode()):
        names = {label for sample in family.samples for label in sample.labels} - {"le"}
        name = family.name + ("_total" if family.type == "counter" else "")
        if not name.endswith("_created"):  # the client's own, beside each counter and histogram
            found[name] = (family.type, names)
    assert found == {item.name: (item.kind, set(item.labels)) for item in reference.measures()}


def test_every_verb_counts():
    """Each moves its own metric, by what it was told."""
    found = samples(exercised())
    expected = {
        "querytask_tasks_finished_total/Failed/SqlError": 1,
        "querytask_attempts_retried_total/Evicted": 1,
        "querytask_queue_duration_seconds_sum": 1,
        "querytask_start_duration_seconds_sum": 2,
        "querytask_run_duration_seconds_sum": 3,
        "querytask_export_duration_seconds_sum": 4,
        "querytask_reconcile_duration_seconds_count/ok": 1,
        "querytask_api_request_duration_seconds_count/get": 1,
        "querytask_api_errors_total/NotFound/pods/get": 1,
        "querytask_history_errors_total/record": 1,
        "querytask_history_purged_total": 2,
        "querytask_history_backups_total/error": 1,
        "querytask_collector_removals_total/export": 1,
        "querytask_collector_bytes_total": 100,
        "querytask_collector_errors_total": 1,
        "querytask_resync_timestamp_seconds": 1_795_348_800,
        "querytask_watchdog_actions_total/delete": 1,
        "querytask_event_source_restarts_total": 1,
    }
    assert {name: found[name] for name in expected} == expected


def test_the_gauges_of_the_moment():
    """They are what the snapshot says, and gone with it."""
    found = samples(Metrics())
    expected = {
        "querytask_tasks/Queued": 3,
        "querytask_oldest_task_age_seconds/Queued": 12.5,
        "querytask_slots/held": 1,
        "querytask_queue_depth": 4,
        "querytask_queue_oldest_age_seconds": 0.5,
        "querytask_volume_free_bytes/exports": 10,
        "querytask_volume_size_bytes/exports": 20,
        "querytask_history_backup_timestamp_seconds": 1_795_348_700,
        "querytask_history_damaged_files": 1,
    }
    assert {name: found[name] for name in expected} == expected
    assert "querytask_tasks/Queued" not in samples(Metrics(), Snapshot())


def test_a_call_that_went_well_is_no_error():
    """Only its time is told."""
    metrics = Metrics()
    metrics.api_called("get", "pods", "ok", 0.01)
    found = samples(metrics)
    assert found["querytask_api_request_duration_seconds_count/get"] == 1
    assert not any(name.startswith("querytask_api_errors_total") for name in found)


def test_a_time_that_nobody_took_is_not_told():
    """A task that never started has no run."""
    metrics = Metrics()
    metrics.took(queue=5)
    found = samples(metrics)
    assert found["querytask_queue_duration_seconds_count"] == 1
    assert found["querytask_run_duration_seconds_count"] == 0


def test_two_operators_do_not_share_their_metrics():
    """Each has a registry of its own, or the one that it was given."""
    first, registry = Metrics(), CollectorRegistry()
    first.retried("Evicted")
    assert "querytask_attempts_retried_total/Evicted" not in samples(Metrics(registry))
    assert Metrics(CollectorRegistry()).registry is not registry


def test_names():
    """All begin alike; units are in the name, and counters say so."""
    for item in reference.measures():
        assert item.name.startswith("querytask_")
        assert (item.kind == "counter") == item.name.endswith("_total")
        assert item.kind != "histogram" or item.name.endswith("_seconds")
