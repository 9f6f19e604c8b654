"""Backs the history up now, lists and checks backups, asks for a restore, and copies it to PostgreSQL.

    python3 -m querytask.cli.history backup            make a backup; its path goes to standard output
    python3 -m querytask.cli.history list              the backups, the newest first
    python3 -m querytask.cli.history check [FILE]      read every page of the history, or of a backup
    python3 -m querytask.cli.history restore FILE      restore at the operator's next start; - reads a copy
                                                       from standard input
    python3 -m querytask.cli.history copy              copy the history into an empty PostgreSQL database,
                                                       whose URL is in QUERYTASK_HISTORY_URL or in the file
                                                       that --url-file names; no operator may be running

For administrators, in the operator's container while it works, or in another pod with the history's volume
when it does not. FILE is a path, or the name of one of the backups. Exit codes: 0 when it is done, 1 when
it cannot be done, with the reason on standard error, 2 for a command that nobody understands.

The first four are for the SQLite file in a directory. A history that is in PostgreSQL is backed up and
restored with pg_dump and pg_restore; where QUERYTASK_HISTORY_URL is set they say so and do nothing, unless
--directory names a file all the same.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

from querytask import errors, settings, urls
from querytask.adapters.store import Backups, check_history, copy_history, list_backups, shown, stage_restore
from querytask.settings import Settings

STDIN = "-"
HISTORY = "history.db"
URL = settings.variable("history_url")


@dataclass(frozen=True)
class Order:
    """What was typed, and where it was."""

    chosen: argparse.Namespace
    environment: Mapping[str, str]
    source: BinaryIO
    say: Callable[[str], None]

    @property
    def directory(self) -> Path:
        """The directory of the SQLite file."""
        return self.chosen.directory or Path(_setting(self.environment, "history_dir"))


def main(
    arguments: Sequence[str], environment: Mapping[str, str], source: BinaryIO, out: TextIO, err: TextIO
) -> int:
    """Do one command; the exit code."""
    chosen = _parser(environment).parse_args(arguments)

    def say(line: str) -> None:
        out.write(f"{line}\n")
        out.flush()

    commands = {"backup": _backup, "list": _list, "check": _check, "restore": _restore, "copy": _copy}
    try:
        _refuse_database(chosen, environment)
        commands[chosen.command](Order(chosen, environment, source, say))
    except errors.QueryTaskError as error:
        err.write(f"{error}\n")
        return 1
    return 0


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m querytask.cli.history", description="Backs up, restores and copies the history."
    )
    default = _setting(environment, "history_dir")
    parser.add_argument("--directory", type=Path, help=f"of the history's SQLite file ({default})")
    commands = parser.add_subparsers(dest="command", required=True)
    backup = commands.add_parser("backup", help="make a backup now")
    kept = max(1, int(_setting(environment, "backups_kept")))
    backup.add_argument("--keep", type=int, default=kept, help=f"how many of the newest stay ({kept})")
    commands.add_parser("list", help="the backups, the newest first")
    check = commands.add_parser("check", help="read every page of the history or of a backup")
    check.add_argument("file", nargs="?", default=HISTORY, help="a path, or the name of a backup")
    restore = commands.add_parser("restore", help="restore at the operator's next start")
    restore.add_argument("file", help="a path, the name of a backup, or - for standard input")
    copy = commands.add_parser("copy", help="copy the history into an empty PostgreSQL database")
    copy.add_argument(
        "--url-file",
        type=Path,
        help=f"holds the database's URL, in place of {URL}; every process would see an argument",
    )
    return parser


def _setting(environment: Mapping[str, str], field: str) -> str:
    """One setting as the operator has it: beside the operator, most of the others are not there."""
    return environment.get(settings.variable(field)) or str(getattr(Settings, field))


def _refuse_database(chosen: argparse.Namespace, environment: Mapping[str, str]) -> None:
    """Raise ``StoreRefused`` for what a history in PostgreSQL does not have."""
    url = environment.get(URL, "").strip()
    if url and chosen.command != "copy" and chosen.directory is None:
        raise errors.StoreRefused(
            f"{chosen.command} is for a history in an SQLite file, and {URL} names {urls.visible(url)}:"
            " back it up with pg_dump and restore it with pg_restore (--directory names a file all the same)"
        )


def _backup(order: Order) -> None:
    order.say(str(Backups(order.directory).make_now(dt.datetime.now(dt.UTC), order.chosen.keep).path))


def _list(order: Order) -> None:
    for item in list_backups(order.directory):
        order.say(f"{item.path.name}  {item.bytes} bytes")


def _check(order: Order) -> None:
    path, started = _path(order), time.monotonic()
    check_history(path)
    order.say(f"{path} is sound: {path.stat().st_size} bytes, read in {time.monotonic() - started:.1f} s")


def _restore(order: Order) -> None:
    if order.chosen.file != STDIN:
        stage_restore(order.directory, _path(order))
    else:
        received = order.directory / f"{HISTORY}.received"
        try:
            with received.open("wb") as file:
                shutil.copyfileobj(order.source, file)
            stage_restore(order.directory, received)
        except OSError as error:
            raise errors.StoreUnavailable(f"{received} cannot be written: {error.strerror}") from error
        finally:
            received.unlink(missing_ok=True)
    order.say("It is checked and in place: the operator restores it when it starts next, so delete its pod")


def _copy(order: Order) -> None:
    url = _url(order)
    order.say(f"From {order.directory / HISTORY} to {shown(url)}")
    copied = copy_history(order.directory, url, order.say)
    width = max(map(len, copied.rows))
    for table, rows in copied.rows.items():
        order.say(f"{table:<{width}}  {rows:>10}")
    order.say(f"Every table has the same rows on both sides; it took {copied.seconds:.1f} s")


def _url(order: Order) -> str:
    """The URL of the database, checked; raises ``SettingsError``."""
    file, name = order.chosen.url_file, URL
    if file is None:
        url = order.environment.get(URL, "").strip()
        if not url:
            raise errors.SettingsError(f"{URL} must be the URL of the database, or --url-file name its file")
    else:
        name = str(file)
        try:
            url = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeError) as error:
            raise errors.SettingsError(f"{file} must be a file with the database's URL: {error}") from error
    if fault := urls.fault(url):
        raise errors.SettingsError(f"{name} {fault}")
    return url


def _path(order: Order) -> Path:
    """What FILE names: a backup of that name, the history itself, or a path."""
    wanted = order.chosen.file
    for item in list_backups(order.directory):
        if item.path.name == wanted:
            return item.path
    return order.directory / wanted if wanted == HISTORY else Path(wanted)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ, sys.stdin.buffer, sys.stdout, sys.stderr))
