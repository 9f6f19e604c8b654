"""What whoever installs the API can set, in the manner of ``querytask.settings``: the two programs share
their volumes and the names of what both know.

The field ``api_port`` is the variable ``QUERYTASK_API_PORT`` and the chart's value ``api.settings.port``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from querytask.errors import SettingsError
from querytask.settings import check, option, read_into


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """The API's settings; see ``read``."""

    namespace: str = option(..., "The namespace that is served, the operator's own. The chart fills it in.")
    history_dir: str = option("/history", "Directory of the history database, the operator's own volume.")
    history_url: str = option(
        "",
        "The PostgreSQL database that holds the history in place of that directory, as the operator has it."
        " It is never shown.",
        database=True,
    )
    exports_dir: str = option("/exports", "Where the API sees the exports volume; it only reads there.")

    cluster_url: str = option(
        "",
        "The API server, such as `https://10.0.0.1:443`; where it is empty, the one that the pod is told of.",
    )
    cluster_ca: str = option(
        "/cluster-ca/ca.crt",
        "File of the certificates that the API server is trusted by. The chart mounts it without a token.",
    )
    cluster_seconds: float = option(
        10.0, "How long one call to the API server may take before the API answers 503.", least=0.1, most=60
    )
    operator_metrics_url: str = option(
        "http://127.0.0.1:8080/metrics",
        "Where the operator tells of its slots, for `/stats`; empty to leave them out.",
    )
    decision_seconds: float = option(
        10.0,
        "How long the API server's word on who a caller is, and what it may do, is kept.",
        least=0,
        most=10,
    )

    api_host: str = option("", "Address that the API listens at; empty for all of them, of both families.")
    api_port: int = option(8443, "Port of the API; 0 takes a free one.", least=0, most=65535)
    api_health_port: int = option(
        0,
        "Port of `/healthz` and `/healthz/ready` alone, without TLS, for probes that no caller can crowd "
        "out; 0 for none.",
        least=0,
        most=65535,
    )
    api_tls: str = option(
        "On",
        "Whether the API speaks TLS. Off only where something else in the pod does: tokens are passwords.",
        choices=("On", "Off"),
    )
    api_certificate: str = option(
        "/tls/tls.crt", "File of the API's certificate chain; read again when it changes."
    )
    api_key: str = option("/tls/tls.key", "File of the certificate's key.")

    api_header_seconds: float = option(
        10.0, "How long a client may take to shake hands, and then to send a request's headers.", least=0.1
    )
    api_body_seconds: float = option(10.0, "How long it may take to send a request's body.", least=0.1)
    api_send_seconds: float = option(
        30.0, "How long it may take nothing of an answer before the connection is closed.", least=0.1
    )
    api_keep_alive_seconds: int = option(30, "How long a connection without a request is kept open.", least=1)
    api_max_body_bytes: int = option(
        1_048_576, "The longest body of a request: 10,000 uids need 400 KiB.", least=1024
    )
    api_max_connections: int = option(
        128,
        "How many connections are open at one time; one address has at most a quarter of them. With TLS one "
        "takes about 300 KiB.",
        least=1,
    )
    api_max_requests: int = option(
        64, "How many requests of one caller are answered at one time; more get 429.", least=1
    )
    api_max_waiting: int = option(
        96,
        "How many requests wait for changes (`?wait=` and `/events`) at one time; more get 429. Each holds a "
        "connection, so leave some of `api_max_connections` for the others.",
        least=1,
    )
    api_max_wait_seconds: float = option(60.0, "The longest `?wait=`.", least=1, most=600)
    api_heartbeat_seconds: float = option(
        15.0,
        "Between two comments in a stream of events; then its caller's rights are asked again.",
        least=0.1,
    )
    api_feed_seconds: float = option(
        0.1, "Between two looks for changes in the history, while somebody waits for them.", least=0.01
    )
    api_stop_seconds: int = option(
        10, "How long requests that are under way may take to end when the API is stopped.", least=0
    )
    log_level: str = option(
        "INFO", "Least level of the log's lines.", choices=("DEBUG", "INFO", "WARNING", "ERROR")
    )

    def __post_init__(self) -> None:
        """Raise ``SettingsError`` for a value out of its bounds."""
        check(self)


def read(environment: Mapping[str, str]) -> ApiSettings:
    """The settings from the variables ``QUERYTASK_…`` of ``environment``; raises ``SettingsError``."""
    return read_into(ApiSettings, environment)


def cluster_url(settings: ApiSettings, environment: Mapping[str, str]) -> str:
    """Where the API server is: as set, else as every pod is told; raises ``SettingsError`` where neither
    says so."""
    host = environment.get("KUBERNETES_SERVICE_HOST", "")
    if settings.cluster_url or not host:
        if not settings.cluster_url.startswith("https://"):
            raise SettingsError(
                "QUERYTASK_CLUSTER_URL must be the https address of the API server, "
                f'not "{settings.cluster_url}", where no pod\'s variables name it'
            )
        return settings.cluster_url
    port = environment.get("KUBERNETES_SERVICE_PORT", "443")
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
