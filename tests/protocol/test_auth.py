from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.errors import AccessDenied, ProtocolError, Unavailable
from regkit.protocol.auth import Authority, Challenge, Login, ask_challenges, locality, parse_challenges
from regkit.protocol.flow import Bytes, Request, Response, Scope, drive
from tests.protocol.support import ORIGIN, Script, reply

REALM = "https://auth.test/token"
BEARER = f'Bearer realm="{REALM}",service="registry.test",scope="repository:a:pull"'
LOGIN = Login("user", "pa:ss\u00e9", "the test")
PULL, PUSH = Scope("a", "pull"), Scope("a", "pull,push")
BROKEN = ("https://[", "https://a:x/", "https://a:0/", "https://u:p@auth.test/token")


def request(scope: Scope | None = PULL, method: str = "GET") -> Request:
    return Request(method, f"{ORIGIN}/v2/a/x", {"Accept": "y"}, Bytes(b"body"), scope)


@dataclass
class Guarded:
    """A registry and its token service: only a token that was given out, and wasn't revoked, is let in."""

    challenge: str = BEARER
    token_answers: Iterator[Response] | None = None
    valid: set[str] = field(default_factory=set)
    asked: list[Request] = field(default_factory=list)
    tokens: list[Request] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        if not request.url.startswith(ORIGIN):
            self.tokens.append(request)
            if self.token_answers is not None:
                return next(self.token_answers)
            self.valid.add(f"Bearer token{len(self.tokens)}")
            return reply(200, {"token": f"token{len(self.tokens)}"})
        self.asked.append(request)
        if request.headers.get("Authorization") in self.valid:
            return reply(200)
        return reply(401, www_authenticate=self.challenge)

    def scopes(self) -> list[list[str]]:
        """Give the scopes that tokens were asked for, in order."""
        return [parse_qs(urlsplit(request.url).query).get("scope", []) for request in self.tokens]


def ask(authority: Authority, send: Any, scope: Scope | None = PULL) -> int:
    return drive(authority.authorized(request(scope)), send).status


