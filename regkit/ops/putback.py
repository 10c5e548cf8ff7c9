"""What was written on the way to something that isn't to be: tags are removed, or put back where they stood."""

from __future__ import annotations

from collections.abc import Mapping

from regkit.errors import AccessDenied, Interrupted, Refused, RegkitError
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from regkit.oci.reference import Reference
from regkit.ops.untag import Untagger, by_vendor
from regkit.protocol.flow import Bytes
from regkit.targets.repository import Repository
from regkit.transport.session import Session


class Remover:
    """Removes tags by the specification's way; once that is refused, by the API of a vendor that has one.

    `manifests` are what the tags may stand on.
    """

    def __init__(self, session: Session, repository: Repository, manifests: Mapping[Digest, Manifest]) -> None:
        self._session, self._repository, self._manifests = session, repository, manifests
        self._vendor: Untagger | None = None

    def remove(self, tag: str) -> RegkitError | None:
        """Remove a tag and nothing else; give why it stays, a Refused where the registry can't ever."""
        try:
            refusal = self._by_spec(tag) if self._vendor is None else None
            if refusal is not None:
                self._vendor = by_vendor(self._session, Reference.parse_name(self._repository.name))
                if self._vendor is None:
                    return refusal
            if self._vendor is not None:
                there = self._repository.resolve(tag)
                self._vendor.remove(tag, self._manifests.get(there.digest) if there else None)
        except Interrupted:
            raise
        except RegkitError as error:
            return error
        return None

    @property
    def by_vendor(self) -> bool:
        """Whether a vendor's API is asked, whose refusals may depend on the login."""
        return self._vendor is not None

    def _by_spec(self, tag: str) -> RegkitError | None:
        """Give why the registry can't, or lets nobody with this login."""
        try:
            return None if self._repository.untag(tag) else Refused("it can't remove a tag alone")
        except AccessDenied as error:
            return error


class PutBack:
    """Puts tags that were written on `index` where they stood before; `left` are those that stay on it."""

    def __init__(self, session: Session, repository: Repository, index: Manifest) -> None:
        self._repository, self._index = repository, index
        self._remover = Remover(session, repository, {index.digest: index})
        self._said: dict[str, list[str]] = {}
        self.left: list[str] = []

    def run(self, written: Mapping[str, Digest | None]) -> str:
        """Do it in the order of the writing, each tag with what it stood on; say what became of them.

        A tag that stands on anything else by now is somebody else's, and stays there.
        """
        for tag, before in written.items():
            try:
                self._put(tag, before)
            except Interrupted:
                raise
            except RegkitError as error:
                self.left.append(tag)
                self._say("not put back", f"{tag} ({error.message})")
        return "; ".join(f"{what}: {', '.join(tags)}" for what, tags in self._said.items())

    def _put(self, tag: str, before: Digest | None) -> None:
        there = self._repository.resolve(tag)
        if there is not None and there.digest not in (self._index.digest, before):
            self._say("moved on by somebody else, and left there", f"{tag} ({there.digest})")
            return
        if before is not None:
            manifest = self._repository.manifest(before)
            self._repository.push(manifest.descriptor, Bytes(manifest.raw), tag)
        elif (refusal := self._remover.remove(tag)) is not None:
            raise refusal
        self._say("put back", f"{tag} ({before or 'removed again'})")

    def _say(self, what: str, tag: str) -> None:
        self._said.setdefault(what, []).append(tag)
