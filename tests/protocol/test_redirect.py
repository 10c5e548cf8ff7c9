from __future__ import annotations

import pytest

from regkit.errors import ProtocolError
from regkit.protocol.flow import Bytes, Request, drive
from regkit.protocol.redirect import MAX_HOPS, check_elsewhere, follow
from tests.protocol.support import ORIGIN, Script, reply

GET = Request("GET", f"{ORIGIN}/v2/a/blobs/x")
PUT = Request("PUT", f"{ORIGIN}/v2/a/manifests/1", {"Content-Type": "x"}, Bytes(b"body"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_read_is_followed(status: int) -> None:
    """A blob that lies elsewhere is read there, wherever the Location is relative to."""
    script = Script([reply(status, location="/elsewhere"), reply(200, url=f"{ORIGIN}/elsewhere")])

    assert drive(follow(GET), script).status == 200
    assert script.urls == [GET.url, f"{ORIGIN}/elsewhere"]


def test_a_redirect_is_relative_to_where_it_came_from() -> None:
    """The second hop counts from the first one's host."""
    hops = [
        reply(307, location="https://store.test/a/b"),
        reply(307, url="https://store.test/a/b", location="c"),
        reply(200),
    ]
    script = Script(hops)

    drive(follow(GET), script)

    assert script.urls[1:] == ["https://store.test/a/b", "https://store.test/a/c"]


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE"])
def test_a_write_is_sent_again_whole(method: str, status: int) -> None:
    """A write that goes elsewhere takes its method, headers and body along."""
    request = Request(method, PUT.url, PUT.headers, PUT.body)
    script = Script([reply(status, location="https://store.test/x"), reply(201)])

    assert drive(follow(request), script).status == 201

    again = script.seen[1]
    assert (again.method, again.url, again.headers) == (method, "https://store.test/x", PUT.headers)
    assert again.body.open().read() == b"body"


@pytest.mark.parametrize("status", [301, 302, 303])
@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE"])
def test_a_write_never_becomes_a_read(method: str, status: int) -> None:
    """Followed as browsers do it, the body would be lost and the answer would look fine: it's refused instead."""
    script = Script([reply(status, location="/elsewhere"), reply(200)])

    with pytest.raises(ProtocolError, match=f"registry.test answered {method} with {status}"):
        drive(follow(Request(method, PUT.url)), script)
    assert len(script.seen) == 1


@pytest.mark.parametrize(
    "location", ["http://registry.test/x", "http://store.test/x", "ftp://store.test/x", "file:///x"]
)
def test_encryption_is_never_lost(location: str) -> None:
    """From https, a redirect to anything else is refused before it is asked."""
    script = Script([reply(307, location=location), reply(200)])

    with pytest.raises(ProtocolError, match="redirects from https to"):
        drive(follow(GET), script)
    assert len(script.seen) == 1


@pytest.mark.parametrize("location", ["http://[::1/x", "//[x", "https://a\uff0fb/x"])
def test_a_redirect_to_what_is_no_address(location: str) -> None:
    """It is the registry's fault, said in a sentence, and nobody is asked."""
    script = Script([reply(307, location=location), reply(200)])

    with pytest.raises(ProtocolError, match=r"registry\.test leads to what is no address"):
        drive(follow(GET), script)
    assert len(script.seen) == 1


def test_plain_http_may_redirect_to_https() -> None:
    """The other direction is fine."""
    script = Script([reply(302, url="http://registry.test/x", location=f"{ORIGIN}/x"), reply(200)])

    assert drive(follow(GET), script).status == 200


def test_redirects_without_end() -> None:
    """A circle ends after a few hops, as an error."""
    script = Script(reply(302, location="/x") for _ in range(100))

    with pytest.raises(ProtocolError, match=r"registry\.test redirects without end"):
        drive(follow(GET), script)
    assert len(script.seen) == MAX_HOPS + 1


@pytest.mark.parametrize(
    "answer",
    [reply(200, location="/x"), reply(201, location="/x"), reply(302), reply(304, location="/x"), reply(404)],
)
def test_what_is_no_redirect(answer: object) -> None:
    """An answer that merely has a Location, or a 302 without one, is the answer."""
    script = Script([answer])  # type: ignore[list-item] # pytest's parameters are objects

    assert drive(follow(GET), script) is answer


@pytest.mark.parametrize(
    ("origin", "url"),
    [
        ("https://registry.test", "http://store.test/x"),
        ("https://registry.test", "https://127.0.0.1/x"),
        ("https://registry.test", "https://localhost:8443/x"),
        ("https://registry.test", "https://[::1]/x"),
        ("https://registry.test", "https://2130706433/x"),
        ("http://registry.test", "http://169.254.169.254/latest/meta-data"),
        ("https://10.0.0.1", "https://169.254.169.254/x"),
        ("https://registry.test", "https://[fd00:ec2::254]/latest/meta-data"),
        ("http://registry.test", "http://100.100.100.200/latest/meta-data"),
        ("http://registry.test", "http://metadata.google.internal/computeMetadata"),
        ("http://registry.test", "http://169\u3002254\u3002169\u3002254/x"),
        ("http://127.0.0.1:5000", "http://169.254.169.254/x"),
    ],
)
def test_where_no_registry_may_lead(origin: str, url: str) -> None:
    """Neither out of encryption, nor to this machine or to what only a machine itself may ask."""
    with pytest.raises(ProtocolError, match="leads to a"):
        check_elsewhere(origin, url)


@pytest.mark.parametrize(
    ("origin", "url"),
    [
        ("https://registry.test", "https://store.test/x"),
        ("http://registry.test", "https://store.test/x"),
        ("https://registry.test", "https://10.0.0.5:9000/x"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:9000/x"),
        ("http://localhost:5000", "http://[::1]:9000/x"),
    ],
)
def test_where_a_registry_may_lead(origin: str, url: str) -> None:
    """To its storage, also in its private network, or on the machine where it is itself."""
    check_elsewhere(origin, url)
