"""What every Target promises: one set of tests, on all kinds."""

from __future__ import annotations

import hashlib
import itertools
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.devregistry.server import running
from regkit.errors import NotFound, RegkitError, UsageError
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest, assemble_index, canonical_json
from regkit.oci.platform import Platform
from regkit.oci.reference import Reference
from regkit.ops.tasks import each
from regkit.protocol.flow import Bytes
from regkit.targets.archive import Archive
from regkit.targets.docker_archive import DockerArchive
from regkit.targets.layout import Layout
from regkit.targets.local import LocalTarget
from regkit.targets.memory import Memory
from regkit.targets.repository import Repository
from regkit.targets.target import Target
from regkit.targets.verified import read_all
from regkit.transport.session import Session
from tests.support.registries import RunningRegistry, distribution

KINDS = ("embedded", "distribution", "layout", "oci-archive", "docker-archive", "docker-archive with a name", "memory")
DATA = b"a layer's bytes"
BLOB = Descriptor.of(mediatype.OCI_LAYER_GZIP, DATA)
_numbers = itertools.count()


@dataclass(frozen=True)
class Place:
    """Where a Target of some kind is opened, again and again."""

    kind: str
    open: Callable[[], Target]
    other: Callable[[], Target]
    """Another one beside it."""

    @property
    def only_images(self) -> bool:
        return self.kind.startswith("docker-archive")

    @property
    def is_local(self) -> bool:
        return self.kind not in ("embedded", "distribution")


@dataclass(frozen=True)
class Image:
    manifest: Manifest
    blobs: dict[Descriptor, bytes]

    def push(self, target: Target, name: str | None = None) -> None:
        for descriptor, data in self.blobs.items():
            target.push(descriptor, Bytes(data))
        target.push(self.manifest.descriptor, Bytes(self.manifest.raw), name)


def image(seed: str = "", layers: int = 2, platform: str = "linux/amd64", **fields: object) -> Image:
    """Make an image of plain tars that are none: nobody looks into them here."""
    contents = [f"layer {number} of {seed}".encode() for number in range(layers)]
    diff_ids = [Digest.of(content) for content in contents]
    config = {**Platform.parse(platform).to_json(), "x": seed, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    blobs = {Descriptor.of(mediatype.OCI_CONFIG, canonical_json(config)): canonical_json(config)}
    blobs |= {Descriptor.of("application/vnd.oci.image.layer.v1.tar", content): content for content in contents}
    return Image(manifest_of(list(blobs), **fields), blobs)


def manifest_of(blobs: list[Descriptor], **fields: object) -> Manifest:
    document = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST,
        "config": blobs[0].to_json(),
        "layers": [blob.to_json() for blob in blobs[1:]],
        **fields,
    }
    return Manifest(mediatype.OCI_MANIFEST, canonical_json(document))


@pytest.fixture(scope="module")
def distribution_v3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with distribution(tmp_path_factory.mktemp("distribution") / "registry") as registry:
        yield registry


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    kind: str = request.param
    if kind == "embedded":
        with running(DevRegistry()) as server, Session() as session:
            yield repositories(kind, session, server.host)
    elif kind == "distribution":
        host = request.getfixturevalue("distribution_v3").host
        with Session() as session:
            yield repositories(kind, session, host)
    elif kind == "memory":
        memories = Memory(), Memory()
        yield Place(kind, lambda: memories[0], lambda: memories[1])
    else:
        openers: dict[str, Callable[[Path], Target]] = {
            "layout": lambda path: Layout(path, create=True),
            "oci-archive": lambda path: Archive(path, create=True),
            "docker-archive": lambda path: DockerArchive(path, create=True),
            "docker-archive with a name": lambda path: DockerArchive(path, "example.org/a/b", create=True),
        }
        yield Place(kind, lambda: openers[kind](tmp_path / "one"), lambda: openers[kind](tmp_path / "two"))


def repositories(kind: str, session: Session, host: str) -> Place:
    """Give two repositories that no other test uses."""
    number = next(_numbers)
    one, two = (Reference(host, f"contract/{name}-{number}") for name in ("one", "two"))
    return Place(kind, lambda: Repository(session, one), lambda: Repository(session, two))


