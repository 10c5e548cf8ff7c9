"""TLS for the registry on a socket: cheroot's part of it, with a bound on the handshake."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket
from typing import Any, NamedTuple

from cheroot.errors import FatalSSLAlert, NoSSLError
from cheroot.makefile import StreamReader, StreamWriter
from cheroot.ssl import Adapter

from regkit.errors import UsageError

HANDSHAKE = 5.0
"""How long a client may take for its handshake, in seconds: cheroot accepts nobody else meanwhile."""


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

    def bind(self, sock: socket) -> socket:
        """Leave the listening socket as it is."""
        return sock

    def wrap(self, sock: socket) -> tuple[socket, dict[str, str]]:
        """Do the handshake; who speaks plain http is told so by cheroot, who breaks it off is forgotten."""
        sock.settimeout(HANDSHAKE)
        with _translated():
            return self.context.wrap_socket(sock, server_side=True), self.get_environ()

    def get_environ(self) -> dict[str, str]:
        """Nothing: that is for WSGI."""
        return {}

    def makefile(self, sock: socket, mode: str = "r", bufsize: int = -1) -> Any:
        """Give cheroot's stream over a socket."""
        return (StreamReader if "r" in mode else StreamWriter)(sock, mode, bufsize)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        raise (NoSSLError if "http request" in str(error).lower() else FatalSSLAlert)(*error.args) from error
    except OSError as error:
        raise FatalSSLAlert(*error.args) from error


def _no_password() -> str:
    raise ValueError("the key has a password")


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
