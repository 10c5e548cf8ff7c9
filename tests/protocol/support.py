"""What stands in for the wire: the embedded registry with a test's own word in between, or a script of answers."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from regkit.devregistry.app import DevRegistry
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.manifest import Manifest, canonical_json
from regkit.protocol.flow import Bytes, Flow, Request, Response, drive
from regkit.protocol.manifest import put_manifest

ORIGIN = "https://registry.test"
CONFIG = b'{"architecture": "amd64", "os": "linux"}'


def reply(status: int, body: bytes | object = b"", url: str = f"{ORIGIN}/v2/", **headers: str) -> Response:
    """Make an answer; `docker_content_digest=…` is the header of that name, a body that isn't bytes becomes JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, io.BytesIO(raw), url)


def errors(*pairs: tuple[str, str]) -> dict[str, Any]:
    """Give the specification's body of an error."""
    return {"errors": [{"code": code, "message": message, "detail": None} for code, message in pairs]}


Intercept = Callable[[Request, DevRegistry], Response | None]


@dataclass
class Wire:
    """A `send`: the embedded registry, except where `intercept` answers or raises; it remembers every request."""

    registry: DevRegistry = field(default_factory=DevRegistry)
    intercept: Intercept = lambda _request, _registry: None
    seen: list[Request] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        self.seen.append(request)
        answer = self.intercept(request, self.registry)
        return self.registry.handle(request) if answer is None else answer

    @property
    def methods(self) -> list[str]:
        """The methods of all requests, in order."""
        return [request.method for request in self.seen]


@dataclass
class Script:
    """A `send` that gives the answers it was made with, one after the other; it remembers every request."""

    answers: Iterable[Response]
    seen: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._next = iter(self.answers)

    def __call__(self, request: Request) -> Response:
        self.seen.append(request)
        return next(self._next)

    @property
    def urls(self) -> list[str]:
        """The URLs of all requests, in order."""
        return [request.url for request in self.seen]


def upload(registry: DevRegistry, repository: str, data: bytes) -> Descriptor:
    """Put a blob there without the flow that is under test."""
    descriptor = Descriptor.of("application/octet-stream", data)
    url = f"/v2/{repository}/blobs/uploads/?digest={descriptor.digest}"
    assert registry.handle(Request("POST", url, body=Bytes(data))).status == 201
    return descriptor


def image(registry: DevRegistry, repository: str, *tags: str) -> Manifest:
    """Put an image without layers there, under tags or its digest."""
    config = upload(registry, repository, CONFIG)
    document = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST,
        "config": {**config.to_json(), "mediaType": mediatype.OCI_CONFIG},
        "layers": [],
    }
    manifest = Manifest(mediatype.OCI_MANIFEST, canonical_json(document))
    for name in tags or (manifest.digest,):
        drive(put_manifest(repository, name, manifest), registry.handle)
    return manifest


def path(request: Request) -> str:
    """Give a request's path, however it was asked for."""
    return urlsplit(request.url).path


def finish(flow: Flow[Any], *answers: Response) -> Any:
    """Run a flow against a script; what it returns."""
    return drive(flow, Script(answers))
