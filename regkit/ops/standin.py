"""Stand-ins: unique small manifests, for registries that delete by digest and know no other way to be rid of a tag.

A stand-in is pushed under the tag, which so leaves what it stood on; then the stand-in is deleted, and the tag with it.
That is only safe where deleting is proven to work: otherwise junk would stand where a good image stood.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from contextlib import suppress

from regkit.errors import Refused, RegkitError, VerificationFailed
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.manifest import Manifest, canonical_json
from regkit.ops.presence import looks, shown_by
from regkit.protocol.flow import Bytes
from regkit.targets.repository import Repository
from regkit.transport.session import Session

KIND = "application/vnd.regkit.stand-in"
"""The artifact type of a stand-in, by which one is recognised that a crash left."""

_EMPTY = b"{}"
_DOCKER = frozenset({mediatype.DOCKER_INDEX, mediatype.DOCKER_MANIFEST})


class StandIns:
    """Stand-ins in a repository; threads may share it. `nonce` makes each one unique."""

    def __init__(
        self, session: Session, repository: Repository, nonce: Callable[[], str] = lambda: secrets.token_hex(16)
    ) -> None:
        self._session, self._repository, self._nonce = session, repository, nonce
        self._lock = threading.Lock()
        self._has_config = False
        self._proof: RegkitError | None = None
        self.is_proven = False
        """Whether it was tried."""

    @property
    def are_refused(self) -> bool:
        """Whether it is known that none can be deleted."""
        return self._proof is not None

    def prove(self) -> None:
        """Push a manifest by digest alone and delete it, once; raise Refused where it doesn't go.

        No tag is touched, so nothing is lost where deletes are switched off.
        """
        self._prove_by(self._try)

    def prove_under(self, tag: str, delete: Callable[[Descriptor], None]) -> None:
        """Push a stand-in under a tag of its own and `delete` it, once; raise why it can't be deleted.

        For a registry that deletes nothing without a tag: the tags that are there aren't touched.
        """

        def attempt() -> None:
            self._push_config()
            made = self._make(mediatype.OCI_MANIFEST)
            self._repository.push(made.descriptor, Bytes(made.raw), tag)
            try:
                delete(made.descriptor)
            except RegkitError as error:
                error.message += f"; the tag {tag}, with which that was tried, stays"
                error.args = (error.message,)
                raise

        self._prove_by(attempt)

    def replace(self, tag: str, manifest: Manifest, delete: Callable[[Descriptor], None]) -> None:
        """Move `tag` from `manifest` to a stand-in, look that it stands there, and `delete` that.

        Nothing else can stand on a stand-in: nobody knew its digest before. Where it can't be deleted the tag is put
        back, and what went wrong is raised.
        """
        self._push_config()
        made = self._make(manifest.media_type)
        try:
            self._repository.push(made.descriptor, Bytes(made.raw), tag)
            what = f"the stand-in for {self._repository.name}:{tag}"
            shown_by(self._session, self._repository, tag, lambda digest: digest == made.digest, what)
            delete(made.descriptor)
            self._wait_until_gone(tag, made)
        except RegkitError:
            self._put_back(tag, manifest, made)
            raise

    def delete(self, made: Descriptor) -> None:
        """Delete a stand-in by digest; raise Refused where the registry doesn't."""
        if not self._repository.delete(made):
            raise Refused("the registry deletes nothing by digest")

    def _prove_by(self, attempt: Callable[[], None]) -> None:
        with self._lock:
            if not self.is_proven:
                self.is_proven = True
                try:
                    attempt()
                except RegkitError as error:
                    self._proof = error
        if self._proof is not None:
            raise self._proof

    def _try(self) -> None:
        self._push_config()
        made = self._make(mediatype.OCI_MANIFEST)
        self._repository.push(made.descriptor, Bytes(made.raw))
        if not self._repository.delete(made.descriptor):
            raise Refused(
                "it deletes nothing by digest either: deletes are switched off",
                hint="where the registry is yours, switch them on (distribution: storage.delete.enabled)",
            )
        for _ in looks(self._session):
            if self._repository.resolve(made.digest) is None:
                return
        raise Refused("it says that it deletes by digest, and keeps what was deleted")

    def _push_config(self) -> None:
        if not self._has_config:
            self._repository.push(Descriptor.of(mediatype.OCI_EMPTY, _EMPTY), Bytes(_EMPTY))
            self._has_config = True

    def _make(self, family: str) -> Manifest:
        """Make one of the same family of media types: a registry may know only one of them."""
        is_docker = family in _DOCKER
        kind = mediatype.DOCKER_MANIFEST if is_docker else mediatype.OCI_MANIFEST
        config = Descriptor.of(mediatype.DOCKER_CONFIG if is_docker else mediatype.OCI_EMPTY, _EMPTY)
        document = {
            "schemaVersion": 2,
            "mediaType": kind,
            "artifactType": KIND,
            "config": config.to_json(),
            "layers": [] if is_docker else [config.to_json()],
            "annotations": {KIND: self._nonce()},
        }
        return Manifest(kind, canonical_json(document))

    def _wait_until_gone(self, tag: str, made: Manifest) -> None:
        for _ in looks(self._session):
            there = self._repository.resolve(tag)
            if there is None or there.digest != made.digest:
                return
        raise VerificationFailed(f"the stand-in for {self._repository.name}:{tag} was deleted, but it is still there")

    def _put_back(self, tag: str, manifest: Manifest, made: Manifest) -> None:
        """Set the tag on what it stood on, if it stands on the stand-in."""
        with suppress(RegkitError):
            there = self._repository.resolve(tag)
            if there is not None and there.digest == made.digest:
                self._repository.push(manifest.descriptor, Bytes(manifest.raw), tag)
