"""Files, first rows and logs of tasks through the API."""

from __future__ import annotations

import hashlib

import httpx

from tests.controlplane.kit.api import TASKS, refused, uid_of
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import until


def test_the_file_itself(shared: Site, reader: httpx.Client):
    """Byte for byte, with its length and its checksum; and when it has gone, 410."""
    export = {"format": "CSV", "fileName": "late", "retention": "1h"}
    task = shared.submit("succeed rows=4", name="api-export", export=export)
    shared.succeeds("api-export")
    url = f"{TASKS}/{uid_of(task)}"
    told = until(lambda: (found := reader.get(url).json())["export"] and found)["export"]
    assert (told["status"], told["file_present"]) == ("available", True)
    answer = reader.get(f"{url}/export")
    content = (shared.exports / told["path"]).read_bytes()
    assert answer.content == content
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["x-checksum-sha256"] == hashlib.sha256(content).hexdigest()
    assert answer.headers["content-type"].startswith("text/csv")
    assert "late.csv" in answer.headers["content-disposition"]
    again = reader.get(f"{url}/export", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    manifest = reader.get(f"{url}/manifest").json()
    assert (manifest["uid"], manifest["rows"]) == (uid_of(task), 4)
    (shared.exports / told["path"]).unlink()
    assert refused(reader.get(f"{url}/export")) == (410, "ExportGone")
    assert reader.get(url).json()["export"]["file_present"] is False


def test_a_link_in_the_place_of_the_file_leads_nowhere(shared: Site, reader: httpx.Client, tmp_path):
    """Whatever a worker leaves under the name, nothing outside its folder is sent."""
    (tmp_path / "secret").write_text("secret")
    task = shared.submit("succeed rows=1", name="api-link", export={"format": "CSV", "fileName": "late"})
    shared.succeeds("api-link")
    url = f"{TASKS}/{uid_of(task)}"
    told = until(lambda: (found := reader.get(url).json())["export"] and found)["export"]
    file = shared.exports / told["path"]
    file.unlink()
    file.symlink_to(tmp_path / "secret")
    assert refused(reader.get(f"{url}/export")) == (410, "ExportGone")


def test_the_first_rows(shared: Site, reader: httpx.Client):
    """With their columns, as JSON values."""
    task = shared.submit("succeed rows=2", name="api-preview")
    shared.succeeds("api-preview")
    found = reader.get(f"{TASKS}/{uid_of(task)}/preview").json()
    assert found["columns"] == [{"name": "number", "type": "INTEGER"}, {"name": "text", "type": "VARCHAR"}]
    assert (found["rows"], found["truncated"], found["total_rows"]) == (
        [[0, "row 0"], [1, "row 1"]],
        False,
        2,
    )


def test_nothing_to_fetch(shared: Site, reader: httpx.Client):
    """Not yet, not at all, or no such task: three answers."""
    runs = shared.submit("hang", name="api-not-yet")
    failed = shared.submit("fail code=10 reason=SqlError", name="api-no-result")
    shared.reaches("api-not-yet", "Running")
    shared.reaches("api-no-result", "Failed")
    for part in ("preview", "export", "manifest"):
        assert refused(reader.get(f"{TASKS}/{uid_of(runs)}/{part}")) == (409, "NotYet")
        assert refused(reader.get(f"{TASKS}/{uid_of(failed)}/{part}")) == (404, "NothingThere")
        assert refused(reader.get(f"{TASKS}/nobody/{part}")) == (404, "TaskNotFound")
    shared.cancel("api-not-yet")


def test_the_kept_log(shared: Site, reader: httpx.Client):
    """The tail that the worker left, when its pod is gone."""
    task = shared.submit("succeed", name="api-log")
    shared.succeeds("api-log")
    file = shared.directory(task) / "1" / "_worker.log"
    file.write_text("one\ntwo\nthree\n")
    answer = reader.get(f"{TASKS}/{uid_of(task)}/logs", params={"tail": 2})
    assert (answer.text, answer.headers["x-log-source"]) == ("two\nthree\n", "kept")
    assert answer.headers["x-log-truncated"] == "false"
    assert refused(reader.get(f"{TASKS}/{uid_of(task)}/logs", params={"attempt": 7})) == (404, "NothingThere")


def test_the_log_of_a_worker_whose_node_is_not_there(shared: Site, reader: httpx.Client):
    """No kubelet answers here: what the worker has written so far is better than nothing."""
    task = shared.submit("hang", name="api-silent")
    shared.reaches("api-silent", "Running")
    assert refused(reader.get(f"{TASKS}/{uid_of(task)}/logs")) == (404, "NothingThere")
    (shared.directory(task) / "1" / "_worker.log").write_text("so far\n")
    answer = reader.get(f"{TASKS}/{uid_of(task)}/logs")
    assert (answer.text, answer.headers["x-log-source"]) == ("so far\n", "kept")
    shared.cancel("api-silent")
