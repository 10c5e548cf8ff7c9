"""A connection straight to its server, over the standard library's HTTP client.

httpx passes each 64 KiB through a dozen calls and three copies, and takes 50 ms to import (ADR 0603).
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import time
from collections.abc import Iterator, Sequence

from regkit.transport.sockets import CONNECT_LIMIT, Sockets, silent
from regkit.transport.strict import Patience, StrictResponse
from regkit.transport.wire import (
    CantConnectError,
    CantSendError,
    Message,
    Origin,
    TimedOutError,
    UntrustedError,
    WireError,
)

KEEPALIVE = 30.0
PIECE = 256 * 1024
"""How many bytes are read at once: as much as fits into a processor's cache, several times."""

_FAILURES = (OSError, http.client.HTTPException)


class Direct:
    """A connection that is made by its first request, and again by a later one where it ended meanwhile.

    `context` has the authorities that are trusted where it is to speak TLS.
    """

    def __init__(self, context: ssl.SSLContext | None, sockets: Sockets) -> None:
        self._context, self._sockets = context, sockets
        self._connection: http.client.HTTPConnection | None = None
        self._used = 0.0

    def exchange(self, message: Message) -> DirectAnswer:
        """Send a request and give its answer; raise WireError, and what reading the body raises."""
        connection = self._connected(message.origin)
        with contextlib.ExitStack() as failed:
            failed.callback(self.close)
            whole = _send(connection, message)
            received = _receive(connection, message.read)
            failed.pop_all()
        return DirectAnswer(received, self, reusable=whole)

    def keep(self) -> None:
        """Have the next request use the connection."""
        self._used = time.monotonic()

    def close(self) -> None:
        """Close it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self, origin: Origin) -> http.client.HTTPConnection:
        if self._connection is not None and self._connection.sock is not None:
            if time.monotonic() - self._used < KEEPALIVE and silent(self._connection.sock):
                return self._connection
            self.close()
        self._connection = http.client.HTTPConnection(origin.host, origin.port)
        self._connection.response_class = StrictResponse
        self._connection.auto_open = 0
        try:
            opened = self._sockets.take(origin.host, origin.port)
            self._connection.sock = self._secured(opened, origin.host) if origin.scheme == "https" else opened
        except ssl.SSLCertVerificationError as error:
            raise UntrustedError(error.verify_message) from error
        except TimeoutError as error:
            raise CantConnectError(f"no connection within {CONNECT_LIMIT:.0f} s") from error
        except OSError as error:
            raise CantConnectError(str(error)) from error
        except ValueError as error:  # a name that can't be looked up, or be in a certificate
            raise CantSendError(str(error)) from error
        return self._connection

    def _secured(self, opened: socket.socket, host: str) -> ssl.SSLSocket:
        assert self._context is not None, "TLS wants to know whom to trust"
        opened.settimeout(CONNECT_LIMIT)
        with contextlib.ExitStack() as failed:
            failed.callback(opened.close)
            name = host.removesuffix(".")  # certificates name hosts without the root (RFC 6066, 3)
            secured = self._context.wrap_socket(opened, server_hostname=name, do_handshake_on_connect=False)
            failed.callback(secured.close)
            self._sockets.watch(secured)
            secured.do_handshake()
            failed.pop_all()
        return secured


class DirectAnswer:
    """An answer; once its body is read to the end, and it is closed, the connection serves the next request."""

    def __init__(self, received: http.client.HTTPResponse, direct: Direct, *, reusable: bool) -> None:
        self._received, self._direct, self._reusable = received, direct, reusable
        self.status = received.status
        self.headers: Sequence[tuple[str, str]] = [(name, _unfolded(text)) for name, text in received.headers.items()]

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._read():
            yield piece

    def close(self) -> None:
        """Be done with it."""
        if self._reusable and self._received.isclosed():
            self._direct.keep()
        else:
            self._direct.close()
        self._received.close()

    def _read(self) -> bytes:
        reusable, self._reusable = self._reusable, False
        try:
            piece = self._received.read(PIECE)
        except _FAILURES as error:
            raise _meaning(error) from error
        if not piece and self._received.length:
            raise WireError(f"it ended {self._received.length} bytes too early")
        self._reusable = reusable
        return piece


def _send(connection: http.client.HTTPConnection, message: Message) -> bool:
    """Send a request, and tell whether all of it went.

    A server that has answered already may hang up meanwhile, or take no more.
    """
    opened: socket.socket = connection.sock
    opened.settimeout(message.write)
    try:
        connection.putrequest(message.method, message.target, skip_host=True, skip_accept_encoding=True)
        for name, value in message.fields:
            connection.putheader(name, value)
        connection.endheaders()
    except _FAILURES as error:
        raise _meaning(error) from error
    patience = Patience(message.write)
    for piece in message.body:
        begun = time.monotonic()
        try:
            opened.sendall(piece)
            patience.spend(time.monotonic() - begun, len(piece))
        except (BrokenPipeError, ConnectionResetError):
            return False
        except TimeoutError as error:
            if silent(opened):
                raise _meaning(error) from error
            return False
        except OSError as error:
            raise _meaning(error) from error
    return True


def _receive(connection: http.client.HTTPConnection, patience: float) -> http.client.HTTPResponse:
    connection.sock.settimeout(patience)
    try:
        return connection.getresponse()
    except _FAILURES as error:
        raise _meaning(error) from error


def _unfolded(value: str) -> str:
    """Give a header's value on one line, without the white space around it (RFC 9112, 5)."""
    return value.replace("\r", "").replace("\n", "").strip()


def _meaning(error: Exception) -> WireError:
    if isinstance(error, TimeoutError):
        return TimedOutError(str(error))
    if isinstance(error, http.client.RemoteDisconnected):
        return WireError("the server hung up without an answer")
    return WireError(str(error) or type(error).__name__)
