"""A worker whose engine does what no task can ask for yet: ``python -m tests.worker.stubborn NAME
<options of the worker>``.

The supervisor, its engine process, the registry and the way of executing are the real ones; only the job is
not the assignment's.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
import threading

from querytask_worker import database
from querytask_worker.__main__ import parse
from querytask_worker.execution import Execution
from querytask_worker.faults import Stopped
from querytask_worker.places import Places
from querytask_worker.pool import ConnectionPool
from querytask_worker.registry import Registry
from querytask_worker.signals import Signals
from querytask_worker.worker import Worker

ZSTD_22 = """
    COPY (SELECT md5(range::VARCHAR) || md5((range * 7)::VARCHAR) AS a, hash(range) AS b FROM range(20000000))
    TO '{path}'
    (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 22, ROW_GROUP_SIZE 2000000, USE_TMP_FILE false)
"""


def execute(job, tell, log, orders, statement: str) -> None:
    """Run one statement as the engine would, without its lock-down."""
    execution = Execution(ConnectionPool(database.connect, log), Registry(log), log)
    orders(lambda: execution.stop("task"))
    tell(step="Running", percent=None)
    try:
        execution.run("task", statement)
    except Stopped:
        tell(stopped=True)


def zstd_22(job, tell, log, orders) -> None:
    execute(job, tell, log, orders, ZSTD_22.format(path=job.mailbox.path("export.partial")))


def hung_peer(job, tell, log, orders) -> None:
    """A statement that waits for a peer that has accepted and says nothing."""
    server = socket.create_server(("127.0.0.1", 0))
    execution = Execution(ConnectionPool(database.connect, log), Registry(log), log)
    orders(lambda: execution.stop("task"))
    tell(step="Running", percent=None)
    with execution.interruptible_connection("task", "a query of a peer that hangs"):
        peer = socket.create_connection(server.getsockname())
        log.info("the peer is silent")
        peer.recv(1)


def published_then_died(job, tell, log, orders) -> None:
    from querytask_worker.contract import Manifest

    job.mailbox.publish(Manifest("n", "t", "u", job.assignment.attempt, "s", "p", "e", "sha", "1.5.5", 0))
    os.kill(os.getpid(), 11)


def segmentation_fault(job, tell, log, orders) -> None:
    ctypes.string_at(0)


def bad_alloc(job, tell, log, orders) -> None:
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
    os.abort()


def garbled(job, tell, log, orders) -> None:
    """Something that is no fragment, from an engine that goes on running."""
    os.write(tell.descriptor, b"no JSON\n")
    threading.Event().wait()


def talkative(job, tell, log, orders) -> None:
    """More output than a pipe holds: a supervisor that did not read would stop it for ever."""
    for _ in range(700):
        log.info("x" * 200)
    os._exit(3)


if __name__ == "__main__":
    attempt, places = parse(sys.argv[2:])
    sys.exit(Worker(Places(**places), attempt, Signals(), globals()[sys.argv[1]]).run())