def test_round_trip(place: Place) -> None:
    """What is pushed is found, at once and by whoever opens it later: by name, by digest, byte for byte."""
    made = image()
    with place.open() as target:
        made.push(target, "1.2")
        check_there(target, made, ("1.2",))
    with place.open() as again:
        check_there(again, made, ("1.2",))
        copied = Memory()
        for blob in made.blobs:
            copied.push(blob, again.fetch(blob))
        copied.push(made.manifest.descriptor, Bytes(again.manifest("1.2").raw), "1.2")
    check_there(copied, made, ("1.2",))


def test_the_size_of_content(place: Place) -> None:
    """It is told by digest alone, and None where there is none."""
    with place.open() as target:
        target.push(BLOB, Bytes(DATA))

        assert target.size(BLOB.digest) == len(DATA)
        assert target.size(Digest.of(b"nothing")) is None


def test_what_cannot_be_held_is_told(place: Place) -> None:
    """Beforehand, without a word to anybody; and it is what a push raises."""
    index = assemble_index([image(p, platform=p).manifest.descriptor for p in ("linux/amd64", "linux/arm64")], {})
    with place.open() as target:
        assert target.refuses(image().manifest) is None
        refusal = target.refuses(index)
        assert (refusal is not None) == place.only_images
        if refusal is not None:
            with pytest.raises(type(refusal), match=re.escape(refusal.message)):
                target.push(index.descriptor, Bytes(index.raw))


def test_several_names_at_once(place: Place) -> None:
    """Those that are given back are set; the others aren't."""
    made = image()
    with place.open() as target:
        made.push(target)
        done = target.push_named(made.manifest.descriptor, Bytes(made.manifest.raw), ("1", "2", "3"))

        assert done in ((), ("1", "2", "3"))
        assert sorted(target.tags()) == sorted(done)


def check_there(target: Target, made: Image, tags: tuple[str, ...]) -> None:
    manifest = made.manifest
    assert target.tags() == tags
    assert target.resolve(tags[0]) == target.resolve(manifest.digest) == manifest.descriptor
    assert target.manifest(tags[0]) == target.manifest(manifest.digest) == manifest
    assert target.exists(manifest.descriptor)
    for blob, data in made.blobs.items():
        assert target.exists(blob)
        assert read_all(target.fetch(blob), 1000) == data


def test_what_is_not_there(place: Place) -> None:
    """Absence is an answer where one asks, and a NotFound where one reads."""
    other = image("other").manifest
    with place.open() as target:
        image().push(target, "1")

        assert target.resolve("2") is None
        assert target.resolve(other.digest) is None
        assert not target.exists(BLOB)
        assert not target.exists(other.descriptor)
        for name in ("2", other.digest):
            with pytest.raises(NotFound):
                target.manifest(name)
        with pytest.raises(NotFound), target.fetch(BLOB).open() as stream:
            stream.read()


def test_an_empty_one(place: Place) -> None:
    """Where nothing is, nothing is listed."""
    for _ in range(2):
        with place.open() as target:
            assert target.tags() == ()
            assert target.resolve("latest") is None
            assert not target.exists(BLOB)


def test_a_blob_is_no_manifest(place: Place) -> None:
    """The digest of a blob stands for no manifest, be the blob JSON or not."""
    made = image()
    with place.open() as target:
        made.push(target, "1")

        for blob in made.blobs:
            assert target.resolve(blob.digest) is None
            with pytest.raises(NotFound):
                target.manifest(blob.digest)


def test_names_move(place: Place) -> None:
    """A name stands on one thing at a time, the same thing may have several; what lost its name is still there."""
    old, new = image("old"), image("new")
    with place.open() as target:
        old.push(target, "1")
        old.push(target, "latest")
        new.push(target, "latest")
    with place.open() as again:
        assert set(again.tags()) == {"1", "latest"}
        assert again.manifest("1") == old.manifest
        assert again.manifest("latest") == new.manifest
        again.push(new.manifest.descriptor, Bytes(new.manifest.raw), "1")
    with place.open() as third:
        assert set(third.tags()) == {"1", "latest"}
        assert third.manifest("1") == third.manifest("latest") == new.manifest
        assert third.manifest(old.manifest.digest) == old.manifest


