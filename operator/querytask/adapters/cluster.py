"""The API server, as this operator uses it: a few calls on raw JSON, one try each, errors of our own.

The only module that knows the Kubernetes client. Objects stay plain dictionaries: typed lists cost ten times
the CPU. There is no retry in here, since the work queue brings a failed key back; every delete and every stop
carries the uid, every write of a status the resourceVersion, so that an answer that came too late can harm
nobody.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from urllib.request import getproxies_environment

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config import kube_config
from kubernetes.aio.config.incluster_config import InClusterConfigLoader

from querytask import errors, names
from querytask.adapters.answers import translate

Raw = dict[str, Any]
Watcher = Callable[[str, str, str, float], None]
"""Told of every call: verb, resource, class of the answer (``ok`` or an error's class name), seconds."""

MERGE_PATCH = "application/merge-patch+json"
TIMEOUT_SECONDS = 30.0
PAGE = 500
"""How many objects are asked for at a time."""
PASSING_PAGE = 100
"""The same where the objects are looked at and not kept: a page takes ten times its size in memory."""
UNFINISHED = ",".join(f"status.phase!={phase}" for phase in sorted(names.TERMINAL_PHASES))
"""Field selector of the tasks that still need somebody."""

_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"
_CA = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"


async def load_configuration() -> Configuration:
    """How to reach the API server: as the pod's ServiceAccount inside a cluster, else by ``KUBECONFIG``.

    Raises ``errors.SettingsError`` when there is neither.
    """
    configuration = Configuration()
    try:
        if "KUBERNETES_SERVICE_HOST" in os.environ:
            loader: Any = InClusterConfigLoader(_TOKEN, _CA)  # type: ignore[no-untyped-call]
            loader.load_and_set(configuration)
        else:
            load: Any = kube_config.load_kube_config
            # named here: the library reads the variable when it is imported
            await load(config_file=os.environ.get("KUBECONFIG"), client_configuration=configuration)
    except Exception as error:  # the loaders raise anything from ConfigException to TypeError
        raise errors.SettingsError(
            f"the API server must be reachable from a pod or by KUBECONFIG: {error}"
        ) from error
    return configuration


def bearer_token(configuration: Configuration) -> str | None:
    """The token that ``configuration`` sends, without its scheme; ``None`` where it sends none."""
    value = (configuration.api_key or {}).get("BearerToken")
    return value.split(" ", 1)[-1] if value else None


def in_cluster_token() -> str | None:
    """The ServiceAccount's token as it is on the disk now: the kubelet renews it."""
    path = Path(_TOKEN)
    return path.read_text(encoding="ascii").strip() if path.exists() else None


class Cluster:
    """The calls of one operator in one namespace. Each raises subclasses of ``errors.ClusterError``."""

    def __init__(
        self, configuration: Configuration, namespace: str, *, watcher: Watcher | None = None
    ) -> None:
        # The client would look for proxies, and for a .netrc, anew at every call, which takes longer than the
        # call itself.
        configuration.client_session_kwargs = {"trust_env": bool(getproxies_environment())}
        self._api = ApiClient(configuration)
        self._api.user_agent = "querytask-operator"
        self._namespace = namespace
        self._watcher: Watcher = watcher or (lambda *_: None)

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    # QueryTasks

    async def get_task(self, name: str) -> Raw:
        """The task as it is now, not as a cache has it."""
        return await self._call("get", names.TASK_PLURAL, name)

    async def list_tasks(self, field_selector: str = "", page: int = PAGE) -> AsyncIterator[list[Raw]]:
        """The tasks that the selector picks, in pages of so many."""
        async for found in self._list(names.TASK_PLURAL, {"fieldSelector": field_selector}, page):
            yield found

    async def patch_task_status(self, name: str, uid: str, resource_version: str, status: Raw) -> Raw:
        """Merge ``status`` into the task's, unless another has written it since; returns the task as it is
        then."""
        body = {"metadata": {"uid": uid, "resourceVersion": resource_version}, "status": status}
        return await self._call("patch", names.TASK_PLURAL, name, sub="status", body=body)

    async def delete_task(self, name: str, uid: str) -> None:
        """Delete the task, if it is still the same one."""
        await self._delete(names.TASK_PLURAL, name, uid)

    # pods

    async def get_pod(self, name: str) -> Raw:
        """The pod as it is now."""
        return await self._call("get", "pods", name)

    async def list_pods(self) -> AsyncIterator[list[Raw]]:
        """All workers of this namespace, in pages."""
        async for page in self._list("pods", {"labelSelector": f"{names.APP_LABEL}={names.WORKER_APP}"}):
            yield page

    async def create_pod(self, body: Raw) -> Raw:
        """Create a worker's pod."""
        return await self._call("post", "pods", body=body)

    async def stop_pod(self, name: str, uid: str, why: str) -> Raw:
        """Let the kubelet stop the pod and keep its object, until somebody has read how it ended."""
        annotations = {names.STOP_ANNOTATION: why}
        body = {"metadata": {"uid": uid, "annotations": annotations}, "spec": {"activeDeadlineSeconds": 1}}
        return await self._call("patch", "pods", name, body=body)

    async def delete_pod(self, name: str, uid: str, *, force: bool = False) -> None:
        """Delete the pod, with its grace period or without a kubelet's word, if it is still the same one."""
        await self._delete("pods", name, uid, {"gracePeriodSeconds": 0} if force else {})

    async def node_exists(self, name: str) -> bool | None:
        """Whether the node is there; ``None`` where this operator has no right to ask."""
        try:
            await self._call("get", "nodes", name)
        except errors.NotFound:
            return False
        except errors.Forbidden:
            return None
        return True

    async def pod_events(self, pod_uid: str) -> list[Raw]:
        """The Events about one pod, oldest first as the server has them."""
        found: list[Raw] = []
        async for page in self._list("events", {"fieldSelector": f"involvedObject.uid={pod_uid}"}):
            found.extend(page)
        return found

    # what tasks depend on

    async def list_sources(self) -> AsyncIterator[list[Raw]]:
        """The QuerySources of this namespace, in pages."""
        async for page in self._list(names.SOURCE_PLURAL, {}):
            yield page

    async def patch_source_status(self, name: str, uid: str, resource_version: str, status: Raw) -> Raw:
        """Merge ``status`` into a source's, unless another has written it since."""
        body = {"metadata": {"uid": uid, "resourceVersion": resource_version}, "status": status}
        return await self._call("patch", names.SOURCE_PLURAL, name, sub="status", body=body)

    async def list_claims(self) -> AsyncIterator[list[Raw]]:
        """The PersistentVolumeClaims of this namespace, in pages."""
        async for page in self._list("persistentvolumeclaims", {}):
            yield page

    # what is told, and who tells it

    async def create_event(self, body: Raw) -> None:
        """Create an Event; one of that name that is there already was told before."""
        try:
            await self._request("post", "events", body=body)
        except errors.AlreadyExists:
            return

    async def get_lease(self, name: str) -> Raw:
        """A lease."""
        return await self._call("get", "leases", name)

    async def create_lease(self, body: Raw) -> Raw:
        """Create a lease."""
        return await self._call("post", "leases", body=body)

    async def replace_lease(self, body: Raw) -> Raw:
        """Write a lease, if nobody has since it was read."""
        return await self._call("put", "leases", body["metadata"]["name"], body=body)

    async def ping(self) -> None:
        """Ask for one task: proves address, credentials and the right to list."""
        await self._call("get", names.TASK_PLURAL, query={"limit": "1"})

    # the wire

    async def _list(
        self, resource: str, selectors: dict[str, str], page: int = PAGE
    ) -> AsyncIterator[list[Raw]]:
        query = {"limit": str(page)} | {key: value for key, value in selectors.items() if value}
        while True:
            answer = await self._call("get", resource, query=query)
            yield answer["items"]
            token = answer["metadata"].get("continue")
            if not token:
                return
            query["continue"] = token

    async def _delete(self, resource: str, name: str, uid: str, options: Raw | None = None) -> None:
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}} | (options or {})
        await self._request("delete", resource, name, body=body)

    async def _call(self, verb: str, resource: str, name: str = "", **parts: Any) -> Raw:
        text = await self._request(verb, resource, name, **parts)
        try:
            return dict(json.loads(text))
        except ValueError as error:
            raise errors.Unavailable(
                f"{verb} {resource} {name}: the answer must be a JSON object: {error}"
            ) from error

    async def _request(
        self,
        verb: str,
        resource: str,
        name: str = "",
        *,
        sub: str = "",
        query: dict[str, str] | None = None,
        body: Raw | None = None,
    ) -> bytes:
        """The answer as it came: reading it costs more than sending what asks for it."""
        started, outcome = time.monotonic(), "ok"
        try:
            return await self._send(verb, self._path(resource, name, sub, query), body)
        except errors.ClusterError as error:
            outcome = type(error).__name__
            raise
        finally:
            self._watcher(verb, resource, outcome, time.monotonic() - started)

    def _path(self, resource: str, name: str, sub: str, query: dict[str, str] | None) -> str:
        scope = [] if resource == "nodes" else ["namespaces", self._namespace]
        parts = [_ROOTS[resource], *scope, resource, quote(name, safe=""), sub]
        return "/".join(part for part in parts if part) + (f"?{urlencode(query)}" if query else "")

    async def _send(self, verb: str, path: str, body: Raw | None) -> bytes:
        headers = {
            "Accept": "application/json",
            "Content-Type": MERGE_PATCH if verb == "patch" else "application/json",
        }
        headers.update(self._api.default_headers)
        try:
            await self._api.update_params_for_auth(headers, None, ["BearerToken"], path, verb.upper(), body)
            url = self._api.configuration.host + path
            answer = await self._api.call_api(
                verb.upper(), url, headers, body, _request_timeout=TIMEOUT_SECONDS
            )
            text: bytes = await answer.read()  # type: ignore[no-untyped-call]
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise errors.Unavailable(f"{verb} {path}: {type(error).__name__}: {error}") from error
        except ApiException as error:
            raise translate(error.status or 0, str(error.body or ""), dict(error.headers or {})) from error
        if answer.status >= 400:
            raise translate(answer.status, text.decode("utf-8", "replace"), dict(answer.headers))
        return text


_CUSTOM = f"/apis/{names.GROUP}/{names.VERSION}"
_ROOTS = {
    names.TASK_PLURAL: _CUSTOM,
    names.SOURCE_PLURAL: _CUSTOM,
    "pods": "/api/v1",
    "nodes": "/api/v1",
    "events": "/api/v1",
    "persistentvolumeclaims": "/api/v1",
    "leases": "/apis/coordination.k8s.io/v1",
}
