"""The API's composition root: reads the settings, builds every part once, serves, and turns a signal into an
orderly end.

    python -m querytask.web

Exit codes: 0 after SIGTERM or SIGINT; 2 when a setting, a volume or the history makes a start impossible.
The operator alone brings the history to a release's schema: until it has, the answer is 503.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from querytask import errors, logs
from querytask.adapters.caller import CallerConnections, tls_context
from querytask.adapters.exports import ExportsVolume
from querytask.adapters.operator_metrics import OperatorMetrics
from querytask.web import application, probes
from querytask.web import settings as configuration
from querytask.web.decisions import Decisions
from querytask.web.feed import Feed
from querytask.web.history import History
from querytask.web.parts import Parts
from querytask.web.server import Server
from querytask.web.settings import ApiSettings

log = logging.getLogger("querytask.web")

EXPORTS_SECONDS = 5.0
"""How long one read of the exports volume may take."""

COLLECTED_AFTER = (10_000, 20, 50)
"""How many objects are made between two collections of garbage, and how many collections lie between two of
the next generation: a page of a list makes hundreds that are gone with it."""


def now() -> dt.datetime:
    """The wall clock: aware, UTC."""
    return dt.datetime.now(dt.UTC)


async def serve(settings: ApiSettings, url: str, stopping: asyncio.Event) -> None:
    """Answer requests until ``stopping`` is set; raises ``errors.QueryTaskError`` when that cannot begin."""
    context = tls_context(Path(settings.cluster_ca))
    volume = ExportsVolume(Path(settings.exports_dir), patience=EXPORTS_SECONDS)
    connections = CallerConnections(
        url, settings.namespace, context=context, seconds=settings.cluster_seconds
    )
    history = History(Path(settings.history_dir), url=settings.history_url)
    operator = OperatorMetrics(settings.operator_metrics_url)
    parts = Parts(
        settings=settings,
        history=history,
        volume=volume,
        operator=operator,
        feed=Feed(
            lambda: history.store,
            settings.namespace,
            seconds=settings.api_feed_seconds,
            most=settings.api_max_waiting,
        ),
        acting=connections.acting,
        decisions=Decisions(settings.decision_seconds, time.monotonic),
        clock=now,
        monotonic=time.monotonic,
        stopping=stopping,
    )
    try:
        await _run(parts)
    finally:
        await history.close()
        await operator.close()
        await connections.close()
        volume.close()


async def _run(parts: Parts) -> None:
    """The server, and what goes on beside it, until one of them ends or all are to stop."""
    app = application.build(parts)
    _settle()
    server = Server(app, parts.settings, parts.stopping)
    serving = asyncio.ensure_future(server.serve())
    probed = probes.server(app, parts.settings, parts.stopping)
    probing = [asyncio.ensure_future(probed.serve())] if probed else []
    beside = [
        asyncio.ensure_future(parts.history.keep(parts.stopping)),
        asyncio.ensure_future(parts.feed.run()),
        asyncio.ensure_future(parts.stopping.wait()),
    ]
    try:
        await asyncio.wait((serving, *probing, *beside), return_when=asyncio.FIRST_COMPLETED)
        server.stop()
        await serving
    finally:
        # Probes are answered until the last request is: a stop is no reason for a restart.
        if probed:
            probed.stop()
        ended = await asyncio.gather(*probing, return_exceptions=True)
        for task in beside:
            task.cancel()
        for result in (*ended, *await asyncio.gather(*beside, return_exceptions=True)):
            if isinstance(result, Exception):
                raise result


def _settle() -> None:
    """Let collections of garbage pass over what stays for ever: each would cost a page milliseconds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)


async def _until_signalled(settings: ApiSettings, url: str) -> None:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()

    def stop() -> None:
        log.info("Stopping: a signal was received")
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await serve(settings, url, stopping)


def main(environment: Mapping[str, str], run: Callable[..., object] = asyncio.run) -> int:
    """Serve until a signal; the exit code of the process."""
    try:
        settings = configuration.read(environment)
        url = configuration.cluster_url(settings, environment)
    except errors.SettingsError as error:
        sys.stderr.write(f"querytask.web: {error}\n")
        return 2
    logs.configure(settings.log_level)
    try:
        run(_until_signalled(settings, url))
    except errors.QueryTaskError as error:
        log.error("The API cannot start: %s", error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
