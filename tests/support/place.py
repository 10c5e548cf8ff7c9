"""A registry with a release in it, and what is right in it: what a command may change is compared with this."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from regkit.devregistry.app import DevRegistry
from regkit.devregistry.front import Front
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import MAX_SIZE, Manifest, assemble_index, canonical_json
from regkit.protocol.blob import push_blob
from regkit.protocol.flow import Bytes, Request, Response, drive
from regkit.protocol.manifest import put_manifest
from regkit.protocol.referrers import fallback_tag
from regkit.targets.layout import Layout
from tests.support.layouts import make_layout

APP, COPY = "team/app", "team/copy"
"""The repository with the release, and one that isn't there."""

RELEASE = ("1.2", "1.2.3", "latest")
"""The tags that stand on the release."""

PLATFORMS = ("linux/amd64", "linux/arm64")

DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

Tags = Mapping[str, Mapping[str, Digest]]
"""Where every tag of every repository stands."""


@dataclass
class Place:
    """A registry with a release and what belongs to it, and two layouts, one of which is in it.

    The tag `arm` stands on the release's second image.
    """

    root: Path
    host: str = ""
    registry: DevRegistry = field(default_factory=DevRegistry)

    def __post_init__(self) -> None:
        self.front = Front(self.registry)
        for seed, name in enumerate(("old", "new")):
            make_layout(self.root / name, PLATFORMS, seed=seed)

    @cached_property
    def old(self) -> Layout:
        """The layout of what is in the registry."""
        return Layout(self.root / "old")

    @cached_property
    def index(self) -> Manifest:
        """The release."""
        return self.old.manifest("built")

    @cached_property
    def new(self) -> Manifest:
        """A release that isn't in the registry."""
        return Layout(self.root / "new").manifest("built")

    @cached_property
    def image(self) -> Manifest:
        """The release's first image."""
        return self.old.manifest(self.index.manifests[0].digest)

    @cached_property
    def single(self) -> Manifest:
        """The same content as Docker describes it, at the tag `single`, in no index."""
        assert self.image.config is not None
        kinds = {"config": "application/vnd.docker.container.image.v1+json", "layers": DOCKER_LAYER}
        document = {
            "schemaVersion": 2,
            "mediaType": mediatype.DOCKER_MANIFEST,
            "config": {**self.image.config.to_json(), "mediaType": kinds["config"]},
            "layers": [{**layer.to_json(), "mediaType": kinds["layers"]} for layer in self.image.layers],
        }
        return Manifest(mediatype.DOCKER_MANIFEST, canonical_json(document))

    @cached_property
    def config(self) -> bytes:
        """The image's configuration."""
        assert self.image.config is not None
        with self.old.fetch(self.image.config).open() as stream:
            return stream.read()

    @cached_property
    def part(self) -> Manifest:
        """An index over the first image alone, at the tag `part`."""
        return assemble_index(self.index.manifests[:1], {})

    @cached_property
    def loose(self) -> Manifest:
        """An index over the second image, that no tag stands on."""
        return assemble_index(self.index.manifests[1:], {"loose": "yes"})

    @cached_property
    def signature(self) -> Manifest:
        """What refers to the release."""
        empty = Descriptor.of(mediatype.OCI_EMPTY, b"{}").to_json()
        document = {
            "schemaVersion": 2,
            "mediaType": mediatype.OCI_MANIFEST,
            "artifactType": "application/vnd.example.signature",
            "config": empty,
            "layers": [empty],
            "subject": self.index.descriptor.to_json(),
        }
        return Manifest(mediatype.OCI_MANIFEST, canonical_json(document))

    def fill(self) -> None:
        """Begin with a registry that holds all that, and the list of referrers at its fallback tag as well."""
        self.registry = DevRegistry()
        send = self.registry.handle
        drive(push_blob(APP, Descriptor.of(mediatype.OCI_EMPTY, b"{}"), Bytes(b"{}")), send)
        for child in self.index.manifests:
            image = self.old.manifest(child.digest)
            for blob in image.blobs:
                drive(push_blob(APP, blob, self.old.fetch(blob)), send)
            drive(put_manifest(APP, child.digest, image), send)
        for tag in RELEASE:
            drive(put_manifest(APP, tag, self.index), send)
        drive(put_manifest(APP, "single", self.single), send)
        drive(put_manifest(APP, "arm", self.old.manifest(self.index.manifests[1].digest)), send)
        drive(put_manifest(APP, "part", self.part), send)
        for manifest in (self.loose, self.signature):
            drive(put_manifest(APP, manifest.digest, manifest), send)
        listed = assemble_index([self.signature.as_referrer], {})
        drive(put_manifest(APP, fallback_tag(self.index.digest), listed), send)
        self.front = Front(self.registry)

    def handle(self, request: Request) -> Response:
        """Answer as the registry does at the moment: the socket stays, what is behind it changes."""
        return self.front.handle(request)

    def served(self, tag: str) -> bytes:
        """Give what a client gets that asks for a tag; a limit that refuses the first request lets the next one in."""
        request = Request("GET", f"/v2/{APP}/manifests/{tag}")
        answers = (self.front.handle(request) for _ in range(2))
        return next(answer.read(MAX_SIZE) for answer in answers if answer.status == 200)

    @property
    def tags(self) -> Tags:
        """Where every tag stands now."""
        store = self.registry.store
        found = {name: store.names(name) for name in store.repositories()}
        return {name: dict(names.tags) for name, names in found.items() if names and names.tags}

    def has(self, digest: Digest, repository: str = APP) -> bool:
        """Whether a repository has a manifest or a blob."""
        return self.registry.store.blob(repository, digest) is not None

    def read(self, repository: str, digest: Digest) -> Manifest:
        """Read a manifest from the store."""
        names, blob = self.registry.store.names(repository), self.registry.store.blob(repository, digest)
        assert names is not None
        assert blob is not None, f"{repository} lacks {digest}"
        with blob.open() as stream:
            return Manifest(names.manifests[digest].media_type, stream.read())

    def holes(self) -> list[str]:
        """Name what is missing below the tags."""
        below = [
            (name, d) for name, tags in self.tags.items() for root in tags.values() for d in self._below(name, root)
        ]
        return sorted({f"{name} lacks {digest}" for name, digest in below if not self.has(digest, name)})

    def _below(self, repository: str, digest: Digest) -> Iterator[Digest]:
        yield digest
        if not self.has(digest, repository):
            return
        manifest = self.read(repository, digest)
        for child in manifest.manifests:
            yield from self._below(repository, child.digest)
        yield from (each.digest for each in manifest.blobs)


def document(out: str) -> dict[str, object]:
    """Read a command's JSON."""
    found = json.loads(out)
    assert isinstance(found, dict)
    return found