# Challenges


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", []),
        ("Basic", [("basic", {})]),
        ('Basic realm="x"', [("basic", {"realm": "x"})]),
        (BEARER, [("bearer", {"realm": REALM, "service": "registry.test", "scope": "repository:a:pull"})]),
        (
            'Bearer realm="r",scope="repository:a:pull,push"',
            [("bearer", {"realm": "r", "scope": "repository:a:pull,push"})],
        ),
        ('BEARER Realm = "r" , Service=s', [("bearer", {"realm": "r", "service": "s"})]),
        (r'Basic realm="a \"quoted\", comma \\"', [("basic", {"realm": 'a "quoted", comma \\'})]),
        (
            'Basic realm="a, b", Bearer realm="https://x/y",service="s"',
            [("basic", {"realm": "a, b"}), ("bearer", {"realm": "https://x/y", "service": "s"})],
        ),
        ('Negotiate, NTLM, Basic realm="x"', [("negotiate", {}), ("ntlm", {}), ("basic", {"realm": "x"})]),
        ('Basic realm="not closed', [("basic", {})]),
        ("=,=", []),
        ('"', []),
    ],
)
def test_challenges(value: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    """Challenges are read as RFC 9110 writes them: quoted commas, escapes, several in one header."""
    assert [(challenge.scheme, challenge.parameters) for challenge in parse_challenges(value)] == expected


@given(st.text())
def test_any_challenge_is_survived(value: str) -> None:
    """What can't be read is no challenge; nothing fails, and nothing loops."""
    assert all(isinstance(challenge, Challenge) for challenge in parse_challenges(value))


@pytest.mark.parametrize("value", ["Basic{}!", "Bearer a=b{}!", "Bearer a=b,{}", "Bearer a={}!"])
def test_a_challenge_of_much_white_space_ends(value: str) -> None:
    """As long as a header may be; read in two ways, it would take minutes."""
    assert len(list(parse_challenges(value.format(" " * 100_000)))) == 1


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_quoted_value(text: str) -> None:
    """Whatever is quoted comes out as it went in."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    if "\n" in text:
        return

    assert list(parse_challenges(f'Bearer realm="{quoted}"')) == [Challenge("bearer", {"realm": text})]


# Basic


def test_anonymous_access_asks_for_nothing() -> None:
    """A registry that lets everybody in gets no credentials, and no second request."""
    script = Script([reply(200)])

    assert ask(Authority(LOGIN, secure=True), script) == 200
    assert [dict(sent.headers) for sent in script.seen] == [{"Accept": "y"}]


def test_basic() -> None:
    """After the first challenge every request carries the login, in UTF-8, beside its own headers."""
    script = Script([reply(401, www_authenticate='Basic realm="x"'), reply(200), reply(200)])
    authority = Authority(LOGIN, secure=True)

    assert (ask(authority, script), ask(authority, script)) == (200, 200)

    expected = "Basic " + base64.b64encode("user:pa:ss\u00e9".encode()).decode()
    assert [sent.headers.get("Authorization") for sent in script.seen] == [None, expected, expected]
    assert {sent.headers["Accept"] for sent in script.seen} == {"y"}


def test_a_wrong_password_is_sent_once() -> None:
    """The registry's second 401 is the answer: no account is locked by repeating it."""
    script = Script([reply(401, www_authenticate="Basic")] * 3)
    authority = Authority(LOGIN, secure=True)

    assert ask(authority, script) == 401
    assert len(script.seen) == 2
    assert ask(authority, script) == 401
    assert len(script.seen) == 3


@pytest.mark.parametrize("headers", [{}, {"www_authenticate": "Basic"}, {"www_authenticate": "Negotiate"}])
def test_no_way_in(headers: dict[str, str]) -> None:
    """Without a login, or a challenge that is understood, the 401 is the answer."""
    script = Script([reply(401, **headers)])

    assert ask(Authority(None, secure=True), script) == 401


# Bearer


def test_bearer() -> None:
    """The token is asked for with the login and the scope of the request, and the request is sent again with it."""
    registry = Guarded()

    assert ask(Authority(LOGIN, secure=True), registry, PUSH) == 200

    (token,) = registry.tokens
    assert token.url.partition("?")[0] == REALM
    assert parse_qs(urlsplit(token.url).query) == {"service": ["registry.test"], "scope": ["repository:a:pull,push"]}
    assert token.headers == {"Authorization": LOGIN.header}
    assert [sent.headers.get("Authorization") for sent in registry.asked] == [None, "Bearer token1"]
    assert [sent.body.open().read() for sent in registry.asked] == [b"body", b"body"]


def test_an_anonymous_token() -> None:
    """Public content needs a token too, asked for without a login."""
    registry = Guarded()

    assert ask(Authority(None, secure=True), registry) == 200
    assert registry.tokens[0].headers == {}


def test_a_request_without_a_scope_takes_the_challenges() -> None:
    """What the registry itself says is needed is asked for then, or nothing where it says nothing."""
    registry = Guarded()
    assert ask(Authority(None, secure=True), registry, None) == 200
    assert registry.scopes() == [["repository:a:pull"]]

    bare = Guarded(challenge=f'Bearer realm="{REALM}?x=1"')
    assert ask(Authority(None, secure=True), bare, None) == 200
    assert bare.tokens[0].url == f"{REALM}?x=1"


def test_tokens_are_used_again() -> None:
    """A token is asked for once a scope; one to push is good for a pull as well, not the other way round."""
    registry = Guarded()
    authority = Authority(LOGIN, secure=True)

    for scope in (PULL, PULL, PUSH, PULL, PUSH):
        assert ask(authority, registry, scope) == 200

    assert registry.scopes() == [["repository:a:pull"], ["repository:a:pull,push"]]
    fresh = Authority(LOGIN, secure=True)
    assert [ask(fresh, registry, scope) for scope in (PUSH, PULL)] == [200, 200]
    assert len(registry.tokens) == 3


def test_a_token_of_one_repository_is_not_used_for_another() -> None:
    """Another repository has its own token."""
    registry = Guarded()
    authority = Authority(LOGIN, secure=True)

    assert [ask(authority, registry, scope) for scope in (PUSH, Scope("b", "pull"))] == [200, 200]
    assert registry.scopes() == [["repository:a:pull,push"], ["repository:b:pull"]]


def test_a_mount_needs_two_scopes() -> None:
    """One token is asked for both; it is good for the first repository's other requests, not the other way round."""
    registry = Guarded()
    authority = Authority(LOGIN, secure=True)
    mount = Scope("a", "pull,push", "b")

    assert [ask(authority, registry, scope) for scope in (PUSH, mount, Scope("a", "pull"), mount)] == [200] * 4
    assert registry.scopes() == [["repository:a:pull,push"], ["repository:a:pull,push", "repository:b:pull"]]


def test_an_expired_token_is_replaced_once() -> None:
    """A 401 in the middle brings one fresh token, and the same request again; nothing is lost."""
    registry = Guarded()
    authority = Authority(LOGIN, secure=True)
    ask(authority, registry, PUSH)
    registry.valid.clear()
    registry.asked.clear()

    assert ask(authority, registry, PUSH) == 200
    assert [sent.headers.get("Authorization") for sent in registry.asked] == ["Bearer token1", "Bearer token2"]


def test_an_expired_token_that_covered_more() -> None:
    """An expired token isn't used for any scope any more."""
    registry = Guarded()
    authority = Authority(LOGIN, secure=True)
    ask(authority, registry, PUSH)
    registry.valid.clear()

    assert [ask(authority, registry, scope) for scope in (PULL, PUSH)] == [200, 200]
    assert registry.scopes()[1:] == [["repository:a:pull"], ["repository:a:pull,push"]]


def test_a_token_that_does_not_let_in() -> None:
    """A fresh token that is refused is the end of it: no loop between the two services."""
    registry = Guarded(token_answers=iter([reply(200, {"token": "useless"})] * 2))

    assert ask(Authority(LOGIN, secure=True), registry) == 401
    assert (len(registry.asked), len(registry.tokens)) == (2, 1)


def test_the_same_token_again_is_not_tried_again() -> None:
    """A service that gives the refused token once more ends it."""
    registry = Guarded(token_answers=iter([reply(200, {"token": "same"}), reply(200, {"token": "same"})]))
    authority = Authority(LOGIN, secure=True)
    ask(authority, registry)
    registry.asked.clear()

    assert ask(authority, registry) == 401
    assert len(registry.asked) == 1


def test_access_token_is_a_token_too() -> None:
    """OAuth2's name for it counts where the other is missing."""
    registry = Guarded(token_answers=iter([reply(200, {"access_token": "x", "expires_in": 60})]), valid={"Bearer x"})

    assert ask(Authority(None, secure=True), registry) == 200


def test_threads_share_one_token() -> None:
    """Two threads that are refused at once cause one token request: the second finds what the first brought."""
    registry = Guarded()
    together = threading.Barrier(2)

    def send(request: Request) -> Response:
        response = registry(request)
        if response.status == 401:
            together.wait(timeout=30)
        return response

    authority = Authority(LOGIN, secure=True)
    with ThreadPoolExecutor(2) as pool:
        statuses = list(pool.map(lambda _: ask(authority, send, PUSH), range(2)))

    assert statuses == [200, 200]
    assert len(registry.tokens) == 1


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AccessDenied), (403, AccessDenied), (500, Unavailable), (400, ProtocolError)]
)
def test_a_token_service_that_fails(status: int, kind: type[Exception]) -> None:
    """What the token service answers decides: a wrong password is another thing than a service that is down."""
    registry = Guarded(token_answers=iter([reply(status, url=REALM)]))

    with pytest.raises(kind, match=r"can't get a token: auth\.test answered"):
        ask(Authority(LOGIN, secure=True), registry)


