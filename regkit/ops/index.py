"""Indexes made of what is there: from references of any kind, extended, cut down, annotated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Self

from regkit.errors import NotFound, Refused, RegkitError, UsageError, VerificationFailed, leave
from regkit.events import Note, StageStarted, TagKept
from regkit.oci import mediatype
from regkit.oci.annotation import Annotation
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from regkit.oci.platform import Platform
from regkit.oci.reference import Reference, check_tag
from regkit.ops import composition
from regkit.ops.entries import Entry, flatten
from regkit.ops.graph import Node, read_node, walk
from regkit.ops.index_source import IndexSource, overridden
from regkit.ops.naming import Naming, put_names
from regkit.ops.places import destination_name, entry_annotations, place_name, source_name
from regkit.ops.presence import absent_from
from regkit.ops.tasks import each
from regkit.ops.transfer import Transfer
from regkit.protocol.flow import Bytes
from regkit.targets.location import Location
from regkit.targets.target import Target
from regkit.transport.session import Session

MEDIA_TYPES = {"oci": mediatype.OCI_INDEX, "docker": mediatype.DOCKER_INDEX}


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """Where an index goes and how it is written: all that the verbs have in common.

    `target` names it, or the one that is changed; `tags` are put on it as well, in order. `media_type` is a value of
    `MEDIA_TYPES`; without it, it is a Docker manifest list where all in it is Docker's, else an OCI index, and one that
    only loses something stays what it is. With `dry_run` nothing is written.
    """

    target: Location
    tags: tuple[str, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    media_type: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class IndexResult:
    """The index that is there now, or would be; its tags in order, and the images that were copied for it."""

    name: str
    index: Manifest
    tags: tuple[str, ...]
    copied: tuple[Descriptor, ...] = ()

    def __str__(self) -> str:
        """Give the name to pull by."""
        return f"{self.name}@{self.index.digest}"

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON document."""
        return {
            "schema": 1,
            "name": self.name,
            "digest": self.index.digest,
            "mediaType": self.index.media_type,
            "size": len(self.index.raw),
            "tags": list(self.tags),
            "annotations": dict(self.index.annotations),
            "manifests": [child.to_json() for child in self.index.manifests],
            "copied": [descriptor.to_json() for descriptor in self.copied],
        }


def create_index(
    session: Session, spec: IndexSpec, sources: Sequence[IndexSource], *, inherit: bool = True
) -> IndexResult:
    """Make an index of all that `sources` bring; what is elsewhere is copied to it.

    With `inherit`, annotations that all of them have alike, being indexes, are the new one's too. Raise UsageError
    where a platform comes twice, before anything is written; NotFound for what isn't there, VerificationFailed where
    the target doesn't have or show what it took.
    """
    with _Work(session, spec) as work:
        tag, expected = destination_name(spec.target, None)
        named = spec.target.place.tag if isinstance(spec.target.place, Reference) else spec.target.identifier
        tags = [*([tag] if tag and (named or not spec.tags) else []), *spec.tags]
        roots, entries = work.read(sources)
        merged = composition.merge((), entries)
        carried = _inherited(session, roots) if inherit else {}
        media_type = spec.media_type or composition.choose_media_type(merged)
        index = work.write(merged, media_type, carried)
        if expected not in (None, index.digest):
            raise UsageError(f"{spec.target} names a digest, but the index is {index.digest}", hint="leave it out")
        return work.finish(index, merged, tags)


def append_to_index(
    session: Session, spec: IndexSpec, sources: Sequence[IndexSource], *, replacing: bool = False
) -> IndexResult:
    """Add what `sources` bring to the index that `spec.target` names, and move its tag to the result.

    Raise UsageError where it has an image for a platform already, unless `replacing`; NotFound for what isn't there,
    Refused where its tag has moved meanwhile.
    """

    def change(work: _Work, base: Manifest, entries: tuple[Entry, ...]) -> tuple[tuple[Entry, ...], str]:
        _, new = work.read(sources)
        merged = composition.merge(entries, new, replacing=replacing)
        return merged, composition.choose_media_type(merged, base)

    return _change(session, spec, change)


