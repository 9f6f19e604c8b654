"""What the reference says of every phase, reason, condition and exit code: one sentence each, and what to do.

For ``scripts.reference``, which puts them beside what the code knows of them. A name that the code has and
that is missing here fails a test.
"""

from __future__ import annotations

from querytask.names import CancelStep, Condition, ConditionReason, ExportState, Phase, Reason, SourceReason
from querytask_worker.contract import ExitCode

PHASES = {
    Phase.QUEUED: (
        "Waits for a slot, a source, its pod or the start of its container, or backs off before "
        "another attempt."
    ),
    Phase.RUNNING: "The container of its worker has started.",
    Phase.CANCELLING: "A stop was asked for, and the worker is not known to be gone yet.",
    Phase.SUCCEEDED: "The result is published. An end.",
    Phase.FAILED: "It came to an end without a result; `reason` and `error` say why. An end.",
    Phase.CANCELLED: "The worker is gone, and it has published nothing. An end.",
}

REASONS: dict[Reason, tuple[str, str]] = {
    Reason.WAITING_FOR_SLOT: (
        "All slots are taken by other tasks.",
        "Wait, raise `spec.priority`, or let the administrator raise `settings.maxRunning`.",
    ),
    Reason.SOURCE_NOT_FOUND: (
        (
            "A source that the task names does not exist; it fails when that has lasted as long as "
            "the start deadline."
        ),
        "Create the QuerySource, or correct `spec.sources` in a new task.",
    ),
    Reason.SOURCE_NOT_READY: (
        "A source that the task names exists, but its condition `Ready` is not true.",
        "Look at the QuerySource: `kubectl describe querysource NAME`.",
    ),
    Reason.POD_PENDING: (
        "The worker's pod is being created, or its container has not started.",
        "Wait; the message says what the pod waits for.",
    ),
    Reason.BACKING_OFF: (
        "An attempt was lost, and the next one waits for `spec.retry.backoff`, doubled with each attempt.",
        "Wait; the message says how the attempt was lost.",
    ),
    Reason.STARTED: ("The container of the current attempt has started.", "Wait."),
    Reason.COMPLETED: ("The result is published.", "Fetch it."),
    Reason.CANCEL_REQUESTED: (
        "`spec.cancel` was set: the worker is being stopped, or has been.",
        "Nothing; `status.cancel` says how far the stop had to go.",
    ),
    Reason.SQL_ERROR: (
        (
            "DuckDB refused the query or failed at it: a syntax error, an unknown table, a value that "
            "cannot be cast."
        ),
        "Correct the SQL; `error.message` and `error.position` say where.",
    ),
    Reason.SQL_NOT_ALLOWED: (
        "The SQL holds a statement that tasks may not use; nothing of it was run.",
        "Keep to one SELECT or EXPLAIN, before it only temporary tables, views and macros.",
    ),
    Reason.PARAMETER_ERROR: (
        "A parameter of the SQL is missing, is not used, or cannot be cast to its type; nothing was run.",
        "Correct `spec.parameters`; the message names the parameter.",
    ),
    Reason.TIMEOUT: (
        "An attempt ran longer than `spec.timeout`.",
        "Make the query cheaper, give it more CPU, or raise `spec.timeout`.",
    ),
    Reason.INTERNAL_ERROR: (
        "The worker or the operator failed in a way that neither the query nor the cluster explains.",
        "Report it with the worker's log; the same task may well succeed when it is created again.",
    ),
    Reason.QUEUE_TIMEOUT: (
        "No slot was granted within `spec.queueTimeout`.",
        "Raise `spec.queueTimeout` or `spec.priority`, or let the administrator raise `settings.maxRunning`.",
    ),
    Reason.START_TIMEOUT: (
        "The container did not start within the start deadline, and nothing more exact is known.",
        (
            "Look at the message and at the pod's Events; raise `settings.startDeadlineSeconds` for a "
            "slow cluster."
        ),
    ),
    Reason.IMAGE_PULL_FAILED: (
        "The worker's image could not be pulled within the start deadline.",
        "Check `worker.image` and its pull secrets in the chart's values.",
    ),
    Reason.VOLUME_NOT_MOUNTED: (
        (
            "A volume of the pod, the exports volume or a source's, could not be mounted within the "
            "start deadline."
        ),
        "Check the claims that the message names.",
    ),
    Reason.UNSCHEDULABLE: (
        "No node had room for the pod, or fitted it, within the start deadline.",
        "Ask for less in `spec.resources`, or add nodes; the message is the scheduler's.",
    ),
    Reason.QUOTA_EXCEEDED: (
        "A ResourceQuota of the namespace did not let the pod in for as long as the start deadline.",
        "Ask for less in `spec.resources`, wait for other pods to end, or raise the quota.",
    ),
    Reason.NAME_TAKEN: (
        "Another object has the name of the worker's pod.",
        "Delete that pod, which is none of this operator's, and create the task anew.",
    ),
    Reason.OUT_OF_MEMORY: (
        "The query needed more memory than `spec.resources.memory`.",
        "Raise it, or make the query smaller.",
    ),
    Reason.SPILL_FULL: (
        "The query spilled more to disk than `spec.resources.spill`.",
        "Raise it, or raise `spec.resources.memory` so that it spills less.",
    ),
    Reason.EXPORT_VOLUME_FULL: (
        "The exports volume had no room for the result.",
        "Let the administrator enlarge it, or shorten retentions.",
    ),
    Reason.SOURCE_UNREACHABLE: (
        "A source was mounted, but could not be read.",
        "Check the volume of the source, and that its files may be read by the worker's groups.",
    ),
    Reason.CANCEL_TIMEOUT: (
        "The worker did not confirm its end in time, and its pod was removed by the watchdog.",
        "Look at the node that the worker ran on.",
    ),
    Reason.WORKER_LOST: (
        "The worker ended, or its pod went, without a word: it was killed or deleted.",
        "Nothing while attempts are left; else look at the node, and create the task anew.",
    ),
    Reason.NODE_LOST: ("The worker's node is gone or unreachable.", "As for WorkerLost."),
    Reason.EVICTED: (
        "The pod was evicted: by the kubelet, a drain or a pod of higher priority.",
        "As for WorkerLost; a PriorityClass for the workers makes it rarer.",
    ),
    Reason.POD_REJECTED: (
        "The API server or the kubelet did not take the pod.",
        "Read the message: a policy of the namespace, or a node that ran out of something.",
    ),
}

