"""The command line: ``python3 -m cluster.harness COMMAND``, from the top of the tree."""

import argparse
import os
import sys
from pathlib import Path

from cluster.harness import volumes
from cluster.harness.api import Api
from cluster.harness.binary import node_binary
from cluster.harness.commands import tail_of
from cluster.harness.errors import HarnessError
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


def run(arguments: argparse.Namespace) -> int:
    """Carries out one command; returns the exit code."""
    node = Node(arguments.state)
    match arguments.command:
        case "up":
            node.up()
        case "down":
            node.down()
        case "status":
            return status(node)
        case "build":
            print(node_binary())
        case "load-image":
            node.load_images(arguments.archives)
        case "logs":
            return logs(node, arguments.part, arguments.lines)
        case "volume-folder":
            print(node.volume_folder(arguments.namespace, arguments.claim))
        case "recycle-volumes":
            api: Api = node.api
            volumes.recycle_for_ever(api, node.layout.volumes)
        case "kubectl":
            binary = node.running().binary
            return replace_by([binary, "kubectl", *arguments.arguments], KUBECONFIG=str(node.kubeconfig))
        case "enter":
            return replace_by(node.sandbox.enter(arguments.arguments))
    return 0


def main() -> int:
    """Errors of the harness are sentences and need no traceback."""
    arguments = parser().parse_args()
    try:
        return run(arguments)
    except HarnessError as error:
        print(error, file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
