"""What is to become of a pod, as a comment in its task's SQL says it:

    -- script: succeed after=0.1 rows=3
    -- script: exit code=137 | succeed

One scene for each attempt, the last one for all that follow. It travels the way that the SQL does, so the
kubelet needs nothing of a test but the mailbox. ``plays`` lists the plays and their options.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

MARK = "-- script:"


@dataclass(frozen=True, slots=True)
class Scene:
    """A play by name, and its options as they were written."""

    play: str
    options: Mapping[str, str] = field(default_factory=dict)

    def text(self, name: str, default: str = "") -> str:
        """An option as it was written."""
        return self.options.get(name, default)

    def number(self, name: str, default: float = 0.0) -> float:
        """An option as a number: seconds, where it is a time."""
        return float(self.options.get(name, default))

    def flag(self, name: str) -> bool:
        """Whether the option is ``yes``."""
        return self.options.get(name) == "yes"


SUCCEED = Scene("succeed")


def sql(*scenes: str) -> str:
    """An SQL text that asks for one scene after the other, attempt by attempt."""
    return f"SELECT 1 {MARK} {' | '.join(scenes)}"


def read(text: str, attempt: int, default: Scene = SUCCEED) -> Scene:
    """The scene of an attempt; ``default`` where the SQL has no script."""
    found = re.search(f"{MARK}(.*)", text)
    if found is None:
        return default
    scenes = [part.strip() for part in found.group(1).split("|")]
    return _scene(scenes[min(attempt, len(scenes)) - 1])


def _scene(text: str) -> Scene:
    name, *words = shlex.split(text)
    pairs = (word.partition("=") for word in words)
    return Scene(name, {key: value for key, _, value in pairs})
