"""HTTP: one request out, one answer back; nothing is followed, nothing is retried, no cookie is kept."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

from regkit.errors import ContentMismatch, Interrupted, NotFound, ProtocolError, RegkitError, Unavailable
from regkit.oci.manifest import MAX_SIZE
from regkit.protocol.flow import Request, Response, Source, printable
from regkit.transport.connections import Connections
from regkit.transport.direct import PIECE
from regkit.transport.wire import (
    Answer,
    CantConnectError,
    CantSendError,
    Message,
    ProxyError,
    TimedOutError,
    UntrustedError,
    WireError,
)

_WRITE_LIMIT = 60.0


class Http:
    """Sends requests over connections that threads share; `abort()` ends all that is under way.

    The authorities in `ca_file` are trusted too; those in `ca_files` for one `host[:port]` each.
    """

    def __init__(self, ca_file: Path | None = None, ca_files: Mapping[str, Path] | None = None) -> None:
        self._connections = Connections(ca_file, ca_files)

    def send(self, request: Request) -> Response:
        """Send to an absolute URL; raise Unavailable where no whole answer comes, ProtocolError for a broken one."""
        host = urlsplit(request.url).netloc.rpartition("@")[2] or "a server without a name"
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._translated(host))
            connection = self._connections.take(request.url)
            stack.callback(self._connections.give, request.url, connection)
            answer = connection.exchange(_message(request))
            stack.callback(answer.close)
            headers = _received(answer.headers)
            if headers.get("content-encoding", "identity").lower() != "identity":
                raise ProtocolError(f"{host} sent an encoded answer where none was accepted")
            if request.stream and answer.status in (200, 206):
                body = cast(BinaryIO, _Body(answer, partial(self._translated, host), stack.pop_all()))
            else:
                body = io.BytesIO(_read(answer, host))
            return Response(answer.status, headers, body, request.url)

    def open_ahead(self, url: str) -> None:
        """Open a connection for a request to come."""
        self._connections.open_ahead(url)

    def abort(self) -> None:
        """Shut down every socket: what waits for an answer fails at once."""
        self._connections.abort()

    def close(self) -> None:
        """Close what is idle."""
        self._connections.close()

    @contextlib.contextmanager
    def _translated(self, host: str) -> Iterator[None]:
        """Turn what goes wrong on the wire, and with local files, into our errors."""
        try:
            yield
        except (WireError, OSError) as error:
            if self._connections.aborted:
                raise Interrupted("interrupted") from None
            raise _meaning(host, error) from None


class _Body(io.RawIOBase):
    """An answer's body as a stream, read in the pieces that come; closing it gives the connection back."""

    def __init__(self, answer: Answer, translated: Callable[[], Any], ending: contextlib.ExitStack) -> None:
        self._chunks = iter(answer)
        self._translated, self._ending = translated, ending
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return self.readall()
        if not self._rest:
            with self._translated():
                piece = next(self._chunks, b"")
            if len(piece) <= size:
                return piece
            self._rest = memoryview(piece)
        data = bytes(self._rest[:size])
        self._rest = self._rest[size:]
        return data

    def close(self) -> None:
        if not self.closed:
            self._ending.close()
        super().close()


def _message(request: Request) -> Message:
    headers = {"User-Agent": "regkit", "Accept": "*/*", "Accept-Encoding": "identity", **request.headers}
    body: Iterator[bytes] = iter(())
    if request.body.size or request.method in ("POST", "PUT", "PATCH"):
        headers["Content-Length"] = str(request.body.size)
        body = _begun(_chunks(request.body))
    return Message(request.method, request.url, headers, body, _patience(request), _WRITE_LIMIT)


def _patience(request: Request) -> float:
    """Tell how long to wait for an answer, in seconds: an object store may take minutes to put an upload together.

    The PUT that ends one may have no bytes of its own, when they were sent before in chunks.
    """
    ends_upload = request.method == "PUT" and not request.replayable
    return 600 if ends_upload or request.body.size > MAX_SIZE else 60


def _received(sent: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Give headers with lower-case keys; one that comes several times is joined (RFC 9110, 5.3)."""
    headers: dict[str, str] = {}
    for key, text in sent:
        name = key.lower()
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    return headers


def _begun(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Have the first piece before anything is sent: a registry may let nobody read while it waits for a body."""
    return chain((next(chunks, b""),), chunks)


def _chunks(source: Source) -> Iterator[bytes]:
    """Give a source's bytes in the pieces that come: none is waited for longer, or copied, to be a larger one.

    Raise ContentMismatch where they are more or fewer than was announced: what is too much would be the next request.
    """
    left = source.size
    with source.open() as stream:
        read = getattr(stream, "read1", stream.read)
        while left >= 0 and (chunk := read(PIECE)):
            left -= len(chunk)
            if left >= 0:
                yield chunk
    if left:
        raise ContentMismatch(f"content {'goes on after' if left < 0 else 'ended before'} its {source.size} bytes")


def _read(chunks: Iterable[bytes], host: str) -> bytes:
    """Read an answer of bounded size: a manifest is the largest that is read at once."""
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > MAX_SIZE:
            raise ProtocolError(f"the answer from {host} is larger than {MAX_SIZE} bytes")
    return bytes(data)


def _meaning(host: str, error: Exception) -> Exception:
    if isinstance(error, OSError):
        return _unreadable(error)
    reason = re.sub(r"\[Errno -?\d+\] ", "", printable(str(error))) or type(error).__name__
    if isinstance(error, CantSendError):
        return ProtocolError(f"{host} can't be asked: {reason}")
    if isinstance(error, UntrustedError):
        own = "issuer" in reason or "self" in reason  # a root that is unknown here, or none: OpenSSL's words
        hint = "give its authority with --ca-file, or SSL_CERT_FILE" if own else None
        return Unavailable(f"{host} has a certificate that isn't trusted: {reason}", hint=hint, transient=False)
    if isinstance(error, TimedOutError):
        return Unavailable(f"{host} didn't answer in time")
    if isinstance(error, ProxyError):
        return Unavailable(f"{host} can't be reached: {reason}", hint=error.hint, transient=error.transient)
    if isinstance(error, CantConnectError):
        return Unavailable(f"{host} can't be reached: {reason}", hint="is it running, and is its name right?")
    return Unavailable(f"the connection to {host} broke: {reason}")


def _unreadable(error: OSError) -> RegkitError:
    """Say which local file can't be read any more: that is no news of the network, and trying again is no use."""
    what = printable(str(error.filename)) if error.filename else "what is to be sent"
    if isinstance(error, FileNotFoundError):
        return NotFound(f"{what} is gone: it was there when sending began")
    return RegkitError(f"{what} can't be read: {error.strerror or error}")
