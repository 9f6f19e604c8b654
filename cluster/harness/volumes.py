"""PersistentVolumes on the node's own disk: a pool that is there at the start and is cleaned after each use.

`local` volumes are used because they honour `fsGroup`, which the controller-manager's host paths do not.
Every volume offers every access mode, so that a claim of either kind binds. The class `local` is the default
one; its sizes are only said. The volumes of `querytask-small` are file systems of their own and can really
become full.
"""

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.harness.api import Api, Json
from cluster.harness.errors import ApiError
from cluster.harness.kubelet import NODE
from cluster.harness.sandbox import Sandbox

ACCESS_MODES = ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"]
PERSISTENT_VOLUMES = "/api/v1/persistentvolumes"
STORAGE_CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
RECYCLE_SECONDS = 0.5


@dataclass(frozen=True)
class VolumeClass:
    """A pool of equal volumes.

    `bounded` ones are file systems of `mebibytes`; the others only say that they are.
    """

    name: str
    count: int
    mebibytes: int
    bounded: bool
    default: bool

    def volumes(self) -> Iterator[str]:
        """The names of the pool's volumes."""
        return (f"{self.name}-{number:02}" for number in range(1, self.count + 1))


CLASSES = (
    VolumeClass("local", count=24, mebibytes=20 * 1024, bounded=False, default=True),
    VolumeClass("querytask-small", count=4, mebibytes=64, bounded=True, default=False),
)


def storage_class(pool: VolumeClass) -> Json:
    """Binding waits for the first pod, as local volumes need on clusters of several nodes."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": pool.name,
            "annotations": {"storageclass.kubernetes.io/is-default-class": str(pool.default).lower()},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Retain",
    }


def persistent_volume(pool: VolumeClass, name: str, path: Path) -> Json:
    """A volume that lies in a folder of the node."""
    here = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "cluster-harness"}},
        "spec": {
            "capacity": {"storage": f"{pool.mebibytes}Mi"},
            "accessModes": ACCESS_MODES,
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": pool.name,
            "local": {"path": str(path)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [here]}},
        },
    }


def make_folders(root: Path, sandbox: Sandbox) -> None:
    """Makes every volume's folder; the bounded ones are mounted in the sandbox and end with it."""
    script = ["set -e"]
    for pool in CLASSES:
        for name in pool.volumes():
            (root / name).mkdir(parents=True, exist_ok=True)
            if pool.bounded:
                script.append(f'disk="$1/{name}.ext4"; truncate -s {pool.mebibytes}M "$disk"')
                script.append(f'mkfs.ext4 -q -F -m 0 "$disk"; mount -o loop "$disk" "$1/{name}"')
                script.append(f'rmdir "$1/{name}/lost+found"')
    sandbox.run(["sh", "-c", "\n".join(script), "sh", str(root)])


def publish(api: Api, root: Path) -> None:
    """Tells the cluster of all classes and volumes; those that it knows already stay."""
    for pool in CLASSES:
        api.create(STORAGE_CLASSES, storage_class(pool))
        for name in pool.volumes():
            api.create(PERSISTENT_VOLUMES, persistent_volume(pool, name, root / name))


def recycle_for_ever(api: Api, root: Path) -> None:
    """Cleans each volume whose claim was deleted and offers it again.

    Runs inside the sandbox until it is ended.
    """
    while True:
        try:
            for volume in released(api.call("GET", PERSISTENT_VOLUMES)["items"]):
                recycle(api, root, volume)
        except (ApiError, OSError) as error:
            print(f"volumes: {error}", flush=True)
        time.sleep(RECYCLE_SECONDS)


def released(volumes: list[Any]) -> list[str]:
    """The names of our volumes whose claim is gone. A claim goes only after the last pod that used it."""
    ours = {name for pool in CLASSES for name in pool.volumes()}
    found = [v["metadata"]["name"] for v in volumes if v.get("status", {}).get("phase") == "Released"]
    return [name for name in found if name in ours]


def recycle(api: Api, root: Path, name: str) -> None:
    """Empties a volume and takes the old claim's name off it."""
    empty(root / name)
    api.call("PATCH", f"{PERSISTENT_VOLUMES}/{name}", {"spec": {"claimRef": None}})
    print(f"volumes: {name} was cleaned and is free again", flush=True)


def empty(folder: Path, owner: int = 0, group: int = 0) -> None:
    """Removes everything in a folder and gives it back the owner and mode of a new one."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    os.chown(folder, owner, group)
    folder.chmod(0o755)


def folder_of_claim(api: Api, root: Path, namespace: str, claim: str) -> Path | None:
    """The folder, as the node sees it, of a claim that is bound; None when it is not."""
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}"
    volume = api.call("GET", path)["spec"].get("volumeName")
    return root / volume if volume else None
