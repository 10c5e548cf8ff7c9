"""What the targets without a network have in common: names in an index, and content by digest."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import BinaryIO, Self, TypeAlias

from regkit.errors import ContentMismatch, NotFound, ProtocolError, RegkitError
from regkit.oci import mediatype
from regkit.oci.annotation import REF_NAME
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import MAX_SIZE, Manifest, canonical_json
from regkit.protocol.flow import Source, read_bounded
from regkit.targets.target import Target, digest_or_none
from regkit.targets.verified import VerifiedSource

_Edit: TypeAlias = Callable[[Sequence[Descriptor]], Sequence[Descriptor]]
"""A change of what an index lists: made again where another process has changed it, too."""

_SHOWN = 20
"""How many names a hint lists."""


class LocalTarget(ABC):
    """A Target over a few primitives: the size of content, reading it, storing it, removing it, committing.

    Threads may push side by side. What was pushed without a name, and belongs to nothing that has one, is listed in the
    index all the same, so that whoever reads it later finds it.
    """

    _listed: tuple[Descriptor, ...]
    _edits: list[_Edit]

    def __init__(self, name: str, index: Manifest, *, changed: bool = False) -> None:
        self.name = name
        self._take_index(index)
        self._changed = changed
        self._unnamed: dict[Digest, Descriptor] = {}
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        """Open it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write the names, unless an error ends it."""
        if kind is not None:
            self._discard()
            return
        with self._lock:
            if self._unnamed:
                self._list_unnamed()
            if self._changed:
                self._commit()
            self._changed = False

    @property
    def roots(self) -> tuple[Descriptor, ...]:
        """What its own index lists: the entry points into its content, without what merely refers to another."""
        listed = self._listed
        if len(listed) < 2:
            return listed
        return tuple(r for r in listed if REF_NAME in r.annotations or self._subject_of(r.digest) is None)

    @property
    def known_names(self) -> str:
        """A hint for who asked for something else."""
        names = self.tags()
        more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return f"it has: {', '.join(names[:_SHOWN]) or 'nothing with a name'}{more}"

    def resolve(self, name: str) -> Descriptor | None:
        """Find a tag among its names, or a digest among its content."""
        known = self._known(name)
        if known is not None:
            return replace(known, annotations={})
        digest = digest_or_none(name)
        manifest = self._as_manifest(digest) if digest else None
        return replace(manifest.descriptor, digest=digest) if manifest and digest else None

    def exists(self, descriptor: Descriptor) -> bool:
        """Tell whether content of the right size is there."""
        return self._size(descriptor.digest) == descriptor.size

    def size(self, digest: Digest) -> int | None:
        """Look it up among its content."""
        return self._size(digest)

    def refuses(self, manifest: Manifest) -> RegkitError | None:
        """Hold whatever there is."""
        del manifest
        return None

    def manifest(self, name: str) -> Manifest:
        """Read a manifest; raise NotFound, or ContentMismatch."""
        known = self._known(name)
        digest = known.digest if known else digest_or_none(name)
        if digest is None:
            raise NotFound(f"{self.name} has no tag {name!r}", hint=self.known_names)
        if known is not None:
            return Manifest.parse(self._read(digest), known.media_type)
        manifest = self._as_manifest(digest)
        if manifest is None:
            what = "blob" if self._size(digest) is None else "manifest, but a blob"
            raise NotFound(f"{self.name} has no {what} {digest}")
        return manifest

    def fetch(self, descriptor: Descriptor) -> Source:
        """Give content, checked while it is read."""
        if not self.exists(descriptor):
            raise NotFound(f"{self.name} has no blob {descriptor.digest} of {descriptor.size} bytes")
        what = f"the blob {descriptor.digest} of {self.name}"
        return VerifiedSource(descriptor, lambda: self._open(descriptor.digest), what)

    def tags(self) -> tuple[str, ...]:
        """List the names in its index."""
        return tuple(r.annotations[REF_NAME] for r in self._listed if REF_NAME in r.annotations)

    def push(self, descriptor: Descriptor, source: Source, name: str | None = None) -> None:
        """Write content, unless it is there; a manifest may be named. Raise ContentMismatch, and keep nothing."""
        if not self.exists(descriptor):
            self._store(descriptor, VerifiedSource(descriptor, source.open, f"the blob {descriptor.digest}"))
        with self._lock:
            if name is not None:
                named = replace(descriptor, annotations={**descriptor.annotations, **self._annotations_for(name)})
                self._edit(partial(self._with_name, name, named))
            elif descriptor.is_manifest:
                self._unnamed[descriptor.digest] = descriptor

    def push_named(self, descriptor: Descriptor, source: Source, names: Sequence[str]) -> tuple[str, ...]:
        """Set none: names cost no requests here."""
        del descriptor, source, names
        return ()

    def untag(self, tag: str) -> bool:
        """Remove a name; the content stays."""
        with self._lock:
            self._edit(lambda listed: [r for r in listed if not self._has_name(r, tag)])
        return True

    def mount(self, descriptor: Descriptor, origin: Target) -> bool:
        """Take nothing over: its content is its own."""
        del descriptor, origin
        return False

    def delete(self, descriptor: Descriptor) -> bool:
        """Remove content, and first the names on it, so that none is left that names nothing."""
        with self._lock:
            self._unnamed.pop(descriptor.digest, None)
            self._edit(lambda listed: [r for r in listed if r.digest != descriptor.digest])
            self._remove(descriptor.digest)
        return True

    def referrers(self, digest: Digest, artifact_type: str | None = None) -> tuple[Descriptor, ...]:
        """Read all manifests, those that nothing names too: it keeps no list of referrers."""
        found = []
        for each, manifest in self._manifests(self._digests()):
            try:
                refers = manifest.subject is not None and manifest.subject.digest == digest
                listed = replace(manifest.as_referrer, digest=each) if refers else None
            except ProtocolError:
                continue
            if listed is not None and artifact_type in (None, listed.artifact_type):
                found.append(listed)
        return tuple(found)

    @abstractmethod
    def check_writable(self) -> None:
        """Raise UsageError where nothing could be added to it; nothing is made."""

    @abstractmethod
    def _digests(self) -> Iterable[Digest]:
        """List all content."""

    @abstractmethod
    def _size(self, digest: Digest) -> int | None:
        """Give the size of content; None where there is none."""

    @abstractmethod
    def _open(self, digest: Digest) -> BinaryIO:
        """Read content from its beginning; raise NotFound."""

    @abstractmethod
    def _store(self, descriptor: Descriptor, source: Source) -> None:
        """Keep a source's bytes, or nothing where reading it fails."""

    @abstractmethod
    def _remove(self, digest: Digest) -> None:
        """Keep content no longer, if it is there; its names are gone."""

    @abstractmethod
    def _commit(self) -> None:
        """Write the names."""

    def _discard(self) -> None:  # noqa: B027  # most have nothing to give up
        """Give up what isn't written yet."""

    def _annotations_for(self, name: str) -> dict[str, str]:
        """Tell how the index says that an entry has a name."""
        return {REF_NAME: name}

    def _has_name(self, root: Descriptor, name: str) -> bool:
        return root.annotations.get(REF_NAME) == name

    def _replaces(self, name: str, root: Descriptor) -> bool:
        """Tell whether an entry goes when something else gets this name."""
        return self._has_name(root, name)

    def _known(self, name: str) -> Descriptor | None:
        """Find what the index, or a push without a name, says of a tag or a digest."""
        named = next((r for r in self._listed if self._has_name(r, name)), None)  # skopeo's may have a colon
        digest = None if named else digest_or_none(name)
        if digest is None:
            return named
        return next((r for r in self._listed if r.digest == digest), self._unnamed.get(digest))

    def _read(self, digest: Digest) -> bytes:
        """Read a manifest's bytes; raise NotFound, ContentMismatch."""
        with self._open(digest) as stream:
            raw = bounded(stream, str(digest))
        if Digest.of(raw, digest.algorithm) != digest:
            raise ContentMismatch(f"the blob {digest} of {self.name} doesn't have its digest")
        return raw

    def _as_manifest(self, digest: Digest) -> Manifest | None:
        """Read what no index tells the type of; None where it is no manifest; a wrong digest raises ContentMismatch."""
        size = self._size(digest)
        if size is None:
            return None
        with self._open(digest) as stream:
            start = stream.read(1)
        if start != b"{" or size > MAX_SIZE:
            return None
        try:
            manifest = Manifest.parse(self._read(digest))
        except ProtocolError:
            return None
        document = manifest.document
        typed = document.get("mediaType") in mediatype.MANIFESTS
        return manifest if typed or "manifests" in document or {"config", "layers"} <= document.keys() else None

    def _manifests(self, digests: Iterable[Digest]) -> Iterator[tuple[Digest, Manifest]]:
        """Read those that are manifests, each once; what is broken is left out."""
        for digest in dict.fromkeys(digests):
            try:
                manifest = self._as_manifest(digest)
            except (ContentMismatch, NotFound):
                continue
            if manifest is not None:
                yield digest, manifest

    def _walk(self, digests: Iterable[Digest]) -> Iterator[tuple[Digest, Manifest]]:
        """Read manifests and, for indexes, what is below them, as far as it is there."""
        waiting, seen = list(digests), set[Digest]()
        while waiting:
            fresh = [digest for digest in waiting if digest not in seen]
            seen.update(fresh)
            found = list(self._manifests(fresh))
            yield from found
            waiting = [child.digest for _, manifest in found for child in _children(manifest)]

    def _subject_of(self, digest: Digest) -> Descriptor | None:
        for _, manifest in self._manifests([digest]):
            try:
                return manifest.subject
            except ProtocolError:
                return None
        return None

    def _list_unnamed(self) -> None:
        """List what was pushed without a name and that nothing listed leads to."""
        reached = {root.digest for root in self._listed}
        for _, manifest in self._walk([*reached, *self._unnamed]):
            reached.update(child.digest for child in _children(manifest))
        more = [descriptor for digest, descriptor in self._unnamed.items() if digest not in reached]
        self._unnamed.clear()
        self._edit(lambda listed: [*listed, *(d for d in more if all(r.digest != d.digest for r in listed))])

    def _with_name(self, name: str, named: Descriptor, listed: Sequence[Descriptor]) -> Sequence[Descriptor]:
        return [*(r for r in listed if not self._replaces(name, r)), named]

    def _edit(self, edit: _Edit) -> None:
        """Change what is listed; it becomes JSON when it is written, not for each of a thousand names."""
        edited = tuple(edit(self._listed))
        if edited != self._listed:
            self._listed, self._changed = edited, True
            self._edits.append(edit)

    def _take_index(self, index: Manifest) -> None:
        """Go on from an index that is written, with all that was changed since."""
        self._index = index
        self._listed = index.manifests
        self._edits = []

    def _edit_again(self, index: Manifest) -> None:
        """Change an index that somebody else wrote meanwhile, as the one that was read was changed."""
        self._index, self._listed = index, index.manifests
        for edit in self._edits:
            self._listed = tuple(edit(self._listed))

    def _index_bytes(self) -> bytes:
        """Give the index as it is to be written: as it was read, where it lists what it listed."""
        if self._listed is self._index.manifests:
            return self._index.raw
        return canonical_json({**self._index.document, "manifests": [root.to_json() for root in self._listed]})


def _children(manifest: Manifest) -> tuple[Descriptor, ...]:
    """Give an index's children; none of a broken one."""
    try:
        return manifest.manifests
    except ProtocolError:
        return ()


def bounded(stream: BinaryIO, what: str) -> bytes:
    """Read all of a manifest; raise ProtocolError where it is larger than one may be."""
    data = read_bounded(stream, MAX_SIZE)
    if data is None:
        raise ProtocolError(f"{what} is larger than the {MAX_SIZE} bytes of a manifest")
    return data
