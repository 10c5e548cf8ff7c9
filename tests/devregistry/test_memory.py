"""How much memory `regkit registry serve --dir` takes while much goes through."""

from __future__ import annotations

import hashlib
import http.client
import itertools
from pathlib import Path

import pytest

from regkit.oci.digest import Digest
from tests.support.registries import RunningRegistry, embedded

MIB = 1 << 20
PIECES = 1024
PIECE = bytes(range(256)) * (MIB // 256)


def digest() -> Digest:
    hashed = hashlib.sha256()
    for piece in itertools.repeat(PIECE, PIECES):
        hashed.update(piece)
    return Digest(f"sha256:{hashed.hexdigest()}")


def upload(registry: RunningRegistry, framing: str, name: Digest) -> None:
    """Send 1 GiB in one PUT: with its length, in chunks of 1 MiB, or as one chunk."""
    connection = http.client.HTTPConnection(registry.host, timeout=60)
    connection.request("POST", "/v2/a/blobs/uploads/")
    response = connection.getresponse()
    response.read()
    connection.putrequest("PUT", f"{response.getheader('Location')}?digest={name}")
    connection.putheader(
        *("Content-Length", str(PIECES * MIB)) if framing == "length" else ("Transfer-Encoding", "chunked")
    )
    connection.endheaders()
    if framing == "one chunk":
        connection.send(b"%x\r\n" % (PIECES * MIB))
    for _ in range(PIECES):
        if framing == "chunks":
            connection.send(b"%x\r\n" % MIB)
        connection.send(PIECE)
        if framing == "chunks":
            connection.send(b"\r\n")
    if framing != "length":
        connection.send(b"\r\n0\r\n\r\n" if framing == "one chunk" else b"0\r\n\r\n")
    response = connection.getresponse()
    assert response.status == 201, response.read()
    connection.close()


def download(registry: RunningRegistry, name: Digest) -> int:
    connection = http.client.HTTPConnection(registry.host, timeout=60)
    connection.request("GET", f"/v2/a/blobs/{name}")
    response = connection.getresponse()
    size = sum(map(len, iter(lambda: response.read(MIB), b"")))
    connection.close()
    return size


@pytest.mark.parametrize("framing", ["length", "chunks", "one chunk"])
def test_memory_stays_where_it_is(tmp_path: Path, framing: str) -> None:
    """1 GiB goes in and out, and the registry's peak grows by less than 8 MiB, however the client frames it."""
    name = digest()
    with embedded(tmp_path) as registry:
        registry.requests()
        before = registry.peak_memory()
        upload(registry, framing, name)
        assert download(registry, name) == PIECES * MIB
        grown = registry.peak_memory() - before
    (tmp_path / "content" / "a" / "blobs" / name.algorithm / name.hex).unlink()

    assert grown < 8 * MIB
