"""The chapter of blobs (distribution-spec, Pulling blobs, Deleting Blobs)."""

from __future__ import annotations

from regkit.devregistry.answer import Fault, Slice, empty, parse_range
from regkit.devregistry.call import Call
from regkit.devregistry.store import Locks, Names, Store
from regkit.oci.digest import Digest
from regkit.protocol.flow import Response, Source


class Blobs:
    """Blobs that are there."""

    def __init__(self, store: Store, locks: Locks) -> None:
        self._store, self._locks = store, locks

    def get(self, call: Call) -> Response:
        """GET and HEAD: all of it, or a range."""
        digest = call.digest
        blob = self._blob(call.repository, digest)
        headers = {
            "content-type": "application/octet-stream",
            "docker-content-digest": digest,
            "accept-ranges": "bytes",
            "etag": f'"{digest}"',
        }
        if call.request.method == "HEAD":
            return Response(200, {**headers, "content-length": str(blob.size)})
        part = parse_range(call.header("range"), blob.size)
        try:
            stream = blob.open()
        except FileNotFoundError:  # deleted a moment ago
            raise _no_blob(call.repository, digest) from None
        if part is None:
            return Response(200, {**headers, "content-length": str(blob.size)}, stream)
        headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{blob.size}"
        return Response(206, {**headers, "content-length": str(len(part))}, Slice.of(stream, part))

    def delete(self, call: Call) -> Response:
        """DELETE: a blob; what is a manifest is another chapter's."""
        with self._locks.of(call.repository):
            names = self._store.names(call.repository) or Names()
            if call.digest in names.manifests or not self._store.remove(call.repository, call.digest):
                raise _no_blob(call.repository, call.digest)
        return empty(202)

    def _blob(self, repository: str, digest: Digest) -> Source:
        blob = self._store.blob(repository, digest)
        if blob is None:
            raise _no_blob(repository, digest)
        return blob


def _no_blob(repository: str, digest: Digest) -> Fault:
    return Fault(404, "BLOB_UNKNOWN", f"{repository} has no blob {digest}")