def remove_from_index(
    session: Session, spec: IndexSpec, *, platforms: Sequence[Platform] = (), digests: Sequence[Digest] = ()
) -> IndexResult:
    """Take images, with all that attests them, out of the index; they stay where they are, only unlisted.

    Raise UsageError where nothing is named or it is no index, NotFound for what it doesn't list, Refused where nothing
    would be left in it, or its tag has moved meanwhile.
    """
    if not platforms and not digests:
        raise UsageError("nothing is named that is to be removed", hint="name it with --platform or --digest")

    def change(_: _Work, base: Manifest, entries: tuple[Entry, ...]) -> tuple[tuple[Entry, ...], str]:
        return composition.remove(entries, str(spec.target), platforms, digests), base.media_type

    return _change(session, spec, change)


def annotate_index(session: Session, spec: IndexSpec) -> IndexResult:
    """Set annotations of the index and of its entries (image-spec, annotations.md).

    Raise UsageError where none is given, or one would be lost or hits nothing; Refused where the tag has moved
    meanwhile.
    """
    if not spec.annotations and spec.media_type is None:
        raise UsageError("no annotation is given", hint="add --annotation KEY=VALUE")
    return _change(session, spec, lambda _, base, entries: (entries, base.media_type))


_Change = Callable[["_Work", Manifest, tuple[Entry, ...]], tuple[tuple[Entry, ...], str]]


def _change(session: Session, spec: IndexSpec, change: _Change) -> IndexResult:
    """Read an index, decide, write what comes of it, and move the tag, if it still stands where it stood."""
    with _Work(session, spec) as work:
        name, tag = source_name(work.target, spec.target)
        base = read_node(work.target, name)
        if not base.manifest.is_index:
            raise UsageError(f"{spec.target} is an image, not an index", hint="make one of it: regkit index create")
        entries, kind = change(work, base.manifest, flatten(work.target, base))
        index = work.write(entries, spec.media_type or kind, {}, base.manifest)
        tags = [*([tag] if tag else []), *spec.tags]
        return work.finish(index, entries, tags, base=base.descriptor.digest, base_tag=tag)


