"""Every metric of the operator, one verb each; nothing else imports the Prometheus client.

No label has values that grow with tasks: phases, reasons, verbs and resources are closed sets.
Each name begins with ``querytask_``.

    tasks{phase}                          gauge      tasks in the history by phase, at the scrape
    oldest_task_age_seconds{phase}        gauge      age of the oldest unfinished task, at the scrape
    slots{state}                          gauge      slots that are held, and tasks that wait for one
    tasks_finished_total{phase,reason}    counter    ends, by phase and reason
    attempts_retried_total{reason}        counter    attempts that were lost and followed by another
    queue_duration_seconds                histogram  from creation to the slot granted
    start_duration_seconds                histogram  from the slot granted to the container's start
    run_duration_seconds                  histogram  from the container's start to the end
    export_duration_seconds               histogram  writing, syncing and hashing the file
    reconcile_duration_seconds{result}    histogram  one reconcile, by result: ok, retry, error
    queue_depth                           gauge      keys that wait for a worker of the work queue
    queue_oldest_age_seconds              gauge      how long the first of them has waited
    api_request_duration_seconds{verb}    histogram  calls to the API server, by verb
    api_errors_total{verb,resource,kind}  counter    calls to the API server that failed, by class of error
    history_errors_total{operation}       counter    reads and writes of the history that failed
    history_purged_total                  counter    finished tasks that the history has forgotten
    history_backups_total{result}         counter    tried backups of the history, by result: ok, error
    history_backup_timestamp_seconds      gauge      when the newest verified backup was made; 0 without one
    history_damaged_files                 gauge      damaged databases that lie beside the history
    collector_removals_total{kind}        counter    what the collector has removed
    collector_bytes_total                 counter    bytes of the files that it has removed
    collector_errors_total                counter    removals that failed
    volume_free_bytes{volume}             gauge      free bytes of both volumes, at the scrape
    volume_size_bytes{volume}             gauge      their sizes
    watchdog_actions_total{action}        counter    pods that the watchdog has deleted, or removed by force
    event_source_restarts_total           counter    times that watching the cluster had to be begun anew
    resync_timestamp_seconds              gauge      when the last full resync ended
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 1800, 3600, 7200, 21600, 86400)
FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Snapshot:
    """What is read at the moment of a scrape; every mapping is keyed by one label's value."""

    tasks: Mapping[str, int] = field(default_factory=dict)
    oldest_seconds: Mapping[str, float] = field(default_factory=dict)
    slots: Mapping[str, int] = field(default_factory=dict)
    queue_depth: int = 0
    queue_oldest_seconds: float = 0.0
    volume_free: Mapping[str, int] = field(default_factory=dict)
    volume_size: Mapping[str, int] = field(default_factory=dict)
    backup_at: float | None = None
    """Unix seconds of the newest backup, 0 without one; ``None`` where none is made."""
    damaged_files: int | None = None


