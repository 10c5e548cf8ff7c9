"""Addresses as they go over the wire."""

from __future__ import annotations

import pytest

from regkit.transport.wire import CantSendError, Message, Origin, origin_of


def message(url: str) -> Message:
    return Message("GET", url, {}, iter(()), 1, 1)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://a", "/"),
        ("http://a?n=1", "/?n=1"),
        ("http://a/v2/?last=b#c", "/v2/?last=b"),
        ("http://a/x%2Fy?sig=a%2Bb%3D&z=1+2", "/x%2Fy?sig=a%2Bb%3D&z=1+2"),
        ('http://a/a b/\u00e9?q="<\u00e9>"', "/a%20b/%C3%A9?q=%22%3C%C3%A9%3E%22"),
        ("http://a/v2/x/blobs/uploads/1?_state=a-b_c.d~e==", "/v2/x/blobs/uploads/1?_state=a-b_c.d~e=="),
    ],
)
def test_what_is_asked_for_stays_as_it_was_given(url: str, target: str) -> None:
    """Nothing that a registry signed is written in another way; only what can't stand in a request is escaped."""
    assert message(url).target == target


@pytest.mark.parametrize(
    ("url", "origin", "host"),
    [
        ("http://a/", Origin("http", "a", 80), "a"),
        ("http://A.example:5000/", Origin("http", "a.example", 5000), "a.example:5000"),
        ("https://a:443/", Origin("https", "a", 443), "a"),
        ("https://a:80/", Origin("https", "a", 80), "a:80"),
        ("https://[::1]:5000/", Origin("https", "::1", 5000), "[::1]:5000"),
        ("https://a./", Origin("https", "a.", 443), "a."),
    ],
)
def test_who_is_asked(url: str, origin: Origin, host: str) -> None:
    """The port is the scheme's where none is given, and `Host` names only another one."""
    assert origin_of(url) == origin
    assert message(url).host == host


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a/",
        "/v2/",
        "http://",
        "http://a:99999/",
        "http://a:0/",
        "http://a:b/",
        "http://\uff11\uff12/",
        "http://a b/",
        "http://a:1\\@b/",
        "http://user:secret@a/",
        "http://user@a/",
        "http://[::1/",
        "http:///a",
        "http://a/\r\nX: y",
        "http://a/\x00",
    ],
)
def test_what_is_no_address(url: str) -> None:
    """What can be read in several ways isn't asked."""
    with pytest.raises(CantSendError):
        message(url).origin  # noqa: B018 - reading it is what fails
