"""What goes wrong by way of a proxy; that one is used is in test_session.py."""

from __future__ import annotations

import socket
import ssl
import threading

import pytest
import trustme

from regkit.transport.proxied import Proxied
from regkit.transport.sockets import Sockets
from regkit.transport.wire import CantSendError, Message, UntrustedError


def test_a_certificate_in_a_tunnel(listener: socket.socket) -> None:
    """It is checked as one without a proxy is, and the reason is OpenSSL's own."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority = trustme.CA()
    authority.issue_cert("other.test").configure_cert(server)
    authority.configure_trust(client)
    asked: list[bytes] = []

    def tunnel() -> None:
        connection, _ = listener.accept()
        with connection:
            asked.append(connection.recv(1 << 16))
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            with pytest.raises(ssl.SSLError):
                server.wrap_socket(connection, server_side=True)

    thread = threading.Thread(target=tunnel)
    thread.start()
    proxied = Proxied(client, f"http://127.0.0.1:{listener.getsockname()[1]}", Sockets(), 30)
    message = Message("GET", "https://registry.test/v2/", {}, iter(()), 10, 10)

    with pytest.raises(UntrustedError, match=r"^Hostname mismatch, .* not valid for 'registry\.test'\.$"):
        proxied.exchange(message)
    thread.join(10)
    proxied.close()

    assert asked[0].startswith(b"CONNECT registry.test:443 ")


def test_no_header_is_smuggled_or_shown(listener: socket.socket) -> None:
    """What can't be sent is refused before the proxy is asked."""
    proxied = Proxied(ssl.create_default_context(), f"http://127.0.0.1:{listener.getsockname()[1]}", Sockets(), 30)
    message = Message("GET", "http://registry.test/", {"Authorization": "c4n4ry\r\nX: y"}, iter(()), 10, 10)

    with pytest.raises(CantSendError, match=r"^its header Authorization has characters that can't be sent$"):
        proxied.exchange(message)
    proxied.close()
