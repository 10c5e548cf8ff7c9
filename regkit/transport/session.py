"""Session: all that is open. Connections, tokens and the event sink; the client's one mutable object."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar
from urllib.parse import urljoin, urlsplit

from regkit.errors import Interrupted, RegkitError, Unavailable
from regkit.events import Note, Reporter, ignore
from regkit.oci.reference import DOCKER_HUB, is_loopback
from regkit.protocol.auth import Authority
from regkit.protocol.flow import Flow, Request, Response, drive
from regkit.protocol.redirect import check_elsewhere, follow
from regkit.protocol.retry import Outcome, wants_retry
from regkit.protocol.warning import MAX_WARNINGS, read_warnings
from regkit.transport.credentials import Credentials
from regkit.transport.wire import CantSendError, origin_of

if TYPE_CHECKING:
    from regkit.config.spec import Config, RegistryConfig
    from regkit.protocol.auth import Login
    from regkit.transport.http import Http
    from regkit.transport.limits import Limits
    from regkit.transport.mirrors import Mirrors

T = TypeVar("T")
_HUB_HOST = "registry-1.docker.io"


class Session:
    """Runs flows against registries. A context manager; threads may share it.

    `plain_http` names hosts (`host[:port]`) that are asked without TLS; loopback hosts are asked in plain http, and
    in https where that is what they speak; every other host in https only. `registries` says more of single hosts:
    limits, mirrors, authorities that are trusted for them alone.

    `found` is the configuration that they are from, if nobody named it: a project that was only looked into may have
    written it. What it may say of logins and mirrors is in `regkit.transport.unnamed`.
    """

    def __init__(
        self,
        credentials: Credentials | None = None,
        *,
        plain_http: Iterable[str] = (),
        ca_file: Path | None = None,
        registries: Mapping[str, RegistryConfig] | None = None,
        found: Config | None = None,
        report: Reporter = ignore,
        now: Callable[[], float] = time.time,
    ) -> None:
        from regkit.transport.http import Http  # those who ask no registry don't wait for it

        self.report = report
        self.credentials = credentials or Credentials()
        self.registries = registries or {}
        self.found = found
        self._told: set[str] = set()
        said = [host for host, registry in self.registries.items() if registry.plain_http]
        self.named_plain = tuple(plain_http)
        self.plain_http = tuple(dict.fromkeys((*self.named_plain, *said)))
        self._http = Http(ca_file, self.ca_files)
        self.ca_file = ca_file
        self._now = now
        self._stopped = threading.Event()
        self._registries: dict[str, _Registry] = {}
        self._lock = threading.Lock()

    @property
    def ca_files(self) -> dict[str, Path]:
        """The authorities that are trusted for one host alone."""
        return {host: said.ca_file for host, said in self.registries.items() if said.ca_file}

    def __enter__(self) -> Self:
        """Open it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close its connections; after Ctrl-C at once, whatever they wait for."""
        if kind is not None and not issubclass(kind, Exception):
            self.abort()
        else:
            self._http.close()

    def run(self, host: str, flow: Flow[T], *, pull: bool = False) -> T:
        """Run a flow against a registry; raise what it raises, Unavailable where the registry can't be reached.

        A `pull` may read from the host's mirrors: content that may be older there, and that nothing is decided by
        which is written here.
        """
        registry = self._registry(host)
        return drive(flow, registry.pull if pull else registry.send)

    def send(self, request: Request) -> Response:
        """Send one request to an absolute URL, within its host's limits: nothing is added, followed or tried again."""
        host = urlsplit(request.url).netloc
        limits = self._registry(host).limits if host in self.registries else None
        return limits.send(request, self._http.send) if limits else self._http.send(request)

    def login(self, host: str, repository: str = "") -> Login | None:
        """Find the login for a repository of a host, or for the host; tell once what makes it less safe.

        Raise UsageError where a configuration that nobody named would have it go in the clear.
        """
        login = self.credentials.for_host(host, repository)
        if login is not None and self.found is not None and host in self.found.registries:
            self._tell(self.found, host)
        return login

    def now(self) -> float:
        """Tell the time, in seconds of Unix time."""
        return self._now()

    def open_ahead(self, host: str) -> None:
        """Open a connection for a request to come, so that it needn't wait for the handshake."""
        self._http.open_ahead(self._registry(host).origin)

    def abort(self) -> None:
        """End all that is under way, in every thread, at once: each flow raises Interrupted."""
        self._stopped.set()
        self._http.abort()

    def sleep(self, seconds: float) -> None:
        """Wait; raise Interrupted where the session is aborted meanwhile."""
        if self._stopped.wait(seconds):
            raise Interrupted("interrupted")

    def _registry(self, host: str) -> _Registry:
        with self._lock:
            if host not in self._registries:
                plain = host in self.plain_http
                tentative = not plain and is_loopback(host)
                registry = _Registry(self, self._http, host, plain=plain or tentative, tentative=tentative)
                if host in self.registries:
                    self._configure(registry, self.registries[host])
                self._registries[host] = registry
            return self._registries[host]

    def _configure(self, registry: _Registry, said: RegistryConfig) -> None:
        from regkit.transport.limits import Limits  # few have any of these
        from regkit.transport.mirrors import Mirrors

        if said.concurrency is not None or said.requests_per_second is not None:
            registry.limits = Limits(said.concurrency, said.requests_per_second, sleep=self.sleep)
        if said.mirrors:
            registry.mirrors = Mirrors(
                said.host,
                said.mirrors,
                lambda to, asked: self._registry(to).send_once(asked),
                self.report,
                tags=self.found is None,
            )

    def _tell(self, found: Config, host: str) -> None:
        if host in self.named_plain:
            return
        from regkit.transport.unnamed import exposure

        note = exposure(found, host)
        with self._lock:
            told = host in self._told
            self._told.add(host)
        if note and not told:
            self.report(note)

    def send_again(self, host: str, request: Request, first: Outcome, attempt: Callable[[Request], Outcome]) -> Outcome:
        """Go on after an outcome that wants another try; `host` is who is asked."""
        from regkit.transport.retry import send_again  # tenacity takes 30 ms: only a failure pays for it

        return send_again(host, request, first, attempt, report=self.report, sleep=self.sleep, now=self._now)


