"""A certificate authority and the certificates of the cluster's parts, made with openssl."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.harness.commands import run

DAYS = "3650"
CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True)
class Identity:
    """Whom a certificate speaks for: `user` and `groups` are what the API server's authorization sees."""

    name: str
    user: str
    groups: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        return "".join(f"/O={group}" for group in self.groups) + f"/CN={self.user}"


ADMIN = Identity("admin", "admin", ("system:masters",))
CONTROLLER_MANAGER = Identity("controller-manager", "system:kube-controller-manager")
SCHEDULER = Identity("scheduler", "system:kube-scheduler")
PROXY = Identity("proxy", "system:kube-proxy")


@dataclass(frozen=True)
class Pki:
    """The folder of keys and certificates, by name."""

    folder: Path

    @property
    def authority(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def token_key(self) -> Path:
        """Signs the tokens of ServiceAccounts."""
        return self.folder / "sa.key"

    @property
    def token_public_key(self) -> Path:
        return self.folder / "sa.pub"

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def make(self, identities: Sequence[Identity]) -> None:
        """Makes what is missing; what is there stays, so that a second start keeps its kubeconfigs."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.authority.exists():
            self._make_authority()
        for identity in identities:
            if not self.certificate(identity.name).exists():
                self._make_certificate(identity)

    def _make_authority(self) -> None:
        run(["openssl", "genrsa", "-out", str(self.token_key), "2048"])
        run(["openssl", "rsa", "-in", str(self.token_key), "-pubout", "-out", str(self.token_public_key)])
        run(
            ["openssl", "req", "-x509", *CURVE, "-days", DAYS, "-subj", "/CN=cluster-ca"]
            + ["-keyout", str(self.key("ca")), "-out", str(self.authority)]
        )

    def _make_certificate(self, identity: Identity) -> None:
        extensions = self.folder / f"{identity.name}.ext"
        extensions.write_text(extension_text(identity.hosts))
        request = self.folder / f"{identity.name}.csr"
        run(
            ["openssl", "req", *CURVE, "-subj", identity.subject]
            + ["-keyout", str(self.key(identity.name)), "-out", str(request)]
        )
        run(
            [
                "openssl",
                "x509",
                "-req",
                "-in",
                str(request),
                "-CA",
                str(self.authority),
                "-CAkey",
                str(self.key("ca")),
            ]
            + ["-CAcreateserial", "-days", DAYS, "-extfile", str(extensions)]
            + ["-out", str(self.certificate(identity.name))]
        )


def extension_text(hosts: Sequence[str]) -> str:
    """What openssl is to put into a certificate besides its subject.

    Hosts that look like an address are addresses.
    """
    lines = ["extendedKeyUsage=serverAuth,clientAuth"]
    if hosts:
        lines.append("subjectAltName=" + ",".join(alternative_name(host) for host in hosts))
    return "\n".join(lines) + "\n"


def alternative_name(host: str) -> str:
    """Clients check addresses and names in different places of a certificate."""
    return f"IP:{host}" if host.replace(".", "").isdigit() else f"DNS:{host}"


def api_server(*addresses: str) -> Identity:
    """The API server's own identity: every name by which somebody calls it."""
    names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost", "127.0.0.1")
    return Identity("apiserver", "kube-apiserver", hosts=(*names, *addresses))
