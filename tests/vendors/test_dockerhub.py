"""Docker Hub: which login, which path, which token."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from regkit.errors import AccessDenied, NotFound, ProtocolError
from regkit.protocol.auth import Login
from regkit.vendors.vendor import Description
from tests.support.vendors.dockerhub import Account, HubDouble, Repository
from tests.support.vendors.double import Answer, serving
from tests.vendors.support import CANARY, NOW, opened

NAME = "docker.io/acme/app"
NEW, OLD = "/v2/namespaces/acme/repositories/app", "/v2/repositories/acme/app/"


@pytest.fixture
def hub() -> Iterator[HubDouble]:
    accounts = [
        Account("me", CANARY),
        Account("careful", CANARY, second_factor=True),
        Account("acme", CANARY, "organisation"),
    ]
    with serving(HubDouble(accounts=accounts, repositories={"acme/app": Repository()})) as double:
        yield double


def write(hub: HubDouble, user: str = "me", secret: str = CANARY, text: str = "new") -> list[str]:
    """Write a page; give the log."""
    with opened(hub, NAME, Login(user, secret)) as (api, _):
        api.run(api.vendor.write_description(api.repository, Description(text)))
    return hub.sent()


@pytest.mark.parametrize("user", ["me", "acme"])
def test_the_token_endpoint_and_the_namespaced_path_come_first(hub: HubDouble, user: str) -> None:
    """A user's password and an organisation's token take the same two requests."""
    assert write(hub, user) == ["POST /v2/auth/token 200", f"PATCH {NEW} 200"]
    assert hub.repositories["acme/app"].full == "new"


def test_the_old_login_and_path_where_there_are_no_others(hub: HubDouble) -> None:
    """Each is tried after its newer one was missing."""
    hub.token_endpoint = hub.namespaced = False

    assert write(hub) == [
        "POST /v2/auth/token 404",
        "POST /v2/users/login 200",
        f"PATCH {NEW} 404",
        f"PATCH {OLD} 200",
    ]


def test_an_organisations_token_and_the_old_paths(hub: HubDouble) -> None:
    """Where only the older path is there, the token can't use it; the sentence speaks of what wasn't found first."""
    hub.namespaced = False
    with pytest.raises(NotFound, match="404"):
        write(hub, "acme")


def test_a_wrong_password_is_tried_once(hub: HubDouble) -> None:
    """A second login with the same would count as a second failure."""
    with pytest.raises(AccessDenied, match="can't log in to Docker Hub's API as 'me'") as caught:
        write(hub, secret="wrong")

    assert hub.sent() == ["POST /v2/auth/token 401"]
    assert "personal access token" in str(caught.value.hint)


@pytest.mark.parametrize("token_endpoint", [True, False])
def test_a_second_factor(hub: HubDouble, token_endpoint: bool) -> None:
    """The error says what to do; the half-token in the answer is in no output."""
    hub.token_endpoint = token_endpoint
    with pytest.raises(AccessDenied, match="second factor") as caught:
        write(hub, "careful")

    assert "personal access token" in str(caught.value.hint)
    assert hub.sent()[-1].endswith("401")


def test_a_token_that_expires_is_renewed_once(hub: HubDouble) -> None:
    """The request that found it expired is sent again, with a fresh one."""
    hub.uses = 2
    with opened(hub, NAME, Login("me", CANARY)) as (api, _):
        for number in range(5):
            api.run(api.vendor.write_description(api.repository, Description(str(number))))

    patch = f"PATCH {NEW}"
    login = "POST /v2/auth/token 200"
    ok, expired = f"{patch} 200", f"{patch} 401"
    assert hub.sent() == [login, ok, ok, expired, login, ok, ok, expired, login, ok]


def test_a_token_that_is_never_taken(hub: HubDouble) -> None:
    """There are two logins at most, then it's an AccessDenied."""
    hub.uses = 0
    with pytest.raises(AccessDenied, match="401"):
        write(hub)

    assert len(hub.calls) == 4


def test_a_login_that_has_to_wait(hub: HubDouble) -> None:
    """A limited login waits as long as it is told, then all goes on."""
    hub.scripted = [Answer(429, None, Retry_After=f"{NOW + 5:.0f}")]
    with opened(hub, NAME, Login("me", CANARY)) as (api, session):
        api.run(api.vendor.write_description(api.repository, Description("new")))

    assert session.waits[0] == pytest.approx(5)
    assert hub.statuses == [429, 200, 200]


@pytest.mark.parametrize("answer", [{}, {"access_token": 7}, {"access_token": "a b"}, {"access_token": "a\r\nX: y"}])
def test_a_login_without_a_token(hub: HubDouble, answer: object) -> None:
    hub.scripted = [Answer(200, answer)]
    with pytest.raises(ProtocolError, match="gave no token"):
        write(hub)


def test_an_identity_token_is_no_password(hub: HubDouble) -> None:
    """What its registry takes, its API doesn't: said before anything is sent."""
    login = Login("me", "", "config.json", identity_token=CANARY)
    with pytest.raises(AccessDenied, match=r"from config\.json has no password"), opened(hub, NAME, login):
        pass
    assert hub.calls == []


def test_the_next_page_stays_at_home(hub: HubDouble) -> None:
    """A `next` that leads elsewhere gets no request, and so no token."""
    with opened(hub, NAME, Login("me", CANARY)) as (api, _):
        api.run(api.vendor.read_description(api.repository))
        hub.scripted = [Answer(200, {"results": [], "next": "https://evil.test/v2/"})]
        with pytest.raises(ProtocolError, match="another origin"):
            api.run(api.vendor.list_tags(api.repository))


def test_pages_that_never_end(hub: HubDouble) -> None:
    with opened(hub, NAME, Login("me", CANARY)) as (api, _):
        api.run(api.vendor.read_description(api.repository))
        hub.scripted = [Answer(200, {"results": [], "next": f"{hub.url}/v2/again"}) for _ in range(2)]
        with pytest.raises(ProtocolError, match="never end"):
            api.run(api.vendor.list_tags(api.repository))


def test_official_images_are_in_library(hub: HubDouble) -> None:
    hub.repositories["library/app"] = Repository("page", "line")
    with opened(hub, "app", Login("me", CANARY)) as (api, _):
        assert api.run(api.vendor.read_description(api.repository)) == Description("page", "line")


def test_rules_that_are_switched_off(hub: HubDouble) -> None:
    """Hub keeps rules that aren't in force."""
    with opened(hub, NAME, None) as (api, _):
        hub.scripted = [Answer(200, {"immutable_tags_settings": {"enabled": False, "rules": [".*"]}})]
        assert api.run(api.vendor.immutable_tags(api.repository, ["1"])) == frozenset()
        hub.scripted = [Answer(200, {"immutable_tags_settings": {"enabled": True}})]
        assert api.run(api.vendor.immutable_tags(api.repository, ["1"])) == {"1"}
