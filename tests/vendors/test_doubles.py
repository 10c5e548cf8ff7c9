"""The doubles refuse what the vendors refuse: each refusal, by raw HTTP."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from tests.support.vendors import dockerhub, ghcr, gitlab, harbor, quay
from tests.support.vendors.double import Answer, serving
from tests.vendors.support import CANARY, Said, ask

AT = "2026-01-02T03:04:05Z"
NAMESPACED = "/v2/namespaces/acme/repositories/app"
LEGACY = "/v2/repositories/acme/app/"


@pytest.fixture
def hub() -> Iterator[dockerhub.HubDouble]:
    """Docker Hub with a repository, a user, tokens of each kind."""
    accounts = [
        dockerhub.Account("me", "word"),
        dockerhub.Account("careful", "word", second_factor=True),
        dockerhub.Account("me", "pusher", "personal", "write"),
        dockerhub.Account("me", "all", "personal"),
        dockerhub.Account("acme", CANARY, "organisation"),
    ]
    tags = {"1.0": ("sha256:1", AT), "dev": ("sha256:2", AT)}
    repository = dockerhub.Repository(tags=tags, immutable=[r"^\d"])
    with serving(dockerhub.HubDouble(accounts=accounts, repositories={"acme/app": repository})) as double:
        yield double


def bearer(hub: dockerhub.HubDouble, user: str, secret: str) -> dict[str, str]:
    """Log in raw; give the header."""
    token = ask(hub, "POST", "/v2/auth/token", {"identifier": user, "secret": secret}).document["access_token"]
    return {"Authorization": f"Bearer {token}"}


def test_hub_refuses_an_organisations_token_at_the_old_login(hub: dockerhub.HubDouble) -> None:
    """The same secret is taken by the token endpoint."""
    assert ask(hub, "POST", "/v2/users/login", {"username": "acme", "password": CANARY}).status == 401
    assert ask(hub, "POST", "/v2/auth/token", {"identifier": "acme", "secret": CANARY}).status == 200


def test_hub_refuses_an_organisations_token_on_the_older_path(hub: dockerhub.HubDouble) -> None:
    """The namespaced path takes it."""
    headers = bearer(hub, "acme", CANARY)
    assert ask(hub, "PATCH", LEGACY, {"full_description": "x"}, headers).status == 403
    assert ask(hub, "PATCH", NAMESPACED, {"full_description": "x"}, headers).status == 200


def test_hub_refuses_a_wrong_password(hub: dockerhub.HubDouble) -> None:
    assert ask(hub, "POST", "/v2/auth/token", {"identifier": "me", "secret": "no"}).status == 401


def test_hub_wants_a_second_factor(hub: dockerhub.HubDouble) -> None:
    """What it answers holds a token that is secret, too."""
    said = ask(hub, "POST", "/v2/users/login", {"username": "careful", "password": "word"})
    assert said.status == 401
    assert said.document["login_2fa_token"]


@pytest.mark.parametrize(("method", "path"), [("PATCH", NAMESPACED), ("DELETE", f"{NAMESPACED}/tags/dev")])
def test_hub_refuses_a_token_that_may_only_push(hub: dockerhub.HubDouble, method: str, path: str) -> None:
    """Read & Write is not enough; Read, Write, Delete is."""
    assert ask(hub, method, path, {"description": "x"}, bearer(hub, "me", "pusher")).status == 403
    assert ask(hub, method, path, {"description": "x"}, bearer(hub, "me", "all")).status in (200, 204)


@pytest.mark.parametrize(
    ("field", "limit"), [("full_description", dockerhub.FULL_LIMIT), ("description", dockerhub.SHORT_LIMIT)]
)
def test_hub_refuses_a_text_that_is_too_long(hub: dockerhub.HubDouble, field: str, limit: int) -> None:
    """Bytes count: a text of fewer characters is too long as well."""
    headers = bearer(hub, "me", "word")
    assert ask(hub, "PATCH", NAMESPACED, {field: "x" * (limit + 1)}, headers).status == 400
    assert ask(hub, "PATCH", NAMESPACED, {field: "é" * (limit // 2) + "é"}, headers).status == 400
    assert ask(hub, "PATCH", NAMESPACED, {field: "é" * (limit // 2)}, headers).status == 200


def test_hub_refuses_a_page_that_is_too_large(hub: dockerhub.HubDouble) -> None:
    assert ask(hub, "GET", f"{NAMESPACED}/tags?page_size=101").status == 400
    assert ask(hub, "GET", f"{NAMESPACED}/tags?page_size=100").status == 200


def test_hub_keeps_an_immutable_tag(hub: dockerhub.HubDouble) -> None:
    headers = bearer(hub, "me", "all")
    assert ask(hub, "DELETE", f"{NAMESPACED}/tags/1.0", headers=headers).status == 403
    assert ask(hub, "DELETE", f"{NAMESPACED}/tags/dev", headers=headers).status == 204
    assert list(hub.repositories["acme/app"].tags) == ["1.0"]


def test_hub_refuses_a_token_that_has_expired(hub: dockerhub.HubDouble) -> None:
    headers = bearer(hub, "me", "word")
    hub.uses = 1
    assert [ask(hub, "GET", NAMESPACED, headers=headers).status for _ in range(2)] == [200, 401]


def test_hub_refuses_writes_of_nobody(hub: dockerhub.HubDouble) -> None:
    assert ask(hub, "PATCH", NAMESPACED, {"description": "x"}).status == 401


def test_hub_without_the_newer_paths(hub: dockerhub.HubDouble) -> None:
    hub.namespaced = hub.token_endpoint = False
    assert ask(hub, "GET", NAMESPACED).status == 404
    assert ask(hub, "POST", "/v2/auth/token", {"identifier": "me", "secret": "word"}).status == 404
    assert ask(hub, "GET", LEGACY).status == 200


def test_a_double_lags(hub: dockerhub.HubDouble) -> None:
    """What was written is read later; other requests in between don't matter."""
    headers = bearer(hub, "me", "word")
    hub.lag = 1
    ask(hub, "PATCH", NAMESPACED, {"full_description": "new"}, headers)
    assert [ask(hub, "GET", NAMESPACED).document["full_description"] for _ in range(2)] == ["", "new"]


