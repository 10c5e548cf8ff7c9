from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.errors import (
    AccessDenied,
    Interrupted,
    NotFound,
    ProtocolError,
    Refused,
    RegkitError,
    Unavailable,
    UnexpectedStatus,
)
from regkit.protocol.check import check
from regkit.protocol.flow import Bytes, Flow, Request, Response, Scope, drive, expect, printable, read_errors
from tests.protocol.support import ORIGIN, Script, errors, finish, reply


def echo() -> Flow[list[str]]:
    """Ask twice, and give what came of it."""
    said = []
    for url in ("/a", "/b"):
        try:
            response = yield Request("GET", url)
        except Unavailable as error:
            said.append(error.message)
        else:
            said.append(str(response.status))
    return said


def test_a_flow_gets_its_answers_in_order() -> None:
    """What `send` returns for a request is what the flow receives for it; its value comes back."""
    script = Script([reply(200), reply(404)])

    assert drive(echo(), script) == ["200", "404"]
    assert script.urls == ["/a", "/b"]


def test_a_failed_send_is_thrown_into_the_flow() -> None:
    """A flow decides itself what a broken connection means, and goes on."""

    def send(request: Request) -> Response:
        if request.url == "/a":
            raise Unavailable("gone")
        return reply(201)

    assert drive(echo(), send) == ["gone", "201"]


def test_what_a_flow_does_not_catch_reaches_the_caller() -> None:
    """Ctrl-C ends a flow, whatever else it catches."""

    def send(request: Request) -> Response:
        raise Interrupted(request.url)

    with pytest.raises(Interrupted, match="/a"):
        drive(echo(), send)


def test_a_source_can_be_read_again() -> None:
    """A retried PUT reads the same bytes from the beginning."""
    source = Bytes(b"content")

    with source.open() as one, source.open() as other:
        assert (one.read(), other.read(), source.size) == (b"content", b"content", 7)


@pytest.mark.parametrize(
    ("has", "wants", "covered"),
    [
        (Scope("a", "pull,push"), Scope("a", "pull"), True),
        (Scope("a", "pull"), Scope("a", "pull"), True),
        (Scope("a", "pull"), Scope("a", "pull,push"), False),
        (Scope("b", "pull,push"), Scope("a", "pull"), False),
        (Scope("a", "delete,pull,push"), Scope("a", "pull,push"), True),
    ],
)
def test_scopes(has: Scope, wants: Scope, covered: bool) -> None:
    """A token for more is good for less, in its repository only."""
    assert has.covers(wants) == covered


def test_a_body_is_read_up_to_its_limit() -> None:
    """A body of exactly the limit is read; one byte more is refused, and no more than that was ever held."""
    assert reply(200, b"x" * 100).read(100) == b"x" * 100
    endless = reply(200, b"x" * 1000)

    with pytest.raises(ProtocolError, match=f"{ORIGIN}/v2/ is larger than 100 bytes"):
        endless.read(100)

    assert endless.body.tell() == 101


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"<html>", b"[" * 100_000])
def test_a_body_that_is_no_json(body: bytes) -> None:
    """An answer that should be JSON and isn't is a ProtocolError that names its URL."""
    with pytest.raises(ProtocolError, match=f"{ORIGIN}/v2/ isn't valid JSON"):
        reply(200, body).json(1 << 20)


@pytest.mark.parametrize(
    ("status", "kind", "exit_code"),
    [
        (401, AccessDenied, 4),
        (403, AccessDenied, 4),
        (404, NotFound, 5),
        (410, NotFound, 5),
        (408, Unavailable, 75),
        (429, Unavailable, 75),
        (500, Unavailable, 75),
        (503, Unavailable, 75),
        (599, Unavailable, 75),
        (400, UnexpectedStatus, 1),
        (405, Refused, 9),
        (413, UnexpectedStatus, 1),
        (302, UnexpectedStatus, 1),
        (204, UnexpectedStatus, 1),
    ],
)
def test_what_a_status_means(status: int, kind: type[RegkitError], exit_code: int) -> None:
    """Every unexpected status becomes an error of its meaning, which decides the exit code."""
    with pytest.raises(RegkitError) as caught:
        expect(reply(status), 200, what="do it")

    assert type(caught.value) is kind
    assert caught.value.exit_code == exit_code
    assert str(caught.value).startswith(f"can't do it: registry.test answered {status}")


