"""``python3 -m cluster up|down|images|load|kubeconfig``: the cluster that `CLUSTER` names."""

import argparse
import os
import sys

from cluster.harness.errors import HarnessError
from cluster.images import build
from cluster.targets import chosen, write_references

COMMANDS = {
    "up": "start the cluster unless it runs",
    "down": "end what `up` started",
    "images": "build the images into archives, and print their references",
    "load": "build the images, make them known to the cluster, and print their references there",
    "kubeconfig": "print the path of the cluster's kubeconfig",
}


def run(command: str) -> None:
    """Carries out one command."""
    if command == "images":
        references = {built.image.name: built.reference for built in build()}
        write_references(references)
        print("\n".join(references.values()))
        return
    target = chosen(os.environ)
    match command:
        case "up":
            target.up()
        case "down":
            target.down()
        case "load":
            references = target.load_images()
            write_references(references)
            print("\n".join(references.values()))
        case "kubeconfig":
            print(target.kubeconfig)


def main() -> int:
    """Errors of the harness are sentences and need no traceback."""
    parser = argparse.ArgumentParser(
        prog="python3 -m cluster", description="The cluster of the demo and the tests."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in COMMANDS.items():
        commands.add_parser(name, help=text)
    try:
        run(parser.parse_args().command)
    except HarnessError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
