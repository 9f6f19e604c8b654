"""Backs the history up now, lists and checks backups, and asks for a restore.

    python3 -m querytask.cli.history backup            make a backup; its path goes to standard output
    python3 -m querytask.cli.history list              the backups, the newest first
    python3 -m querytask.cli.history check [FILE]      read every page of the history, or of a backup
    python3 -m querytask.cli.history restore FILE      restore at the operator's next start; - reads a copy
                                                       from standard input

For administrators, in the operator's container while it works, or in another pod with the history's volume
when it does not. FILE is a path, or the name of one of the backups. Exit codes: 0 when it is done, 1 when
it cannot be done, with the reason on standard error, 2 for a command that nobody understands.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, TextIO

from querytask import errors, settings
from querytask.adapters.store import Backups, check_history, list_backups, stage_restore
from querytask.settings import Settings

STDIN = "-"
HISTORY = "history.db"


def main(
    arguments: Sequence[str], environment: Mapping[str, str], source: BinaryIO, out: TextIO, err: TextIO
) -> int:
    """Do one command; the exit code."""
    chosen = _parser(environment).parse_args(arguments)
    commands = {"backup": _backup, "list": _list, "check": _check, "restore": _restore}
    try:
        told = commands[chosen.command](chosen, source)
    except errors.StoreError as error:
        err.write(f"{error}\n")
        return 1
    out.write("".join(f"{line}\n" for line in told))
    return 0


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m querytask.cli.history", description="Backs up and restores the history."
    )
    default = _setting(environment, "history_dir")
    parser.add_argument("--directory", type=Path, default=Path(default), help=f"of the history ({default})")
    commands = parser.add_subparsers(dest="command", required=True)
    backup = commands.add_parser("backup", help="make a backup now")
    kept = max(1, int(_setting(environment, "backups_kept")))
    backup.add_argument("--keep", type=int, default=kept, help=f"how many of the newest stay ({kept})")
    commands.add_parser("list", help="the backups, the newest first")
    check = commands.add_parser("check", help="read every page of the history or of a backup")
    check.add_argument("file", nargs="?", default=HISTORY, help="a path, or the name of a backup")
    restore = commands.add_parser("restore", help="restore at the operator's next start")
    restore.add_argument("file", help="a path, the name of a backup, or - for standard input")
    return parser


def _setting(environment: Mapping[str, str], field: str) -> str:
    """One setting as the operator has it: beside the operator, most of the others are not there."""
    return environment.get(settings.variable(field)) or str(getattr(Settings, field))


def _backup(chosen: argparse.Namespace, source: BinaryIO) -> list[str]:
    made = Backups(chosen.directory).make_now(dt.datetime.now(dt.UTC), chosen.keep)
    return [str(made.path)]


def _list(chosen: argparse.Namespace, source: BinaryIO) -> list[str]:
    return [f"{item.path.name}  {item.bytes} bytes" for item in list_backups(chosen.directory)]


def _check(chosen: argparse.Namespace, source: BinaryIO) -> list[str]:
    path, started = _path(chosen), time.monotonic()
    check_history(path)
    return [f"{path} is sound: {path.stat().st_size} bytes, read in {time.monotonic() - started:.1f} s"]


def _restore(chosen: argparse.Namespace, source: BinaryIO) -> list[str]:
    if chosen.file != STDIN:
        stage_restore(chosen.directory, _path(chosen))
    else:
        received = chosen.directory / f"{HISTORY}.received"
        try:
            with received.open("wb") as file:
                shutil.copyfileobj(source, file)
            stage_restore(chosen.directory, received)
        except OSError as error:
            raise errors.StoreUnavailable(f"{received} cannot be written: {error.strerror}") from error
        finally:
            received.unlink(missing_ok=True)
    return ["It is checked and in place: the operator restores it when it starts next, so delete its pod"]


def _path(chosen: argparse.Namespace) -> Path:
    """What FILE names: a backup of that name, the history itself, or a path."""
    for item in list_backups(chosen.directory):
        if item.path.name == chosen.file:
            return item.path
    return chosen.directory / chosen.file if chosen.file == HISTORY else Path(chosen.file)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ, sys.stdin.buffer, sys.stdout, sys.stderr))
