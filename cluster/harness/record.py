"""What a running node consists of, kept in its state folder for the commands that come later."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cluster.harness.network import Link
from cluster.harness.processes import ProcessRef
from cluster.harness.sandbox import Sandbox


@dataclass
class Record:
    """Written before each thing is made and not after, so that `down` knows of everything there may be."""

    link: Link
    cgroup: str
    binary: str
    folders: list[str] = field(default_factory=list)
    sandbox: Sandbox | None = None
    parts: dict[str, ProcessRef] = field(default_factory=dict)
    complete: bool = False

    def write(self, file: Path) -> None:
        """Replaces the file as a whole."""
        unfinished = file.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(asdict(self), indent=2) + "\n")
        unfinished.rename(file)

    @classmethod
    def read(cls, file: Path) -> "Record | None":
        """None when there is no node."""
        try:
            content = json.loads(file.read_text())
        except FileNotFoundError:
            return None
        sandbox = content["sandbox"]
        return cls(
            link=Link(**content["link"]),
            cgroup=content["cgroup"],
            binary=content["binary"],
            folders=content["folders"],
            sandbox=Sandbox(**{name: ProcessRef(**ref) for name, ref in sandbox.items()})
            if sandbox
            else None,
            parts={name: ProcessRef(**ref) for name, ref in content["parts"].items()},
            complete=content["complete"],
        )

    def dead(self) -> list[str]:
        """The parts that should run and do not."""
        return [name for name, part in self.parts.items() if not part.group_alive()]

    def survivors(self) -> list[str]:
        """The parts of which anything still runs."""
        known = dict(self.parts)
        if self.sandbox is not None:
            known["init"] = self.sandbox.holder
        return [name for name, part in known.items() if part.group_alive()]
