"""Mounts on real registries, with and without the right to read where the blob comes from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from regkit.oci.descriptor import Descriptor
from regkit.oci.reference import Reference
from regkit.protocol.auth import Login
from regkit.protocol.flow import Bytes
from regkit.targets.repository import Repository
from regkit.targets.verified import read_all
from regkit.transport.credentials import Credentials
from regkit.transport.session import Session
from tests.support.registries import RunningRegistry, distribution
from tests.support.tokens import TokenService, token_service

DATA = b"a layer's bytes"
BLOB = Descriptor.of("application/x", DATA)
RIGHTS = {
    "owner": {"open": {"pull", "push"}, "closed": {"pull", "push"}, "new": {"pull", "push"}},
    "user": {"open": {"pull"}, "new": {"pull", "push"}},
}


@pytest.fixture
def tokens() -> Iterator[TokenService]:
    """Give a token service: the owner may do all, the user may read `open` and push `new`."""

    def allow(user: str | None, repository: str) -> set[str]:
        return RIGHTS.get(user or "", {}).get(repository, set())

    with token_service(dict.fromkeys(RIGHTS, "secret"), allow) as service:
        yield service


@pytest.fixture
def guarded(tokens: TokenService, tmp_path: Path) -> Iterator[RunningRegistry]:
    with distribution(tmp_path / "guarded", extra_config=tokens.configuration(tmp_path)) as running:
        yield running


def session(registry: RunningRegistry, user: str) -> Session:
    return Session(Credentials({registry.host: Login(user, "secret")}))


@pytest.mark.parametrize(("origin", "mounted"), [("open", True), ("closed", False)])
def test_a_mount_needs_the_right_to_read(
    guarded: RunningRegistry, tokens: TokenService, origin: str, *, mounted: bool
) -> None:
    """One token for both repositories is asked for; without the right to read, the bytes are sent as usual."""
    with session(guarded, "owner") as owner:
        Repository(owner, Reference(guarded.host, origin)).push(BLOB, Bytes(DATA))
    tokens.asked.clear()

    with session(guarded, "user") as user, Repository(user, Reference(guarded.host, "new")) as target:
        assert target.mount(BLOB, Repository(user, Reference(guarded.host, origin))) is mounted
        assert tokens.asked[0].scopes == ("repository:new:pull,push", f"repository:{origin}:pull")
        if not mounted:
            asked = len(tokens.asked)
            assert not target.mount(BLOB, Repository(user, Reference(guarded.host, origin)))
            assert len(tokens.asked) == asked
            target.push(BLOB, Bytes(DATA))
        assert read_all(target.fetch(BLOB), 100) == DATA


def test_a_mount_between_repositories(registry: RunningRegistry) -> None:
    """The blob is in the other repository after one request; what can't be mounted goes on in the session it left."""
    other = Descriptor.of("application/x", b"other")
    with Session() as opened, Repository(opened, Reference(registry.host, "new")) as target:
        origin = Repository(opened, Reference(registry.host, "old"))
        origin.push(BLOB, Bytes(DATA))
        mark = registry.mark()

        assert target.mount(BLOB, origin)
        assert not target.mount(other, origin)
        target.push(other, Bytes(b"other"))

        assert [logged.method for logged in registry.since(mark)] == ["POST", "POST", "PUT"]
        assert read_all(target.fetch(BLOB), 100) == DATA
        assert target.exists(other)


def test_an_upload_is_cancelled(registry: RunningRegistry) -> None:
    """A session that a mount left, and that nobody used, is gone afterwards."""
    with Session() as opened:
        origin = Repository(opened, Reference(registry.host, "old"))
        with Repository(opened, Reference(registry.host, "new")) as target:
            mark = registry.mark()
            assert not target.mount(BLOB, origin)

        assert [(logged.method, logged.status) for logged in registry.since(mark)] == [("POST", 202), ("DELETE", 204)]
