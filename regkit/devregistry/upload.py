"""Upload sessions: content on its way in (distribution-spec, Pushing blobs)."""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from regkit.devregistry.answer import Fault
from regkit.devregistry.store import Draft, Store
from regkit.oci.digest import Digest
from regkit.protocol.flow import Source

CHUNK = 256 * 1024
"""How much is read, hashed and written at a time, in bytes: half the processor time of 64 KiB (ADR 0203)."""

EXPIRY = 3600.0
"""After how many seconds without a request a session is forgotten."""

_BUSY = 10.0
_CONTENT_RANGE = re.compile(r"(\d+)-(\d+)")


class Session:
    """One upload. `size` bytes have arrived; `using()` admits one request at a time."""

    def __init__(self, draft: Draft, repository: str, algorithm: str) -> None:
        self.id = secrets.token_urlsafe(18)
        self.repository = repository
        self.size = 0
        self.draft = draft
        self._algorithm = algorithm
        self._hash = hashlib.new(algorithm, usedforsecurity=False)
        self._lock = threading.Lock()
        self.used = 0.0
        self.ended = False

    @property
    def location(self) -> str:
        """The session's URL, relative to the registry."""
        return f"/v2/{self.repository}/blobs/uploads/{self.id}"

    @property
    def headers(self) -> dict[str, str]:
        """What every answer about a session says; with no byte there, `0-0` as the reference registry writes it."""
        return {
            "location": self.location,
            "range": f"0-{max(self.size - 1, 0)}",
            "docker_upload_uuid": self.id,
        }

    @property
    def busy(self) -> bool:
        """Whether a request is sending to it."""
        return self._lock.locked()

    @contextmanager
    def using(self) -> Iterator[None]:
        """Hold the session; a chunk that comes while another one is still being received is out of order."""
        if not self._lock.acquire(timeout=_BUSY):
            raise self.out_of_order("another request is sending to this upload")
        try:
            if self.ended:
                raise unknown_upload()
            yield
        finally:
            self._lock.release()

    def out_of_order(self, why: str) -> Fault:
        """Refuse a chunk, saying how far the session is."""
        headers = {"location": self.location, "range": f"0-{max(self.size - 1, 0)}"}
        return Fault(416, "BLOB_UPLOAD_INVALID", why, headers)

    def check_order(self, content_range: str | None, length: int | None) -> None:
        """Raise a Fault unless a chunk with this `Content-Range` comes next; without one it does."""
        if content_range is None:
            return
        match = _CONTENT_RANGE.fullmatch(content_range)
        if match is None:
            raise Fault(400, "BLOB_UPLOAD_INVALID", f"not a Content-Range of a chunk: {content_range[:80]!r}")
        first, last = int(match[1]), int(match[2])
        if first != self.size:
            raise self.out_of_order(f"the next chunk begins at {self.size}, not at {first}")
        if last < first or (length is not None and last - first + 1 != length):
            raise Fault(400, "SIZE_INVALID", f"the Content-Range {content_range} isn't {length} bytes")

    def receive(self, body: Source, length: int | None, *, all_or_nothing: bool) -> None:
        """Append a request's body, as it comes.

        Where fewer bytes than `length` come, a chunk stays as far as it came, and a GET tells how far that is;
        with `all_or_nothing` the session is set back to where it was, so that the same request can be sent again.
        """
        size, state = self.size, self._hash.copy()
        try:
            with body.open() as stream:
                piece = memoryview(bytearray(CHUNK if length is None else min(length + 1, CHUNK)))
                while count := stream.readinto(piece):  # type: ignore[attr-defined]  # all streams have it
                    self.draft.write(piece[:count])
                    self._hash.update(piece[:count])
                    self.size += count
            if length is not None and self.size - size != length:
                raise Fault(400, "SIZE_INVALID", f"{self.size - size} of {length} bytes arrived")
        except BaseException:
            if all_or_nothing:
                self.size, self._hash = size, state
            self.draft.truncate(self.size)  # of a piece that found no room, a part may have been written
            raise

    def digest(self, algorithm: str) -> Digest:
        """Give the digest of all that arrived; read again where it is of another algorithm than announced."""
        if algorithm == self._algorithm:
            return Digest(f"{algorithm}:{self._hash.hexdigest()}")
        with self.draft.open() as stream:
            hashed = hashlib.new(algorithm, usedforsecurity=False)
            while data := stream.read(CHUNK):
                hashed.update(data)
        return Digest(f"{algorithm}:{hashed.hexdigest()}")


class Uploads:
    """The sessions that are open."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def begin(self, repository: str, algorithm: str = "sha256") -> Session:
        """Open a session, and forget those that nobody has used for `EXPIRY` seconds."""
        session = Session(self._store.draft(), repository, algorithm)
        now = session.used = self._clock()
        with self._lock:
            expired = [s for s in self._sessions.values() if now - s.used > EXPIRY and not s.busy]
            self._sessions[session.id] = session
        for old in expired:
            self.end(old)
        return session

    def get(self, repository: str, session_id: str) -> Session:
        """Find an open session of a repository."""
        session = self._sessions.get(session_id)
        if session is None or session.repository != repository:
            raise unknown_upload()
        session.used = self._clock()
        return session

    def end(self, session: Session) -> None:
        """Close a session; what wasn't kept is thrown away."""
        session.ended = True
        with self._lock:
            self._sessions.pop(session.id, None)
        session.draft.discard()

    def close(self) -> None:
        """End all of them."""
        for session in tuple(self._sessions.values()):
            self.end(session)


def unknown_upload() -> Fault:
    """Say that there is no such session."""
    return Fault(404, "BLOB_UPLOAD_UNKNOWN", "there is no such upload: it was finished, canceled, or never begun")
