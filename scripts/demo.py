"""The demonstration: installs the operator with helm, puts the flights on a volume, runs every example and
shows what came of it.

    make demo

It can be run again at any time: what is there is kept, and the examples are run anew.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts import kube as kubectl
from scripts import lake, release
from scripts.kube import CommandFailed, Kube

NAMESPACE = "querytask-demo"
RELEASE = "querytask"
WIDTH = 100
TASK_SECONDS = 180.0


def main() -> int:
    """Run it; the exit code is 1 when an example did not end as its file says."""
    try:
        return _demo(kubectl.from_environment(NAMESPACE))
    except (CommandFailed, TimeoutError) as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1


def _demo(kube: Kube) -> int:
    with _step("namespace, CRDs and operator, by helm", "20 s"):
        _namespace(kube)
        release.crds(kube)
        release.operator(kube, RELEASE, settings={"startDeadlineSeconds": 30})
    with _step("336,776 flights on the volume `lake`", "10 s"):
        lake.load(kube, release.image("worker"))
    wrong = [path.name for path in release.example_files() if not _example(kube, path)]
    print("\nExamples that fail, each with its reason")
    wrong += [path.name for path in release.example_files(failures=True) if not _example(kube, path)]
    print("\n" + kube("get", "querytasks").rstrip())
    if wrong:
        sys.stderr.write(f"\ndemo: these did not end as their files say: {', '.join(wrong)}\n")
        return 1
    _what_next(kube)
    return 0


def _namespace(kube: Kube) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    kube.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": kube.namespace, "labels": labels}}
    )


@contextmanager
def _step(what: str, usually: str) -> Iterator[None]:
    print(f"-> {what} (usually {usually}) …", end="", flush=True)
    started = time.monotonic()
    yield
    print(f" done in {time.monotonic() - started:.0f} s", flush=True)


# one example


def _example(kube: Kube, path: Path) -> bool:
    sentence, expected = (line.removeprefix("# ") for line in path.read_text().splitlines()[:2])
    print(f"\n{path.name}: {sentence}")
    kube("delete", "-f", str(path), "--ignore-not-found", "--wait=true")
    kube("apply", "-f", str(path))
    if expected.startswith("Ready"):
        return _source(kube, path, expected)
    return _task(
        kube, path.stem, json.loads(kube("get", "-f", str(path), "-o", "json"))["metadata"]["name"], expected
    )


def _source(kube: Kube, path: Path, expected: str) -> bool:
    kube("wait", "-f", str(path), "--for=condition=Ready", "--timeout=60s")
    found = json.loads(kube("get", "-f", str(path), "-o", "json"))["status"]["conditions"][0]
    print(f"  {found['type']}: {found['reason']}: {found['message']}")
    return f"{found['type']}: {found['reason']}" == expected


def _task(kube: Kube, example: str, name: str, expected: str) -> bool:
    task = _follow(kube, name)
    status = task["status"]
    took = f" in {status['duration']}" if "duration" in status else ""
    print(f"  {status['phase']}, {status['reason']}{took}: {status['message']}")
    if "result" in status:
        _table(status["result"])
    if status.get("export", {}).get("path"):
        export = status["export"]
        print(f"  {export['path']}")
        print(f"  {export['bytes']} bytes, sha256 {export['sha256']}, until {export['expiresAt']}")
    return f"Ends: {status['phase']}, {status['reason']}" == expected


def _follow(kube: Kube, name: str) -> dict[str, Any]:
    """Wait for the end, showing each phase and the progress on one line."""
    deadline, shown = time.monotonic() + TASK_SECONDS, ""
    while time.monotonic() < deadline:
        task = kube.get("querytask", name)
        status = task.get("status", {})
        if status.get("completedAt"):
            _overwrite("")
            return task
        now = f"  {status.get('phase', 'new')}, {status.get('reason', '')} {status.get('progress', '')}"
        if now != shown:
            shown = now
            _overwrite(now)
        time.sleep(0.3)
    raise TimeoutError(f"QueryTask {name} must end within {TASK_SECONDS:g} s; it is {shown.strip()}")


def _overwrite(text: str) -> None:
    if sys.stdout.isatty():
        print(f"\r{text:<{WIDTH}}" if text else f"\r{'':<{WIDTH}}\r", end="", flush=True)


def _table(result: dict[str, Any]) -> None:
    heads = [column["name"] for column in result["columns"]]
    rows = [[_cell(value) for value in json.loads(row)] for row in result.get("preview", ())]
    widths = [max(len(line[place]) for line in [heads, *rows]) for place in range(len(heads))]
    for line in [heads, ["-" * width for width in widths], *rows]:
        print(
            "    " + "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        )
    if result["truncated"]:
        print(f"    … of {result['rows']} rows")


def _cell(value: Any) -> str:
    text = "NULL" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 30 else text[:29] + "…"


def _what_next(kube: Kube) -> None:
    base = f"{_short(kubectl.tool('kubectl'))} --kubeconfig {_short(kube.kubeconfig)} -n {kube.namespace}"
    print("\nThree commands to try next:\n")
    print(f"  {base} get querytask late-flights -o yaml")
    print(f"  {base} events --for querytask/late-flights")
    print(f"  {base} explain querytask.spec.export")


def _short(path: str) -> str:
    """The path as it is typed from the top of the project."""
    return str(Path(path).relative_to(kubectl.ROOT)) if Path(path).is_relative_to(kubectl.ROOT) else path


if __name__ == "__main__":
    sys.exit(main())
