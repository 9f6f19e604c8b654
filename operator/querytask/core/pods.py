"""The worker's pod and its assignment, built whole from the task, the sources and the settings; compared as
whole objects in the tests.

Nothing of the task's text reaches the pod's spec but numbers and names that the API server has checked: no
field of a QueryTask chooses an image, a command, an account, a host setting or another namespace. The SQL
travels in the mailbox, never in the pod.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from querytask import names
from querytask.api import quantities, resolve
from querytask.api.source import QuerySource, VolumeSource
from querytask.api.task import QueryTask
from querytask.settings import Settings
from querytask_worker import contract

SPILL_SLACK = 64 * 2**20
"""What the spill volume may hold beyond the engine's own cap, in bytes, so that the engine and not the
kubelet says that it is full."""
USER = 65532
"""Uid and gid of operator and workers alike: both write to the exports volume."""
DEADLINE_MARGIN = 60
"""Seconds that a pod may live beyond its clocks: for the time when no operator is there to stop it."""


def assignment(task: QueryTask, attempt: int, settings: Settings) -> contract.Assignment:
    """What the attempt is to do, with every default resolved."""
    spec, export = task.spec, task.spec.export
    wanted = (
        export.retention
        if export is not None and export.retention is not None
        else settings.default_retention_seconds
    )
    file = None
    if export is not None:
        file = contract.Export(
            export.format.value, resolve.compression(export).value, resolve.file_name(task)
        )
    return contract.Assignment(
        namespace=task.metadata.namespace,
        name=task.metadata.name,
        uid=task.metadata.uid,
        attempt=attempt,
        sql=spec.sql,
        timeout_seconds=spec.timeout,
        retention_seconds=min(wanted, settings.max_retention_seconds),
        memory_bytes=spec.resources.memory,
        cpu_millis=spec.resources.cpu,
        spill_bytes=spec.resources.spill,
        preview_rows=spec.preview.rows,
        parameters=tuple(
            contract.Parameter(item.name, item.type, item.value, item.values) for item in spec.parameters
        ),
        sources=spec.sources,
        export=file,
        owner=spec.owner or "",
    )


def pod(
    task: QueryTask, attempt: int, sources: Mapping[str, QuerySource], settings: Settings
) -> dict[str, Any]:
    """The pod of an attempt; ``sources`` holds every source that the task names."""
    used = [(name, _volume(sources[name])) for name in task.spec.sources]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(task, attempt),
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": settings.worker_service_account,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": settings.stop_grace_seconds,
            "activeDeadlineSeconds": _deadline(task, settings),
            "securityContext": _pod_security(used),
            "containers": [_container(task, attempt, used, settings)],
            "volumes": _volumes(task, used, settings),
        }
        | _placement(settings),
    }


def _metadata(task: QueryTask, attempt: int) -> dict[str, Any]:
    return {
        "name": names.pod_name(task.metadata.uid, attempt),
        "namespace": task.metadata.namespace,
        "labels": {
            names.APP_LABEL: names.WORKER_APP,
            names.COMPONENT_LABEL: "worker",
            names.MANAGED_BY_LABEL: names.MANAGER,
            names.TASK_UID_LABEL: task.metadata.uid,
            names.ATTEMPT_LABEL: str(attempt),
        },
        "annotations": {names.TASK_NAME_ANNOTATION: task.metadata.name},
        "ownerReferences": [
            {
                "apiVersion": names.API_VERSION,
                "kind": names.TASK_KIND,
                "name": task.metadata.name,
                "uid": task.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    }


def _container(
    task: QueryTask, attempt: int, used: list[tuple[str, VolumeSource]], settings: Settings
) -> dict[str, Any]:
    resources = task.spec.resources
    amounts = {"cpu": quantities.cpu(resources.cpu), "memory": quantities.memory(resources.memory)}
    directory = names.export_directory(task.metadata.namespace, task.metadata.uid)
    return {
        "name": names.WORKER_CONTAINER,
        "image": settings.worker_image,
        "imagePullPolicy": settings.worker_image_pull_policy,
        "args": ["--attempt", str(attempt)],
        "env": [
            _from_limits(contract.MEMORY_ENV, "limits.memory", "1"),
            _from_limits(contract.CPU_ENV, "limits.cpu", "1m"),
        ],
        "resources": {"requests": dict(amounts), "limits": dict(amounts)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": contract.TERMINATION_LOG,
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"name": "exports", "mountPath": contract.TASK_DIR, "subPath": directory},
            {"name": names.SPILL_VOLUME, "mountPath": contract.SPILL_DIR},
            *(_mount(place, name, volume) for place, (name, volume) in enumerate(used)),
        ],
    }


def _volumes(
    task: QueryTask, used: list[tuple[str, VolumeSource]], settings: Settings
) -> list[dict[str, Any]]:
    limit = quantities.memory(task.spec.resources.spill + SPILL_SLACK)
    return [
        {"name": "exports", "persistentVolumeClaim": {"claimName": settings.exports_claim}},
        {"name": names.SPILL_VOLUME, "emptyDir": {"sizeLimit": limit}},
        *(
            # read-only on the claim, not only on the mount: else fsGroup would rewrite the owners of the
            # lake's files
            {
                "name": f"source-{place}",
                "persistentVolumeClaim": {"claimName": volume.claim_name, "readOnly": True},
            }
            for place, (_, volume) in enumerate(used)
        ),
    ]


def _mount(place: int, name: str, volume: VolumeSource) -> dict[str, Any]:
    mount = {"name": f"source-{place}", "mountPath": f"{contract.DATA_DIR}/{name}", "readOnly": True}
    return mount | ({"subPath": volume.sub_path} if volume.sub_path else {})


def _pod_security(used: list[tuple[str, VolumeSource]]) -> dict[str, Any]:
    groups = sorted({group for _, volume in used for group in volume.supplemental_groups})
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    } | ({"supplementalGroups": groups} if groups else {})


def _placement(settings: Settings) -> dict[str, Any]:
    placement: dict[str, Any] = {}
    if settings.worker_image_pull_secrets:
        placement["imagePullSecrets"] = [{"name": name} for name in settings.worker_image_pull_secrets]
    if settings.worker_node_selector:
        placement["nodeSelector"] = dict(settings.worker_node_selector)
    if settings.worker_tolerations:
        placement["tolerations"] = list(settings.worker_tolerations)
    if settings.worker_priority_class:
        placement["priorityClassName"] = settings.worker_priority_class
    if settings.exports_access_mode == "ReadWriteOnce" and settings.operator_labels:
        placement["affinity"] = {
            "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [_beside(settings)]}
        }
    return placement


def _beside(settings: Settings) -> dict[str, Any]:
    """A volume that one node may mount is where the operator is."""
    return {
        "labelSelector": {"matchLabels": dict(settings.operator_labels)},
        "topologyKey": "kubernetes.io/hostname",
    }


def _deadline(task: QueryTask, settings: Settings) -> int:
    clocks = settings.start_deadline_seconds + task.spec.timeout + settings.timeout_margin_seconds
    return math.ceil(clocks + settings.stop_grace_seconds + DEADLINE_MARGIN)


def _from_limits(name: str, resource: str, divisor: str) -> dict[str, Any]:
    field = {"containerName": names.WORKER_CONTAINER, "resource": resource, "divisor": divisor}
    return {"name": name, "valueFrom": {"resourceFieldRef": field}}


def _volume(source: QuerySource) -> VolumeSource:
    if source.spec.volume is None:
        raise ValueError(f"spec of QuerySource {source.metadata.name} must set volume")
    return source.spec.volume
