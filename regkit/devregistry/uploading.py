"""The chapter of uploads (distribution-spec, Pushing blobs)."""

from __future__ import annotations

from regkit.devregistry.answer import Fault, empty
from regkit.devregistry.call import Call, check_repository, parse_digest
from regkit.devregistry.store import Store
from regkit.devregistry.upload import Session, Uploads
from regkit.oci.digest import Digest
from regkit.protocol.flow import Response


class Uploading:
    """Blobs on their way in: in one piece, from another repository, or by a session."""

    def __init__(self, store: Store, uploads: Uploads) -> None:
        self._store, self._uploads = store, uploads

    def begin(self, call: Call) -> Response:
        """POST: in one piece with `digest`, from another repository with `mount`, else a session."""
        if "mount" in call.query:
            mounted = self._mount(call)
            if mounted is not None:
                return mounted
        digest = parse_digest(call.query["digest"]) if "digest" in call.query else None
        algorithm = digest.algorithm if digest else call.query.get("digest-algorithm", "sha256")
        if algorithm not in ("sha256", "sha512"):
            raise Fault(400, "DIGEST_INVALID", f"not a supported algorithm: {algorithm[:40]!r}")
        session = self._uploads.begin(call.repository, algorithm)
        if digest is None:
            return empty(202, **session.headers)
        try:
            with session.using():
                session.receive(call.request.body, call.length, all_or_nothing=True)
                return self._keep(session, digest)
        finally:
            self._uploads.end(session)

    def _mount(self, call: Call) -> Response | None:
        digest, origin = parse_digest(call.query["mount"]), call.query.get("from")
        if origin:
            check_repository(origin)
        for candidate in (origin,) if origin else (call.repository, *self._store.repositories()):
            if self._store.mount(candidate, call.repository, digest):
                return _created_blob(call.repository, digest)
        return None

    def get(self, call: Call) -> Response:
        """GET: how far it is."""
        return empty(204, **self._uploads.get(call.repository, call.name).headers)

    def patch(self, call: Call) -> Response:
        """PATCH: a chunk."""
        session = self._uploads.get(call.repository, call.name)
        with session.using():
            length = session.check_order(call.header("content-range"), call.length)
            session.receive(call.request.body, length, all_or_nothing=False)
            return empty(202, **session.headers)

    def close(self, call: Call) -> Response:
        """PUT: the last chunk, if any, and the digest of it all. A wrong digest ends the session, a break doesn't."""
        session = self._uploads.get(call.repository, call.name)
        digest = parse_digest(call.query.get("digest", ""))
        with session.using():
            if call.length != 0:
                length = session.check_order(call.header("content-range"), call.length)
                session.receive(call.request.body, length, all_or_nothing=True)
            try:
                return self._keep(session, digest)
            finally:
                self._uploads.end(session)

    def cancel(self, call: Call) -> Response:
        """DELETE: end it, and forget what came."""
        session = self._uploads.get(call.repository, call.name)
        with session.using():
            self._uploads.end(session)
        return empty(204)

    def _keep(self, session: Session, digest: Digest) -> Response:
        actual = session.digest(digest.algorithm)
        if actual != digest:
            raise Fault(400, "DIGEST_INVALID", f"what arrived has the digest {actual}, not {digest}")
        self._store.keep(session.repository, digest, session.draft)
        return _created_blob(session.repository, digest)


def _created_blob(repository: str, digest: Digest) -> Response:
    return empty(201, location=f"/v2/{repository}/blobs/{digest}", docker_content_digest=digest)
