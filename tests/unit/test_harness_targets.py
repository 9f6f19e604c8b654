"""The three kinds of cluster have the same verbs, and what the user must say is asked for in a sentence."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from cluster.harness.errors import HarnessError, PrerequisiteError
from cluster.targets import EmbeddedCluster, ExistingCluster, KindCluster, chosen, write_references


class Recorder:
    """Stands for running programs: notes the command lines, answers with what it was told."""

    def __init__(self, **answers: str) -> None:
        self.commands: list[list[str]] = []
        self._answers = answers

    def __call__(self, command: Sequence[str]) -> str:
        self.commands.append(list(command))
        return self._answers.get(command[1], "")


def silent(text: str) -> None:
    """Nothing is printed in these tests."""


@pytest.mark.parametrize(
    ("value", "kind"),
    [(None, EmbeddedCluster), ("", EmbeddedCluster), ("embedded", EmbeddedCluster), ("kind", KindCluster)],
)
def test_the_environment_chooses(value: str | None, kind: type):
    """Without a word it is the embedded node, which needs nothing of the user."""
    assert isinstance(chosen({} if value is None else {"CLUSTER": value}, silent), kind)


def test_an_unknown_cluster_is_refused():
    """A misspelt word must not start something else."""
    with pytest.raises(HarnessError, match="not 'minikube'"):
        chosen({"CLUSTER": "minikube"}, silent)


def test_an_existing_cluster_is_the_kubeconfigs():
    """The user's file is used as it is."""
    target = chosen({"CLUSTER": "existing", "KUBECONFIG": "/etc/hostname"}, silent)
    assert target.kubeconfig == Path("/etc/hostname")
    target.up()


def test_an_existing_cluster_needs_a_file_and_a_registry(tmp_path: Path):
    """Both are asked for before anything is built."""
    target = ExistingCluster(tmp_path / "none", "", silent)
    with pytest.raises(PrerequisiteError, match="KUBECONFIG must name a file"):
        target.up()
    with pytest.raises(PrerequisiteError, match="IMAGE_REGISTRY must name a registry"):
        target.load_images()


def test_kind_makes_its_cluster_once():
    """A cluster that is there is only asked for its kubeconfig."""
    recorder = Recorder(get="other\n")
    KindCluster(silent, recorder).up()
    assert [command[1] for command in recorder.commands] == ["get", "create", "export"]
    recorder = Recorder(get="other\nquerytask\n")
    KindCluster(silent, recorder).up()
    assert [command[1] for command in recorder.commands] == ["get", "export"]


def test_kind_gets_each_image_under_the_name_the_chart_will_use():
    """What is loaded and what is installed must be the same."""
    recorder = Recorder()
    references = KindCluster(silent, recorder).load_images()
    loaded = [command[-1] for command in recorder.commands if command[:2] == ["kind", "load"]]
    assert loaded == list(references.values())
    assert set(references) == {"operator", "worker"}


def test_references_are_files_of_one_line(tmp_path: Path):
    """Scripts read them with `cat`."""
    write_references({"operator": "localhost/o:1"}, tmp_path / "images")
    assert (tmp_path / "images" / "operator.ref").read_text() == "localhost/o:1\n"
