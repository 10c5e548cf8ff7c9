"""The server half of the protocol: `handle` takes a Request and gives a Response, without a socket.

A chapter of distribution-spec each: uploads, blobs, manifests, tags, referrers. A development registry, not a
product to host on, but a correct one: it takes nothing whose digest, size, media type or children are wrong.
"""

from __future__ import annotations

import errno
import io
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Self, TypeAlias
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from regkit.devregistry.answer import Fault, Slice, empty, finished, json_response, parse_range
from regkit.devregistry.call import Call, check_repository, parse_digest, parse_tag, read_manifest
from regkit.devregistry.content import parse_manifest, referrer_of, require_content, subject_of
from regkit.devregistry.store import MemoryStore, Names, Store
from regkit.devregistry.upload import Session, Uploads
from regkit.errors import Unavailable
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from regkit.protocol.flow import Request, Response, Source

_LOCKS = 64  # a lock for each name that somebody asks for would be memory for each
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

Chapter: TypeAlias = Callable[[Call], Response]


class DevRegistry:
    """A registry over a store, which is its own from then on. `handle` may be called from any number of threads."""

    def __init__(self, store: Store | None = None) -> None:
        self.store: Store = MemoryStore() if store is None else store
        self._uploads = Uploads(self.store)
        self._locks = tuple(threading.RLock() for _ in range(_LOCKS))
        self._referrers: dict[Digest, tuple[Digest | None, Mapping[str, object]]] = {}
        get_blob, get_manifest = self._get_blob, self._get_manifest
        name = r"/v2/(?P<repository>.+)"
        self._routes: tuple[tuple[re.Pattern[str], Mapping[str, Chapter]], ...] = (
            (re.compile(r"/v2/?(?P<repository>)"), {"GET": _check, "HEAD": _check}),
            (re.compile(rf"{name}/tags/list"), {"GET": self._list_tags, "HEAD": self._list_tags}),
            (re.compile(rf"{name}/blobs/uploads/?"), {"POST": self._begin_upload}),
            (
                re.compile(rf"{name}/blobs/uploads/(?P<name>[^/]+)"),
                {
                    "GET": self._get_upload,
                    "PATCH": self._patch_upload,
                    "PUT": self._close_upload,
                    "DELETE": self._cancel_upload,
                },
            ),
            (
                re.compile(rf"{name}/blobs/(?P<name>[^/]+)"),
                {"GET": get_blob, "HEAD": get_blob, "DELETE": self._delete_blob},
            ),
            (
                re.compile(rf"{name}/manifests/(?P<name>[^/]+)"),
                {
                    "GET": get_manifest,
                    "HEAD": get_manifest,
                    "PUT": self._put_manifest,
                    "DELETE": self._delete_manifest,
                },
            ),
            (re.compile(rf"{name}/referrers/(?P<name>[^/]+)"), {"GET": self._list_referrers}),
        )

    def handle(self, request: Request) -> Response:
        """Answer a request. `Request.url` is a path with its query, or an absolute URL of which only that counts."""
        try:
            response = self._dispatch(request)
        except Fault as fault:
            response = fault.response()
        except Unavailable as error:
            # The body broke off: nobody is there to read this, unless a test is.
            response = Fault(400, "SIZE_INVALID", error.message).response()
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            response = Fault(507, "UNKNOWN", f"the registry has no room for it: {error.strerror}").response()
        return finished(request, response)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the uploads that are open, and close the store."""
        self._uploads.close()
        self.store.close()

    def _dispatch(self, request: Request) -> Response:
        parts = urlsplit(request.url)
        path = unquote(parts.path)
        for pattern, methods in self._routes:
            match = pattern.fullmatch(path)
            if match is None:
                continue
            chapter = methods.get(request.method)
            if chapter is None:
                raise Fault(405, "UNSUPPORTED", f"{request.method} isn't done here", {"allow": ", ".join(methods)})
            found = match.groupdict()
            if found["repository"]:
                check_repository(found["repository"])
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            return chapter(Call(request, found["repository"], found.get("name", ""), query))
        raise Fault(404, "UNSUPPORTED", "the specification has no such path")

    # Uploads (distribution-spec, Pushing blobs)

    def _begin_upload(self, call: Call) -> Response:
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
        for candidate in (origin,) if origin else (call.repository, *self.store.repositories()):
            if self.store.mount(candidate, call.repository, digest):
                return _created_blob(call.repository, digest)
        return None

    def _get_upload(self, call: Call) -> Response:
        return empty(204, **self._uploads.get(call.repository, call.name).headers)

    def _patch_upload(self, call: Call) -> Response:
        session = self._uploads.get(call.repository, call.name)
        with session.using():
            length = session.check_order(call.header("content-range"), call.length)
            session.receive(call.request.body, length, all_or_nothing=False)
            return empty(202, **session.headers)

    def _close_upload(self, call: Call) -> Response:
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

    def _cancel_upload(self, call: Call) -> Response:
        session = self._uploads.get(call.repository, call.name)
        with session.using():
            self._uploads.end(session)
        return empty(204)

    def _keep(self, session: Session, digest: Digest) -> Response:
        actual = session.digest(digest.algorithm)
        if actual != digest:
            raise Fault(400, "DIGEST_INVALID", f"what arrived has the digest {actual}, not {digest}")
        self.store.keep(session.repository, digest, session.draft)
        return _created_blob(session.repository, digest)

    # Blobs (distribution-spec, Pulling blobs, Deleting Blobs)

    def _get_blob(self, call: Call) -> Response:
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

    def _delete_blob(self, call: Call) -> Response:
        with self._writing(call.repository):
            names = self.store.names(call.repository) or Names()
            if call.digest in names.manifests or not self.store.remove(call.repository, call.digest):
                raise _no_blob(call.repository, call.digest)
        return empty(202)

    def _blob(self, repository: str, digest: Digest) -> Source:
        blob = self.store.blob(repository, digest)
        if blob is None:
            raise _no_blob(repository, digest)
        return blob

    # Manifests (distribution-spec, Pulling manifests, Pushing Manifests, Deleting Manifests)

    def _get_manifest(self, call: Call) -> Response:
        names = self.store.names(call.repository) or Names()
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
            return Response(200, headers, io.BytesIO(self._read(call.repository, known)))
        except FileNotFoundError:  # deleted a moment ago
            raise _no_manifest(call) from None

    def _put_manifest(self, call: Call) -> Response:
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
        with self._writing(call.repository):
            names = self.store.names(call.repository) or Names()
            require_content(manifest, call.repository, names, self.store)
            if digest not in names.manifests:
                self._write(call.repository, digest, raw)
            self.store.write_names(call.repository, names.with_manifest(descriptor, tags))
        headers = {"location": f"/v2/{call.repository}/manifests/{digest}", "docker_content_digest": digest}
        if subject:
            headers["oci_subject"] = subject
        if by_digest and tags:
            headers["oci_tag"] = ", ".join(tags)
        return empty(201, **headers)

    def _write(self, repository: str, digest: Digest, raw: bytes) -> None:
        draft = self.store.draft()
        try:
            draft.write(raw)
            self.store.keep(repository, digest, draft)
        finally:
            draft.discard()

    def _delete_manifest(self, call: Call) -> Response:
        """DELETE: a tag takes only itself along, a digest all its tags."""
        with self._writing(call.repository):
            names = self.store.names(call.repository) or Names()
            if ":" not in call.name:
                if call.name not in names.tags:
                    raise _no_manifest(call)
                self.store.write_names(call.repository, names.without_tag(call.name))
                return empty(202)
            if call.digest not in names.manifests:
                raise _no_manifest(call)
            self.store.write_names(call.repository, names.without_manifests(call.digest))
            self.store.remove(call.repository, call.digest)
        return empty(202)

    # Content discovery (distribution-spec, Listing Tags, Listing Referrers)

    def _list_tags(self, call: Call) -> Response:
        names = self.store.names(call.repository)
        if names is None:
            raise Fault(404, "NAME_UNKNOWN", f"there is no repository {call.repository}")
        limit = call.query.get("n")
        if limit is not None and not re.fullmatch(r"[0-9]{1,9}", limit):
            raise Fault(400, "PAGINATION_NUMBER_INVALID", f"not a number of tags: {limit[:40]!r}")
        tags = sorted(tag for tag in names.tags if tag > call.query.get("last", ""))
        page = tags if limit is None else tags[: int(limit)]
        headers = {}
        if page and len(page) < len(tags):
            query = urlencode({"n": limit, "last": page[-1]})
            headers["link"] = f'</v2/{call.repository}/tags/list?{query}>; rel="next"'
        return json_response({"name": call.repository, "tags": page}, headers=headers)

    def _list_referrers(self, call: Call) -> Response:
        names = self.store.names(call.repository) or Names()
        listed = []
        for known in names.manifests.values():
            with suppress(FileNotFoundError):  # deleted a moment ago
                subject, descriptor = self._referrer(call.repository, known)
                if subject == call.digest:
                    listed.append(descriptor)
        headers = {}
        if "artifactType" in call.query:
            listed = [d for d in listed if d.get("artifactType") == call.query["artifactType"]]
            headers["oci-filters-applied"] = "artifactType"
        index = {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": listed}
        return json_response(index, media_type=mediatype.OCI_INDEX, headers=headers)

    def _referrer(self, repository: str, known: Descriptor) -> tuple[Digest | None, Mapping[str, object]]:
        """Tell what a manifest refers to, and how it is listed; its digest fixes both, so they are remembered."""
        remembered = self._referrers.get(known.digest)
        if remembered is None:
            manifest = Manifest(known.media_type, self._read(repository, known))
            subject = subject_of(manifest)
            remembered = self._referrers[known.digest] = (subject, referrer_of(manifest, known) if subject else {})
        return remembered

    def _read(self, repository: str, known: Descriptor) -> bytes:
        """Read a manifest, which is small; FileNotFoundError where it was deleted a moment ago."""
        blob = self.store.blob(repository, known.digest)
        if blob is None:
            raise FileNotFoundError(known.digest)
        with blob.open() as stream:
            return stream.read(known.size)

    def _writing(self, repository: str) -> threading.RLock:
        """Give the lock under which a repository's names change; others may share it."""
        return self._locks[hash(repository) % _LOCKS]


def _check(_call: Call) -> Response:
    """Say that this is a registry (distribution-spec, Determining Support)."""
    return json_response({})


def _created_blob(repository: str, digest: Digest) -> Response:
    return empty(201, location=f"/v2/{repository}/blobs/{digest}", docker_content_digest=digest)


def _no_blob(repository: str, digest: Digest) -> Fault:
    return Fault(404, "BLOB_UNKNOWN", f"{repository} has no blob {digest}")


def _no_manifest(call: Call) -> Fault:
    return Fault(404, "MANIFEST_UNKNOWN", f"{call.repository} has no manifest {call.name[:140]!r}")
