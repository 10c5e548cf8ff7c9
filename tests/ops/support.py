"""Images in a layout, with what BuildKit puts beside them, and registries with a will of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from regkit.devregistry.app import DevRegistry
from regkit.devregistry.server import running
from regkit.events import Event, RequestServed
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.manifest import Manifest, assemble_index, canonical_json
from regkit.oci.platform import Platform
from regkit.oci.reference import Reference
from regkit.ops.publish import publish
from regkit.ops.request import publish_spec
from regkit.ops.result import PublishResult
from regkit.protocol.flow import Bytes, Request, Response
from regkit.targets.layout import Layout
from regkit.transport.session import Session

COMMIT = "8f3c2b1a9d7e6f5c4b3a29181716151413121110"
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7")
ORDER = ["1", "1.2", "1.2.3", "latest"]


def add_image(
    layout: Layout,
    platform: str,
    content: str = "",
    *,
    config: bytes | None = None,
    config_type: str = mediatype.OCI_CONFIG,
) -> Descriptor:
    """Put an image with one layer there; give it as an index describes it."""
    parsed = Platform.parse(platform)
    blobs = (
        (config_type, canonical_json(parsed.to_json()) if config is None else config),
        (mediatype.OCI_LAYER_GZIP, f"{platform} {content}".encode()),
    )
    described = [Descriptor.of(media_type, data) for media_type, data in blobs]
    for descriptor, (_, data) in zip(described, blobs, strict=True):
        layout.push(descriptor, Bytes(data))
    return replace(_add(layout, described[0], described[1:]), platform=parsed)


def add_attestation(layout: Layout, image: Descriptor, content: str = "") -> Descriptor:
    """Put an attestation of an image there, as BuildKit describes it."""
    config = Descriptor.of(mediatype.OCI_CONFIG, b"{}")
    statement = f"{content} about {image.digest}".encode()
    layer = Descriptor.of("application/vnd.in-toto+json", statement)
    layout.push(config, Bytes(b"{}"))
    layout.push(layer, Bytes(statement))
    annotations = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": str(image.digest),
    }
    return replace(_add(layout, config, [layer]), platform=Platform("unknown", "unknown"), annotations=annotations)


def add_referrer(layout: Layout, subject: Descriptor, kind: str = "application/x.sbom", text: str = "{}") -> Descriptor:
    """Attach an artifact with one layer."""
    empty = Descriptor.of(mediatype.OCI_EMPTY, b"{}")
    layer = Descriptor.of("application/vnd.in-toto+json", text.encode())
    for descriptor, data in ((empty, b"{}"), (layer, text.encode())):
        layout.push(descriptor, Bytes(data))
    plain = Descriptor(subject.media_type, subject.digest, subject.size)
    document = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST,
        "artifactType": kind,
        "config": empty.to_json(),
        "layers": [layer.to_json()],
        "subject": plain.to_json(),
    }
    manifest = Manifest(mediatype.OCI_MANIFEST, canonical_json(document))
    layout.push(manifest.descriptor, Bytes(manifest.raw))
    return manifest.descriptor


def add_index(layout: Layout, children: Sequence[Descriptor], name: str | None = None) -> Manifest:
    """Put an index there; under a name it's one of the layout's roots."""
    index = assemble_index(children, {})
    layout.push(index.descriptor, Bytes(index.raw), name)
    return index


def _add(layout: Layout, config: Descriptor, layers: Sequence[Descriptor]) -> Descriptor:
    document = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST,
        "config": config.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    manifest = Manifest(mediatype.OCI_MANIFEST, canonical_json(document))
    layout.push(manifest.descriptor, Bytes(manifest.raw))
    return manifest.descriptor


@contextmanager
def new_layout(root: Path) -> Iterator[Layout]:
    """Begin a layout."""
    with Layout(root, create=True) as layout:
        yield layout


def attested_layout(root: Path, *platforms: str, content: str = "") -> Path:
    """Write what BuildKit exports: an index over images, each with its attestation."""
    with new_layout(root) as layout:
        images = [add_image(layout, platform, content) for platform in platforms]
        add_index(layout, [*images, *(add_attestation(layout, image, content) for image in images)], "built")
    return root


@dataclass
class Served:
    """A registry on a socket, a session for it that never really waits, and what both reported."""

    registry: DevRegistry
    host: str = ""
    access: list[RequestServed] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session = _Patient(self)

    def reference(self, text: str = "team/hello") -> Reference:
        """Give a reference in this registry."""
        return Reference.parse(f"{self.host}/{text}")

    @property
    def writes(self) -> list[str]:
        """Every request that writes, in order: method and path, without the query."""
        return [
            f"{each.method} {urlsplit(each.path).path}" for each in self.access if each.method not in ("GET", "HEAD")
        ]

    def tags(self, repository: str = "team/hello") -> dict[str, str]:
        """Tell where every tag stands."""
        names = self.registry.store.names(repository)
        return {tag: str(digest) for tag, digest in names.tags.items()} if names else {}


class _Patient(Session):
    def __init__(self, served: Served) -> None:
        super().__init__(report=served.events.append)
        self._served = served

    def sleep(self, seconds: float) -> None:
        """Don't wait, and remember for how long it would have been."""
        self._served.waits.append(seconds)


