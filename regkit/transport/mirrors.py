"""Mirrors of a registry: asked first for what is pulled, each once; the registry itself has the last word."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from regkit.errors import Interrupted, RegkitError
from regkit.events import Note, Reporter
from regkit.protocol.flow import Request, Response
from regkit.protocol.mirror import at_mirror

SendTo = Callable[[str, Request], Response]
"""Sends a request to a host, with that host's own credentials and without another try."""


class Mirrors:
    """The mirrors of the registry `host`, `host[:port][/prefix]` each, shared by threads.

    Without `tags` they have no word on tags, which is a choice of content: they answer for what is asked by digest.
    """

    def __init__(
        self, host: str, names: Iterable[str], send_to: SendTo, report: Reporter, *, tags: bool = True
    ) -> None:
        self._host, self._names, self._send_to, self._report = host, tuple(names), send_to, report
        self._tags = tags
        self._dead: set[str] = set()
        self._used: set[str] = set()
        self._lock = threading.Lock()

    def send(self, request: Request, origin: Callable[[Request], Response]) -> Response:
        """Give a mirror's answer where it has the content, else the origin's; raise what the origin raises.

        A mirror that can't be asked isn't asked again; one that answers is told once, for its word counts for tags.
        What it sends is checked against its digest as all content is.
        """
        for name in self._names:
            host, _, prefix = name.partition("/")
            there = at_mirror(request, prefix, tags=self._tags)
            if there is None or name in self._dead:
                continue
            try:
                response = self._send_to(host, there)
            except Interrupted:
                raise
            except RegkitError as error:
                self._tell(
                    name, self._dead, Note(f"the mirror {name} isn't asked again: {error.message}", warning=True)
                )
                continue
            if response.status in (200, 206):
                self._tell(name, self._used, Note(f"{self._host} is read from its mirror {name}"))
                return response
            response.body.close()
        return origin(request)

    def _tell(self, name: str, told: set[str], note: Note) -> None:
        """Report what is so of a mirror from now on, once."""
        with self._lock:
            new = name not in told
            told.add(name)
        if new:
            self._report(note)
