"""Quay: only an application's OAuth token is taken."""

from __future__ import annotations

import io

import pytest

from regkit.errors import AccessDenied, ProtocolError
from regkit.protocol.auth import Login
from regkit.protocol.flow import Request, Response, drive
from regkit.vendors.quay import Quay
from tests.support.vendors.double import serving
from tests.support.vendors.quay import QuayDouble
from tests.vendors.support import CANARY, opened


@pytest.mark.parametrize("login", [Login("me+robot", CANARY, "here"), Login("$oauthtoken", "", "here")])
def test_other_logins_are_not_sent(login: Login) -> None:
    """A robot's password is none of the API's business; the error says how to get what it takes."""
    with (
        serving(QuayDouble()) as double,
        pytest.raises(AccessDenied, match="wants an OAuth token") as caught,
        opened(double, "quay.io/me/app", login),
    ):
        pass

    assert double.calls == []
    assert "$oauthtoken" in str(caught.value.hint)
    assert CANARY not in f"{caught.value} {caught.value.hint}"


def test_pages_that_never_end() -> None:
    """What is read is bounded, and isn't taken for all that there is."""

    def send(request: Request) -> Response:
        return Response(
            200, body=io.BytesIO(b'{"tags": [], "has_additional": true}'), url=f"https://quay.io{request.url}"
        )

    with pytest.raises(ProtocolError, match="the pages of me/app never end"):
        drive(Quay().list_tags("me/app"), send)
