"""The operator's process looks at its settings before it does anything: no lock, no history, no port."""

from __future__ import annotations

from pathlib import Path

import pytest

from querytask.__main__ import main


@pytest.mark.parametrize("text", ["0", "0.2", "60000d"])
@pytest.mark.parametrize("name", ["TASK_RETENTION_SECONDS", "QUERYTASK_TASK_RETENTION"])
def test_a_retention_out_of_its_bounds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str
) -> None:
    """It is refused under the name of the variable that was set, and the history is not touched."""
    environment = {
        "QUERYTASK_NAMESPACE": "analytics",
        "QUERYTASK_WORKER_IMAGE": "worker",
        "QUERYTASK_EXPORTS_CLAIM": "exports",
        "QUERYTASK_HISTORY_DIR": str(tmp_path),
        "QUERYTASK_PORT": "0",
    }
    assert main(environment | {name: text}) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"querytask: {name} must be at ")
    assert f'not "{text}"' in told
    assert list(tmp_path.iterdir()) == []