@dataclass
class _Work:
    """An index on its way: the targets that are open, and which of them each entry comes from."""

    session: Session
    spec: IndexSpec
    origins: dict[Digest, Target] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """Open the target; a dry run leaves it as it is."""
        for tag in self.spec.tags:
            check_tag(tag)
        self._stack = ExitStack()
        self.target = self.spec.target.open(self.session, create=True)
        if not self.spec.dry_run:
            self._stack.enter_context(self.target)
        self._open = {place_name(self.spec.target): self.target}
        return self

    def __exit__(self, *error: Any) -> None:
        """Close what is open."""
        self._stack.__exit__(*error)

    def read(self, sources: Sequence[IndexSource]) -> tuple[list[Node], list[Entry]]:
        """Read what sources stand for, side by side, and what they bring, in their order."""
        self.session.report(StageStarted("plan", "reading what the index is made of"))
        targets = [self._target_of(source.location) for source in sources]

        def read(pair: tuple[IndexSource, Target]) -> tuple[Node, tuple[Entry, ...]]:
            source, target = pair
            root = read_node(target, source_name(target, source.location)[0])
            return root, overridden(source, flatten(target, root))

        found = each(read, [*zip(sources, targets, strict=True)])
        for target, (_, entries) in zip(targets, found, strict=True):
            for entry in entries:
                self.origins.setdefault(entry.descriptor.digest, target)
        return [root for root, _ in found], [entry for _, entries in found for entry in entries]

    def _target_of(self, location: Location) -> Target:
        name = place_name(location)
        if name not in self._open:
            self._open[name] = self._stack.enter_context(location.open(self.session))
        return self._open[name]

    def write(
        self, entries: Sequence[Entry], media_type: str, carried: dict[str, str], base: Manifest | None = None
    ) -> Manifest:
        """Write the index with its annotations, at every level; raise UsageError where one would be lost."""
        spec = self.spec
        if media_type == mediatype.DOCKER_INDEX:
            # A list that has annotations already keeps them, as long as nobody asks for more, or for the list.
            asked = spec.media_type is not None
            own = {**carried, **(base.annotations if base else {})}
            composition.check_docker(spec.annotations, own if asked else {}, entries if asked else ())
        if isinstance(spec.target.place, Reference):
            for annotation in spec.annotations:
                if annotation.level == "index-descriptor":
                    raise UsageError(
                        f"the annotation {annotation.key} would be lost: a registry keeps no descriptor of an index",
                        hint=f"write index:{annotation.key}={annotation.value}",
                    )
        own = {a.key: a.value for a in spec.annotations if a.level == "index"}
        annotated = composition.annotate(entries, spec.annotations)
        return composition.write_index(annotated, media_type, {**carried, **own}, base)

    def finish(
        self,
        index: Manifest,
        entries: Sequence[Entry],
        tags: Sequence[str],
        *,
        base: Digest | None = None,
        base_tag: str | None = None,
    ) -> IndexResult:
        """Bring the images, then the index by digest, verify, then tag in order; raise Refused where a tag moved.

        Where some of the tags stand in a repository by the time that something is raised, the error's `done` says it.
        """
        tags, name = tuple(dict.fromkeys(tags)), place_name(self.spec.target)
        described = {a.key: a.value for a in self.spec.annotations if a.level == "index-descriptor"}
        if described and not tags:
            raise UsageError("an annotation of the index's descriptor needs a name that it stands on", hint="add --tag")
        refusal = self.target.refuses(index)
        if refusal is not None:
            raise refusal
        if self.spec.dry_run:
            return IndexResult(name, index, tags)
        children = [*{entry.descriptor.digest: entry.descriptor for entry in entries}.values()]
        copied = self._bring(children)
        self.session.report(StageStarted("push", f"writing the index to {name}"))
        if index.digest != base:
            self.target.push(index.descriptor, Bytes(index.raw))
        lost = absent_from(self.target, children)
        if lost:
            raise VerificationFailed(f"{name} took everything, but doesn't have {', '.join(d.digest for d in lost)}")
        standing = {
            tag: there.digest if there else None
            for tag, there in zip(tags, each(self.target.resolve, tags), strict=True)
        }
        if base_tag is not None and base is not None and standing[base_tag] != base:
            raise Refused(
                f"{name}:{base_tag} has moved meanwhile, to {standing[base_tag] or 'nothing'}; it is left as it is",
                hint="run it again",
            )
        namings = []
        for tag in tags:
            said = {**entry_annotations(self.target, tag), **described}
            if standing[tag] == index.digest and not described:
                self.session.report(TagKept(tag, "it stands there already"))
            else:
                named = Node(replace(index.descriptor, annotations=said), index)
                namings.append(Naming(tag, named, standing[tag]))
        return self._name(namings, IndexResult(name, index, tags, tuple(copied)))

    def _name(self, namings: Sequence[Naming], made: IndexResult) -> IndexResult:
        written = [tag for tag in made.tags if tag not in {naming.tag for naming in namings}]
        try:
            put_names(self.session, self.target, namings, written)
        except (RegkitError, KeyboardInterrupt) as error:
            if isinstance(self.spec.target.place, Reference) and written:
                leave(error, replace(made, tags=tuple(tag for tag in made.tags if tag in written)))
            raise
        return made

    def _bring(self, children: Sequence[Descriptor]) -> list[Descriptor]:
        """Copy what isn't at the target, from where it was found."""
        absent = absent_from(self.target, children)
        for origin in {id(o): o for o in (self.origins.get(d.digest, self.target) for d in absent)}.values():
            mine = [d for d in absent if self.origins.get(d.digest, self.target) is origin]
            if origin is self.target:
                raise NotFound(
                    f"{place_name(self.spec.target)} doesn't have {', '.join(d.digest for d in mine)}, which it lists",
                    hint="copy it there again with --force-recursive, or take it out: regkit index remove --digest",
                )
            transfer = Transfer(self.session, origin, self.target)
            transfer.bring_blobs([descriptor for descriptor in mine if not descriptor.is_manifest])
            roots = [Node(d, read_node(origin, d.digest).manifest) for d in mine if d.is_manifest]
            graph = walk(origin, roots)
            transfer.bring_blobs(transfer.blobs_of(graph.nodes))
            transfer.bring_manifests(graph, graph.nodes)
        return absent


def _inherited(session: Session, roots: Sequence[Node]) -> dict[str, str]:
    """Give what all sources say alike; what is left behind is named."""
    indexes = [root.manifest for root in roots if root.manifest.is_index]
    carried = composition.common_annotations(indexes) if indexes and len(indexes) == len(roots) else {}
    left = sorted({key for index in indexes for key in index.annotations} - set(carried))
    if left:
        session.report(
            Note(f"not every source has the same of these annotations, so they stay behind: {', '.join(left)}")
        )
    return carried
