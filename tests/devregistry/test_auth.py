"""Guards, without a socket: who is let in to do what, and what the others are told."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.devregistry.auth import BasicGuard, TokenGuard
from regkit.devregistry.front import Front
from regkit.devregistry.tokens import LIFETIME, Tokens
from regkit.devregistry.users import Grant, Users
from regkit.errors import UsageError
from regkit.protocol.auth import parse_challenges
from regkit.protocol.flow import Bytes, Request, Response

from .support import OCTETS, image, push_blob, push_image
from .test_users import hashed

USERS = Users(
    {"admin": hashed("a"), "ci": hashed("c")},
    (Grant.parse("ci=team/*:pull,push"), Grant.parse("ci=base:pull")),
    anonymous_pull=False,
)
OPEN = Users(USERS.hashes, USERS.grants, anonymous_pull=True)
URL = "http://registry.test:5000"

Ask = Callable[..., Response]


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


ADMIN, CI, WRONG = basic("admin", "a"), basic("ci", "c"), basic("ci", "a")


def ask(front: Front, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Response:
    return front.handle(Request(method, f"{URL}{path}", {**OCTETS, **(headers or {})}, Bytes(body)))


@pytest.fixture
def registry() -> DevRegistry:
    registry = DevRegistry()
    for repository in ("team/app", "base", "secret"):
        push_image(registry, repository, "1", repository)
    return registry


def with_basic(registry: DevRegistry, users: Users = USERS) -> Front:
    return Front(registry, guarding=lambda handle: BasicGuard(handle, users))


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def with_tokens(registry: DevRegistry, users: Users = USERS, clock: Clock | None = None) -> Front:
    tokens = Tokens("regkit", clock=clock or Clock())
    return Front(registry, guarding=lambda handle: TokenGuard(handle, users, tokens))


def token_for(front: Front, *scopes: str, headers: Mapping[str, str] | None = None, **query: str) -> dict[str, Any]:
    parameters = [*query.items(), *(("scope", scope) for scope in scopes)]
    response = ask(front, "GET", f"/token?{urlencode(parameters)}", headers)
    assert response.status == 200
    found = response.json(1 << 16)
    assert isinstance(found, dict)
    return found


def bearer(front: Front, *scopes: str, headers: Mapping[str, str] | None = None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token_for(front, *scopes, headers=headers)['token']}"}


def challenge(response: Response) -> Mapping[str, str]:
    assert response.status == 401
    (found,) = parse_challenges(response.headers["www-authenticate"])
    return found.parameters


# What each may do is the same however it is proven.

ACTIONS = [
    ("GET", "/v2/{}/manifests/1", 200),
    ("HEAD", "/v2/{}/manifests/1", 200),
    ("GET", "/v2/{}/tags/list", 200),
    ("POST", "/v2/{}/blobs/uploads/", 202),
    ("DELETE", "/v2/{}/manifests/1", 202),
]
NEEDED = {"GET": "pull", "HEAD": "pull", "POST": "push", "DELETE": "delete"}


@pytest.mark.parametrize("users", [USERS, OPEN], ids=["closed", "open"])
@pytest.mark.parametrize("user", [None, "ci", "admin"])
@pytest.mark.parametrize("repository", ["team/app", "base", "secret"])
@pytest.mark.parametrize("guard", ["basic", "token"])
def test_who_may_do_what(registry: DevRegistry, guard: str, repository: str, user: str | None, users: Users) -> None:
    """What the grants say, no more and no less."""
    login = {None: {}, "ci": CI, "admin": ADMIN}[user]
    front = (with_basic if guard == "basic" else with_tokens)(registry, users)
    scope = f"repository:{repository}:pull,push,delete"
    headers = login if guard == "basic" else bearer(front, scope, headers=login)
    refused = 401 if guard == "token" or user is None else 403

    for method, path, status in ACTIONS:
        allowed = {"pull", NEEDED[method]} <= users.allowed(user, repository)
        answer = ask(front, method, path.format(repository), headers)
        assert answer.status == (status if allowed else refused), method


@pytest.mark.parametrize("make", [with_basic, with_tokens])
@pytest.mark.parametrize("path", ["/v2/", "/v2", "/nothing", "/v2/team/app/manifests/1/x", "/"])
def test_all_else_needs_a_login(registry: DevRegistry, make: Callable[..., Front], path: str) -> None:
    """Also where everybody may pull: clients learn so that they may log in, and a wrong password is one."""
    assert ask(make(registry, OPEN), "GET", path).status == 401


def test_a_wrong_password(registry: DevRegistry) -> None:
    """It is refused for what everybody may do, too."""
    front = with_basic(registry, OPEN)
    wrong = [WRONG, {"Authorization": "Basic !"}, {"Authorization": "Bearer x"}, {"Authorization": "Basic"}]

    assert [ask(front, "GET", "/v2/base/manifests/1", headers).status for headers in wrong] == [401] * 4
    assert ask(front, "GET", "/v2/base/manifests/1").status == 200
    assert ask(front, "GET", "/v2/base/manifests/1", basic("", "")).status == 200
    assert ask(front, "GET", "/v2/", CI).status == 200


def test_the_challenge_of_basic(registry: DevRegistry) -> None:
    """It names the scheme and a realm, and the body is the specification's."""
    response = ask(with_basic(registry), "GET", "/v2/")

    assert challenge(response) == {"realm": "regkit"}
    assert response.json(1 << 16)["errors"][0]["code"] == "UNAUTHORIZED"


