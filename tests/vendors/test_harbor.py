"""Harbor: which logins can be used, and how it is recognised."""

from __future__ import annotations

import pytest

from regkit.errors import AccessDenied
from regkit.oci.reference import Reference
from regkit.protocol.auth import Login
from regkit.transport.credentials import Credentials
from regkit.vendors.api import connect
from tests.support.vendors.double import serving
from tests.support.vendors.harbor import HarborDouble, Repository
from tests.transport.support import Patient
from tests.vendors.support import CANARY, opened


def test_a_login_without_a_password() -> None:
    login = Login("me", "", "x", identity_token=CANARY)
    with (
        serving(HarborDouble()) as double,
        pytest.raises(AccessDenied, match="has no password"),
        opened(double, "harbor.test/team/app", login, vendor="harbor"),
    ):
        pass


def test_it_is_recognised_by_what_it_asks_for() -> None:
    """Without any configuration: its API is where the registry is, and takes the registry's login."""
    users = {"robot$ci": (CANARY, {"read"})}
    with serving(HarborDouble(users=users, repositories={"team/app": Repository("page")})) as double:
        credentials = Credentials({double.host: Login("robot$ci", CANARY)})
        with Patient(credentials=credentials) as session:
            api = connect(session, Reference.parse_name(f"{double.host}/team/app"))
            assert api.run(api.vendor.read_description(api.repository)).full == "page"

    assert "authorization" not in double.calls[0].headers