@pytest.mark.parametrize("status", [400, 403, 412])
def test_an_immutable_tag_is_refused(status: int) -> None:
    """However a registry puts it: what can't be replaced is no question of credentials, and no broken protocol."""
    with pytest.raises(Refused, match=r"can't write 1.2: registry.test answered .*Immutable"):
        expect(reply(status, errors(("X", "the repository is Immutable"))), 201, what="write 1.2")


def test_an_error_carries_the_registrys_own_words() -> None:
    """The sentence names the registry, the status, and each code and message that the registry gave."""
    said = errors(("MANIFEST_INVALID", "bad things"), ("DENIED", ""))

    with pytest.raises(UnexpectedStatus) as caught:
        expect(reply(400, said), 201, what="write 1.2 in a/b")

    assert str(caught.value) == (
        "can't write 1.2 in a/b: registry.test answered 400 Bad Request (MANIFEST_INVALID: bad things; DENIED)"
    )
    assert (caught.value.status, caught.value.codes) == (400, ("MANIFEST_INVALID", "DENIED"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502 Bad Gateway</html>",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'{"errors": null}',
        b'{"errors": 5}',
        b'{"errors": {"code": "X"}}',
        b'{"errors": ["X"]}',
        b'{"errors": []}',
        b"[" * 60_000,
    ],
)
def test_an_error_body_that_is_not_the_specifications(body: bytes) -> None:
    """A proxy's page, or nothing, is left out; the status still says what happened."""
    assert read_errors(reply(502, body)) == ((), "")
    with pytest.raises(Unavailable) as caught:
        expect(reply(502, body), 200, what="do it")
    assert str(caught.value) == "can't do it: registry.test answered 502 Bad Gateway"


def test_fields_of_an_error_that_are_missing() -> None:
    """A code or message that is absent or null isn't written."""
    body = {"errors": [{"code": None, "message": "no"}, {"code": "X"}]}

    assert read_errors(reply(400, body)) == (("", "X"), " (no; X)")


def test_a_registrys_words_are_safe_to_show() -> None:
    """A registry can't write control sequences or a flood to the terminal."""
    said = errors(("DENIED", "\x1b[2Jcleared\r\n\x9b31m\u202e"), ("X", "y" * 10_000))

    with pytest.raises(AccessDenied) as caught:
        expect(reply(403, said), 200, what="do it")

    assert str(caught.value).isprintable()
    assert "cleared" in str(caught.value)
    assert len(str(caught.value)) < 700


def test_a_huge_error_body_is_not_read() -> None:
    """Only the first 64 KiB of an error's body are read."""
    response = Response(500, {}, io.BytesIO(b'{"errors": [' + b" " * (1 << 20)), ORIGIN)

    assert read_errors(response) == ((), "")
    assert response.body.tell() == 64 * 1024


def test_the_body_of_an_error_is_closed() -> None:
    """A stream that isn't what was asked for gives its connection back at once."""
    answer = reply(206, b"part")

    with pytest.raises(UnexpectedStatus):
        expect(answer, 200, what="read")

    assert answer.body.closed


def test_a_status_that_nobody_knows() -> None:
    """A number outside the standard is shown as a number, and an answer without a URL is the registry's."""
    with pytest.raises(UnexpectedStatus, match=r"the registry answered 299$"):
        expect(Response(299), 200, what="do it")


@given(st.text())
def test_printable_keeps_what_can_be_shown(text: str) -> None:
    """Text is cut, never lengthened, and free of control characters; what is harmless stays as it is."""
    shown = printable(text, 20)

    assert shown.isprintable()
    assert len(shown) == min(len(text), 20)
    assert all(after in (before, " ") for before, after in zip(text, shown, strict=False))


def test_check() -> None:
    """A registry is there where `/v2/` answers 200; anything else says why not."""
    scope = Scope("a", "pull")
    script = Script([reply(200)])

    drive(check(scope), script)

    assert (script.urls, script.seen[0].scope) == (["/v2/"], scope)
    with pytest.raises(AccessDenied, match="can't speak to the registry"):
        finish(check(), reply(401))
    with pytest.raises(NotFound):
        finish(check(), reply(404, b"<html>not a registry</html>"))