def test_untag(place: Place) -> None:
    """A tag goes alone: its manifest stays, its other tags too; one that isn't there is gone already."""
    made = image()
    with place.open() as target:
        made.push(target, "1")
        made.push(target, "2")
    with place.open() as target:
        assert target.untag("1")
        assert target.untag("never")
    with place.open() as again:
        check_there(again, made, ("2",))
        assert again.resolve("1") is None
        assert again.untag("2")
    with place.open() as bare:
        assert bare.tags() == ()
        assert bare.exists(made.manifest.descriptor)
        assert bare.manifest(made.manifest.digest) == made.manifest


def test_delete(place: Place) -> None:
    """A manifest goes with all its names, other images stay; a blob goes; what isn't there is deleted already."""
    gone, kept = image("gone"), image("kept")
    with place.open() as target:
        gone.push(target, "1")
        gone.push(target, "2")
        kept.push(target, "3")
    with place.open() as target:
        assert target.delete(gone.manifest.descriptor)
        for blob in gone.blobs:
            assert target.delete(blob)
            assert target.delete(blob)
        assert target.delete(gone.manifest.descriptor)
        assert target.tags() == ("3",)
        assert not target.exists(gone.manifest.descriptor)
    with place.open() as again:
        check_there(again, kept, ("3",))
        assert again.resolve("1") is None
        assert again.resolve(gone.manifest.digest) is None
        assert not any(map(again.exists, gone.blobs))


def test_deleted_content_comes_back(place: Place) -> None:
    """What was deleted can be pushed anew."""
    made = image()
    with place.open() as target:
        made.push(target, "1")
    with place.open() as target:
        for descriptor in (made.manifest.descriptor, *made.blobs):
            assert target.delete(descriptor)
        made.push(target, "1")
        check_there(target, made, ("1",))
    with place.open() as again:
        check_there(again, made, ("1",))


@pytest.mark.parametrize("data", [b"x" * len(DATA), DATA[:-1], DATA + b"x", b""], ids=["other", "short", "long", "no"])
def test_wrong_bytes(place: Place, data: bytes) -> None:
    """Content with another digest or size is refused, nothing of it stays, and what comes after is well."""
    made = image()
    with place.open() as target:
        with pytest.raises(RegkitError):
            target.push(BLOB, Bytes(data))
        assert not target.exists(BLOB)
        made.push(target, "1")
    with place.open() as again:
        assert not again.exists(BLOB)
        check_there(again, made, ("1",))


def test_a_wrong_manifest(place: Place) -> None:
    """A manifest with other bytes than its descriptor's is refused, and gets no name."""
    made, wrong = image(), image("wrong").manifest
    with place.open() as target:
        for blob, data in made.blobs.items():
            target.push(blob, Bytes(data))
        with pytest.raises(RegkitError):
            target.push(replace(made.manifest.descriptor, size=3), Bytes(wrong.raw), "1")
    with place.open() as again:
        assert again.resolve("1") is None
        assert not again.exists(made.manifest.descriptor)


def test_pushing_side_by_side(place: Place) -> None:
    """Twenty-four threads push at once, the same blob among it several times, names too; all of it arrives."""
    images = [image(str(number), layers=3) for number in range(12)]
    work = [item for made in images for item in made.blobs.items()]
    work += [*[(BLOB, DATA)] * 6, *work[:6]]
    with place.open() as target:
        each(lambda item: target.push(item[0], Bytes(item[1])), work, 24)
        each(lambda n: target.push(images[n].manifest.descriptor, Bytes(images[n].manifest.raw), f"t{n}"), range(12))
    with place.open() as again:
        assert sorted(again.tags()) == sorted(f"t{number}" for number in range(12))
        for number, made in enumerate(images):
            assert again.manifest(f"t{number}") == made.manifest
            assert all(read_all(again.fetch(blob), 1000) == data for blob, data in made.blobs.items())
        assert again.exists(BLOB)