CONDITIONS = {
    Condition.SCHEDULED: "The current attempt has a pod that no scheduling gate holds back.",
    Condition.STARTED: "The container of the current attempt has started.",
    Condition.EXPORTED: (
        "The file is published. `Unknown` while that is open, false for a task that exports nothing."
    ),
    Condition.RECORDED: (
        "The history has this state. While it is false nothing starts and nothing is deleted."
    ),
    Condition.FINISHED: "The task has an end, whichever: the condition to wait for.",
    Condition.SUCCEEDED: "The task has succeeded. `Unknown` as long as it has no end.",
    Condition.SOURCES_READY: "Every source that the task names can be used. Only on tasks that name some.",
    Condition.STALLED: "A cancellation takes longer than it may. There only while that is so.",
    Condition.LONG_RUNNING: (
        "The task has run longer than `settings.longRunningSeconds`. It stays once it is there."
    ),
}

CONDITION_REASONS = {
    ConditionReason.POD_CREATED: "`Scheduled` is true.",
    ConditionReason.PUBLISHED: "`Exported` is true.",
    ConditionReason.NOT_APPLICABLE: "`Exported` is false, for the task exports nothing.",
    ConditionReason.UNFINISHED: (
        "`Finished` is false, `Exported` and `Succeeded` are unknown: the task has no end yet."
    ),
    ConditionReason.RECORDED: "`Recorded` is true.",
    ConditionReason.HISTORY_UNAVAILABLE: "`Recorded` is false: the history is full, read-only, away or gone.",
    ConditionReason.SOURCES_READY: "`SourcesReady` is true.",
    ConditionReason.NODE_SILENT: "`Stalled` is true: the node does not confirm that the worker has ended.",
    ConditionReason.NODE_GONE: "`Stalled` is true: the node does not exist any more.",
    ConditionReason.LONG_RUNNING: "`LongRunning` is true.",
}

SOURCE_REASONS = {
    SourceReason.CLAIM_FOUND: "`Ready` is true: its PersistentVolumeClaim is there.",
    SourceReason.CLAIM_NOT_FOUND: "`Ready` is false: its PersistentVolumeClaim is not there. Create it.",
    SourceReason.CLAIM_RESERVED: (
        "`Ready` is false: the claim is the operator's own, and no source may name it."
    ),
}

EXPORT_STATES = {
    ExportState.AVAILABLE: "The file is there until `expiresAt`.",
    ExportState.EXPIRED: "Its retention was over, and it was removed.",
    ExportState.DELETED: "It was removed on request.",
    ExportState.NOT_APPLICABLE: "The task exports nothing, or has not succeeded.",
}

CANCEL_STEPS = {
    CancelStep.REQUESTED: (
        "The stop was asked for; of a task that is Cancelled: its container had not started."
    ),
    CancelStep.INTERRUPTED: "The statement returned after the interrupt.",
    CancelStep.KILLED: "The engine's process had to be killed, or the worker left no word of its end.",
}

EXIT_CODES = {
    ExitCode.COMPLETED: "The result is published.",
    ExitCode.SQL_ERROR: "DuckDB refused the query or failed at it.",
    ExitCode.SQL_NOT_ALLOWED: "The SQL holds a statement that tasks may not use.",
    ExitCode.PARAMETER_ERROR: "A parameter is missing, is not used, or cannot be cast.",
    ExitCode.TIMEOUT: "The worker kept its deadline and stopped itself.",
    ExitCode.STOPPED: "The worker was stopped by SIGTERM. It does not know why; the operator does.",
    ExitCode.OUT_OF_MEMORY: "The query needed more memory than it may have.",
    ExitCode.SPILL_FULL: "The query spilled more than it may.",
    ExitCode.EXPORT_VOLUME_FULL: "The exports volume took nothing more.",
    ExitCode.SOURCE_UNREACHABLE: "A source could not be read.",
    ExitCode.INTERNAL_ERROR: "A fault of the worker itself.",
}