@contextmanager
def serving(registry: DevRegistry | None = None) -> Iterator[Served]:
    """Serve a registry on a socket."""
    served = Served(registry or DevRegistry())

    def log(event: Event) -> None:
        assert isinstance(event, RequestServed), event
        served.access.append(event)

    with running(served.registry, report=log) as server, served.session:
        served.host = server.host
        yield served


def release(served: Served, layout: Path, version: str = "v1.2.3", **options: Any) -> PublishResult:
    """Publish a layout's images as a release of `team/hello`."""
    spec = publish_spec(
        f"{served.host}/team/hello", sources=[layout], version=version, commit=COMMIT, env={}, **options
    )
    return publish(served.session, spec, env={})


def tags_put(served: Served) -> list[str]:
    """Give the tags that were written, in order."""
    names = [line.rpartition("/")[2] for line in served.writes if line.startswith("PUT") and "/manifests/" in line]
    return [name for name in names if ":" not in name]


def manifest_name(request: Request) -> str:
    """Give the tag or digest that a request for a manifest names, "" for any other request."""
    path = urlsplit(request.url).path
    return path.rpartition("/manifests/")[2] if "/manifests/" in path else ""


class Cascading(DevRegistry):
    """Deleting a tag takes the manifest along, with all its tags: as some registries do it."""

    def handle(self, request: Request) -> Response:
        name = manifest_name(request)
        if request.method == "DELETE" and ":" not in name:
            there = super().handle(Request("HEAD", request.url))
            digest = there.headers.get("docker-content-digest", name)
            return super().handle(Request("DELETE", request.url.removesuffix(name) + digest))
        return super().handle(request)


class Devouring(DevRegistry):
    """Deleting a tag takes along every index and image of its repository, with all their tags."""

    def handle(self, request: Request) -> Response:
        name = manifest_name(request)
        if request.method == "DELETE" and ":" not in name:
            prefix = request.url.removesuffix(name)
            names = self.store.names("team/hello")
            for digest in names.manifests if names else ():
                super().handle(Request("DELETE", prefix + digest))
            return Response(202)
        return super().handle(request)


class Undeletable(DevRegistry):
    """Deleting isn't enabled."""

    def handle(self, request: Request) -> Response:
        return Response(405) if request.method == "DELETE" else super().handle(request)


class Lagging(DevRegistry):
    """A tag shows only when it was asked for `times` times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.left = times

    def handle(self, request: Request) -> Response:
        name = manifest_name(request)
        if request.method == "HEAD" and name and ":" not in name and self.left:
            answer = super().handle(request)
            if answer.status == 200:
                self.left -= 1
                return Response(404)
            return answer
        return super().handle(request)
