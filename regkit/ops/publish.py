"""Publish: from images to a tagged, verified release; content first, names last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from regkit.errors import PartlyDone
from regkit.events import Note, StageStarted, TagKept
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import assemble_index
from regkit.oci.reference import Reference
from regkit.ops.images import read_images
from regkit.ops.plan import Plan, PublishSpec, State, plan_publish
from regkit.ops.publication import Publication
from regkit.ops.request import built
from regkit.ops.tasks import both, each
from regkit.targets.layout import Layout
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


def plan(session: Session, spec: PublishSpec) -> Plan:
    """Ask the registry what is there, and decide; nothing is written. Raise AccessDenied, Unavailable."""
    session.report(StageStarted("plan", f"asking {spec.image.registry}"))
    repository = Repository(session, spec.image)
    tags = repository.admit()
    touched = [tag for tag in spec.wanted_tags if tag in tags]
    manifests = dict(zip(touched, each(repository.manifest, touched), strict=True))
    children = {d.digest: d for manifest in manifests.values() for d in manifest.manifests} if spec.build else {}
    there = each(repository.exists, children.values())
    missing = frozenset(digest for digest, is_there in zip(children, there, strict=True) if not is_there)
    return plan_publish(spec, State(tags, manifests, missing))


def publish(session: Session, spec: PublishSpec, *, env: Mapping[str, str]) -> PublishResult:
    """Build, push, verify, tag in order, clean up. No tag moves before all content is there and verified.

    A rerun does what is missing, and nothing where nothing is. Raise AccessDenied or Unavailable before a build;
    BuildFailed; Refused where an exact version stands on other content, before anything is written;
    VerificationFailed where the registry doesn't hold or show what it took.
    """
    if spec.layout is not None:
        return _publish_layout(session, spec, Layout(spec.layout))
    decided = plan(session, spec)
    if decided.reuse is not None:
        session.report(Note(f"nothing to build: {decided.reason}"))
        repository = Repository(session, spec.image)
        images = read_images(repository, [decided.reuse.descriptor], ())
        return _promote(session, decided, Publication(session, repository, decided.reuse, images))
    with built(session, spec, env) as layout:
        publication = _prepare(session, spec, layout)
        _push(session, decided, publication, layout, publication.absent())
    return _promote(session, decided, publication)


def _publish_layout(session: Session, spec: PublishSpec, layout: Layout) -> PublishResult:
    """Publish what is at hand: what of it is there can be asked for while the registry lists its tags.

    Not where there is a login, though: that is tried with one request first, lest a wrong one be tried by many.
    """
    publication = _prepare(session, spec, layout)
    alone = session.credentials.for_host(spec.image.registry) is not None
    decided, absent = both(partial(plan, session, spec), publication.absent, side_by_side=not alone)
    _push(session, decided, publication, layout, absent)
    return _promote(session, decided, publication)


def _prepare(session: Session, spec: PublishSpec, layout: Layout) -> Publication:
    images = read_images(layout, layout.roots, spec.platforms)
    index = assemble_index((d for image in images for d, _ in image.entries), spec.index_annotations)
    return Publication(session, Repository(session, spec.image), index, images)


def _push(session: Session, decided: Plan, publication: Publication, layout: Layout, absent: frozenset[Digest]) -> None:
    """Bring the content there, unless an exact version stands on other content."""
    decided.check_immutable(publication.index.digest)
    session.report(StageStarted("push", f"pushing to {decided.image.name}"))
    publication.push(layout, absent, decided.intermediates)


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
