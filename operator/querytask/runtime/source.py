"""kopf as the source of events: it lists and watches, our handlers update the cache and put a key into the
queue, and that is all.

The only module that knows kopf. ``on.event`` handlers write nothing to the objects, unlike kopf's
change-detecting ones, and an error in one is logged and never retried: so nothing may depend on an event, and
nothing does, for the resync finds whatever an event would have told. kopf is started again when it ends,
because a stream that broke for good must not end the operator.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import kopf

from querytask import names
from querytask.adapters import cluster
from querytask.runtime.cache import Cache, Key

log = logging.getLogger(__name__)
TOKEN_MINUTES = 5
"""How long kopf uses one reading of the token file; the kubelet renews it after 80 % of an hour."""
STEADY_SECONDS = 60.0
"""An event source that has worked this long is started again with the shortest pause."""
DEAD_STREAM_SECONDS = 70.0
"""Without an event or a bookmark for this long a watch is opened anew; the API server sends a bookmark a
minute."""


def registry(
    cache: Cache, enqueue: Callable[[Iterable[Key]], None], login: Callable[[], kopf.ConnectionInfo]
) -> Any:
    """The handlers: for each kind one that takes what is there and drops what is gone."""
    found = kopf.OperatorRegistry()
    kopf.on.login(registry=found)(lambda **_: login())
    kinds: tuple[tuple[tuple[str, ...], Callable[..., list[Key]], Callable[..., list[Key]]], ...] = (
        (
            (names.GROUP, names.VERSION, names.TASK_PLURAL),
            cache.put_task,
            lambda o: cache.drop_task(o["metadata"]["name"], o["metadata"]["uid"]),
        ),
        (
            (names.GROUP, names.VERSION, names.SOURCE_PLURAL),
            cache.put_source,
            lambda o: cache.drop_source(o["metadata"]["name"]),
        ),
        (("", "v1", "pods"), cache.put_pod, cache.drop_pod),
        (
            ("", "v1", "persistentvolumeclaims"),
            cache.put_claim,
            lambda o: cache.drop_claim(o["metadata"]["name"]),
        ),
    )
    for resource, put, drop in kinds:
        kopf.on.event(*resource, registry=found)(_handler(put, drop, enqueue))
    return found


def _handler(
    put: Callable[..., list[Key]], drop: Callable[..., list[Key]], enqueue: Callable[[Iterable[Key]], None]
) -> Callable[..., Any]:
    async def handle(event: dict[str, Any], **_: Any) -> None:
        take = drop if event["type"] == "DELETED" else put
        enqueue(take(dict(event["object"])))

    return handle


class _NoDifference(kopf.DiffBaseStorage):
    """Spares kopf the copy of each object, at each event, in which it would look for changes: no handler here
    asks what has changed."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        return None


def kopf_settings() -> kopf.OperatorSettings:
    """kopf, told to watch, to write nothing, and to need no more rights than a Role gives."""
    settings = kopf.OperatorSettings()
    settings.persistence.diffbase_storage = _NoDifference()
    settings.persistence.progress_storage = kopf.StatusProgressStorage()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.queueing.idle_timeout = 0.5
    settings.networking.request_timeout = 30
    settings.watching.chunk_size = cluster.PAGE
    settings.watching.inactivity_timeout = DEAD_STREAM_SECONDS
    settings.watching.label_selectors["pods"] = f"{names.APP_LABEL}={names.WORKER_APP}"
    settings.watching.field_selectors[names.GROUP, names.TASK_PLURAL] = cluster.UNFINISHED
    return settings


def login_from(configuration: Any) -> Callable[[], kopf.ConnectionInfo]:
    """How kopf logs in: to the same server as our own client, with a token read anew every few minutes."""

    def login() -> kopf.ConnectionInfo:
        token = cluster.in_cluster_token() or cluster.bearer_token(configuration)
        return kopf.ConnectionInfo(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            token=token,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
            expiration=dt.datetime.now(dt.UTC) + dt.timedelta(minutes=TOKEN_MINUTES),
        )

    return login


async def run(
    handlers: Any,
    namespace: str,
    restarted: Callable[[], None],
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Watch for ever; kopf is started again when it ends, with a growing pause, and ``restarted`` is told."""
    delay = 1.0
    while True:
        started = asyncio.get_running_loop().time()
        try:
            # An identity of our own: kopf would ask for the user's name, and an image has none for its uid.
            await kopf.operator(
                registry=handlers,
                settings=kopf_settings(),
                namespaces=[namespace],
                standalone=True,
                identity=names.MANAGER,  # type: ignore[arg-type]
            )
            log.warning("The event source has ended; it is started again in %.0f s", delay)
        except Exception:
            log.exception("The event source has failed; it is started again in %.0f s", delay)
        if asyncio.get_running_loop().time() - started > STEADY_SECONDS:
            delay = 1.0
        restarted()
        await pause(delay)
        delay = min(30.0, delay * 2)
