"""TLS for the registry on a socket: cheroot's part of it, with handshakes in the threads that serve."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from cheroot.makefile import StreamReader, StreamWriter
from cheroot.ssl import Adapter

from regkit.errors import UsageError

_PLAIN = b"this registry speaks only HTTPS"
_ANSWER = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(_PLAIN), _PLAIN)


class Certificate(NamedTuple):
    """PEM files: a certificate with those that vouch for it, and its private key."""

    chain: Path
    key: Path


class TlsAdapter(Adapter):
    """Wraps accepted connections. Raise UsageError for files that aren't a certificate and its key."""

    def __init__(self, certificate: Certificate) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            self.context.load_cert_chain(certificate.chain, certificate.key, password=_no_password)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"can't use {certificate.chain} with {certificate.key} for TLS: {_reason(error)}",
                hint="both are PEM files; the key has no password and belongs to the first certificate",
            ) from None

    def bind(self, sock: socket.socket) -> socket.socket:
        """Leave the listening socket as it is."""
        return sock

    def wrap(self, sock: socket.socket) -> tuple[socket.socket, dict[str, str]]:
        """Wrap a connection. Its handshake comes later: here cheroot accepts nobody else meanwhile."""
        return self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), self.get_environ()

    def get_environ(self) -> dict[str, str]:
        """Nothing: that is for WSGI."""
        return {}

    def makefile(self, sock: socket.socket, mode: str = "r", bufsize: int = -1) -> Any:
        """Give cheroot's stream over a socket."""
        return (StreamReader if "r" in mode else StreamWriter)(sock, mode, bufsize)


def is_new(sock: socket.socket) -> bool:
    """Whether a connection has TLS, and no handshake was done yet."""
    return isinstance(sock, ssl.SSLSocket) and sock.version() is None


def shake_hands(sock: ssl.SSLSocket) -> bool:
    """Do the handshake of a new connection; tell whether it can be read now.

    Who speaks plain http is told so in plain http; who breaks it off is forgotten.
    """
    try:
        sock.do_handshake()
    except OSError as error:
        if "http request" in str(error).lower():
            # The plain socket's methods; what is left unread would turn the answer into a reset.
            with suppress(OSError):
                socket.socket.send(sock, _ANSWER)
                socket.socket.recv(sock, 1 << 16, socket.MSG_DONTWAIT)
        return False
    return True


def _no_password() -> str:
    raise ValueError("the key has a password")


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
