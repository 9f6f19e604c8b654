"""The few calls to the API server that the harness makes itself, in JSON."""

import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from cluster.harness.errors import ApiError
from cluster.harness.pki import Pki

Json = dict[str, Any]
CONTENT_TYPES = {"PATCH": "application/merge-patch+json"}


@dataclass(frozen=True)
class Api:
    """A client with an administrator's certificate.

    Calls raise `ApiError` for refusals and OSError for silence.
    """

    url: str
    context: ssl.SSLContext = field(repr=False)

    @classmethod
    def with_certificate(cls, url: str, pki: Pki, name: str) -> "Api":
        context = ssl.create_default_context(cafile=str(pki.authority))
        context.load_cert_chain(pki.certificate(name), pki.key(name))
        return cls(url, context)

    def call(self, method: str, path: str, body: Json | None = None, seconds: float = 10) -> Json:
        """One request. Answers that are no JSON come back as `{"text": …}`."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Content-Type": CONTENT_TYPES.get(method, "application/json"),
                "Accept": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=seconds, context=self.context) as answer:
                return decoded(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                message = decoded(error.read()).get("message", error.reason)
            raise ApiError(error.code, f"{method} {path}: {message}") from None

    def ready(self) -> bool:
        """Whether the server says that it is ready. False also while nothing listens."""
        try:
            self.call("GET", "/readyz", seconds=2)
        except (ApiError, OSError):
            return False
        return True

    def create(self, path: str, body: Json) -> Json | None:
        """Creates an object in a collection; None when one of that name is there already."""
        try:
            return self.call("POST", path, body)
        except ApiError as error:
            if error.status == 409:
                return None
            raise


def decoded(body: bytes) -> Json:
    try:
        content = json.loads(body)
    except ValueError:
        return {"text": body.decode(errors="replace")}
    return content if isinstance(content, dict) else {"text": content}