def test_failures_among_others(place: Place) -> None:
    """A push that fails while others run takes nothing from them."""
    work = [(Descriptor.of("x/y", bytes([n]) * 1000), bytes([n if n % 3 else 99]) * 1000) for n in range(24)]
    meet = threading.Barrier(24)

    def push(item: tuple[Descriptor, bytes]) -> bool:
        meet.wait()
        try:
            target.push(item[0], Bytes(item[1]))
        except RegkitError:
            return False
        return True

    with place.open() as target:
        assert each(push, work, 24) == [n % 3 != 0 for n in range(24)]
    with place.open() as again:
        assert each(again.exists, [descriptor for descriptor, _ in work]) == [n % 3 != 0 for n in range(24)]
        assert all(read_all(again.fetch(d), 1000) == data for n, (d, data) in enumerate(work) if n % 3)


def test_content_without_a_name(place: Place) -> None:
    """An image that is pushed by its digest has no tag, and is found by its digest, also later."""
    made = image()
    with place.open() as target:
        made.push(target)
        assert target.tags() == ()
    with place.open() as again:
        assert again.tags() == ()
        assert again.resolve(made.manifest.digest) == made.manifest.descriptor
        assert again.manifest(made.manifest.digest) == made.manifest
        if isinstance(again, LocalTarget):
            assert [root.digest for root in again.roots] in ([made.manifest.digest], [])
            assert place.kind == "memory" or again.roots


def test_an_index(place: Place) -> None:
    """An index's children lie below it, and its own name is the only one; a docker-archive has no room for it."""
    children = [image("1", platform="linux/amd64"), image("2", platform="linux/arm/v6")]
    platforms = [Platform("linux", "amd64"), Platform("linux", "arm", "v6")]
    listed = [replace(c.manifest.descriptor, platform=p) for c, p in zip(children, platforms, strict=True)]
    index = assemble_index(listed, {"k": "v"})
    if place.only_images:
        with pytest.raises(UsageError, match="not the index") as caught, place.open() as target:
            target.push(index.descriptor, Bytes(index.raw), "1")
        assert "--platform" in str(caught.value.hint)
        return
    with place.open() as target:
        for child in children:
            child.push(target)
        target.push(index.descriptor, Bytes(index.raw), "1")
    with place.open() as again:
        assert again.tags() == ("1",)
        assert again.manifest("1") == index
        for child, descriptor in zip(children, listed, strict=True):
            assert again.manifest(descriptor.digest) == child.manifest
            found = again.resolve(descriptor.digest)
            assert found is not None
            assert replace(found, platform=None) == child.manifest.descriptor
        if isinstance(again, LocalTarget):
            assert [root.digest for root in again.roots] == [index.digest]


def test_unknown_media_types(place: Place) -> None:
    """What a blob or a configuration calls itself is its own business; a docker-archive wants an image's."""
    blobs = {Descriptor.of("application/vnd.example+zip", DATA): DATA, Descriptor.of("x/y; z=1", b"more"): b"more"}
    artifact = Image(manifest_of(list(blobs), artifactType="application/x.thing"), blobs)
    with place.open() as target:
        for blob, data in blobs.items():
            target.push(blob, Bytes(data))
            assert read_all(target.fetch(blob), 100) == data
    if place.only_images:
        with pytest.raises(UsageError, match="not the artifact"), place.open() as target:
            artifact.push(target, "1")
        return
    with place.open() as target:
        artifact.push(target, "1")
    with place.open() as again:
        check_there(again, artifact, ("1",))


def test_a_dockers_manifest(place: Place) -> None:
    """Docker's own media types stay what they are."""
    made = image()
    kind = "application/vnd.docker.container.image.v1+json"
    blobs = [replace(b, media_type=kind) if b.media_type == mediatype.OCI_CONFIG else b for b in made.blobs]
    docker = Manifest(mediatype.DOCKER_MANIFEST, manifest_of(blobs, mediaType=mediatype.DOCKER_MANIFEST).raw)
    with place.open() as target:
        Image(docker, made.blobs).push(target, "1")
    with place.open() as again:
        check_there(again, Image(docker, made.blobs), ("1",))


def test_empty_things(place: Place) -> None:
    """A blob of no bytes, and an image without layers, are content like any other."""
    empty, bare = Descriptor.of("application/octet-stream", b""), image("bare", layers=0)
    with place.open() as target:
        target.push(empty, Bytes(b""))
        bare.push(target, "1")
    with place.open() as again:
        assert again.exists(empty)
        assert read_all(again.fetch(empty), 100) == b""
        check_there(again, bare, ("1",))


