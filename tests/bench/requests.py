"""`python -m tests.bench.requests HOST REPOSITORY TAG`: 2,000 small requests over 32 connections, and no more.

A client that does as little as it can, so that what is timed is the registry.
"""

from __future__ import annotations

import re
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

REQUESTS = 2000
CONNECTIONS = 32
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)


def ask(host: str, requests: list[bytes]) -> None:
    """Send requests over one connection, each when the one before is answered; raise for anything but a 200."""
    address, _, port = host.partition(":")
    with socket.create_connection((address, int(port)), timeout=60) as connection:
        for request in requests:
            connection.sendall(request)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += _more(connection)
            head, _, body = answer.partition(b"\r\n\r\n")
            length = _LENGTH.search(head + b"\r\n")
            if not head.startswith(b"HTTP/1.1 200 ") or length is None:
                raise ConnectionError(head.decode("latin-1"))
            left = 0 if request.startswith(b"HEAD") else int(length[1]) - len(body)
            while left:
                left -= len(_more(connection))


def main(host: str, repository: str, tag: str) -> None:
    """Ask for a manifest, for whether it is there, for the tags, and whether this is a registry."""
    name = f"/v2/{repository}"
    kinds = (f"GET {name}/manifests/{tag}", f"HEAD {name}/manifests/{tag}", f"GET {name}/tags/list", "GET /v2/")
    accept = "application/vnd.oci.image.index.v1+json"
    wanted = [
        f"{kinds[number // CONNECTIONS % len(kinds)]} HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}\r\n\r\n".encode()
        for number in range(REQUESTS)
    ]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for done in [pool.submit(ask, host, wanted[start::CONNECTIONS]) for start in range(CONNECTIONS)]:
            done.result()


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 16)
    if not data:
        raise ConnectionError("the registry hung up")
    return data


if __name__ == "__main__":
    main(*sys.argv[1:])
