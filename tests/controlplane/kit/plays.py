"""The plays: what can become of a pod. Each takes a ``Stage`` and its scene's options.

    succeed        after=S rows=N retention=S vanish=yes quiet=yes     publishes; quiet: leaves no outcome
                   linger=S                                             and ends only so much later
    fail           reason=SqlError after=S message=T position=L:C vanish=yes     an outcome of that class
    hang           stop=S step=Interrupted|Killed progress=N partial=yes         until it is stopped
    stubborn       ignores SIGTERM until the grace period is over, and leaves no outcome
    deaf           the node is dead: nothing is heard of the pod, whatever is asked of it
    race           reason=Completed|SqlError|…                ends by itself when it is stopped
    exit           code=N after=S reason=T                    ends without an outcome
    torn           leaves half an outcome
    oom            the kernel kills the container
    evicted, rejected, node_lost, phase_first, vanish         after=S
    image_pull, unschedulable, mount_failure, gated, stuck, crash_config      never start

A play that is stopped while its container runs answers as the real supervisor does (``obey``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from querytask_worker.contract import OUTCOME_FILE, ExitCode
from tests.controlplane.kit import podstatus
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.stage import Stage, Stopped

Play = Callable[[Stage], Coroutine[None, None, None]]
_CODES = {code.reason: int(code) for code in ExitCode}


async def succeed(stage: Stage) -> None:
    """The query returns rows."""
    if await _begin(stage):
        return
    await stage.work(stage.scene.number("after"))
    await _publish(stage)
    await stage.work(stage.scene.number("linger"))
    outcome = None
    if stage.worker is not None and not stage.scene.flag("quiet"):
        outcome = await asyncio.to_thread(stage.worker.end, 0)
    await stage.exit(0, outcome=outcome)
    await _perhaps_vanish(stage)


async def fail(stage: Stage) -> None:
    """The query, or its worker, ends with an outcome of a class."""
    if await _begin(stage):
        return
    scene = stage.scene
    await stage.work(scene.number("after"))
    assert stage.worker is not None
    code = _CODES[scene.text("reason", "SqlError")]
    outcome = stage.worker.end(
        code, scene.text("message", "it went wrong"), position=scene.text("position") or None
    )
    await stage.exit(code, outcome=outcome)
    await _perhaps_vanish(stage)


async def hang(stage: Stage) -> None:
    """The query runs until it is stopped."""
    if await _begin(stage):
        return
    if stage.worker is not None and "progress" in stage.scene.options:
        stage.worker.progress(int(stage.scene.number("progress")))
    if stage.worker is not None and stage.scene.flag("partial"):
        stage.worker.partial()
    raise await stage.stopped()


async def stubborn(stage: Stage) -> None:
    """Nothing stops it but SIGKILL."""
    if await _begin(stage):
        return
    stop = await stage.stopped()
    await _tell_deadline(stage, stop)
    await asyncio.sleep(stop.grace)
    await stage.exit(137, reason="Error", **_failed(stop))


async def deaf(stage: Stage) -> None:
    """The node is dead, though nobody has noticed."""
    await _begin(stage)
    await asyncio.Event().wait()


async def race(stage: Stage) -> None:
    """The query ends, well or badly, at the instant of its stop."""
    if await _begin(stage):
        return
    stop = await stage.stopped()
    assert stage.worker is not None
    code = _CODES[stage.scene.text("reason", "Completed")]
    if code == 0:
        await _publish(stage)
    outcome = stage.worker.end(code, "it went wrong")
    await _tell_deadline(stage, stop)
    await stage.exit(code, outcome=outcome, **_failed(stop))


async def leave(stage: Stage) -> None:
    """The container ends and tells nothing."""
    if await _begin(stage):
        return
    await stage.work(stage.scene.number("after"))
    await stage.exit(int(stage.scene.number("code", 137)), reason=stage.scene.text("reason"))
    await _perhaps_vanish(stage)


async def torn(stage: Stage) -> None:
    """The outcome cannot be read."""
    await _begin(stage)
    assert stage.worker is not None
    stage.worker.tear(OUTCOME_FILE)
    await stage.exit(1)


async def oom(stage: Stage) -> None:
    """The kernel kills the whole container."""
    await _begin(stage)
    await stage.work(stage.scene.number("after"))
    await stage.exit(137, reason="OOMKilled")


async def evicted(stage: Stage) -> None:
    """The node is short of something."""
    await _begin(stage)
    await stage.work(stage.scene.number("after"))
    message = "The node was low on resource: ephemeral-storage."
    await stage.status({"phase": "Failed", "reason": "Evicted", "message": message})
    await stage.exit(137)


async def rejected(stage: Stage) -> None:
    """The kubelet does not admit the pod."""
    await stage.bind()
    reason = stage.scene.text("reason", "OutOfcpu")
    stage.ended = True
    await stage.status(
        {"phase": "Failed", "reason": reason, "message": "Pod was rejected: Node didn't have enough"}
    )


async def node_lost(stage: Stage) -> None:
    """The node is gone, and the pod's object with it."""
    await _begin(stage)
    await stage.work(stage.scene.number("after"))
    lost = podstatus.condition("DisruptionTarget", True, "DeletionByTaintManager", "Taint manager: deleting")
    await stage.status({"conditions": [lost]})
    await stage.remove()


