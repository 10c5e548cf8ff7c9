"""Repositories as Hypothesis draws them: shared children, indexes in indexes, referrers, signatures by tag, twins."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TypeVar

from hypothesis import strategies as st

from regkit.config.spec import CleanupConfig
from regkit.devregistry.app import DevRegistry
from regkit.devregistry.front import Front
from regkit.oci import mediatype
from regkit.oci.annotation import CREATED
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest, canonical_json
from regkit.protocol.flow import Bytes, Flow, Send, drive
from regkit.targets.repository import Repository
from regkit.transport.session import Session

T = TypeVar("T")

NOW = datetime(2026, 11, 1, tzinfo=UTC)
_NAMES = ("1", "1.0", "1.0.0", "1.1.0", "2.0.0", "2.0.0-rc.1", "latest", "main", "pr-1", "pr-2", "ab12cd3-linux-amd64")
_PARTS = ("sig", "att", "sbom")


@dataclass(frozen=True)
class Made:
    """A manifest; `parts` are the manifests that it lists, `subject` is what it refers to, `config` an image's own."""

    manifest: Manifest
    parts: tuple[Made, ...] = ()
    subject: Digest | None = None
    config: bytes = b""

    @property
    def digest(self) -> Digest:
        return self.manifest.digest


@dataclass(frozen=True)
class Drawn:
    """A repository: all manifests, what comes before what needs it; where each tag stands; rules to clean it by."""

    made: tuple[Made, ...]
    tags: Mapping[str, Digest]
    policies: tuple[CleanupConfig, ...]

    @cached_property
    def by_digest(self) -> Mapping[Digest, Made]:
        return {each.digest: each for each in self.made}

    def closure(self, tags: Mapping[str, Digest]) -> dict[str, frozenset[Digest]]:
        """Give all that each tag needs, in every direction, as this module understands it, and no code of regkit's.

        That is: what it stands on, what that lists, what any of it refers to, what refers to any of it, and what
        signatures' tags by its name stand on.
        """
        return {tag: self._needed(digest) for tag, digest in tags.items()}

    def _needed(self, digest: Digest) -> frozenset[Digest]:
        found: set[Digest] = set()
        waiting = [digest]
        while waiting:
            one = waiting.pop()
            if one not in found and one in self.by_digest:
                found.add(one)
                waiting += self._around[one]
        return frozenset(found)

    @cached_property
    def _around(self) -> Mapping[Digest, list[Digest]]:
        around: dict[Digest, list[Digest]] = {each.digest: [part.digest for part in each.parts] for each in self.made}
        for each in self.made:
            if each.subject is not None:
                around[each.subject].append(each.digest)
                around[each.digest].append(each.subject)
        for tag, digest in self.tags.items():
            if tag.startswith("sha256-"):
                owner = Digest(tag.partition(".")[0].replace("-", ":"))
                if owner in around:
                    around[owner].append(digest)
        return around


def _image(number: int, created: datetime | None, subject: Made | None, *, docker: bool = False) -> Made:
    config = canonical_json({"number": number, **({"created": created.isoformat()} if created else {})})
    kind = mediatype.DOCKER_MANIFEST if docker else mediatype.OCI_MANIFEST
    document = {
        "schemaVersion": 2,
        "mediaType": kind,
        "config": Descriptor.of(mediatype.DOCKER_CONFIG if docker else mediatype.OCI_CONFIG, config).to_json(),
        "layers": [],
    }
    if subject is not None:
        document |= {"artifactType": "application/vnd.example", "subject": subject.manifest.descriptor.to_json()}
    return Made(Manifest(kind, canonical_json(document)), (), subject.digest if subject else None, config)