class Metrics:
    """The metrics of one operator process, in a registry of its own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        make = _Maker(self.registry)
        self._finished = make.counter("querytask_tasks_finished", "Ends of tasks.", ["phase", "reason"])
        self._retried = make.counter(
            "querytask_attempts_retried", "Attempts lost and followed by another.", ["reason"]
        )
        self._queue = make.histogram(
            "querytask_queue_duration_seconds", "From creation to the slot granted.", SECONDS
        )
        self._start = make.histogram(
            "querytask_start_duration_seconds", "From the slot to the container.", SECONDS
        )
        self._run = make.histogram(
            "querytask_run_duration_seconds", "From the container's start to the end.", SECONDS
        )
        self._export = make.histogram(
            "querytask_export_duration_seconds", "Writing the exported file.", SECONDS
        )
        self._reconcile = make.histogram(
            "querytask_reconcile_duration_seconds", "One reconcile.", FAST, ["result"]
        )
        self._api = make.histogram(
            "querytask_api_request_duration_seconds", "Calls to the API server.", FAST, ["verb"]
        )
        self._api_errors = make.counter(
            "querytask_api_errors", "Calls that failed.", ["verb", "resource", "kind"]
        )
        self._history_errors = make.counter(
            "querytask_history_errors", "History operations that failed.", ["operation"]
        )
        self._purged = make.counter("querytask_history_purged", "Tasks that the history has forgotten.")
        self._backups = make.counter("querytask_history_backups", "Backups of the history.", ["result"])
        self._removals = make.counter(
            "querytask_collector_removals", "What the collector has removed.", ["kind"]
        )
        self._removed_bytes = make.counter("querytask_collector_bytes", "Bytes that it has removed.")
        self._collector_errors = make.counter("querytask_collector_errors", "Removals that failed.")
        self._watchdog = make.counter("querytask_watchdog_actions", "What the watchdog has done.", ["action"])
        self._restarts = make.counter(
            "querytask_event_source_restarts", "Times that watching was begun anew."
        )
        self._resynced = Gauge(
            "querytask_resync_timestamp_seconds", "When the last full resync ended.", registry=self.registry
        )

    def finished(self, phase: str, reason: str) -> None:
        """A task has come to its end."""
        self._finished.labels(phase, reason).inc()

    def retried(self, reason: str) -> None:
        """An attempt was lost and another follows."""
        self._retried.labels(reason).inc()

    def took(
        self, *, queue: float | None = None, start: float | None = None, run: float | None = None
    ) -> None:
        """How long a task waited, started, ran; in seconds."""
        for histogram, seconds in ((self._queue, queue), (self._start, start), (self._run, run)):
            if seconds is not None:
                histogram.observe(seconds)

    def exported(self, seconds: float) -> None:
        """How long writing an export took."""
        self._export.observe(seconds)

    def reconciled(self, result: str, seconds: float) -> None:
        """One reconcile is over: ``ok``, ``retry`` or ``error``."""
        self._reconcile.labels(result).observe(seconds)

    def api_called(self, verb: str, resource: str, outcome: str, seconds: float) -> None:
        """A call to the API server is over; ``outcome`` is ``ok`` or the class of the error."""
        self._api.labels(verb).observe(seconds)
        if outcome != "ok":
            self._api_errors.labels(verb, resource, outcome).inc()

    def history_failed(self, operation: str) -> None:
        """The history did not do as asked."""
        self._history_errors.labels(operation).inc()

    def purged(self, tasks: int) -> None:
        """The history has forgotten that many tasks."""
        self._purged.inc(tasks)

    def backed_up(self, result: str) -> None:
        """A backup was tried: ``ok`` or ``error``."""
        self._backups.labels(result).inc()

    def removed(self, kind: str, size: int) -> None:
        """The collector has removed something of ``size`` bytes."""
        self._removals.labels(kind).inc()
        self._removed_bytes.inc(size)

    def removal_failed(self) -> None:
        """The collector could not remove something."""
        self._collector_errors.inc()

    def watchdog_acted(self, action: str) -> None:
        """The watchdog has acted on a stop that was overdue: ``delete`` or ``force-delete``."""
        self._watchdog.labels(action).inc()

    def source_restarted(self) -> None:
        """Watching the cluster had to be begun anew."""
        self._restarts.inc()

    def resynced(self, at: float) -> None:
        """A full resync ended at ``at``, in Unix seconds."""
        self._resynced.set(at)

    def exposition(self, snapshot: Snapshot) -> bytes:
        """The text that Prometheus scrapes, with the gauges of this moment."""
        momentary = CollectorRegistry()
        momentary.register(_Momentary(snapshot))
        return generate_latest(self.registry) + generate_latest(momentary)


@dataclass(frozen=True)
class _Maker:
    registry: CollectorRegistry

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def histogram(
        self, name: str, text: str, buckets: Sequence[float], labels: Sequence[str] = ()
    ) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)


class _Momentary(Collector):
    """The gauges that are computed when they are asked for."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        shot = self._snapshot
        yield _family("querytask_tasks", "Tasks in the history.", "phase", shot.tasks)
        yield _family(
            "querytask_oldest_task_age_seconds",
            "Age of the oldest unfinished task.",
            "phase",
            shot.oldest_seconds,
        )
        yield _family("querytask_slots", "Slots held, and tasks waiting for one.", "state", shot.slots)
        yield GaugeMetricFamily(
            "querytask_queue_depth", "Keys that wait for a worker.", value=shot.queue_depth
        )
        yield GaugeMetricFamily(
            "querytask_queue_oldest_age_seconds", "Wait of the first key.", value=shot.queue_oldest_seconds
        )
        yield _family("querytask_volume_free_bytes", "Free bytes.", "volume", shot.volume_free)
        yield _family("querytask_volume_size_bytes", "Size in bytes.", "volume", shot.volume_size)
        for name, text, value in (
            (
                "querytask_history_backup_timestamp_seconds",
                "When the newest backup was made.",
                shot.backup_at,
            ),
            ("querytask_history_damaged_files", "Damaged databases beside the history.", shot.damaged_files),
        ):
            if value is not None:
                yield GaugeMetricFamily(name, text, value=value)


def _family(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family