def test_a_token_service_that_breaks_leaves_nothing_locked() -> None:
    """A send that fails while a token is fetched is raised, and the next request can fetch one."""
    registry = Guarded()
    authority = Authority(LOGIN, secure=True)

    def send(request: Request) -> Response:
        if not request.url.startswith(ORIGIN):
            raise Unavailable("auth.test can't be reached")
        return registry(request)

    with pytest.raises(Unavailable, match=r"auth\.test can't be reached"):
        ask(authority, send)
    assert ask(authority, registry) == 200


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"token": ""},
        {"token": 5},
        {"token": None, "access_token": None},
        {"token": "a\r\nb"},
        {"token": "\u00e9"},
    ],
)
def test_a_token_service_that_gives_no_token(body: object) -> None:
    """What can't stand in a header is no token, and isn't shown."""
    registry = Guarded(token_answers=iter([reply(200, body)]))

    with pytest.raises(ProtocolError, match=r"^the token service auth\.test gave no token$"):
        ask(Authority(LOGIN, secure=True), registry)


def test_a_token_without_end() -> None:
    """A token service can't fill the memory."""
    registry = Guarded(token_answers=iter([reply(200, {"token": "x" * 2_000_000})]))

    with pytest.raises(ProtocolError, match="larger than"):
        ask(Authority(LOGIN, secure=True), registry)


