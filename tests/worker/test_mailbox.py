"""The mailbox: whole messages, one published result, and room for the outcome on a full volume."""

from __future__ import annotations

import dataclasses
import os

import pytest

from querytask_worker import contract
from querytask_worker.contract import Manifest, Outcome, Progress
from querytask_worker.mailbox import OUTCOME_RESERVE_BYTES, Mailbox, remove_tree, tree_bytes
from tests.worker.builders import assignment

MANIFEST = Manifest("n", "t", "u", 1, "s", "p", "e", "sha", "1.5.5", 0)
OUTCOME = Outcome(1, 0, "Completed", "s", "f")


@pytest.fixture
def mailbox(tmp_path) -> Mailbox:
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    return Mailbox(str(tmp_path), 1)


def test_the_assignment_must_be_this_attempts(mailbox: Mailbox, tmp_path):
    path = tmp_path / "1" / contract.ASSIGNMENT_FILE
    path.write_bytes(contract.dump(assignment()))
    assert mailbox.assignment() == assignment()
    path.write_bytes(contract.dump(assignment(attempt=2)))
    with pytest.raises(ValueError, match="attempt must be 1, not 2"):
        mailbox.assignment()
    path.write_text("{}")
    with pytest.raises(ValueError, match="must be there"):
        mailbox.assignment()


def test_the_first_to_publish_wins_for_ever(mailbox: Mailbox, tmp_path):
    assert mailbox.published() is None
    assert mailbox.publish(MANIFEST) is True
    second = Mailbox(str(tmp_path), 2)
    assert second.publish(dataclasses.replace(MANIFEST, attempt=2)) is False
    assert second.published() == MANIFEST
    assert mailbox.publish(MANIFEST) is True, "the same attempt may find its own"


def test_messages_are_replaced_as_a_whole(mailbox: Mailbox, tmp_path):
    mailbox.write_progress(Progress(1, "Running", 5, "now"))
    mailbox.write_progress(Progress(1, "Running", None, "now"))
    mailbox.write_log(b"tail")
    assert contract.load(Progress, (tmp_path / "1" / contract.PROGRESS_FILE).read_bytes()).percent is None
    assert {path.name for path in (tmp_path / "1").iterdir()} == {contract.PROGRESS_FILE, contract.LOG_FILE}


def test_the_outcome_has_room_set_aside_and_gives_the_rest_back(mailbox: Mailbox, tmp_path):
    mailbox.reserve_outcome()
    reserved = tmp_path / "1" / (contract.OUTCOME_FILE + contract.PARTIAL_SUFFIX)
    assert reserved.stat().st_blocks * 512 >= OUTCOME_RESERVE_BYTES
    inode = reserved.stat().st_ino
    mailbox.write_outcome(OUTCOME)
    written = tmp_path / "1" / contract.OUTCOME_FILE
    assert written.stat().st_ino == inode
    assert contract.load(Outcome, written.read_bytes()) == OUTCOME
    assert not reserved.exists()


def test_only_what_tells_of_the_attempt_stays(mailbox: Mailbox, tmp_path):
    directory = tmp_path / "1"
    told = [contract.ASSIGNMENT_FILE, contract.PROGRESS_FILE, contract.OUTCOME_FILE, contract.LOG_FILE]
    for name in (*told, "export.partial", "out.parquet", contract.MANIFEST_FILE, "_manifest.json.partial"):
        (directory / name).write_text("x")
    mailbox.remove_result_files()
    assert sorted(os.listdir(directory)) == sorted(told)


def test_a_tree_is_removed_and_measured_without_following_links(tmp_path):
    inner = tmp_path / "tree" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").write_bytes(b"x" * 10000)
    (tmp_path / "kept").write_text("kept")
    (inner / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "tree" / "folder").symlink_to(tmp_path)
    assert 10000 <= tree_bytes(str(tmp_path / "tree")) < 20000
    remove_tree(str(tmp_path / "tree"))
    assert os.listdir(tmp_path / "tree") == []
    assert (tmp_path / "kept").read_text() == "kept"
    remove_tree(str(tmp_path / "never"))
    assert tree_bytes(str(tmp_path / "never")) == 0
