"""Quirks of any request: limits, lag, warnings."""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from threading import Lock

from regkit.devregistry.answer import Fault
from regkit.devregistry.quirks.quirk import Quirk, Setting, Wrap
from regkit.devregistry.route import Route, at
from regkit.devregistry.store import Names
from regkit.oci.digest import Digest
from regkit.protocol.flow import Request, Response, Send

EVERY = 4
"""Which requests a rate limit refuses: the first, and then each of this distance."""

WARNING = "this registry moves in the spring"
"""What the registry warns of."""

_REMEMBERED = 10_000


def _limited(dialect: Callable[[int], str]) -> Wrap:
    """Refuse requests now and then, but none of them twice in a row: whoever obeys gets on."""

    def wrap(handle: Send, setting: Setting) -> Send:
        count = itertools.count()
        refused: set[tuple[str, str]] = set()
        lock = Lock()

        def refuses(request: Request) -> bool:
            key = (request.method, request.url)
            with lock:
                if next(count) % EVERY or key in refused:
                    refused.discard(key)
                    return False
                if len(refused) >= _REMEMBERED:
                    refused.clear()
                refused.add(key)
                return True

        def answer(request: Request) -> Response:
            if refuses(request):
                raise Fault(429, "TOOMANYREQUESTS", "slow down", {"retry-after": dialect(setting.number)})
            return handle(request)

        return answer

    return wrap


def _date(wait: int) -> str:
    return formatdate(time.time() + wait, usegmt=True)


def _unix_time(wait: int) -> str:
    return str(int(time.time()) + wait)


class _Lag:
    """Shows the first reads of a manifest what was there before its write: its tag's former place, or nothing."""

    def __init__(self, handle: Send, setting: Setting) -> None:
        self._handle, self._registry, self._reads = handle, setting.registry, setting.number
        self._old: OrderedDict[tuple[str, str], tuple[int, Digest | None]] = OrderedDict()
        self._lock = Lock()

    def answer(self, request: Request) -> Response:
        route = Route.of(request)
        if route.chapter != "manifests":
            return self._handle(request)
        if request.method == "PUT":
            return self._write(route, request)
        left, before = self._take(route.repository, route.name)
        if left == 0 or request.method not in ("GET", "HEAD"):
            return self._handle(request)
        if before is None:
            raise Fault(404, "MANIFEST_UNKNOWN", f"{route.repository} has no manifest {route.name[:140]!r}, yet")
        return self._handle(at(request, f"/v2/{route.repository}/manifests/{before}"))

    def _write(self, route: Route, request: Request) -> Response:
        old = self._registry.store.names(route.repository) or Names()
        response = self._handle(request)
        if response.status == 201:
            now = self._registry.store.names(route.repository) or Names()
            new = [str(digest) for digest in now.manifests if digest not in old.manifests]
            moved = [tag for tag, digest in now.tags.items() if old.tags.get(tag) != digest]
            with self._lock:
                self._old.update({(route.repository, name): (self._reads, old.tags.get(name)) for name in new + moved})
                while len(self._old) > _REMEMBERED:
                    self._old.popitem(last=False)
        return response

    def _take(self, repository: str, name: str) -> tuple[int, Digest | None]:
        """Count a read; give how many were left, and what it is to show."""
        with self._lock:
            left, before = self._old.pop((repository, name), (0, None))
            if left > 1:
                self._old[repository, name] = (left - 1, before)
        return left, before


def _warning(handle: Send, setting: Setting) -> Send:
    del setting

    def answer(request: Request) -> Response:
        response = handle(request)
        return replace(response, headers={**response.headers, "warning": f'299 - "{WARNING}"'})

    return answer


TRAFFIC = (
    Quirk(
        "lag",
        "shows the first N reads of a manifest what was there before it was written",
        "Docker Hub and GHCR, for seconds",
        lambda handle, setting: _Lag(handle, setting).answer,
        number=1,
    ),
    Quirk(
        "warning",
        "warns in every answer, by the header",
        "registries that follow the specification's chapter on warnings",
        _warning,
    ),
    Quirk(
        "rate-limit-seconds",
        f"refuses every {EVERY}th request: 429, with Retry-After: N",
        "Quay, GitLab",
        _limited(str),
        number=1,
    ),
    Quirk(
        "rate-limit-date",
        f"refuses every {EVERY}th request: 429, with the HTTP date in N seconds",
        "what proxies and caches in front of a registry write",
        _limited(_date),
        number=1,
    ),
    Quirk(
        "rate-limit-unix",
        f"refuses every {EVERY}th request: 429, with the Unix time in N seconds",
        "Docker Hub (hub-feedback#2459)",
        _limited(_unix_time),
        number=1,
    ),
)
"""All of them; the limits come last, and so before all else."""
