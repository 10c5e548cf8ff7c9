"""The registry as clients meet it: behind a guard, and with quirks that are switched on and off while it is served."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Protocol, TypeAlias

from regkit.devregistry.answer import Fault, finished
from regkit.devregistry.app import DevRegistry
from regkit.devregistry.quirks.catalogue import QUIRKS, parse_quirk
from regkit.devregistry.quirks.quirk import Setting
from regkit.errors import Unavailable, UsageError
from regkit.protocol.flow import Request, Response, Send


class Guard(Protocol):
    """Who lets requests in."""

    def handle(self, request: Request) -> Response:
        """Answer a request, or raise a Fault."""
        ...


Guarding: TypeAlias = Callable[[Send], Guard]
"""Puts a guard around a `handle`."""


class Front:
    """A DevRegistry with a guard and quirks. `handle` may be called, and quirks switched, from any thread.

    `scheme` is the one that clients reach it by.
    """

    def __init__(
        self,
        registry: DevRegistry,
        quirks: Iterable[str] = (),
        *,
        guarding: Guarding | None = None,
        scheme: str = "http",
    ) -> None:
        self.registry = registry
        self._guarding, self._scheme = guarding, scheme
        self._numbers: dict[str, int] = {}
        self._lock = threading.Lock()
        self._handle = self._build()
        for text in quirks:
            self.switch_on(text)

    @property
    def quirks(self) -> tuple[str, ...]:
        """The names of the quirks that are switched on, in the catalogue's order."""
        return tuple(name for name in QUIRKS if name in self._numbers)

    def switch_on(self, text: str) -> None:
        """Switch a quirk on, `NAME` or `NAME=N`; what quirks remember begins anew. Raise UsageError for none."""
        quirk, number = parse_quirk(text)
        if quirk.name == "foreign-location" and self._guarding is not None:
            raise UsageError(
                "foreign-location doesn't go with logins: another host gets none, and so couldn't take an upload",
                hint="leave one of the two out",
            )
        with self._lock:
            self._numbers[quirk.name] = number
            self._handle = self._build()

    def switch_off(self, name: str) -> None:
        """Switch a quirk off; one that isn't on stays so. Raise UsageError for none."""
        quirk, _ = parse_quirk(name)
        with self._lock:
            self._numbers.pop(quirk.name, None)
            self._handle = self._build()

    def handle(self, request: Request) -> Response:
        """Answer a request, as it would be on a socket."""
        return self._handle(request)

    def _build(self) -> Send:
        """Stack the quirks, the first of the catalogue innermost, and the guard around them."""
        handle: Send = self.registry.handle
        for name in self.quirks:
            setting = Setting(self.registry, self._scheme, self._numbers[name])
            handle = _answering(QUIRKS[name].wrap(handle, setting))
        return _answering(self._guarding(handle).handle) if self._guarding else handle


def _answering(handle: Send) -> Send:
    """Make answers of what is raised: Faults, and bodies that broke off, for which nobody waits any more."""

    def answer(request: Request) -> Response:
        try:
            return handle(request)
        except Fault as fault:
            return finished(request, fault.response())
        except Unavailable as error:
            return finished(request, Fault(400, "SIZE_INVALID", error.message).response())

    return answer
