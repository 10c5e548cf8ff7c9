"""A registry as a pytest fixture, for other projects: install the extra `testing`, and ask for `regkit_registry`.

It is the embedded registry, in memory and on a free port of this machine. pytest loads this module by itself; the
rest is imported when the fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from regkit.devregistry.front import Front
    from regkit.events import Event

__all__ = ["Answered", "RunningRegistry", "regkit_registry", "running_registry"]


class Answered(NamedTuple):
    """A request that the registry answered: its method, its path with the query, and the status."""

    method: str
    path: str
    status: int


class RunningRegistry:
    """A registry that is served for as long as a test runs. It is asked in plain http, and needs no login."""

    def __init__(self, front: Front) -> None:
        self.host = ""
        """What a reference begins with: `127.0.0.1:PORT`."""
        self.url = ""
        """Where it is, without a slash at the end."""
        self._front = front
        self._answered: list[Answered] = []

    @property
    def requests(self) -> tuple[Answered, ...]:
        """Every request so far, in the order of the answers; one that a client has the answer of is in it."""
        return tuple(self._answered)

    def forget_requests(self) -> None:
        """Begin anew with `requests`."""
        self._answered.clear()

    def push_image(
        self, name: str, *, platforms: Sequence[str] = ("linux/amd64",), content: str = "hello", index: bool = False
    ) -> str:
        """Put a tiny image there under `repository[:tag]`; give its reference by digest, `HOST/repository@sha256:…`.

        For several platforms, or with `index`, it is an index over an image for each. The same arguments make the
        same digest. Raise UsageError for what isn't a name or a platform.
        """
        from regkit.oci.reference import Reference
        from regkit.testing.images import push_image

        reference = Reference.parse(f"{self.host}/{name}")
        digest = push_image(self._front.registry, reference, platforms, content, index=index)
        return f"{reference.name}@{digest}"

    def tags(self, repository: str) -> dict[str, str]:
        """Tell on which digest each tag of a repository stands, whatever quirks are on; {} where there is none."""
        names = self._front.registry.store.names(repository)
        return {tag: str(digest) for tag, digest in sorted(names.tags.items())} if names else {}

    @contextmanager
    def quirk(self, *names: str) -> Iterator[None]:
        """Switch quirks on for as long as the block runs: `NAME`, or `NAME=N`. Raise UsageError for an unknown one."""
        self.switch_on(*names)
        try:
            yield
        finally:
            self.switch_off(*(name.partition("=")[0] for name in names))

    def switch_on(self, *names: str) -> None:
        """Switch quirks on until they are switched off, or the test ends."""
        for name in names:
            self._front.switch_on(name)

    def switch_off(self, *names: str) -> None:
        """Switch quirks off."""
        for name in names:
            self._front.switch_off(name)

    def _report(self, event: Event) -> None:
        from regkit.events import RequestServed

        if isinstance(event, RequestServed):
            self._answered.append(Answered(event.method, event.path, event.status))


@contextmanager
def running_registry() -> Iterator[RunningRegistry]:
    """Serve an empty registry for as long as the block runs; for fixtures of another scope, and without pytest."""
    from regkit.devregistry.app import DevRegistry
    from regkit.devregistry.front import Front
    from regkit.devregistry.server import running

    with DevRegistry() as registry:
        served = RunningRegistry(Front(registry))
        with running(served._front, report=served._report) as server:
            served.host, served.url = server.host, server.url
            yield served


@pytest.fixture
def regkit_registry() -> Iterator[RunningRegistry]:
    """Give an empty container registry on this machine, in memory, for one test."""
    with running_registry() as registry:
        yield registry