@pytest.mark.parametrize("realm", ["http://auth.test/token", "http://registry.test/token"])
def test_the_password_never_leaves_encryption(realm: str) -> None:
    """A registry asked by https can't send our login in the clear somewhere else."""
    registry = Guarded(challenge=f'Bearer realm="{realm}"')

    with pytest.raises(ProtocolError, match="token service without https"):
        ask(Authority(LOGIN, secure=True), registry)
    assert registry.tokens == []


def test_plain_http_is_asked_in_plain_http() -> None:
    """A registry that is itself asked without TLS may have its token service so too."""
    registry = Guarded(challenge='Bearer realm="http://auth.test:5001/token"')

    assert ask(Authority(LOGIN, secure=False), registry) == 200


@pytest.mark.parametrize(
    "realm", ["", "token", "/token", "ftp://auth.test/", "file:///etc/passwd", "https://", "//x", *BROKEN]
)
def test_a_realm_that_is_no_url(realm: str) -> None:
    """Only http and https URLs are token services."""
    registry = Guarded(challenge=f'Bearer realm="{realm}"')

    with pytest.raises(ProtocolError, match="isn't a URL"):
        ask(Authority(LOGIN, secure=False), registry)
    assert registry.tokens == []


def test_bearer_is_preferred() -> None:
    """Where a registry offers both, the password goes to the token service."""
    registry = Guarded(challenge=f'Basic realm="x", {BEARER}')

    assert ask(Authority(LOGIN, secure=True), registry) == 200
    assert len(registry.tokens) == 1


def test_passwords_are_in_no_repr() -> None:
    """A login that gets into a log or a traceback doesn't tell its password."""
    canary = Login("user", "canary", "a file", "canary2", "canary3")

    assert "canary" not in f"{canary} {canary!r} {[canary]}"
    assert canary.header.partition(" ")[2] not in repr(canary)
    assert "user" in repr(canary)


# Where a token service may be

ADDRESSES = [
    ("localhost", "loopback"),
    ("LOCALHOST.", "loopback"),
    ("auth.localhost", "loopback"),
    ("127.0.0.1", "loopback"),
    ("127.1", "loopback"),
    ("0x7f.1", "loopback"),
    ("2130706433", "loopback"),
    ("0.0.0.0", "loopback"),
    ("::1", "loopback"),
    ("::", "loopback"),
    ("::ffff:127.0.0.1", "loopback"),
    ("169.254.169.254", "link-local"),
    ("fe80::1%eth0", "link-local"),
    ("::ffff:169.254.169.254", "link-local"),
    ("2002:a9fe:a9fe::1", "link-local"),
    ("10.0.0.1", "private"),
    ("172.16.5.4", "private"),
    ("192.168.1.1", "private"),
    ("100.64.0.1", "private"),
    ("fd00::1", "private"),
    ("metadata.google.internal", "link-local"),
    ("fd00:ec2::254", "link-local"),
    ("fd00:0ec2:0::254", "link-local"),
    ("fd20:ce::254", "link-local"),
    ("100.100.100.200", "link-local"),
    ("168.63.129.16", "link-local"),
    ("::169.254.169.254", "link-local"),
    ("64:ff9b::a9fe:a9fe", "link-local"),
    ("64:ff9b::10.0.0.1", "private"),
    ("169\u3002254\u3002169\uff61254", "link-local"),
    ("\uff11\uff12\uff17.1", "loopback"),
    ("\uff4cocalhost", "loopback"),
    ("printer.local", "private"),
    ("auth", "private"),
    ("8.8.8.8", ""),
    ("2606:4700::1111", ""),
    ("auth.test", ""),
    ("localhost.test", ""),
    ("127.0.0.1.test", ""),
    ("\u00e9.test", ""),
    ("64:ff9b::8.8.8.8", ""),
]


