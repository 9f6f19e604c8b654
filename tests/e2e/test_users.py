"""What somebody may who may only create tasks: tried, not read from the rules."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from scripts.kube import CommandFailed
from tests.e2e.kit.site import Site
from tests.e2e.kit.tasks import task

Ask = Callable[..., str]


@pytest.fixture(scope="module")
def analyst(site: Site) -> Ask:
    """kubectl for somebody who has the chart's rights for `view` and `edit`, and no other right."""
    return _person(
        site, "task-writer", *(f"{site.namespace}:{site.fullname}:{role}" for role in ("view", "edit"))
    )


@pytest.fixture(scope="module")
def editor(site: Site) -> Ask:
    """kubectl for somebody who has the cluster's own role `edit` in the namespace."""
    return _person(site, "editor", "edit")


def _person(site: Site, name: str, *roles: str) -> Ask:
    site.kube("create", "serviceaccount", name)
    for number, role in enumerate(roles):
        account = f"--serviceaccount={site.namespace}:{name}"
        site.kube("create", "rolebinding", f"{name}-{number}", f"--clusterrole={role}", account)
    return lambda *words, **more: site.kube(
        f"--as=system:serviceaccount:{site.namespace}:{name}", *words, **more
    )


def apply(ask: Ask, document: dict) -> str:
    """Apply an object in somebody's name."""
    return ask("apply", "-f", "-", stdin=json.dumps(document).encode())


def may(ask: Ask, *words: str) -> bool:
    """What `kubectl auth can-i` answers."""
    try:
        return ask("auth", "can-i", *words).strip() == "yes"
    except CommandFailed:
        return False


def test_can_create_cancel_and_delete_tasks(site: Site, analyst: Ask) -> None:
    """The right to edit tasks is enough for a task's whole life."""
    apply(analyst, task("of-an-analyst", "SELECT * FROM 'nowhere/file.csv'", sources=["nowhere"]))
    analyst("patch", "querytask", "of-an-analyst", "--type=merge", '--patch={"spec":{"cancel":true}}')
    analyst("wait", "querytask/of-an-analyst", "--for=condition=Finished", "--timeout=60s")

    shown = json.loads(analyst("get", "querytask", "of-an-analyst", "-o", "json"))
    analyst("delete", "querytask", "of-an-analyst")

    assert shown["status"]["phase"] == "Cancelled"
    assert site.kube.find("querytask", "of-an-analyst") is None


SOURCE = {
    "apiVersion": "querytask.dev/v1alpha1",
    "kind": "QuerySource",
    "metadata": {"name": "somewhere"},
    "spec": {"volume": {"claimName": "lake"}},
}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "mine"},
    "spec": {"containers": [{"name": "mine", "image": "localhost/mine"}]},
}


@pytest.mark.parametrize("document", [SOURCE, POD], ids=lambda item: item["kind"])
def test_can_create_nothing_else(analyst: Ask, document: dict) -> None:
    """The right to create tasks is no right to create pods, or to choose a volume as a source."""
    with pytest.raises(CommandFailed, match=r"cannot .*(create|get) resource"):
        apply(analyst, document)


def test_cannot_write_status(site: Site, analyst: Ask) -> None:
    """Nobody but the operator says how a task went."""
    site.submit("status-is-not-yours", "SELECT 1")
    patch = '--patch={"status":{"phase":"Succeeded"}}'

    with pytest.raises(CommandFailed, match='cannot patch resource "querytasks/status"'):
        analyst("patch", "querytask", "status-is-not-yours", "--subresource=status", "--type=merge", patch)


@pytest.mark.parametrize(
    ("allowed", "words"),
    [
        (True, ("create", "querytasks")),
        (True, ("patch", "querytasks")),
        (True, ("delete", "querytasks")),
        (True, ("get", "querysources")),
        (False, ("create", "querysources")),
        (False, ("patch", "querysources")),
        (False, ("patch", "querytasks", "--subresource=status")),
        (False, ("patch", "querysources", "--subresource=status")),
    ],
    ids=lambda value: value if isinstance(value, bool) else " ".join(value),
)
def test_role_edit_is_extended(editor: Ask, allowed: bool, words: tuple[str, ...]) -> None:
    """Who has the cluster's role `edit` may edit tasks, may look at sources, and may write no status."""
    assert may(editor, *words) is allowed
