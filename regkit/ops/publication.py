"""A release on its way into a repository: pushed, verified, tagged, and freed of what named it on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from regkit.errors import PartlyDone, VerificationFailed
from regkit.events import Note, StageStarted, TagKept, TagMoved, TagRemoved
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from regkit.oci.platform import Platform
from regkit.ops.images import Image
from regkit.ops.presence import absent_from, read_back
from regkit.ops.tasks import each
from regkit.protocol.flow import Bytes
from regkit.targets.layout import Layout
from regkit.targets.repository import Repository
from regkit.transport.session import Session


class Publication:
    """An index and its images in a repository. Manifests are kept in memory: what is lost can be brought back."""

    def __init__(self, session: Session, repository: Repository, index: Manifest, images: Sequence[Image]) -> None:
        self._session, self._repository = session, repository
        self.index, self.images = index, tuple(images)
        self._children = [entry for image in images for entry in image.entries]
        self._tags: list[str] = []

    def push(self, layout: Layout, names: Mapping[Platform, str], *, ask: bool = True) -> None:
        """Bring it there: every blob, side by side, then the children, then the index, by digest.

        What is there isn't sent again; with `ask` all is asked for beforehand, without it only the blobs are, one by
        one, as they are sent. Where `names` has a tag for a platform, an image that is new is pushed under it.
        Raise VerificationFailed where a child that the registry took isn't there.
        """
        blobs = {blob.digest: blob for _, manifest in self._children for blob in manifest.blobs}
        wanted = [*blobs.values(), *self._descriptors]
        absent = {descriptor.digest for descriptor in (self._missing(wanted) if ask else wanted)}
        tags = {image.descriptor.digest: names.get(image.platform) for image in self.images}

        def push(entry: tuple[Descriptor, Manifest]) -> None:
            descriptor, manifest = entry
            self._repository.push(descriptor, Bytes(manifest.raw), tags.get(descriptor.digest))

        new = [blob for blob in blobs.values() if blob.digest in absent]
        each(lambda blob: self._repository.push(blob, layout.fetch(blob)), new)
        each(push, [entry for entry in self._children if entry[0].digest in absent])
        # Every child is asked for while the index is on its way: that saves a round trip.
        steps: list[Callable[[], None]] = [self.verify]
        if self.index.digest in absent:
            steps.append(lambda: push((self.index.descriptor, self.index)))
        each(lambda step: step(), steps)

    def verify(self) -> None:
        """Ask for every child; raise VerificationFailed where the registry lacks one."""
        absent = self._missing([descriptor for descriptor, _ in self._children])
        if absent:
            lost = ", ".join(descriptor.digest for descriptor in absent)
            raise VerificationFailed(f"{self._repository.name} took everything, but doesn't have {lost}")

    def tag(self, moves: Iterable[tuple[str, Digest | None]]) -> None:
        """Put tags on the index, one after the other, each with the digest it stands on; then read each back.

        Raise VerificationFailed where one doesn't show. What stands on the index already isn't written again.
        """
        index = self.index.descriptor
        moved: list[tuple[str, Digest | None]] = []
        for tag, standing in moves:
            self._tags.append(tag)
            if standing == index.digest:
                self._session.report(TagKept(tag, "it stands there already"))
                continue
            self._repository.push(index, Bytes(self.index.raw), tag)
            moved.append((tag, standing))
        each(self._read_back, [tag for tag, _ in moved])
        for tag, standing in moved:
            self._session.report(TagMoved(tag, index.digest, standing))

    def remove_intermediates(self, names: Iterable[str]) -> PartlyDone | None:
        """Remove the tags that named children on the way, each by tag; then ask for all that stays.

        A name that stands on anything else isn't ours and stays. Give PartlyDone where the registry can't.
        """
        mine = {descriptor.digest for descriptor in self._descriptors}
        candidates = [name for name in names if name not in self._tags]
        standing = zip(candidates, each(self._repository.resolve, candidates), strict=True)
        leftovers = [name for name, there in standing if there is not None and there.digest in mine]
        if not leftovers:
            return None
        self._session.report(StageStarted("clean", f"removing intermediate tags of {self._repository.name}"))
        for done, name in enumerate(leftovers):
            if not self._repository.untag(name):
                return self._stuck(leftovers[done:])
            self._session.report(TagRemoved(name))
        self._restore()
        self.verify()
        each(self._read_back, self._tags)
        return None

    def _stuck(self, names: Sequence[str]) -> PartlyDone:
        for name in names:
            self._session.report(TagKept(name, "the registry can't remove tags"))
        left = ", ".join(names)
        return PartlyDone(
            f"the release is up, but {self._repository.name} can't remove a tag alone, so these stay: {left}",
            hint="a rerun can't change that; there they also keep the platforms' images from garbage collection",
        )

    @property
    def _descriptors(self) -> list[Descriptor]:
        return [*(descriptor for descriptor, _ in self._children), self.index.descriptor]

    def _missing(self, wanted: Sequence[Descriptor]) -> list[Descriptor]:
        return absent_from(self._repository, wanted, self._session.report)

    def _restore(self) -> None:
        """Bring back what a registry took along with a tag."""
        absent = {descriptor.digest for descriptor in self._missing(self._descriptors)}
        for descriptor, manifest in [*self._children, (self.index.descriptor, self.index)]:
            if descriptor.digest in absent:
                text = f"{self._repository.name} took {descriptor.digest} along with its tag; it is pushed back"
                self._session.report(Note(text, warning=True))
                self._repository.push(descriptor, Bytes(manifest.raw))
        if self.index.digest in absent:
            for tag in self._tags:
                self._repository.push(self.index.descriptor, Bytes(self.index.raw), tag)

    def _read_back(self, tag: str) -> None:
        read_back(self._session, self._repository, tag, (self.index.digest,), f"{self._repository.name}:{tag}")
