"""Which login goes to which API."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from regkit.config.spec import Config as File
from regkit.config.spec import RegistryConfig
from regkit.errors import UsageError
from regkit.events import Note
from regkit.oci.reference import Reference
from regkit.protocol.auth import Login
from regkit.transport.credentials import Credentials
from regkit.transport.credentials_config import Config
from regkit.vendors.api import connect, default_base, login_for
from regkit.vendors.capability import GITLAB, HARBOR
from tests.support.vendors.dockerhub import HubDouble
from tests.support.vendors.double import serving
from tests.transport.support import Patient, http
from tests.transport.support import serving as raw
from tests.vendors.support import CANARY

HUB = Reference.parse_name("docker.io/acme/app")
QUAY = Reference.parse_name("quay.io/me/app")


def session_with(logins: Mapping[str, str]) -> Patient:
    """Make a session whose configuration has these users, by key."""
    found = {key: Login(user, CANARY, "config.json") for key, user in logins.items()}
    return Patient(credentials=Credentials(configs=[Config("config.json", found)]))


@pytest.mark.parametrize(
    ("reference", "base", "logins", "user"),
    [
        (HUB, "https://hub.docker.com", {"docker.io": "registry"}, "registry"),
        (HUB, "https://hub.docker.com", {"docker.io": "registry", "hub.docker.com": "api"}, "api"),
        (HUB, "https://hub.docker.com", {"docker.io": "registry", "ghcr.io": "other"}, "registry"),
        (HUB, "https://hub.docker.com", {"ghcr.io": "other"}, None),
        (QUAY, "https://quay.io", {"quay.io": "registry"}, "registry"),
        (QUAY, "https://quay.io", {"quay.io": "registry", "quay.io/api/v1": "api"}, "api"),
        (QUAY, "https://quay.io", {"quay.io": "registry", "quay.io/me": "mine"}, "mine"),
        (QUAY, "https://quay.io", {"quay.io/me": "mine", "quay.io/api/v1": "api"}, "api"),
        (QUAY, "https://quay.io", {}, None),
    ],
)
def test_which_login(reference: Reference, base: str, logins: dict[str, str], user: str | None) -> None:
    """The API's own, else the repository's, else the registry's; never another host's."""
    with session_with(logins) as session:
        found = login_for(session, reference, base)
    assert (found.username if found else None) == user


def test_an_api_of_ones_own_is_announced() -> None:
    """Whoever configured it is told where the login goes."""
    with serving(HubDouble()) as double, session_with({"docker.io": "me"}) as session:
        connect(session, HUB, api=double.url)
        assert [event.text for event in session.events if isinstance(event, Note)] == [
            f"the login for docker.io goes to Docker Hub's API at {double.url}, as configured"
        ]


@pytest.mark.parametrize("reference", [HUB, QUAY], ids=str)
def test_a_file_that_nobody_named_sends_no_login_to_another_host(reference: Reference) -> None:
    """Nothing is sent at all, unless that host has a login of its own, or nobody has one."""
    logins = {reference.registry: "me"}
    with serving(HubDouble()) as double:
        section = RegistryConfig(reference.registry, vendor="dockerhub", api=double.url)
        found = File(Path("regkit.toml"), registries={reference.registry: section})
        open_it = partial(connect, reference=reference, vendor="dockerhub", api=double.url)
        with session_with(logins) as session:
            session.found = found
            with pytest.raises(UsageError, match=rf"regkit\.toml would send the login for \S+ to {double.host}") as c:
                open_it(session)
        assert c.value.hint == "if that is right, name the file: --config regkit.toml, or REGKIT_CONFIG"
        assert double.sent() == []
        with session_with({**logins, double.host: "api"}) as session:
            session.found = found
            assert open_it(session).login == Login("api", CANARY, "config.json")
        with session_with({}) as session:
            session.found = found
            assert open_it(session).login is None


def test_a_file_that_nobody_named_may_say_the_vendors_own_api() -> None:
    section = RegistryConfig("docker.io", api="https://hub.docker.com")
    with session_with({"docker.io": "me"}) as session:
        session.found = File(Path("regkit.toml"), registries={"docker.io": section})
        assert connect(session, HUB, api="https://hub.docker.com").login == Login("me", CANARY, "config.json")


def test_the_vendors_own_api_is_not_announced() -> None:
    with session_with({"docker.io": "me"}) as session:
        api = connect(session, HUB)
        assert api.base == "https://hub.docker.com"
        assert session.events == []
        assert CANARY not in repr(vars(api))


@pytest.mark.parametrize(
    ("host", "base"), [("harbor.test", "https://harbor.test"), ("127.0.0.1:5000", "http://127.0.0.1:5000")]
)
def test_where_an_api_is_beside_its_registry(host: str, base: str) -> None:
    with Patient() as session:
        assert default_base(session, host, HARBOR) == base


def test_another_host_is_not_taken_for_the_vendors() -> None:
    """`vendor = "gitlab"` for one's own host doesn't send its login to gitlab.com."""
    with Patient() as session:
        assert default_base(session, "registry.gitlab.com", GITLAB) == "https://gitlab.com"
        with pytest.raises(UsageError, match=r"for reg\.test isn't known"):
            default_base(session, "reg.test", GITLAB)


def test_a_registry_that_nobody_knows() -> None:
    with (
        raw([http(200, b"{}")]) as registry,
        Patient() as session,
        pytest.raises(UsageError, match="isn't known whose") as c,
    ):
        connect(session, Reference.parse_name(f"{registry.host}/me/app"))
    assert "dockerhub, ghcr, gitlab, harbor or quay" in str(c.value.hint)
