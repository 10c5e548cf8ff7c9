"""What small servers of tests share: HTTP/1.1 without a word, on a free port of 127.0.0.1, gone with their block."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Answers requests with `do_METHOD`, and keeps connections open."""

    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Send an answer with its length; to HEAD, nothing more."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: who serves keeps a log of its own."""


@contextmanager
def listening(handler: type[Handler], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve, in https where there is a context for it; give `host:port`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def address_of(host: str) -> tuple[str, int]:
    """Part `host:port`."""
    name, _, port = host.rpartition(":")
    return name, int(port)