def test_sha512(place: Place) -> None:
    """Content under its sha512 is checked by it."""
    blob = Descriptor("application/octet-stream", Digest(f"sha512:{hashlib.sha512(DATA).hexdigest()}"), len(DATA))
    with place.open() as target:
        target.push(blob, Bytes(DATA))
        with pytest.raises(RegkitError):
            target.push(replace(blob, digest=Digest(f"sha512:{hashlib.sha512(b'').hexdigest()}")), Bytes(DATA))
    with place.open() as again:
        assert again.exists(blob)
        assert read_all(again.fetch(blob), 100) == DATA


def test_reading_again(place: Place) -> None:
    """A Source gives its bytes as often as it is opened, also to two readers at once, who take turns."""
    data = bytes(range(256)) * 4096
    blob = Descriptor.of("application/octet-stream", data)
    with place.open() as target:
        target.push(blob, Bytes(data))
        source = target.fetch(blob)
        assert read_all(source, len(data)) == read_all(source, len(data)) == data
    with place.open() as again:
        source = again.fetch(blob)
        pieces: list[list[bytes]] = [[], []]
        with source.open() as one, source.open() as two:
            while any(taken := [stream.read(100_000) for stream in (one, two)]):
                for kept, piece in zip(pieces, taken, strict=True):
                    kept.append(piece)
        assert b"".join(pieces[0]) == b"".join(pieces[1]) == data


def test_mount(place: Place) -> None:
    """A registry shares a blob between its repositories; elsewhere the answer is no, and pushing works."""
    with place.open() as origin:
        origin.push(BLOB, Bytes(DATA))
    with place.open() as origin, place.other() as target:
        assert target.mount(BLOB, origin) is not place.is_local
        assert target.exists(BLOB) is not place.is_local
        target.push(BLOB, origin.fetch(BLOB))
        assert not target.mount(BLOB, Memory())
        assert target.exists(BLOB)


def test_referrers(place: Place) -> None:
    """What refers to an image is listed with type and annotations, named or not; an artifact's is filtered."""
    made, empty = image(), Descriptor.of(mediatype.OCI_EMPTY, b"{}")
    if place.only_images:
        with place.open() as target:
            made.push(target, "1")
            assert target.referrers(made.manifest.digest) == ()
        return
    subject = made.manifest.descriptor.to_json()
    fields: list[dict[str, Any]] = [
        {"artifactType": "application/x.signature", "annotations": {"by": "me"}},
        {"artifactType": "application/x.bom"},
    ]
    signature, bom = (manifest_of([empty, empty], subject=subject, **more) for more in fields)
    with place.open() as target:
        made.push(target, "1")
        target.push(empty, Bytes(b"{}"))
        for artifact in (signature, bom):
            target.push(artifact.descriptor, Bytes(artifact.raw))
        assert {d.digest for d in target.referrers(made.manifest.digest)} == {signature.digest, bom.digest}
    with place.open() as again:
        found = {d.digest: (d.artifact_type, dict(d.annotations)) for d in again.referrers(made.manifest.digest)}
        assert found == {
            signature.digest: ("application/x.signature", {"by": "me"}),
            bom.digest: ("application/x.bom", {}),
        }
        typed = again.referrers(made.manifest.digest, "application/x.bom")
        assert [d.digest for d in typed] == [bom.digest]
        assert again.referrers(bom.digest) == ()
        if isinstance(again, LocalTarget):
            assert [root.digest for root in again.roots] == [made.manifest.digest]


def test_an_error_names_nothing(place: Place) -> None:
    """Where names are written at the end, an error in between writes none; a registry and memory take them at once."""
    old, new = image("old"), image("new")
    with place.open() as target:
        old.push(target, "1")

    def push_and_fail() -> None:
        with place.open() as target:
            new.push(target, "1")
            target.push(BLOB, Bytes(b"wrong"))

    with pytest.raises(RegkitError):
        push_and_fail()

    with place.open() as again:
        at_once = place.kind in ("embedded", "distribution", "memory")
        assert again.manifest("1") == (new if at_once else old).manifest
