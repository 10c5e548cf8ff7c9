"""HTTP, and the only home of httpx: one request out, one answer back; nothing is followed, nothing is retried."""

from __future__ import annotations

import contextlib
import io
import re
import socket
import ssl
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

with contextlib.ExitStack() as _stack:
    # httpx imports its own command line where click is installed, and rich with it: 45 ms that nobody here needs.
    if "click" not in sys.modules:
        sys.modules["click"] = None  # type: ignore[assignment]  # how to say "not installed"
        _stack.callback(sys.modules.pop, "click")
    import httpx

from regkit.errors import Interrupted, ProtocolError, Unavailable, UsageError
from regkit.oci.manifest import MAX_SIZE
from regkit.protocol.flow import Request, Response, Source, printable

CHUNK = 256 * 1024
_TIMEOUT = httpx.Timeout(connect=10, read=60, write=60, pool=None)
_UPLOAD_TIMEOUT = httpx.Timeout(connect=10, read=600, write=60, pool=None)  # a commit to an object store takes minutes
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
"""Hosts that are never asked through a proxy, whatever NO_PROXY says: as Docker and Go do it."""
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=30)


class Http:
    """A pool of connections, shared by threads; `abort()` ends all that is under way."""

    def __init__(self, ca_file: Path | None = None) -> None:
        self._ca_file = ca_file
        self._clients: dict[str, httpx.Client] = {}
        self._lock = threading.Lock()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._aborted = False

    def send(self, request: Request) -> Response:
        """Send to an absolute URL; raise Unavailable where no whole answer comes, ProtocolError for a broken one."""
        host = urlsplit(request.url).netloc
        with _translated(host, lambda: self._aborted):
            client = self._client(urlsplit(request.url).scheme)
            message = client.build_request(
                request.method,
                request.url,
                headers=_headers(request),
                content=_chunks(request.body) if request.body.size else b"",
                timeout=_UPLOAD_TIMEOUT if request.body.size > MAX_SIZE else _TIMEOUT,
                extensions={"trace": self._trace},
            )
            answer = client.send(message, stream=True)
            headers = {key.lower(): value for key, value in answer.headers.items()}
            if headers.get("content-encoding", "identity").lower() != "identity":
                answer.close()
                raise ProtocolError(f"{host} sent an encoded answer where none was accepted")
            if request.stream and answer.status_code in (200, 206):
                body: BinaryIO = io.BufferedReader(_Body(answer, host, lambda: self._aborted), CHUNK)
            else:
                with contextlib.closing(answer):
                    body = io.BytesIO(_read(answer, host))
            return Response(answer.status_code, headers, body, request.url)

    def abort(self) -> None:
        """Shut down every socket that was handed out: what waits for an answer fails at once."""
        with self._lock:
            self._aborted = True
            sockets = tuple(self._sockets)
        for each in sockets:
            with contextlib.suppress(OSError):
                # The plain socket's method, also for TLS: there is no time for a farewell.
                socket.socket.shutdown(each, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the pool."""
        for client in self._clients.values():
            client.close()

    def _client(self, scheme: str) -> httpx.Client:
        with self._lock:
            if scheme not in self._clients:
                # Loading the CA store takes 15 ms: only https pays for it, once. Without it, no certificate is trusted.
                context = self._context() if scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                self._clients[scheme] = httpx.Client(
                    verify=context,
                    follow_redirects=False,
                    timeout=_TIMEOUT,
                    limits=_LIMITS,
                    headers={"User-Agent": "regkit", "Accept-Encoding": "identity", "Accept": "*/*"},
                    cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # a cookie knows no port: none is kept
                    mounts={f"all://{host}": None for host in _LOOPBACK},
                )
            return self._clients[scheme]

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._ca_file is not None:
            try:
                context.load_verify_locations(self._ca_file)
            except (OSError, ssl.SSLError) as error:
                raise UsageError(f"the CA file {self._ca_file} can't be used: {error}") from None
        return context

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Remember each socket as it is opened, and again when TLS takes it over."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            opened = info["return_value"].get_extra_info("socket")
            with self._lock:
                self._sockets.add(opened)
                aborted = self._aborted
            if aborted:
                self.abort()


class _Body(io.RawIOBase):
    """An answer's body as a stream; closing it gives the connection back."""

    def __init__(self, answer: httpx.Response, host: str, aborted: Callable[[], bool]) -> None:
        self._answer, self._host, self._aborted = answer, host, aborted
        self._chunks = answer.iter_raw(CHUNK)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            with _translated(self._host, self._aborted):
                self._rest = memoryview(next(self._chunks, b""))
        size = min(len(self._rest), len(buffer))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def close(self) -> None:
        if not self.closed:
            self._answer.close()
        super().close()


def _headers(request: Request) -> dict[str, str]:
    headers = dict(request.headers)
    if request.body.size or request.method in ("POST", "PUT", "PATCH"):
        headers["Content-Length"] = str(request.body.size)
    return headers


def _chunks(source: Source) -> Iterator[bytes]:
    with source.open() as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def _read(answer: httpx.Response, host: str) -> bytes:
    """Read an answer of bounded size: a manifest is the largest that is read at once."""
    data = bytearray()
    for chunk in answer.iter_raw():
        data += chunk
        if len(data) > MAX_SIZE:
            raise ProtocolError(f"the answer from {host} is larger than {MAX_SIZE} bytes")
    return bytes(data)


@contextlib.contextmanager
def _translated(host: str, aborted: Callable[[], bool]) -> Iterator[None]:
    """Turn httpx's errors into ours, the most specific first."""
    try:
        yield
    except (httpx.TransportError, ssl.SSLError, OSError) as error:
        if aborted():
            raise Interrupted("interrupted") from None
        raise _meaning(host, error) from None
    except (httpx.InvalidURL, httpx.HTTPError, httpx.StreamError, UnicodeError) as error:
        raise ProtocolError(f"{host} can't be asked: {printable(str(error))}") from None


def _meaning(host: str, error: Exception) -> Exception:
    reason = re.sub(r"^\[Errno -?\d+\] ", "", printable(str(error))) or type(error).__name__
    if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol | httpx.DecodingError):
        return ProtocolError(f"{host} can't be asked: {reason}")
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        hint = "give its authority with --ca-file, or SSL_CERT_FILE"
        return Unavailable(f"{host} has a certificate that isn't trusted: {reason}", hint=hint, transient=False)
    if isinstance(error, httpx.ConnectTimeout):
        return Unavailable(f"{host} can't be reached: no connection within 10 s")
    if isinstance(error, httpx.TimeoutException):
        return Unavailable(f"{host} didn't answer in time")
    if isinstance(error, httpx.ConnectError):
        return Unavailable(f"{host} can't be reached: {reason}", hint="is it running, and is its name right?")
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError | ConnectionError):
        return cast(Exception, error)  # a local file that can't be read is no news of the network
    return Unavailable(f"the connection to {host} broke: {reason}")