class _Registry:
    """One registry: its origin, and what is known of its authorization."""

    limits: Limits | None = None
    mirrors: Mirrors | None = None

    def __init__(self, session: Session, http: Http, host: str, *, plain: bool, tentative: bool) -> None:
        self._session, self._http = session, http
        self._netloc = _HUB_HOST if host == DOCKER_HUB else host
        self._login = partial(session.login, host)
        self._tentative = tentative
        self._lock = threading.Lock()
        self._warnings: set[str] = set()
        self._set_scheme("http" if plain else "https")

    def send(self, request: Request) -> Response:
        """Send a flow's request, with credentials, redirects and retries; raise what the last try raised."""
        outcome = self._attempt(request)
        if wants_retry(request, outcome):
            outcome = self._session.send_again(self._netloc, request, outcome, self._attempt)
        if isinstance(outcome, RegkitError):
            raise outcome
        return outcome

    def pull(self, request: Request) -> Response:
        """Send a request of a pull, to the mirrors first where there are any."""
        return self.mirrors.send(request, self.send) if self.mirrors else self.send(request)

    def send_once(self, request: Request) -> Response:
        """Send it as `send` does, without another try."""
        outcome = self._attempt(request)
        if isinstance(outcome, RegkitError):
            raise outcome
        return outcome

    def _attempt(self, request: Request) -> Outcome:
        outcome = self._try(request)
        if self._tentative and _may_speak_tls(request, outcome):
            self._set_scheme("https")
            secured = self._try(request)
            if isinstance(secured, Unavailable) and secured.transient:
                self._set_scheme("http")
                return outcome
            outcome = secured
        self._tentative &= isinstance(outcome, RegkitError)
        return outcome

    def _try(self, request: Request) -> Outcome:
        absolute = replace(request, url=urljoin(self.origin, request.url))
        try:
            return drive(follow(absolute), self._authorized)
        except Unavailable as error:
            return error

    def _authorized(self, request: Request) -> Response:
        """Add what the registry asks for, on its own origin; other origins get nothing."""
        if self._is_here(request.url):
            response = drive(self._authority.authorized(request), self._send)
            if "warning" in response.headers:
                self._warn(response.headers["warning"])
            return response
        check_elsewhere(self.origin, request.url)
        return self._http.send(request)

    def _send(self, request: Request) -> Response:
        """Send within the registry's limits; to others, as its token service, without them."""
        if self.limits is None or not self._is_here(request.url):
            return self._http.send(request)
        return self.limits.send(request, self._http.send)

    def _is_here(self, url: str) -> bool:
        """Tell whether a URL is on the registry's own origin, also where only one of both names the scheme's port."""
        if url.startswith(f"{self.origin}/"):
            return True
        with suppress(CantSendError):
            return origin_of(url) == origin_of(self.origin)
        return False

    def _warn(self, header: str) -> None:
        """Report what the registry warns of, each text once; nothing is ever done about it."""
        for text in read_warnings(header):
            with self._lock:
                new = text not in self._warnings and len(self._warnings) < MAX_WARNINGS
                if new:
                    self._warnings.add(text)
            if new:
                self._session.report(Note(f"{self._netloc} says: {text}", warning=True))

    def _set_scheme(self, scheme: str) -> None:
        self.origin = f"{scheme}://{self._netloc}"
        self._authority = Authority(self._login, secure=scheme == "https")


def _may_speak_tls(request: Request, outcome: Outcome) -> bool:
    """Recognise how a TLS server takes plain http: it hangs up, or says so with a 400, of which HEAD shows no text."""
    if isinstance(outcome, Response):
        if outcome.status != 400 or request.method == "HEAD":
            return outcome.status == 400
        said = outcome.body.read(4096)
        outcome.body.seek(0)
        return b"HTTPS" in said.upper()
    return isinstance(outcome, Unavailable) and "broke" in outcome.message
