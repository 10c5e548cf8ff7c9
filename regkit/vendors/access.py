"""How a vendor's API is told who asks: a header, or a token that a login brings. What is secret is in no repr."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from regkit.protocol.flow import Flow, Request, Response
from regkit.vendors.answer import one_dialect

LogIn = Callable[[], Flow[str | Response]]
"""Logs in; gives the token, or the answer of an API that can't be asked now."""


class Access(Protocol):
    """Sends requests with an authorization; `secrets` are never to be shown."""

    def authorized(self, request: Request) -> Flow[Response]:
        """Send a request with it."""
        ...

    @property
    def secrets(self) -> tuple[str, ...]:
        """All that is secret in it."""
        ...


class Fixed:
    """The same headers with every request; none for who asks anonymously."""

    def __init__(self, headers: Mapping[str, str], *secrets: str) -> None:
        self._headers = headers
        self.secrets = secrets

    def authorized(self, request: Request) -> Flow[Response]:
        """Send a request with them."""
        return one_dialect((yield replace(request, headers={**request.headers, **self._headers})))


class Gained:
    """A bearer token that is asked for with the first request, and once more where it isn't taken any longer."""

    def __init__(self, log_in: LogIn, *secrets: str) -> None:
        self._log_in, self._secrets = log_in, secrets
        self._token: str | None = None
        self._lock = threading.Lock()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The login's, and the token."""
        return (*self._secrets, *([self._token] if self._token else []))

    def authorized(self, request: Request) -> Flow[Response]:
        """Send a request with the token; answer a 401 once, with a fresh one."""
        sent, response = self._token, None
        for _ in range(2):
            if sent is None or response is not None:
                refused = yield from self._renew(sent)
                if refused is not None:
                    return refused
                sent = self._token
            headers = {**request.headers, "Authorization": f"Bearer {sent}"}
            response = one_dialect((yield replace(request, headers=headers)))
            if response.status != 401:
                break
        assert response is not None
        return response

    def _renew(self, old: str | None) -> Flow[Response | None]:
        """Log in, one thread at a time; give the answer of an API that can't be asked now."""
        with self._lock:
            if self._token != old:
                return None
            gained = yield from self._log_in()
            if isinstance(gained, Response):
                return one_dialect(gained)
            self._token = gained
            return None
