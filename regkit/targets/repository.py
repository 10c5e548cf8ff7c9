"""A repository of a registry, as a Target."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import BinaryIO, Self, TypeVar, cast

from regkit.errors import AccessDenied, Interrupted, NotFound, RegkitError, Unavailable
from regkit.events import BlobProgress, BlobPushed, ContentExists, ManifestPushed, StageStarted
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import MAX_SIZE, Manifest
from regkit.oci.reference import Reference
from regkit.protocol.blob import blob_size, delete_blob, get_blob, head_blob, push_blob
from regkit.protocol.flow import Flow, Source
from regkit.protocol.manifest import delete_manifest, get_manifest, head_manifest, put_manifest, put_tagged
from regkit.protocol.referrers import ask_referrers, edit_fallback, fallback_tag, list_referrers, subject_of
from regkit.protocol.retry import delay
from regkit.protocol.tag import delete_tag, has_no_tags, list_tags
from regkit.protocol.upload import Upload, cancel_upload, mount_blob, post_blob
from regkit.targets.counted import STEP, CountedSource
from regkit.targets.resumed import Resumed
from regkit.targets.target import Target, digest_or_none
from regkit.targets.verified import VerifiedSource, read_all
from regkit.transport.session import Session

T = TypeVar("T")

EDITS = 5
"""How many updates of the list of referrers at a fallback tag may get lost before it is given up."""

TAGS_AT_ONCE = 10
"""How many tags are asked for with one manifest: as many as a registry should take (distribution-spec, end-7b)."""


class Repository:
    """The repository that `reference` names; its tag and digest don't count here.

    One that is there to `pull` from is read from its registry's mirrors first, if the session knows any.
    """

    def __init__(self, session: Session, reference: Reference, *, pull: bool = False) -> None:
        self._session, self._pull = session, pull
        self._registry, self._path = reference.registry, reference.repository
        self.name = reference.name
        self._uploads: dict[Digest, Upload] = {}
        self._refused: set[str] = set()
        self._takes_posts = True
        self._takes_tags: bool | None = None
        self._trying = threading.Lock()
        self._editing = threading.Lock()

    def __enter__(self) -> Self:
        """Open it; the session stays its owner's."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the uploads that were opened and not used, unless somebody is in a hurry; there is nothing to commit."""
        hurried = kind is not None and (issubclass(kind, Interrupted) or not issubclass(kind, Exception))
        while self._uploads and not hurried:
            upload = self._uploads.popitem()[1]
            with suppress(RegkitError):
                self._run(cancel_upload(self._path, upload))

    def resolve(self, name: str) -> Descriptor | None:
        """Ask by HEAD, which costs no pull at a hub."""
        return self._run(head_manifest(self._path, name))

    def exists(self, descriptor: Descriptor) -> bool:
        """Ask by HEAD, under `/manifests/` or `/blobs/` as the media type says."""
        if descriptor.is_manifest:
            return self._run(head_manifest(self._path, descriptor.digest)) is not None
        return self._run(head_blob(self._path, descriptor))

    def size(self, digest: Digest) -> int | None:
        """Ask for a blob by HEAD, by GET where a registry leaves the length out."""
        return self._run(blob_size(self._path, digest))

    def refuses(self, manifest: Manifest) -> RegkitError | None:
        """Refuse nothing: what this registry doesn't take, it says when it is sent."""
        del manifest
        return None

    def manifest(self, name: str) -> Manifest:
        """Read a manifest; raise NotFound, or ContentMismatch."""
        try:
            return self._run(get_manifest(self._path, name))
        except NotFound as error:
            lists = "" if digest_or_none(name) else f"; `regkit tag ls {self.name}` lists its tags"
            hint = f"check the name, and that this login may see it{lists}"
            raise NotFound(error.message, hint=hint) from None

    def fetch(self, descriptor: Descriptor) -> Source:
        """Give content that is read as a stream, checked on the way; each `open()` asks the registry anew.

        Where the connection breaks, another one goes on from there. What the descriptor carries itself isn't asked for.
        """
        if descriptor.is_manifest:
            return VerifiedSource(
                descriptor,
                lambda: io.BytesIO(self.manifest(descriptor.digest).raw),
                f"the manifest {descriptor.digest} of {self.name}",
            )
        if (data := descriptor.data) is not None:
            return VerifiedSource(descriptor, lambda: io.BytesIO(data), f"the descriptor of {descriptor.digest}")

        def part(offset: int) -> BinaryIO:
            return self._run(get_blob(self._path, descriptor.digest, offset))

        def opener() -> BinaryIO:
            return cast(BinaryIO, Resumed(part, descriptor.size))

        return VerifiedSource(descriptor, opener, f"the blob {descriptor.digest} of {self.name}")

    def tags(self) -> tuple[str, ...]:
        """List all tags; a repository that doesn't exist yet has none."""
        return self._run(list_tags(self._path))

    def is_blank(self) -> bool:
        """Ask for one tag: where there is none, hardly any content can be there; False where that stays open."""
        return self._run(has_no_tags(self._path))

    def admit(self) -> tuple[str, ...]:
        """List all tags, with credentials that may also push; raise what keeps us out, before work is done."""
        self._session.report(StageStarted("plan", f"asking {self._registry}"))
        return self._run(list_tags(self._path, "pull,push"))

    def push(self, descriptor: Descriptor, source: Source, name: str | None = None) -> None:
        """Send content; a manifest under `name`, or by digest."""
        report = self._session.report
        if not descriptor.is_manifest:
            if descriptor.size > STEP:
                source = CountedSource(source, lambda sent: report(BlobProgress(descriptor, sent)))
            sent = self._push_blob(descriptor, source)
            report(BlobPushed(descriptor) if sent else ContentExists(descriptor))
            return
        manifest = Manifest(descriptor.media_type, read_all(source, MAX_SIZE))
        if name and descriptor.digest.algorithm != "sha256":
            # Under a tag the registry computes a sha256: what an index names by another one needs that, too.
            self._run(put_manifest(self._path, descriptor.digest, manifest))
        unlisted = self._run(put_manifest(self._path, name or descriptor.digest, manifest))
        if unlisted is not None and descriptor.platform is None:
            # What an index lists carries a platform, and is found there: it gets no list of referrers (ADR 0401).
            digest = manifest.digest if name else descriptor.digest
            self._edit_fallback(unlisted, add=replace(manifest.as_referrer, digest=digest))
        report(ManifestPushed(descriptor, name))

    def push_named(self, descriptor: Descriptor, source: Source, names: Sequence[str]) -> tuple[str, ...]:
        """Set tags with one request, where the registry knows how; one that doesn't is asked once, and never again.

        Not for what refers to something else: that belongs on a list as well.
        """
        manifest = Manifest(descriptor.media_type, read_all(source, MAX_SIZE))
        done: list[str] = []
        with nullcontext() if self._takes_tags else self._trying:  # while that is open, the others wait for it
            for start in range(0, len(names), TAGS_AT_ONCE):
                if self._takes_tags is False or descriptor.digest.algorithm != "sha256" or manifest.subject:
                    break
                answered = self._run(put_tagged(self._path, descriptor.digest, manifest, names[start:][:TAGS_AT_ONCE]))
                self._takes_tags = bool(answered)
                done += answered
        for name in done:
            self._session.report(ManifestPushed(descriptor, name))
        return tuple(done)

    def untag(self, tag: str) -> bool:
        """Remove a tag by the specification's way; False where the registry can't."""
        return self._run(delete_tag(self._path, tag))

    def mount(self, descriptor: Descriptor, origin: Target) -> bool:
        """Ask the registry to share a blob of another of its repositories.

        One that doesn't opens an upload instead: the next `push` of that blob goes on with it. One that refuses, for
        the origin may not be read say, isn't asked again.
        """
        if descriptor.is_manifest or not isinstance(origin, Repository) or origin._registry != self._registry:
            return False
        if origin._path in self._refused or descriptor.digest in self._uploads:
            return False
        mounted = self._run(mount_blob(self._path, descriptor.digest, origin._path))
        if isinstance(mounted, Upload):
            self._uploads[descriptor.digest] = mounted
            return False
        if not mounted:
            self._refused.add(origin._path)
        return mounted

    def delete(self, descriptor: Descriptor) -> bool:
        """Remove a manifest with all its tags, or a blob; False where the registry can't."""
        if not descriptor.is_manifest:
            return self._run(delete_blob(self._path, descriptor.digest))
        subject = self._run(subject_of(self._path, descriptor.digest))
        if not self._run(delete_manifest(self._path, descriptor.digest)):
            return False
        if subject is not None and self._run(ask_referrers(self._path, subject)) is None:
            self._edit_fallback(subject, remove=descriptor.digest)
        return True

    def referrers(self, digest: Digest, artifact_type: str | None = None) -> tuple[Descriptor, ...]:
        """Ask the referrers API, or read the fallback tag where there is none."""
        return self._run(list_referrers(self._path, digest, artifact_type))

    def _push_blob(self, descriptor: Descriptor, source: Source) -> bool:
        """Send a blob through the session that a mount left, if any; the empty one with its first request."""
        upload = self._uploads.pop(descriptor.digest, None)
        empty = descriptor.media_type == mediatype.OCI_EMPTY and descriptor.size == len(b"{}")
        if upload is None and empty and self._takes_posts:
            posted = self._run(post_blob(self._path, descriptor.digest, source))
            if posted is True:
                return True
            self._takes_posts = False
            upload = posted or None
        return self._run(push_blob(self._path, descriptor, source, upload))

    def _edit_fallback(self, subject: Digest, *, add: Descriptor | None = None, remove: Digest | None = None) -> None:
        """Edit the list at the fallback tag until it stands; threads do it one after the other."""
        from random import random  # only contention pays for it

        with self._editing:
            for attempt in range(EDITS + 1):
                if attempt > 1:
                    self._session.sleep(delay(attempt, None, random()) or 0)  # noqa: S311 - no secret
                if self._run(edit_fallback(self._path, subject, add=add, remove=remove)):
                    return
        raise Unavailable(
            f"the list of referrers {fallback_tag(subject)} in {self.name} doesn't stay as it was written",
            hint="others are writing it at the same time: try again later",
        )

    def _run(self, flow: Flow[T]) -> T:
        try:
            return self._session.run(self._registry, flow, pull=self._pull)
        except AccessDenied as error:
            login = self._session.credentials.for_host(self._registry, self._path)
            who = (
                f"the user {login.username!r} from {login.origin}"
                if login
                else f"anonymous (no login for it in {self._session.credentials.searched})"
            )
            raise AccessDenied(
                f"{self.name} doesn't let {who} in: {error.message}",
                hint=f"log in to {self._registry}, or check that the account may do this",
            ) from None
