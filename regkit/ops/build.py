"""Build: images for several platforms, pushed by digest or under platform tags, or written to layouts and archives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regkit.errors import RegkitError, Unavailable, UsageError, VerificationFailed, leave
from regkit.events import ImageFound, Note, StageStarted, TagKept, TagMoved
from regkit.oci.annotation import REVISION
from regkit.oci.descriptor import Descriptor
from regkit.oci.manifest import Manifest, assemble_index
from regkit.oci.platform import Platform
from regkit.oci.reference import Reference
from regkit.ops.admission import admit
from regkit.ops.building import built
from regkit.ops.checking import Checking
from regkit.ops.checks import Checks
from regkit.ops.described import epoch
from regkit.ops.graph import Node
from regkit.ops.images import Image
from regkit.ops.places import check_places, destination_name
from regkit.ops.presence import lost_from, read_back
from regkit.ops.records import Record, record_paths, write_record
from regkit.ops.source import short_commit
from regkit.ops.spec import PublishSpec, intermediate_tag
from regkit.ops.tasks import each
from regkit.ops.transfer import Transfer
from regkit.protocol.flow import Bytes
from regkit.targets.location import DockerFile, Location
from regkit.targets.repository import Repository
from regkit.targets.target import Target, digest_or_none
from regkit.transport.session import Session

if TYPE_CHECKING:
    from regkit.build.spec import BuildSpec


class Push(StrEnum):
    """How images are pushed: not at all, by digest, or under `COMMIT-os-arch[-variant]`."""

    none = "none"
    digest = "digest"
    tag = "tag"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where what is built goes; `digest_dir` gets a record a platform of what was pushed."""

    images: tuple[Reference, ...] = ()
    push: Push = Push.none
    outputs: tuple[Location, ...] = ()
    digest_dir: Path | None = None
    commit: str | None = None

    def check(self) -> None:
        """Raise UsageError for what can't be meant, before anything is done."""
        if self.push is not Push.none and not self.images:
            raise UsageError("nothing says where to push", hint="give --image NAME")
        if self.push is Push.tag:
            short_commit(self.commit)
        if self.digest_dir is not None and self.push is Push.none:
            raise UsageError("a digest directory says what was pushed", hint="give --push-by-digest or --push, too")
        if self.digest_dir is not None and self.digest_dir.exists() and not self.digest_dir.is_dir():
            raise UsageError(f"{self.digest_dir} isn't a directory", hint="name a directory, which is made if need be")
        for location in self.outputs:
            is_digest = location.identifier is not None and digest_or_none(location.identifier) is not None
            if is_digest or isinstance(location.place, Reference | DockerFile):
                raise UsageError(
                    f"a build can't be written to {location}",
                    hint="write ocidir://DIR[:name] or oci-archive:FILE[:name]",
                )

    def tags(self, platforms: Sequence[Platform]) -> dict[Platform, str]:
        """Give the platforms' tags; none where it's pushed otherwise."""
        if self.push is not Push.tag:
            return {}
        return {platform: intermediate_tag(self.commit, platform) for platform in platforms}


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What is built, how it's looked at, and where it goes; `annotations` are those of an index that is written."""

    build: BuildSpec
    delivery: Delivery
    annotations: Mapping[str, str] = field(default_factory=dict)
    checks: Checks = field(default_factory=Checks)


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What was built: records of each platform's image, the places that hold it, and the layouts with the index."""

    records: tuple[Record, ...]
    pushed: bool
    outputs: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names to pull by, a line each: of the images that were pushed, then of what was written."""
        return (*(self._names() if self.pushed else ()), *self.outputs)

    def _names(self) -> Iterator[str]:
        for record in self.records:
            for image in record.images:
                tag = f":{record.tag}" if record.tag else ""
                yield f"{image.name}{tag}@{record.descriptor.digest}"

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON document."""
        return {
            "schema": 1,
            "pushed": self.pushed,
            "names": list(self.names),
            "platforms": [record.to_json() for record in self.records],
            "outputs": list(self.outputs),
        }


@dataclass(frozen=True, slots=True)
class _Named:
    """An image and what stands for it: itself, or an index over it and its attestations, which nothing else keeps."""

    image: Image
    manifest: Manifest
    descriptor: Descriptor

    @classmethod
    def of(cls, image: Image) -> _Named:
        if not image.attestations:
            return cls(image, image.piece.manifest, image.descriptor)
        index = assemble_index((piece.descriptor for piece in image.pieces), {})
        return cls(image, index, index.descriptor)


def build_images(session: Session, request: BuildRequest, *, env: Mapping[str, str]) -> BuildResult:
    """Build, test, then push and write; at the end records say what is up.

    Raise what keeps us out before a build; BuildFailed, for a base image before it too; VerificationFailed where a test
    failed, before anything is pushed. Where something is up by the time that anything is raised, the records say that,
    and the error's `done` is a BuildResult.
    """
    delivery, platforms = request.delivery, request.build.platforms
    delivery.check()
    check_places(session, delivery.outputs, record_paths(delivery.digest_dir, platforms))
    request.checks.check(platforms)
    epoch(env)
    spec = PublishSpec(delivery.images, None, platforms, build=request.build, checks=request.checks)
    checking = Checking(session, spec, env)
    pushed, tags = delivery.push is not Push.none, delivery.tags(platforms)
    if pushed:
        for answer in admit(session, delivery.images).values():
            if isinstance(answer, Unavailable):
                raise answer
    checking.await_bases()
    with built(session, request.build, env) as made:
        checking.test_built(made)
        named = [_Named.of(image) for image in made.content.images]
        for image in made.content.images:
            session.report(ImageFound(image.descriptor, image.piece.manifest.layers, image.size))
        up = _Up(delivery, named, tags)
        _deliver(session, request, up)
    if not pushed and not up.outputs:
        session.report(Note("nothing was pushed or written: what was built is in the builder's cache", warning=True))
    return up.result()


