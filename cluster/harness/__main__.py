"""The command line: ``python3 -m cluster.harness COMMAND``, from the top of the tree."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from cluster.harness import volumes
from cluster.harness.binary import node_binary, say
from cluster.harness.commands import tail_of
from cluster.harness.errors import HarnessError
from cluster.harness.golint import lint
from cluster.harness.layout import DEFAULT_STATE
from cluster.harness.node import Node

USAGE_ERROR = 2
FAILED = 1


def parser() -> argparse.ArgumentParser:
    """All commands with what each does."""
    top = argparse.ArgumentParser(prog="python3 -m cluster.harness", description="A Kubernetes of one node.")
    top.add_argument(
        "--state", type=Path, default=DEFAULT_STATE, help="folder of the node (default: %(default)s)"
    )
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start the node; does nothing when it runs")
    commands.add_parser("down", help="end the node and remove its state; the logs stay")
    commands.add_parser("status", help="tell which parts run; exit code 1 unless all do")
    commands.add_parser("build", help="build the node's program if need be, and print its path")
    commands.add_parser("lint", help="check the Go sources")
    commands.add_parser("recycle-volumes", help="clean the volumes of deleted claims (runs inside the node)")
    load = commands.add_parser("load-image", help="give the node the images of OCI archives")
    load.add_argument("archives", nargs="+", type=Path)
    logs = commands.add_parser("logs", help="print the last lines of the logs")
    logs.add_argument("part", nargs="?", help="one part, such as kubelet; all of them if left out")
    logs.add_argument("--lines", type=int, default=30)
    folder = commands.add_parser("volume-folder", help="print the folder of a bound claim")
    folder.add_argument("namespace")
    folder.add_argument("claim")
    for name, text in (
        ("kubectl", "run kubectl against the node"),
        ("enter", "run a program inside the node"),
    ):
        command = commands.add_parser(name, help=text, prefix_chars="\0")
        command.add_argument("arguments", nargs=argparse.REMAINDER)
    return top


def status(node: Node) -> int:
    """Prints a line for each part."""
    record = node.running()
    dead = record.dead()
    for name, part in record.parts.items():
        print(f"{name:20} {'ended' if name in dead else 'runs'} (process {part.pid})")
    print(f"{'kubeconfig':20} {node.kubeconfig}")
    return FAILED if dead or not record.complete else 0


def logs(node: Node, part: str | None, lines: int) -> int:
    """Prints the tail of one log or of all."""
    for file in sorted(node.layout.logs.glob(f"{part or '*'}.log")):
        print(f"--- {file}\n{tail_of(file, lines)}")
    return 0


def replace_by(argv: list[str], **environment: str) -> int:
    """Becomes another program, so that signals and the terminal are its own."""
    os.execvpe(argv[0], argv, {**os.environ, **environment})


def recycle_volumes(node: Node) -> int:
    """Never returns."""
    volumes.recycle_for_ever(node.api, node.layout.volumes)
    return 0


def kubectl(node: Node, arguments: list[str]) -> int:
    """Becomes kubectl."""
    command = [node.running().binary, "kubectl", *arguments]
    return replace_by(command, KUBECONFIG=str(node.kubeconfig))


def done(action: Callable[[], object]) -> int:
    """For commands that either work or raise."""
    result = action()
    if result is not None:
        print(result)
    return 0


ACTIONS: dict[str, Callable[[Node, argparse.Namespace], int]] = {
    "build": lambda node, given: done(node_binary),
    "down": lambda node, given: done(node.down),
    "enter": lambda node, given: replace_by(node.sandbox.enter(given.arguments)),
    "kubectl": lambda node, given: kubectl(node, given.arguments),
    "lint": lambda node, given: done(lambda: lint(say)),
    "load-image": lambda node, given: done(lambda: node.load_images(given.archives)),
    "logs": lambda node, given: logs(node, given.part, given.lines),
    "recycle-volumes": lambda node, given: recycle_volumes(node),
    "status": lambda node, given: status(node),
    "up": lambda node, given: done(node.up),
    "volume-folder": lambda node, given: done(lambda: node.volume_folder(given.namespace, given.claim)),
}


def main() -> int:
    """Errors of the harness are sentences and need no traceback."""
    arguments = parser().parse_args()
    try:
        return ACTIONS[arguments.command](Node(arguments.state), arguments)
    except HarnessError as error:
        print(error, file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