@pytest.mark.parametrize(("host", "where"), ADDRESSES)
def test_where_a_host_is(host: str, where: str) -> None:
    """The machine itself and private networks are recognised in every spelling that resolvers take."""
    assert locality(host) == where


@pytest.mark.parametrize("secure", [True, False])
@pytest.mark.parametrize("host", [f"[{host}]" if ":" in host else host for host, where in ADDRESSES if where])
def test_a_public_registry_cannot_name_what_is_local(host: str, secure: bool) -> None:
    """A registry elsewhere can't have us ask this machine, a private network or a cloud's metadata for a token."""
    registry = Guarded(challenge=f'Bearer realm="https://{host}:8443/token"')

    with pytest.raises(ProtocolError, match=r"registry\.test names a token service at a .* address, and isn't at one"):
        ask(Authority(None, secure=secure), registry)
    assert registry.tokens == []


@pytest.mark.parametrize(
    ("registry", "realm", "allowed"),
    [
        ("127.0.0.1:5000", "http://127.0.0.1:5001/token", True),
        ("localhost:5000", "http://10.1.2.3/token", True),
        ("registry:5000", "http://localhost:5001/token", True),
        ("10.0.0.1", "http://auth/token", True),
        ("10.0.0.1", "https://auth.test/token", True),
        ("127.0.0.1:5000", "http://169.254.169.254/token", False),
        ("10.0.0.1", "http://169.254.169.254/token", False),
        ("169.254.1.1", "http://127.0.0.1/token", False),
        ("169.254.1.1", "http://169.254.1.2/token", True),
    ],
)
def test_a_local_registry_may_name_what_is_local(registry: str, realm: str, allowed: bool) -> None:
    """A registry on a private network has its token service there; a link-local one has only its like."""
    seen: list[str] = []

    def send(request: Request) -> Response:
        seen.append(request.url)
        if "/v2/" in request.url:
            done = "Authorization" in request.headers
            return reply(200) if done else reply(401, www_authenticate=f'Bearer realm="{realm}"')
        return reply(200, {"token": "x"})

    flow = Authority(LOGIN, secure=False).authorized(Request("GET", f"http://{registry}/v2/"))
    if allowed:
        assert drive(flow, send).status == 200
        assert seen[1] == realm
    else:
        with pytest.raises(ProtocolError, match="names a token service at a"):
            drive(flow, send)
        assert len(seen) == 1


def test_a_fragment_swallows_nothing() -> None:
    """What is asked for stands before a realm's fragment, which is never sent, and after its own query."""
    registry = Guarded(challenge=f'Bearer realm="{REALM}?x=1#here",service="s"')

    assert ask(Authority(None, secure=True), registry) == 200
    assert registry.tokens[0].url == f"{REALM}?x=1&service=s&scope=repository%3Aa%3Apull"


def test_a_login_stays_with_the_first_token_service() -> None:
    """A registry that names another token service later gets no login sent there; without a login it may."""
    for login, served in ((LOGIN, 1), (Login("<token>", "", "", "canary"), 1), (None, 2)):
        registry = Guarded()
        authority = Authority(login, secure=True)
        assert ask(authority, registry, PULL) == 200
        registry.challenge = 'Bearer realm="https://evil.test/token"'

        if login is None:
            assert ask(authority, registry, PUSH) == 200
        else:
            with pytest.raises(ProtocolError, match=r"https://auth\.test first, now https://evil\.test") as caught:
                ask(authority, registry, PUSH)
            assert "canary" not in str(caught.value)
        assert len(registry.tokens) == served


# Identity tokens, registry tokens, logins by repository


def form(request: Request) -> dict[str, list[str]]:
    return parse_qs(request.body.open().read().decode(), strict_parsing=True)