@st.composite
def repositories(draw: st.DrawFn) -> Drawn:
    """Draw a repository with rules."""
    numbers = itertools.count()
    ages = st.sampled_from((None, 1, 10, 40, 400))

    def made_at() -> datetime | None:
        days = draw(ages)
        return NOW - timedelta(days=days) if days else None

    def image(subject: Made | None = None) -> Made:
        return _image(next(numbers), made_at(), subject, docker=subject is None and draw(st.booleans()))

    made = [image() for _ in range(draw(st.integers(1, 5)))]
    for _ in range(draw(st.integers(0, 4))):
        parts = draw(st.lists(st.sampled_from(made), min_size=1, max_size=3, unique_by=lambda each: each.digest))
        made.append(_index(next(numbers), parts, made_at()))
    for _ in range(draw(st.integers(0, 3))):
        made.append(image(draw(st.sampled_from(made))))
    names = draw(st.lists(st.sampled_from(_NAMES), min_size=1, max_size=7, unique=True))
    tags = {name: draw(st.sampled_from(made)).digest for name in names}
    for _ in range(draw(st.integers(0, 2))):
        owner = draw(st.sampled_from(made))
        signature = draw(st.sampled_from(made)) if draw(st.booleans()) else image()
        if signature not in made:
            made.append(signature)
        tags[f"{owner.digest.replace(':', '-')}.{draw(st.sampled_from(_PARTS))}"] = signature.digest
    return Drawn(tuple(made), tags, draw(policies()))


def _index(number: int, parts: Sequence[Made], created: datetime | None) -> Made:
    document = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_INDEX,
        "manifests": [part.manifest.descriptor.to_json() for part in parts],
        "annotations": {"number": str(number), **({CREATED: created.isoformat()} if created else {})},
    }
    return Made(Manifest(mediatype.OCI_INDEX, canonical_json(document)), tuple(parts))


@st.composite
def policies(draw: st.DrawFn) -> tuple[CleanupConfig, ...]:
    """Draw one policy or two, each with a rule."""
    drawn = []
    for name in ("one", "two")[: draw(st.integers(1, 2))]:
        rules = draw(st.sets(st.sampled_from(("keep", "keep_semver", "older_than")), min_size=1))
        drawn.append(
            CleanupConfig(
                name,
                (),
                draw(st.sampled_from((None, "pr-.*", "[0-9].*", ".*linux.*", "latest|main"))),
                draw(st.integers(0, 2)) if "keep" in rules else None,
                draw(st.integers(0, 2)) if "keep_semver" in rules else None,
                timedelta(days=draw(st.sampled_from((5, 30, 100)))) if "older_than" in rules else None,
                draw(st.booleans()),
            )
        )
    return tuple(drawn)


class InProcess(Session):
    """A session whose registry is a function: no socket, no waiting, and the real flows on both sides."""

    def __init__(self, send: Send) -> None:
        super().__init__()
        self._answer = send

    def run(self, host: str, flow: Flow[T], *, pull: bool = False) -> T:
        """Run a flow against it."""
        del host, pull
        return drive(flow, self._answer)

    def sleep(self, seconds: float) -> None:
        """Go on at once."""
        del seconds


def in_process() -> tuple[InProcess, Front]:
    """Give an embedded registry without a server, and a session for it."""
    front = Front(DevRegistry())
    return InProcess(front.handle), front


def fill(repository: Repository, drawn: Drawn) -> None:
    """Bring it there: every manifest by digest, in order, then the tags."""
    for made in drawn.made:
        if made.config:
            assert made.manifest.config is not None
            repository.push(made.manifest.config, Bytes(made.config))
        repository.push(made.manifest.descriptor, Bytes(made.manifest.raw))
    for tag, digest in drawn.tags.items():
        manifest = drawn.by_digest[digest].manifest
        repository.push(manifest.descriptor, Bytes(manifest.raw), tag)


def there(repository: Repository, drawn: Drawn) -> frozenset[Digest]:
    """Give the manifests of a drawn repository that are there now."""
    return frozenset(digest for digest in drawn.by_digest if repository.resolve(digest) is not None)


def standing(repository: Repository) -> dict[str, Digest]:
    """Tell where all tags stand."""
    found = {tag: repository.resolve(tag) for tag in repository.tags()}
    return {tag: at.digest for tag, at in found.items() if at is not None}
