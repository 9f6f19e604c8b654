"""The API in the chart: a container that acts with nobody's token but its callers', TLS that nobody has to
set up, and a door that is closed to workers."""

from __future__ import annotations

import base64
import dataclasses
import json
import subprocess
import typing
from pathlib import Path

import pytest

from cluster.harness import ControlPlane
from querytask import names
from querytask.web import settings
from tests.chart.helm import (
    ROOT,
    Chart,
    Json,
    Refused,
    container,
    environment,
    only,
    pod_spec,
    program,
    render,
)
from tests.chart.test_scenarios import make_namespace

FILLED_IN = {
    "namespace",
    "history_dir",
    "history_url",
    "exports_dir",
    "cluster_url",
    "cluster_ca",
    "operator_metrics_url",
    "api_host",
    "api_port",
    "api_health_port",
    "api_tls",
    "api_certificate",
    "api_key",
}
FIELDS = {field.name: field for field in dataclasses.fields(settings.ApiSettings)}
TYPES = {int: "integer", float: "number", str: "string"}
API = "qt-querytask-operator-api"


def value_of(name: str) -> str:
    """The chart's value of a field: what only the API has loses its beginning."""
    head, *tail = name.removeprefix("api_").split("_")
    return head + "".join(map(str.capitalize, tail))


def read(objects: list[Json]) -> settings.ApiSettings:
    """What the API makes of its container's environment."""
    variables = environment(objects, "api")
    assert variables.pop("QUERYTASK_NAMESPACE") == "metadata.namespace"
    return settings.read(variables | {"QUERYTASK_NAMESPACE": "analytics"})


def test_the_schema_knows_each_setting(operator_chart: Chart):
    """A setting that is new, gone, or has another type or bound must change the schema, too."""
    schema = json.loads((operator_chart.path / "values.schema.json").read_text(encoding="utf-8"))
    hints = typing.get_type_hints(settings.ApiSettings)
    wanted: dict[str, Json] = {}
    for name in FIELDS.keys() - FILLED_IN:
        found, metadata = {"type": TYPES[hints[name]]}, FIELDS[name].metadata
        limits = {"minimum": metadata["least"], "maximum": metadata["most"]}
        found |= {key: limit for key, limit in limits.items() if limit is not None}
        wanted[value_of(name)] = found | ({"enum": list(metadata["choices"])} if metadata["choices"] else {})
    assert schema["properties"]["api"]["properties"]["settings"]["properties"] == wanted


def test_nothing_set_is_every_default(operator_chart: Chart):
    """The API reads what the chart renders, and gets its own defaults for the rest."""
    found = read(render(operator_chart))
    for name, field in FIELDS.items():
        if name not in FILLED_IN:
            assert getattr(found, name) == field.default, name


def test_every_setting_arrives(operator_chart: Chart, values_file: Path):
    """Each by its own name, none mistaken for another."""
    values: Json = {}
    for name in sorted(FIELDS.keys() - FILLED_IN):
        metadata = FIELDS[name].metadata
        default: typing.Any = FIELDS[name].default
        values[name] = metadata["choices"][0] if metadata["choices"] else type(default)(default / 2 or 1)
    values_file.write_text(json.dumps({"api": {"settings": {value_of(key): values[key] for key in values}}}))

    found = read(render(operator_chart, values_file))

    assert {name: getattr(found, name) for name in values} == values


@pytest.mark.parametrize("name", ["port", "tls", "certificate", "key", "namespace", "historyDir"])
def test_what_is_filled_in_cannot_be_set(operator_chart: Chart, name: str):
    """There is one place for each thing."""
    with pytest.raises(Refused, match=f"additional properties '{name}' not allowed"):
        render(operator_chart, {f"api.settings.{name}": "x"})


def test_what_it_mounts(operator_chart: Chart):
    """The history, the exports to read, the authority of the API server, its certificate; no token."""
    objects = render(operator_chart)
    found, mounts = read(objects), container(objects, "api")["volumeMounts"]
    places = {item["mountPath"]: bool(item.get("readOnly")) for item in mounts}
    assert places == {"/history": False, "/exports": True, "/tmp": False, "/cluster-ca": True, "/tls": True}
    assert (found.history_dir, found.exports_dir) == ("/history", "/exports")
    assert (found.cluster_ca, found.api_certificate) == ("/cluster-ca/ca.crt", "/tls/tls.crt")
    assert found.api_port == container(objects, "api")["ports"][0]["containerPort"]