def test_an_identity_token_is_exchanged() -> None:
    """It goes into the body of a POST, with the service and the scope, and in no URL or header."""
    registry = Guarded()

    assert ask(Authority(Login("<token>", "", "", "canary"), secure=True), registry, Scope("a", "pull", "b")) == 200

    (sent,) = registry.tokens
    assert (sent.method, sent.url) == ("POST", REALM)
    assert sent.headers == {"Content-Type": "application/x-www-form-urlencoded"}
    assert form(sent) == {
        "grant_type": ["refresh_token"],
        "client_id": ["regkit"],
        "refresh_token": ["canary"],
        "service": ["registry.test"],
        "scope": ["repository:a:pull repository:b:pull"],
    }


def test_an_identity_token_without_a_scope() -> None:
    """Where nothing says what is needed, no scope is sent."""
    registry = Guarded(challenge=f'Bearer realm="{REALM}"')

    assert ask(Authority(Login("<token>", "", "", "canary"), secure=True), registry, None) == 200
    assert set(form(registry.tokens[0])) == {"grant_type", "client_id", "refresh_token"}


def test_a_renewed_identity_token_takes_the_olds_place() -> None:
    """A service may give a new identity token with each answer, and take the old one no more."""
    answers = [{"access_token": f"t{n}", "refresh_token": f"canary{n}"} for n in (1, 2)]
    registry = Guarded(token_answers=iter(reply(200, a) for a in answers), valid={"Bearer t1", "Bearer t2"})
    authority = Authority(Login("<token>", "", "", "canary0"), secure=True)

    assert [ask(authority, registry, scope) for scope in (PULL, PUSH)] == [200, 200]
    assert [form(sent)["refresh_token"] for sent in registry.tokens] == [["canary0"], ["canary1"]]


def test_an_identity_token_is_no_password() -> None:
    """A registry that asks for Basic isn't given it."""
    script = Script([reply(401, www_authenticate="Basic")])

    assert ask(Authority(Login("<token>", "", "", "canary"), secure=True), script) == 401
    assert len(script.seen) == 1


def test_a_registry_token_is_sent_as_it_is() -> None:
    """No token service is asked, and a refused one isn't sent twice."""
    registry = Guarded(valid={"Bearer ready"})
    assert ask(Authority(Login("", "", "", "", "ready"), secure=True), registry) == 200
    assert registry.tokens == []

    refused = Guarded()
    authority = Authority(Login("", "", "", "", "ready"), secure=True)
    assert [ask(authority, refused), ask(authority, refused)] == [401, 401]
    assert (len(refused.asked), refused.tokens) == (3, [])


def test_logins_by_repository() -> None:
    """A login is looked up for the repository that is asked for, and only once the registry wants one."""
    looked: list[str] = []

    def lookup(repository: str) -> Login | None:
        looked.append(repository)
        return Login(repository, "word") if repository else None

    authority = Authority(lookup, secure=True)
    script = Script([reply(200), reply(401, www_authenticate="Basic"), reply(200), reply(200), reply(200)])
    ask(authority, script)
    assert looked == []

    for scope in (PULL, Scope("b", "pull"), None):
        assert ask(authority, script, scope) == 200
    assert set(looked) == {"a", "b", ""}
    logins = [None, None, Login("a", "word").header, Login("b", "word").header, None]
    assert [sent.headers.get("Authorization") for sent in script.seen] == logins


# What a registry demands


@pytest.mark.parametrize(
    ("answer", "schemes"),
    [
        (reply(200), []),
        (reply(401), []),
        (reply(401, www_authenticate=f"Basic, {BEARER}"), ["basic", "bearer"]),
    ],
)
def test_what_a_registry_demands(answer: Response, schemes: list[str]) -> None:
    """It is asked without a login, whatever is known."""
    script = Script([reply(401, www_authenticate="Basic"), reply(200), answer])
    authority = Authority(LOGIN, secure=True)
    ask(authority, script)

    challenges = drive(ask_challenges(), lambda request: drive(authority.authorized(request), script))

    assert [challenge.scheme for challenge in challenges] == schemes
    assert dict(script.seen[-1].headers) == {}


def test_a_host_that_is_no_registry() -> None:
    """An answer that means neither is an error."""
    with pytest.raises(ProtocolError, match="can't speak to the registry"):
        drive(ask_challenges(), Script([reply(400)]))
