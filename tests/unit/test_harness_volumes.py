"""The pool of volumes: what a claim finds, and that nothing of the last user's is left in one."""

import os
from pathlib import Path

from cluster.harness.volumes import CLASSES, empty, persistent_volume, released, storage_class

LOCAL, SMALL = CLASSES


def test_a_volume_is_local_and_takes_any_claim():
    """`local` honours fsGroup; all access modes are offered, so that shared and unshared claims both bind."""
    assert persistent_volume(SMALL, "querytask-small-01", Path("/state/volumes/querytask-small-01")) == {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": "querytask-small-01",
            "labels": {"app.kubernetes.io/managed-by": "cluster-harness"},
        },
        "spec": {
            "capacity": {"storage": "64Mi"},
            "accessModes": ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "querytask-small",
            "local": {"path": "/state/volumes/querytask-small-01"},
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [
                                {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node"]}
                            ]
                        }
                    ]
                }
            },
        },
    }


def test_one_class_is_the_default():
    """A claim that names no class gets a roomy volume, once a pod wants it."""
    defaults = {
        pool.name: storage_class(pool)["metadata"]["annotations"][
            "storageclass.kubernetes.io/is-default-class"
        ]
        for pool in CLASSES
    }
    assert defaults == {"local": "true", "querytask-small": "false"}
    assert storage_class(LOCAL)["volumeBindingMode"] == "WaitForFirstConsumer"


def test_only_released_volumes_of_the_pool_are_cleaned():
    """Volumes that somebody else made are somebody else's, also when their claim is gone."""
    volumes = [
        {"metadata": {"name": name}, "status": {"phase": phase}}
        for name, phase in [("local-01", "Released"), ("local-02", "Bound"), ("theirs", "Released")]
    ]
    assert released([*volumes, {"metadata": {"name": "local-03"}}]) == ["local-01"]


def test_an_emptied_volume_is_like_a_new_one(tmp_path: Path):
    """Files, folders, links and the owner that fsGroup gave it are gone; what a link points to is not."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    volume = tmp_path / "volume"
    (volume / "a" / "b").mkdir(parents=True)
    (volume / "a" / "b" / "file").touch()
    (volume / "file").touch()
    (volume / "link").symlink_to(outside)
    volume.chmod(0o2775)
    empty(volume, owner=os.getuid(), group=os.getgid())
    assert list(volume.iterdir()) == []
    assert volume.stat().st_mode & 0o7777 == 0o755
    assert (outside / "kept").exists()