def test_a_double_limits_rates(hub: dockerhub.HubDouble) -> None:
    """A scripted answer comes once, in the place of its own."""
    hub.scripted = [Answer(429, {"message": "slow"}, X_Retry_After="1790000010")]
    first = ask(hub, "GET", NAMESPACED)
    assert (first.status, first.headers["x-retry-after"]) == (429, "1790000010")
    assert ask(hub, "GET", NAMESPACED).status == 200


@pytest.fixture
def quays() -> Iterator[quay.QuayDouble]:
    """Quay with tokens of both scopes, and a tag that is immutable."""
    tokens = {"r": {"repo:read"}, "w": {"repo:read", "repo:write"}}
    repository = quay.Repository(tags={"1.0": ("sha256:1", 1), "dev": ("sha256:2", 2)}, immutable={"1.0"})
    with serving(quay.QuayDouble(tokens=tokens, repositories={"me/app": repository})) as double:
        yield double


def of_quay(double: quay.QuayDouble, token: str, method: str, path: str, document: object = None) -> Said:
    """Speak to Quay with a token."""
    return ask(double, method, f"/api/v1/repository/{path}", document, {"Authorization": f"Bearer {token}"})


def test_quay_refuses(quays: quay.QuayDouble) -> None:
    """Unknown tokens, basic logins, a scope that is missing, a page too large, an immutable tag."""
    basic = base64.b64encode(b"me+robot:word").decode()
    path = "/api/v1/repository/me/app"
    assert ask(quays, "GET", path, headers={"Authorization": f"Basic {basic}"}).status == 401
    assert of_quay(quays, "other", "GET", "me/app").status == 401
    assert of_quay(quays, "r", "PUT", "me/app", {"description": "x"}).status == 403
    assert of_quay(quays, "r", "DELETE", "me/app/tag/dev").status == 403
    assert of_quay(quays, "w", "GET", "me/app/tag/?limit=101").status == 400
    assert of_quay(quays, "w", "DELETE", "me/app/tag/1.0").status == 409
    assert of_quay(quays, "w", "DELETE", "me/app/tag/dev").status == 204
    assert of_quay(quays, "w", "PUT", "me/app", {"description": "x"}).status == 200