def test_the_challenge_of_tokens(registry: DevRegistry) -> None:
    """It names the service on the very address that was asked, and all that the request needs."""
    front = with_tokens(registry)
    pull = challenge(ask(front, "GET", "/v2/team/app/manifests/1"))
    mount = challenge(ask(front, "POST", "/v2/team/app/blobs/uploads/?mount=sha256:0&from=base"))
    bad = challenge(ask(front, "GET", "/v2/", {"Authorization": "Bearer abc"}))
    little = challenge(ask(front, "POST", "/v2/base/blobs/uploads/", bearer(front, "repository:base:*", headers=CI)))

    assert pull == {"realm": f"{URL}/token", "service": "regkit", "scope": "repository:team/app:pull"}
    assert mount["scope"] == "repository:team/app:pull,push repository:base:pull"
    assert (bad["error"], "scope" in bad) == ("invalid_token", False)
    assert (little["error"], little["scope"]) == ("insufficient_scope", "repository:base:pull,push")


def test_what_is_no_repository_stands_in_no_challenge(registry: DevRegistry) -> None:
    """A name with quotes or line ends can't write into the header."""
    for name in ('a"b', "a%0d%0aX:y", "a%0dX", "UPPER"):
        answer = ask(with_tokens(registry), "GET", f"/v2/{name}/manifests/1")
        assert (answer.status, "www-authenticate" in answer.headers) in ((400, False), (401, True))
        assert name not in str(answer.headers)


def test_a_token_ends(registry: DevRegistry) -> None:
    """After its time the registry asks for another one."""
    clock = Clock()
    front = with_tokens(registry, clock=clock)
    headers = bearer(front, "repository:team/app:pull", headers=CI)
    assert ask(front, "GET", "/v2/team/app/manifests/1", headers).status == 200
    clock.now += LIFETIME

    assert challenge(ask(front, "GET", "/v2/team/app/manifests/1", headers))["error"] == "invalid_token"


def test_an_answer_of_the_token_service(registry: DevRegistry) -> None:
    """Both names of the token, its life, and an identity token for those who ask and have a login."""
    front = with_tokens(registry, OPEN)
    asked = token_for(front, "repository:base:pull", headers=CI, service="regkit", offline_token="true")
    anonymous = token_for(front, "repository:base:pull", offline_token="true")

    assert asked["token"] == asked["access_token"]
    assert asked["expires_in"] == LIFETIME
    assert set(asked) - set(anonymous) == {"refresh_token"}
    assert "refresh_token" not in token_for(front, headers=CI)


def test_an_identity_token_stands_for_a_login(registry: DevRegistry) -> None:
    """OAuth2's form: a password gets one, and it gets tokens with the same rights; it's no password."""
    front = with_tokens(registry)

    def post(**form: str) -> Response:
        return ask(front, "POST", "/token", {}, urlencode({"client_id": "x", **form}).encode())

    scope = "repository:team/app:pull repository:secret:pull"
    first = post(grant_type="password", username="ci", password="c", access_type="offline", scope=scope).json(1 << 16)
    second = post(grant_type="refresh_token", refresh_token=first["refresh_token"], scope=scope).json(1 << 16)

    for token in (first["access_token"], second["access_token"]):
        headers = {"Authorization": f"Bearer {token}"}
        assert ask(front, "GET", "/v2/team/app/manifests/1", headers).status == 200
        assert ask(front, "GET", "/v2/secret/manifests/1", headers).status == 401
    wrong = [
        {"grant_type": "password", "username": "ci", "password": "a"},
        {"grant_type": "refresh_token", "refresh_token": first["access_token"]},
        {"grant_type": "refresh_token"},
        {"grant_type": "password"},
        {},
    ]
    assert [post(**form).status for form in wrong] == [401] * 5
    assert ask(front, "GET", "/v2/", {"Authorization": f"Bearer {first['refresh_token']}"}).status == 401


def test_what_the_token_service_refuses(registry: DevRegistry) -> None:
    """Wrong passwords, other services, other methods, forms without end; scopes that aren't any give nothing."""
    front = with_tokens(registry)

    assert ask(front, "GET", "/token", WRONG).status == 401
    assert ask(front, "GET", "/token?service=other", CI).status == 400
    assert ask(front, "PUT", "/token", CI).status == 405
    assert ask(front, "POST", "/token", {}, b"a" * (1 << 17)).status == 413
    assert ask(front, "POST", "/token", {}, b"\xff").status == 400
    headers = bearer(front, "registry:catalog:*", "repository:a b:pull", "x", "repository:TEAM:pull", headers=ADMIN)
    assert ask(front, "GET", "/v2/", headers).status == 200
    assert ask(front, "GET", "/v2/team/app/manifests/1", headers).status == 401


@pytest.mark.parametrize("make", [with_basic, with_tokens])
def test_a_mount_takes_nothing_from_where_one_may_not_pull(registry: DevRegistry, make: Callable[..., Front]) -> None:
    """It opens an upload instead, named or not; from where one may pull it works."""
    secret = image("secret")[0][1]
    digest, known = push_blob(registry, "secret", secret), push_blob(registry, "base", b"base's own")
    front = make(registry)
    scopes = ("repository:team/app:pull,push", "repository:base:pull", "repository:secret:pull")
    headers = CI if make is with_basic else bearer(front, *scopes, headers=CI)

    def mount(query: str) -> int:
        return ask(front, "POST", f"/v2/team/app/blobs/uploads/?{query}", headers).status

    assert mount(f"mount={digest}&from=secret") == 202
    assert mount(f"mount={digest}") == 202
    assert mount(f"mount={digest}&from=") == 202
    assert ask(front, "HEAD", f"/v2/team/app/blobs/{digest}", headers).status == 404
    assert mount(f"mount={known}&from=base") == 201


def test_uploads_elsewhere_do_not_go_with_logins(registry: DevRegistry) -> None:
    """Two switches that can't work together are refused when they are set."""
    with pytest.raises(UsageError, match="doesn't go with logins"):
        with_basic(registry).switch_on("foreign-location")