def test_probes_and_service_speak_what_it_speaks(operator_chart: Chart):
    """TLS by default, plain text where something else does it; probes have a port of their own."""
    for enabled, port in ((True, 443), (False, 80)):
        objects = render(operator_chart, {"api.tls.enabled": enabled})
        found = container(objects, "api")
        ports = {item["name"]: item["containerPort"] for item in found["ports"]}
        for probe in ("livenessProbe", "readinessProbe"):
            asked = found[probe]["httpGet"]
            assert (asked["port"], "scheme" in asked) == ("api-health", False)
        assert ports == {"api": read(objects).api_port, "api-health": read(objects).api_health_port}
        spec = only(objects, "Service", "-api")["spec"]
        assert [(item["port"], item["targetPort"]) for item in spec["ports"]] == [(port, "api")]
        assert read(objects).api_tls == ("On" if enabled else "Off")
        assert ("tls" in [item["name"] for item in pod_spec(objects)["volumes"]]) == enabled
        assert ("Secret" in [item["kind"] for item in objects]) == enabled


def test_the_reference_names_the_service_and_its_port(operator_chart: Chart):
    """Whoever reads where the API is finds it there."""
    told = " ".join((ROOT / "docs" / "reference" / "rest-api.md").read_text(encoding="utf-8").split())
    spoken = {}
    for enabled in (True, False):
        objects = render(operator_chart, {"api.tls.enabled": enabled}, release="querytask")
        service = only(objects, "Service", "-api")
        assert f"`{service['metadata']['name']}`" in told
        spoken[enabled] = service["spec"]["ports"][0]["port"]
    assert f"With TLS the API answers at port {spoken[True]} of the release's Service" in told
    assert f"and without it at port {spoken[False]};" in told


def test_a_given_certificate_is_used(operator_chart: Chart):
    """And none is made."""
    objects = render(operator_chart, {"api.tls.existingSecret": "given"})
    assert "Secret" not in [item["kind"] for item in objects]
    (volume,) = [item for item in pod_spec(objects)["volumes"] if item["name"] == "tls"]
    assert volume["secret"]["secretName"] == "given"


def test_without_it_nothing_of_it_is_left(operator_chart: Chart):
    """Container, Service, Secret and policy."""
    objects = render(operator_chart, {"api.enabled": False})
    assert "api" not in json.dumps([item["metadata"]["name"] for item in objects])
    assert [item["name"] for item in pod_spec(objects)["containers"]] == ["operator"]
    assert {item["name"] for item in pod_spec(objects)["volumes"]} == {"history", "exports", "tmp", "token"}


def test_workers_cannot_call_it(operator_chart: Chart):
    """Whatever a worker may reach: the policy of the API's own pod leaves out what has a worker's label."""
    peers = [{"ipBlock": {"cidr": "10.0.0.0/8"}}]
    objects = render(operator_chart, {"api.networkPolicy.from": peers})
    spec = only(objects, "NetworkPolicy", "-api")["spec"]
    assert (
        spec["podSelector"]["matchLabels"] == only(objects, "StatefulSet")["spec"]["selector"]["matchLabels"]
    )
    (rule,) = [rule for rule in spec["ingress"] if {"port": "api"} in rule["ports"]]
    no_worker = {"key": names.APP_LABEL, "operator": "NotIn", "values": [names.WORKER_APP]}
    assert rule["from"] == [
        {"namespaceSelector": {}, "podSelector": {"matchExpressions": [no_worker]}},
        *peers,
    ]


def test_the_certificate_is_for_its_names(operator_chart: Chart, tmp_path: Path):
    """Signed by the authority that lies beside it; every name of the Service, and those that are added."""
    objects = render(operator_chart, {"api.tls.names": ["queries.example.com"]})
    data = only(objects, "Secret")["data"]
    for key in ("ca.crt", "tls.crt"):
        (tmp_path / key).write_bytes(base64.b64decode(data[key]))
    for name in ("localhost", API, f"{API}.analytics.svc", "queries.example.com"):
        command = ["openssl", "verify", "-CAfile", "ca.crt", "-verify_hostname", name, "tls.crt"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_the_certificate_stays_when_the_release_is_upgraded(
    control_plane: ControlPlane, operator_chart: Chart
):
    """Whoever trusts it goes on to trust it; where somebody has deleted it, the next upgrade makes
    another."""
    namespace, secret = "kept-certificate", "/api/v1/namespaces/kept-certificate/secrets"
    make_namespace(control_plane, namespace)
    arguments = ["upgrade", "--install", "qt", str(operator_chart.path), "--namespace", namespace]

    def upgrade() -> Json:
        command = [program(), *arguments, "--kubeconfig", str(control_plane.kubeconfig)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        return control_plane.api.call("GET", f"{secret}/{API}-tls")

    first, second = upgrade(), upgrade()
    assert first["data"] == second["data"]
    assert sorted(first["data"]) == ["ca.crt", "tls.crt", "tls.key"]
    control_plane.api.call("DELETE", f"{secret}/{API}-tls")
    assert upgrade()["data"] != first["data"]
    subprocess.run(
        [
            program(),
            "uninstall",
            "qt",
            "--namespace",
            namespace,
            "--kubeconfig",
            str(control_plane.kubeconfig),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