def test_harbor_refuses() -> None:
    """Wrong passwords, permissions that are missing, names encoded once, a page too large, an immutable tag."""
    repository = harbor.Repository(tags={"1.0": ("sha256:1", AT), "dev": ("sha256:2", AT)}, immutable={"1.0"})
    users = {"robot$all": ("word", {"read", "delete", "update"}), "robot$look": ("word", {"read"})}
    with serving(harbor.HarborDouble(users=users, repositories={"team/a/b": repository})) as double:

        def status(user: str, method: str, rest: str, document: object = None, name: str = "a%252Fb") -> int:
            value = base64.b64encode(f"{user}".encode()).decode()
            path = f"/api/v2.0/projects/team/repositories/{name}{rest}"
            return ask(double, method, path, document, {"Authorization": f"Basic {value}"}).status

        assert status("robot$all:no", "GET", "") == 401
        assert status("robot$look:word", "DELETE", "/artifacts/dev/tags/dev") == 403
        assert status("robot$look:word", "PUT", "", {"description": "x"}) == 403
        assert status("robot$all:word", "GET", "", name="a/b") == 404
        assert status("robot$all:word", "GET", "", name="a%2Fb") == 404
        assert status("robot$all:word", "GET", "/artifacts?page_size=101") == 422
        assert status("robot$all:word", "DELETE", "/artifacts/1.0/tags/1.0") == 412
        assert status("robot$all:word", "DELETE", "/artifacts/dev/tags/dev") == 200
        assert status("robot$all:word", "PUT", "", {"description": "x"}) == 200


def test_gitlab_refuses() -> None:
    """No token, a scope that is missing, another project, a page too large, an immutable tag."""
    repository = gitlab.Repository(7, "group/app", {"1.0": ("sha256:1", AT), "dev": ("sha256:2", AT)})
    rule = {"tag_name_pattern": r"^\d", "immutable": True}
    tokens = {"all": {"api"}, "look": {"read_api"}, "code": {"read_repository"}}
    double = gitlab.GitLabDouble(tokens=tokens, projects={"group/app": [repository]}, rules={"group/app": [rule]})
    with serving(double):

        def status(token: str, method: str, rest: str, project: str = "group%2Fapp") -> int:
            path = f"/api/v4/projects/{project}/registry/repositories{rest}"
            return ask(double, method, path, headers={"PRIVATE-TOKEN": token}).status

        assert status("no", "GET", "") == 401
        assert status("code", "GET", "") == 403
        assert status("look", "DELETE", "/7/tags/dev") == 403
        assert status("all", "GET", "", project="group") == 404
        assert status("all", "GET", "/7/tags?per_page=101") == 400
        assert status("all", "DELETE", "/7/tags/1.0") == 403
        assert status("all", "DELETE", "/7/tags/dev") == 200


def test_github_refuses() -> None:
    """Scopes that are missing, the wrong kind of owner, the last tagged version, one with many downloads."""
    versions = [ghcr.Version(1, "sha256:1", ["1.0"], downloads=5001), ghcr.Version(2, "sha256:2", ["dev"])]
    tokens = {"all": {"read:packages", "delete:packages"}, "look": {"read:packages"}, "none": {"repo"}}
    double = ghcr.GitHubDouble(tokens=tokens, owners={"acme": "orgs"}, packages={"acme/app": versions})
    with serving(double):

        def status(token: str, method: str, rest: str = "", kind: str = "orgs") -> int:
            path = f"/{kind}/acme/packages/container/app/versions{rest}"
            return ask(double, method, path, headers={"Authorization": f"Bearer {token}"}).status

        assert status("no", "GET") == 401
        assert status("none", "GET") == 403
        assert status("all", "GET", kind="users") == 404
        assert status("all", "GET", "?per_page=101") == 422
        assert status("look", "DELETE", "/2") == 403
        assert status("all", "DELETE", "/1") == 400
        assert status("all", "DELETE", "/2") == 204
        versions[0].downloads = 0
        assert status("all", "DELETE", "/1") == 400
