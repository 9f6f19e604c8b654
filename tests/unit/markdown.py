"""Markdown as the tests of the documentation need it: links, headings, fenced blocks, code, commands.

Small on purpose: it knows the Markdown that is written in this tree, not all of it.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
GENERATED = frozenset({".venv", ".build", ".cluster", ".git", "node_modules", ".pytest_cache", ".hypothesis"})

_FENCE = re.compile(
    r"^(?P<mark>`{3,})(?P<kind>[^\n`]*)\n(?P<text>.*?)^(?P=mark)[ ]*$", re.MULTILINE | re.DOTALL
)
_LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_HEADING = re.compile(r"^#{1,6}[ ]+(.+?)[ ]*$", re.MULTILINE)
_HEREDOC = re.compile(r"<<-?\s*'?(\w+)'?")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the word after the fence, and what is in it."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def text(self) -> str:
        """The page as it stands in the file."""
        return _read(self.path)

    @property
    def prose(self) -> str:
        """The page without its fenced blocks."""
        return _FENCE.sub("", self.text)

    @property
    def generated(self) -> bool:
        """Whether a command makes the page."""
        return self.text.startswith("<!-- Made by")

    @property
    def title(self) -> str:
        """Its first heading."""
        title: str = _HEADING.findall(self.prose)[0]
        return title

    def blocks(self, *kinds: str) -> Iterator[Block]:
        """The fenced blocks whose first word is one of ``kinds``; all of them without any."""
        for found in _FENCE.finditer(self.text):
            kind = found["kind"].split(" ")[0]
            if not kinds or kind in kinds:
                yield Block(kind, found["text"])

    def links(self) -> list[str]:
        """The targets of its links."""
        return _LINK.findall(_CODE.sub("", self.prose))

    def anchors(self) -> set[str]:
        """What can stand behind a ``#``: a heading in small letters, without punctuation."""
        return {slug(heading) for heading in _HEADING.findall(self.prose)}

    def spans(self) -> list[str]:
        """The code within sentences."""
        return _CODE.findall(self.prose)

    def commands(self) -> Iterator[str]:
        """What the reader is to type: lines after a ``$`` with what belongs to them, every line of a block
        without any ``$``, and code within sentences."""
        for block in self.blocks("console", "bash", "sh", ""):
            yield from typed(block.text)
        yield from self.spans()


@functools.cache
def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def pages() -> list[Page]:
    """Every Markdown page of the tree."""
    found = []
    for folder, inner, files in os.walk(ROOT):
        inner[:] = [name for name in inner if name not in GENERATED]
        found += [Path(folder) / name for name in files if name.endswith(".md")]
    return [Page(path) for path in sorted(found)]


def slug(heading: str) -> str:
    """The anchor of a heading, as the common viewers make it."""
    words = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower())
    return words.replace(" ", "-")


def typed(text: str) -> Iterator[str]:
    """The commands of a block, each with its continued lines, without the text that is fed to it."""
    lines = iter(text.splitlines())
    prompts = any(line.startswith("$ ") for line in text.splitlines())
    for line in lines:
        if prompts and not line.startswith("$ "):
            continue
        command = line.removeprefix("$ ").strip()
        while command.endswith("\\"):
            command = command[:-1] + next(lines, "").strip()
        if found := _HEREDOC.search(command):
            _skip(lines, found[1])
        yield command


def dialogue(text: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of a console block, each whole, with the lines that the block shows as its output."""
    command: list[str] = []
    output: list[str] = []
    end = ""
    for line in text.splitlines():
        if end or (command and command[-1].endswith("\\")):
            command.append(line)
            end = "" if line == end else end
            continue
        if not line.startswith("$ "):
            output.append(line)
            continue
        if command:
            yield "\n".join(command), output
        command, output = [line.removeprefix("$ ")], []
        found = _HEREDOC.search(line)
        end = found[1] if found else ""
    if command:
        yield "\n".join(command), output


def fed(text: str) -> Iterator[str]:
    """What the commands of a block are fed: its here documents."""
    lines = iter(text.splitlines())
    for line in lines:
        if found := _HEREDOC.search(line):
            yield "\n".join(_skip(lines, found[1]))


def words(command: str) -> list[str]:
    """A command as a shell splits it; empty where it is none."""
    try:
        return shlex.split(command, comments=True)
    except ValueError:
        return []


def _skip(lines: Iterator[str], end: str) -> list[str]:
    taken = []
    for line in lines:
        if line.strip() == end:
            break
        taken.append(line)
    return taken
