"""Publish: from images to a tagged, verified release; content first, names last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from regkit.errors import PartlyDone
from regkit.events import Note, StageStarted, TagKept
from regkit.oci.descriptor import Descriptor
from regkit.oci.manifest import assemble_index
from regkit.oci.reference import Reference
from regkit.ops.images import read_images
from regkit.ops.plan import Plan, PublishSpec, State, plan_publish
from regkit.ops.presence import absent_from
from regkit.ops.publication import Publication
from regkit.ops.request import built
from regkit.ops.tasks import CONCURRENCY, ahead, each
from regkit.targets.repository import Repository
from regkit.transport.session import Session


@dataclass(frozen=True, slots=True)
class PublishResult:
    """A release: its index, every tag with whether it moved, the images, and what could not be finished."""

    image: Reference
    index: Descriptor
    tags: tuple[str, ...]
    kept: tuple[str, ...]
    images: tuple[Descriptor, ...]
    reused: bool
    unfinished: PartlyDone | None = None

    def __str__(self) -> str:
        """Give the name to pull by."""
        return f"{self.image.name}@{self.index.digest}"

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON document."""
        return {
            "schema": 1,
            "image": self.image.name,
            "digest": self.index.digest,
            "descriptor": self.index.to_json(),
            "tags": list(self.tags),
            "kept": list(self.kept),
            "images": [image.to_json() for image in self.images],
            "reused": self.reused,
            "unfinished": self.unfinished.message if self.unfinished else None,
        }


def plan(session: Session, spec: PublishSpec, *, tags: Sequence[str] | None = None) -> Plan:
    """Ask the registry what is there, and decide; nothing is written. Raise AccessDenied, Unavailable.

    `tags` are all tags of the repository, where they have just been asked for.
    """
    repository = Repository(session, spec.image)
    if tags is None:
        tags = repository.admit()
    touched = [tag for tag in spec.wanted_tags if tag in tags]
    manifests = dict(zip(touched, each(repository.manifest, touched), strict=True))
    state = State(tuple(tags), manifests)
    there = state.published(spec) if spec.build and not spec.rebuild else None
    if there is not None:  # it may be reused, if it is whole
        lost = absent_from(repository, there.manifests)
        state = replace(state, missing=frozenset(descriptor.digest for descriptor in lost))
    return plan_publish(spec, state)


def publish(
    session: Session, spec: PublishSpec, *, env: Mapping[str, str], tags: Callable[[], Sequence[str]] | None = None
) -> PublishResult:
    """Build, push, verify, tag in order, clean up. No tag moves before all content is there and verified.

    A rerun does what is missing, and nothing where nothing is. Raise AccessDenied or Unavailable before a build;
    BuildFailed; Refused where an exact version stands on other content, before anything is written;
    VerificationFailed where the registry doesn't hold or show what it took.
    """
    if spec.content is not None:
        # What is at hand is sent right after the tags are known: its connections are opened meanwhile.
        blobs = sum(len(image.manifest.blobs) for image in spec.content.images)
        hosts = [spec.image.registry] * min(blobs, CONCURRENCY)
        ahead(lambda: each(session.open_ahead, hosts))
    decided = plan(session, spec, tags=tags() if tags else None)
    repository = Repository(session, spec.image)
    if decided.reuse is not None:
        session.report(Note(f"nothing to build: {decided.reason}"))
        images = read_images(repository, [decided.reuse.descriptor], ())
        return _promote(session, decided, Publication(session, repository, decided.reuse, images))
    with nullcontext(spec.content) if spec.content else built(session, spec, env) as content:
        entries = (entry for image in content.images for entry, _ in image.entries)
        index = assemble_index(entries, decided.annotations)
        decided.check_immutable(index.digest)
        session.report(StageStarted("push", f"pushing to {spec.image.name}"))
        publication = Publication(session, repository, index, content.images)
        publication.push(content.layout, decided.intermediates, ask=not decided.new)
    return _promote(session, decided, publication)


def _promote(session: Session, decided: Plan, publication: Publication) -> PublishResult:
    """Move the tags, each read back, and remove what named the images on the way."""
    session.report(StageStarted("tag", f"tagging {decided.image.name}"))
    for decision in decided.tags:
        if not decision.moves:
            session.report(TagKept(decision.tag, decision.reason))
    publication.tag((d.tag, decided.standing.get(d.tag)) for d in decided.tags if d.moves)
    names = () if decided.keep_intermediates else decided.intermediates.values()
    unfinished = publication.remove_intermediates(names)
    return PublishResult(
        decided.image,
        publication.index.descriptor,
        tuple(decision.tag for decision in decided.tags if decision.moves),
        tuple(decision.tag for decision in decided.tags if not decision.moves),
        tuple(image.descriptor for image in publication.images),
        decided.reuse is not None,
        unfinished,
    )