async def phase_first(stage: Stage) -> None:
    """The pod's phase says Failed for a while, and the container still runs; then it publishes."""
    await _begin(stage)
    await stage.status({"phase": "Failed", "reason": "Shutdown", "message": "the node is being shut down"})
    await asyncio.sleep(stage.scene.number("after", 1.0))
    await _publish(stage)
    assert stage.worker is not None
    await stage.exit(0, outcome=stage.worker.end(0), phase="Failed")


async def vanish(stage: Stage) -> None:
    """Somebody deletes the object by force while the container runs."""
    await _begin(stage)
    await stage.work(stage.scene.number("after"))
    await stage.remove()


async def image_pull(stage: Stage) -> None:
    """There is no such image."""
    await stage.bind()
    await stage.status(podstatus.waiting(stage.pod, "ImagePullBackOff", 'Back-off pulling image "nowhere:1"'))
    raise await stage.stopped()


async def crash_config(stage: Stage) -> None:
    """The container cannot be made."""
    await stage.bind()
    await stage.status(podstatus.waiting(stage.pod, "CreateContainerConfigError", "no such Secret"))
    raise await stage.stopped()


async def unschedulable(stage: Stage) -> None:
    """No node is big enough."""
    message = "0/1 nodes are available: 1 Insufficient memory."
    await stage.status({"conditions": [podstatus.condition("PodScheduled", False, "Unschedulable", message)]})
    raise await stage.stopped()


async def gated(stage: Stage) -> None:
    """Another system holds the pod back; with ``after`` it lets go, and the query succeeds."""
    held = podstatus.condition("PodScheduled", False, "SchedulingGated", "Scheduling is blocked")
    await stage.status({"conditions": [held]})
    if "after" not in stage.scene.options:
        raise await stage.stopped()
    await stage.work(stage.scene.number("after"))
    await stage.status({"conditions": [podstatus.condition("PodScheduled", True)]})
    await _begin(stage)
    await _publish(stage)
    assert stage.worker is not None
    await stage.exit(0, outcome=stage.worker.end(0))


async def mount_failure(stage: Stage) -> None:
    """A volume cannot be mounted: an Event says so, the status does not."""
    await stage.bind()
    await stage.status(podstatus.waiting(stage.pod, "ContainerCreating"))
    await stage.event("FailedMount", 'MountVolume.SetUp failed for volume "lake": no such device')
    raise await stage.stopped()


async def stuck(stage: Stage) -> None:
    """Nothing happens, and nobody says why."""
    if not stage.scene.flag("unbound"):
        await stage.bind()
        await stage.status(podstatus.waiting(stage.pod, "ContainerCreating"))
    raise await stage.stopped()


async def obey(stage: Stage, stop: Stopped) -> None:
    """What the supervisor and the kubelet do when a pod is stopped."""
    if stage.started is not None and not stage.ended:
        await _tell_deadline(stage, stop)
        await asyncio.sleep(stage.scene.number("stop"))
        outcome = None
        if stage.worker is not None:
            step = stage.scene.text("step", "Interrupted")
            outcome = await asyncio.to_thread(stage.worker.end, 21, "the worker was asked to stop", stop=step)
        await stage.exit(21, outcome=outcome, **_failed(stop))
    elif not stop.deleted:
        await _tell_deadline(stage, stop)


_ALL: tuple[Play, ...] = (
    succeed, fail, hang, stubborn, deaf, race, torn, oom, evicted, rejected, node_lost, phase_first,
    vanish, image_pull, crash_config, unschedulable, gated, mount_failure, stuck,
)  # fmt: skip
PLAYS = {play.__name__: play for play in _ALL} | {"exit": leave}


async def _begin(stage: Stage) -> bool:
    """Start the container; true when it had nothing to do any more, because the result was there, or because
    it was given nothing to do."""
    await stage.bind()
    await stage.run()
    worker = stage.worker
    if worker is None:
        return False
    if worker.assignment is None:
        await stage.exit(70, outcome=worker.end(70, "there is no assignment"))
        return True
    if await asyncio.to_thread(worker.start) is not None:
        await stage.exit(0, outcome=worker.end(0))
        return True
    return False


async def _publish(stage: Stage) -> None:
    if stage.worker is not None:
        kept = stage.scene.number("retention") if "retention" in stage.scene.options else None
        await asyncio.to_thread(stage.worker.publish, int(stage.scene.number("rows", 3)), kept)


async def _perhaps_vanish(stage: Stage) -> None:
    if stage.scene.flag("vanish"):
        await stage.remove()


async def _tell_deadline(stage: Stage, stop: Stopped) -> None:
    """As the kubelet does: first the phase, while the container still runs."""
    if not stop.deleted:
        reason = {"phase": "Failed", "reason": "DeadlineExceeded", "message": podstatus.DEADLINE}
        await stage.status(reason)


def _failed(stop: Stopped) -> Json:
    return {} if stop.deleted else {"phase": "Failed"}