class _Up:
    """What is up by now: the repositories that hold all content, which tags stand in each, and what was written."""

    def __init__(self, delivery: Delivery, named: Sequence[_Named], tags: Mapping[Platform, str]) -> None:
        self.delivery, self.named, self.tags = delivery, named, tags
        self.whole: dict[str, set[str]] = {}
        self.outputs: list[str] = []

    def result(self) -> BuildResult:
        """Give it; without a push the records say what was built."""
        pushed = self.delivery.push is not Push.none
        images = tuple(image for image in self.delivery.images if not pushed or image.name in self.whole)
        records = (
            Record(images, one.image.platform, one.descriptor, self._tag_of(one), self.delivery.commit)
            for one in self.named
        )
        return BuildResult(tuple(records), bool(self.whole), tuple(self.outputs))

    def write_records(self) -> None:
        """Write a file a platform, where that is asked for and something was pushed."""
        if self.delivery.digest_dir is not None and self.whole:
            for record in self.result().records:
                write_record(self.delivery.digest_dir, record)

    def _tag_of(self, one: _Named) -> str | None:
        """Give a platform's tag, once it stands wherever the image is."""
        tag = self.tags.get(one.image.platform)
        return tag if all(tag in stand for stand in self.whole.values()) else None


def _deliver(session: Session, request: BuildRequest, up: _Up) -> None:
    """Push and write, then the records; where it ends halfway, these are of what is up, which the error has, too."""
    delivery = request.delivery
    try:
        if delivery.push is not Push.none:
            each(lambda image: _push(session, Repository(session, image), up), delivery.images)
        for location in delivery.outputs:
            up.outputs.append(_write(session, location, up.named, request))
        up.write_records()
    except (RegkitError, KeyboardInterrupt) as error:
        if up.whole or up.outputs:
            leave(error, up.result())
            with suppress(RegkitError):  # what went wrong first is what counts
                up.write_records()
        raise


def _push(session: Session, repository: Repository, up: _Up) -> None:
    """Bring all content by digest, see that it's there, then write the tags and read them back."""
    named, tags = up.named, up.tags
    session.report(StageStarted("push", f"pushing to {repository.name}"))
    _bring(session, repository, named)
    wanted = [descriptor for each_ in named for descriptor in _descriptors(each_)]
    lost = lost_from(session, repository, wanted)
    if lost:
        names = ", ".join(descriptor.digest for descriptor in lost)
        raise VerificationFailed(f"{repository.name} took everything, but doesn't have {names}")
    standing_tags = up.whole.setdefault(repository.name, set())

    def tag(one: _Named) -> None:
        name, digest = tags[one.image.platform], one.manifest.digest
        standing = repository.resolve(name)
        if standing is not None and standing.digest == digest:
            standing_tags.add(name)
            session.report(TagKept(name, "it stands there already"))
            return
        repository.push(one.descriptor, Bytes(one.manifest.raw), name)
        read_back(session, repository, name, (digest,), f"{repository.name}:{name}")
        standing_tags.add(name)
        session.report(TagMoved(name, digest, standing.digest if standing else None))

    each(tag, [one for one in named if one.image.platform in tags])


def _bring(session: Session, target: Target, named: Sequence[_Named]) -> None:
    """Bring blobs, images with their attestations, and the indexes over these; what is there isn't sent again."""
    by_origin: dict[int, list[Node]] = {}
    for one in named:
        for piece in one.image.pieces:
            by_origin.setdefault(id(piece.origin), []).append(Node(piece.descriptor, piece.manifest))
    origins = {id(piece.origin): piece.origin for one in named for piece in one.image.pieces}
    for number, nodes in by_origin.items():
        transfer = Transfer(session, origins[number], target)
        absent = transfer.absent(nodes)
        transfer.bring_blobs(transfer.blobs_of(absent))
        each(lambda node: target.push(node.descriptor, Bytes(node.manifest.raw)), absent)
    for one in named:
        if one.manifest.is_index and not target.exists(one.descriptor):
            target.push(one.descriptor, Bytes(one.manifest.raw))


def _descriptors(one: _Named) -> list[Descriptor]:
    own = [one.descriptor] if one.manifest.is_index else []
    return [*(piece.descriptor for piece in one.image.pieces), *own]


def _write(session: Session, location: Location, named: Sequence[_Named], request: BuildRequest) -> str:
    """Write all platforms as one index, under the name that is asked for, else `latest`."""
    session.report(StageStarted("push", f"writing {location}"))
    commit = request.delivery.commit
    revision = {REVISION: commit} if commit else {}
    pieces = (piece.descriptor for one in named for piece in one.image.pieces)
    index = assemble_index(pieces, {**revision, **request.annotations})
    name, _ = destination_name(location, None)
    with location.open(session, create=True) as target:
        plain = [_Named(one.image, one.image.piece.manifest, one.image.descriptor) for one in named]
        _bring(session, target, plain)
        target.push(index.descriptor, Bytes(index.raw), name)
    return f"{Location(location.place, name)}@{index.digest}"
