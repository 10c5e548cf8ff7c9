"""Upload sessions: content on its way in (distribution-spec, Pushing blobs)."""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from regkit.devregistry.answer import Fault
from regkit.devregistry.store import Draft, Store
from regkit.oci.digest import Digest
from regkit.protocol.flow import Source

CHUNK = 256 * 1024
"""How much is read, hashed and written at a time, in bytes: half the processor time of 64 KiB (ADR 0203)."""

EXPIRY = 3600.0
"""After how many seconds without a request a session is forgotten."""

MAX_OPEN = 4096
"""How many sessions may be open; of more, those that nobody has used for the longest are forgotten."""

_BUSY = 10.0
_CONTENT_RANGE = re.compile(r"([0-9]{1,19})-([0-9]{1,19})")


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

    @contextmanager
    def using(self, wait: float = _BUSY) -> Iterator[None]:
        """Hold the session; a chunk that comes while another one is still being received is out of order."""
        if not self._lock.acquire(timeout=wait):
            raise self.out_of_order("another request is sending to this upload")
        try:
            if self.ended:
                raise unknown_upload()
            yield
        finally:
            self.draft.pause()
            self._lock.release()

    def out_of_order(self, why: str) -> Fault:
        """Refuse a chunk, saying how far the session is."""
        headers = {"location": self.location, "range": f"0-{max(self.size - 1, 0)}"}
        return Fault(416, "BLOB_UPLOAD_INVALID", why, headers)

    def check_order(self, content_range: str | None, length: int | None) -> int | None:
        """Give a chunk's size, where it is known; raise a Fault unless one with this `Content-Range` comes next.

        Without a `Content-Range` it does.
        """
        if content_range is None:
            return length
        match = _CONTENT_RANGE.fullmatch(content_range)
        if match is None:
            raise Fault(400, "BLOB_UPLOAD_INVALID", f"not a Content-Range of a chunk: {content_range[:80]!r}")
        first, last = int(match[1]), int(match[2])
        if first != self.size:
            raise self.out_of_order(f"the next chunk begins at {self.size}, not at {first}")
        if last < first or (length is not None and last - first + 1 != length):
            raise Fault(400, "SIZE_INVALID", f"the Content-Range {content_range} isn't {length} bytes")
        return last - first + 1

    def receive(self, body: Source, length: int | None, *, all_or_nothing: bool) -> None:
        """Append a request's body, as it comes.

        Where fewer bytes than `length` come, a chunk stays as far as it came, and a GET tells how far that is;
        with `all_or_nothing`, and where more come, the session is set back to where it was, so that the same request
        can be sent again.
        """
        size, state = self.size, self._hash.copy()
        try:
            with body.open() as stream:
                piece = memoryview(bytearray(CHUNK if length is None else min(length + 1, CHUNK)))
                while count := stream.readinto(piece):  # type: ignore[attr-defined]  # all streams have it
                    self.draft.write(piece[:count])
                    self._hash.update(piece[:count])
                    self.size += count
            arrived = self.size - size
            if length is not None and arrived != length:
                all_or_nothing = all_or_nothing or arrived > length
                raise Fault(400, "SIZE_INVALID", f"{arrived} of {length} bytes arrived")
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
    """The sessions that are open, the one first that nobody has used for the longest."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def begin(self, repository: str, algorithm: str = "sha256") -> Session:
        """Open a session, and forget those that nobody has used for `EXPIRY` seconds, or that are too many."""
        session = Session(self._store.draft(), repository, algorithm)
        session.draft.pause()
        now = session.used = self._clock()
        with self._lock:
            self._sessions[session.id] = session
            too_many = len(self._sessions) - MAX_OPEN
            old = [s for n, s in enumerate(self._sessions.values()) if n < too_many or now - s.used > EXPIRY]
        for each in old:
            with suppress(Fault), each.using(wait=0):  # unless a request is sending to it
                self.end(each)
        return session

    def get(self, repository: str, session_id: str) -> Session:
        """Find an open session of a repository."""
        with self._lock:
            session = self._sessions.get(session_id)
            if session is None or session.repository != repository:
                raise unknown_upload()
            session.used = self._clock()
            self._sessions[session_id] = self._sessions.pop(session_id)  # the last one now
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
