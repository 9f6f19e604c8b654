"""``python3 -m cluster.setup [python|database|tools|cluster]``: all set-up, or one part of it.

`python` is what lint and unit tests need; `database` adds the PostgreSQL of the history's tests; `tools` adds
helm and promtool; `cluster` adds the node's program and the images' ingredients. The slow steps do not depend
on each other and run side by side.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from cluster.harness.binary import PAUSE, Say, built, say
from cluster.harness.errors import HarnessError
from cluster.harness.layout import REPOSITORY
from cluster.harness.prerequisites import complete_path
from cluster.images import IMAGES, base, wheels
from cluster.setup import debian, environment, tools

Step = Callable[[Say], object]


def image_ingredients(report: Say) -> None:
    """The images' base and wheels, so that the images themselves take only seconds."""
    base.archive(report)
    for image in IMAGES:
        wheels.folder(REPOSITORY / image.lock, report)


def programs(report: Say) -> None:
    """What is built with Go: one after the other, because each takes all processors."""
    tools.install_kubectl(report)
    built(PAUSE, report)


PARTS: dict[str, tuple[Step, ...]] = {
    "python": (environment.install,),
    "database": (debian.install_database,),
    "tools": (tools.install_helm, tools.install_promtool),
    "cluster": (programs, image_ingredients),
}


def set_up(parts: Sequence[str], report: Say = say) -> None:
    """Carries out parts of the set-up.

    Raises:
        HarnessError: a step failed; the message has a paragraph for each that did.
    """
    complete_path()
    if not set(parts) <= {"python", "database"}:
        debian.install(report)
    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(step, report) for part in parts for step in PARTS[part]]
    errors = [error for done in running if (error := done.exception())]
    for error in errors:
        if not isinstance(error, HarnessError):
            raise error
    if errors:
        raise HarnessError("\n".join(str(error) for error in errors))


def main() -> int:
    """Errors of the set-up are sentences and need no traceback."""
    parser = argparse.ArgumentParser(prog="python3 -m cluster.setup", description="Set-up of a new machine.")
    parser.add_argument("parts", nargs="*", help=f"{', '.join(PARTS)}; all if left out")
    parts = parser.parse_args().parts or list(PARTS)
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        parser.error(f"a part must be one of {', '.join(PARTS)}, not {unknown[0]!r}")
    try:
        set_up(parts)
    except HarnessError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
