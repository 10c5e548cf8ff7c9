"""A release on its way into a repository: pushed, verified, tagged, and freed of what named it on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from regkit.errors import PartlyDone, VerificationFailed
from regkit.events import Note, StageStarted, TagKept, TagMoved, TagRemoved
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from regkit.oci.platform import Platform
from regkit.ops.images import Image
from regkit.ops.tasks import each
from regkit.protocol.flow import Bytes
from regkit.targets.layout import Layout
from regkit.targets.repository import Repository
from regkit.transport.session import Session

_LAG = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""The waits, in seconds, before each look for what was just written: hubs lag behind their own answers."""


def push_images(layout: Layout, repository: Repository, images: Sequence[Image], names: Mapping[Platform, str]) -> None:
    """Bring all images there: every blob once, side by side, then the manifests; what is there isn't sent again.

    Where `names` has a tag for a platform, an image that is new is pushed under it.
    """
    manifests = [manifest for image in images for _, manifest in image.entries]
    blobs = {blob.digest: blob for manifest in manifests for blob in manifest.blobs}
    each(lambda blob: repository.push(blob, layout.fetch(blob)), blobs.values())

    def push(image: Image) -> None:
        name = names.get(image.platform)
        if name is None or not repository.exists(image.descriptor):
            repository.push(image.descriptor, Bytes(image.manifest.raw), name)
        for descriptor, manifest in image.attestations:
            repository.push(descriptor, Bytes(manifest.raw))

    each(push, images)


class Publication:
    """An index and its children in a repository. Manifests are kept in memory: what is lost can be brought back."""

    def __init__(self, session: Session, repository: Repository, index: Manifest, images: Sequence[Image]) -> None:
        self._session, self._repository = session, repository
        self.index, self.images = index, tuple(images)
        entries = [entry for image in images for entry in image.entries]
        self._content = [*((d, m.raw) for d, m in entries), (index.descriptor, index.raw)]
        self._tags: list[str] = []

    def verify(self) -> None:
        """Ask for the index and every child; raise VerificationFailed where the registry lacks one."""
        missing = self._missing()
        if missing:
            lost = ", ".join(descriptor.digest for descriptor in missing)
            raise VerificationFailed(f"{self._repository.name} took everything, but doesn't have {lost}")

    def tag(self, tag: str, standing: Digest | None) -> None:
        """Put a tag on the index, and read it back; raise VerificationFailed where it doesn't show."""
        index = self.index.descriptor
        self._tags.append(tag)
        if standing == index.digest:
            self._session.report(TagKept(tag, "it stands there already"))
            return
        self._repository.push(index, Bytes(self.index.raw), tag)
        self._read_back(tag)
        self._session.report(TagMoved(tag, index.digest, standing))

    def remove_intermediates(self, names: Iterable[str]) -> PartlyDone | None:
        """Remove the tags that named children on the way, each by tag; then ask for all that stays.

        A name that stands on anything else isn't ours and stays. Give PartlyDone where the registry can't.
        """
        mine = {descriptor.digest for descriptor, _ in self._content}
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
        for tag in self._tags:
            self._read_back(tag)
        return None

    def _stuck(self, names: Sequence[str]) -> PartlyDone:
        for name in names:
            self._session.report(TagKept(name, "the registry can't remove tags"))
        return PartlyDone(
            f"the release is up, but {self._repository.name} can't remove single tags, so these stay: {', '.join(names)}",
            hint="a rerun can't change that; there they also keep the platforms' images from garbage collection",
        )

    def _missing(self) -> list[Descriptor]:
        wanted = [descriptor for descriptor, _ in self._content]
        return [d for d, there in zip(wanted, each(self._repository.exists, wanted), strict=True) if not there]

    def _restore(self) -> None:
        """Bring back what a registry took along with a tag."""
        missing = {descriptor.digest for descriptor in self._missing()}
        for descriptor, raw in self._content:
            if descriptor.digest in missing:
                text = f"{self._repository.name} took {descriptor.digest} along with its tag; it is pushed back"
                self._session.report(Note(text, warning=True))
                self._repository.push(descriptor, Bytes(raw))
        if self.index.digest in missing:
            for tag in self._tags:
                self._repository.push(self.index.descriptor, Bytes(self.index.raw), tag)

    def _read_back(self, tag: str) -> None:
        for wait in _LAG:
            if wait:
                self._session.sleep(wait)
            there = self._repository.resolve(tag)
            if there is not None and there.digest == self.index.digest:
                return
        shows = there.digest if there else "nothing"
        raise VerificationFailed(f"{self._repository.name}:{tag} was written, but shows {shows}")
