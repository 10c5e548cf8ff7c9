"""Target: where content lives. Every verb works on each kind, through this one abstraction."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from regkit.errors import RegkitError, UsageError
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from regkit.protocol.flow import Source


class Target(Protocol):
    """A repository, an image layout, …; a context manager: what is local commits when it ends well.

    "Cannot" is an answer, not an exception: `untag`, `mount` and `delete` return False where the target can't, and the
    verb decides.
    """

    def __enter__(self) -> Self:
        """Open it."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit where all went well; leave nothing half done otherwise."""
        ...

    def resolve(self, name: str) -> Descriptor | None:
        """Tell what a tag or digest stands for, without its content; None where there is no such thing."""
        ...

    def exists(self, descriptor: Descriptor) -> bool:
        """Tell whether this content is there."""
        ...

    def size(self, digest: Digest) -> int | None:
        """Tell the size in bytes of the blob that has this digest; None where there is none."""
        ...

    def refuses(self, manifest: Manifest) -> RegkitError | None:
        """Tell why this target can't hold a manifest; None where it can. Nothing is asked for."""
        ...

    def manifest(self, name: str) -> Manifest:
        """Read a manifest by tag or digest; raise NotFound, or ContentMismatch for bytes that aren't its own."""
        ...

    def fetch(self, descriptor: Descriptor) -> Source:
        """Give content that can be read, again and again; its digest is checked while it is read."""
        ...

    def tags(self) -> tuple[str, ...]:
        """List all tags, in the target's order; a repository that doesn't exist yet has none."""
        ...

    def push(self, descriptor: Descriptor, source: Source, name: str | None = None) -> None:
        """Send content, under `name` (a tag) where one is given; who wants to spare that asks `exists` before."""
        ...

    def push_named(self, descriptor: Descriptor, source: Source, names: Sequence[str]) -> tuple[str, ...]:
        """Set several tags on a manifest at once, in no order; give those that were set, none where this can't be."""
        ...

    def untag(self, tag: str) -> bool:
        """Remove one tag and nothing else; False where this target can't. A tag that isn't there is removed."""
        ...

    def mount(self, descriptor: Descriptor, origin: Target) -> bool:
        """Take a blob over from `origin` without sending its bytes; False where that can't be, or didn't work."""
        ...

    def delete(self, descriptor: Descriptor) -> bool:
        """Remove content, and for a manifest every name on it; False where this target can't."""
        ...

    def referrers(self, digest: Digest, artifact_type: str | None = None) -> tuple[Descriptor, ...]:
        """List what refers to `digest`, with artifact type and annotations; only those of a type where one is given."""
        ...


def digest_or_none(name: str) -> Digest | None:
    """Tell a digest from a name; a layout's may have a colon as well (image-spec, annotations.md)."""
    try:
        return Digest(name)
    except UsageError:
        return None
