"""The chapter of manifests (distribution-spec, Pulling manifests, Pushing Manifests, Deleting Manifests)."""

from __future__ import annotations

import io

from regkit.devregistry.answer import Fault, empty
from regkit.devregistry.call import Call, parse_tag, read_manifest
from regkit.devregistry.content import parse_manifest, require_content, subject_of
from regkit.devregistry.store import Locks, Names, Store, read_known
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.protocol.flow import Response


class Manifests:
    """Manifests, and the tags that name them."""

    def __init__(self, store: Store, locks: Locks) -> None:
        self._store, self._locks = store, locks

    def get(self, call: Call) -> Response:
        """GET and HEAD: by tag or digest, as it was pushed."""
        names = self._store.names(call.repository) or Names()
        digest = call.digest if ":" in call.name else names.tags.get(call.name)
        known = names.manifests.get(digest) if digest else None
        if known is None:
            raise _no_manifest(call)
        headers = {
            "content-type": known.media_type,
            "content-length": str(known.size),
            "docker-content-digest": known.digest,
            "etag": f'"{known.digest}"',
        }
        if call.request.method == "HEAD":
            return Response(200, headers)
        try:
            return Response(200, headers, io.BytesIO(read_known(self._store, call.repository, known)))
        except FileNotFoundError:  # deleted a moment ago
            raise _no_manifest(call) from None

    def put(self, call: Call) -> Response:
        """PUT: checked first, written then, named last; the bytes stay as they came.

        The query may give tags to what is pushed by digest.
        """
        by_digest = ":" in call.name
        tags = call.tags if by_digest else (parse_tag(call.name),)
        raw = read_manifest(call)
        manifest = parse_manifest(raw, call.header("content-type"))
        digest = Digest.of(raw, call.digest.algorithm) if by_digest else manifest.digest
        if by_digest and digest != call.digest:
            raise Fault(400, "DIGEST_INVALID", f"the manifest has the digest {digest}, not {call.digest}")
        subject = subject_of(manifest)
        descriptor = Descriptor(manifest.media_type, digest, len(raw))
        with self._locks.of(call.repository):
            names = self._store.names(call.repository) or Names()
            require_content(manifest, call.repository, names, self._store)
            if digest not in names.manifests:
                self._write(call.repository, digest, raw)
            self._store.write_names(call.repository, names.with_manifest(descriptor, tags))
        headers = {"location": f"/v2/{call.repository}/manifests/{digest}", "docker_content_digest": digest}
        if subject:
            headers["oci_subject"] = subject
        if by_digest and tags:
            headers["oci_tag"] = ", ".join(tags)
        return empty(201, **headers)

    def _write(self, repository: str, digest: Digest, raw: bytes) -> None:
        draft = self._store.draft()
        try:
            draft.write(raw)
            self._store.keep(repository, digest, draft)
        finally:
            draft.discard()

    def delete(self, call: Call) -> Response:
        """DELETE: a tag takes only itself along, a digest all its tags."""
        with self._locks.of(call.repository):
            names = self._store.names(call.repository) or Names()
            if ":" not in call.name:
                if call.name not in names.tags:
                    raise _no_manifest(call)
                self._store.write_names(call.repository, names.without_tag(call.name))
                return empty(202)
            if call.digest not in names.manifests:
                raise _no_manifest(call)
            self._store.write_names(call.repository, names.without_manifests(call.digest))
            self._store.remove(call.repository, call.digest)
        return empty(202)


def _no_manifest(call: Call) -> Fault:
    return Fault(404, "MANIFEST_UNKNOWN", f"{call.repository} has no manifest {call.name[:140]!r}")
