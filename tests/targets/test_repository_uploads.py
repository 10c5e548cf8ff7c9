"""Blobs on their way to and from real registries, with a proxy between that breaks connections."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.reference import Reference
from regkit.protocol.flow import Bytes
from regkit.protocol.upload import CHUNK
from regkit.targets.repository import Repository
from regkit.targets.verified import read_all
from regkit.transport.session import Session
from tests.support.proxy import Proxy, proxy
from tests.support.registries import RunningRegistry

DATA = random.Random(4).randbytes(2 * CHUNK + 1_000_000)
BLOB = Descriptor.of("application/x", DATA)
UPLOADS = "/blobs/uploads/"


@pytest.fixture
def between(registry: RunningRegistry) -> Iterator[Proxy]:
    with proxy(registry.host) as chosen:
        yield chosen


@pytest.fixture
def target(between: Proxy) -> Iterator[Repository]:
    with Session() as session, Repository(session, Reference(between.host, "a")) as repository:
        yield repository


def check(target: Repository) -> None:
    assert target.exists(BLOB)
    assert read_all(target.fetch(BLOB), len(DATA)) == DATA


@pytest.mark.parametrize("after", [0, 5_000_000])
def test_a_put_that_breaks(between: Proxy, target: Repository, after: int) -> None:
    """A connection that breaks in the middle of the bytes: the blob arrives, and is the same."""
    broken = between.cut("PUT", UPLOADS, after)

    target.push(BLOB, Bytes(DATA))

    check(target)
    assert len(broken.seen) == 1


@pytest.mark.parametrize("registry", ["distribution"], indirect=True)
def test_chunks_that_break(between: Proxy, target: Repository) -> None:
    """Distribution v3 keeps what arrived: chunks go on from there, also after one of them breaks."""
    between.cut("PUT", UPLOADS, 1_000_000)
    between.cut("PATCH", UPLOADS, 500_000)

    target.push(BLOB, Bytes(DATA))

    check(target)
    sizes = [int(sent.headers["content-length"]) for sent in between.requests("PATCH", UPLOADS) if sent.status == 202]
    assert sizes
    assert max(sizes) <= CHUNK


def test_a_proxy_that_limits_bodies(between: Proxy, target: Repository) -> None:
    """413 to the whole: the same session takes it in chunks, on every registry."""
    between.answer("PUT", UPLOADS, 413)

    target.push(BLOB, Bytes(DATA))

    check(target)
    assert [sent.headers["content-range"] for sent in between.requests("PATCH", UPLOADS)] == [
        f"0-{CHUNK - 1}",
        f"{CHUNK}-{2 * CHUNK - 1}",
        f"{2 * CHUNK}-{len(DATA) - 1}",
    ]
    assert len(between.requests("POST", UPLOADS)) == 1


@pytest.mark.parametrize("registry", ["distribution", "embedded"], indirect=True)
def test_a_sha512_in_chunks(between: Proxy, target: Repository) -> None:
    """Another algorithm goes the same way."""
    blob = Descriptor("application/x", Digest.of(DATA, "sha512"), len(DATA))
    between.answer("PUT", UPLOADS, 413)

    target.push(blob, Bytes(DATA))

    assert read_all(target.fetch(blob), len(DATA)) == DATA
