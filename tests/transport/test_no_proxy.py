"""NO_PROXY: the forms that Go's clients know."""

from __future__ import annotations

import pytest

from regkit.transport.no_proxy import needs_no_proxy


@pytest.mark.parametrize(
    ("no_proxy", "host", "port"),
    [
        ("*", "registry.test", 443),
        ("*:443", "registry.test", 443),
        ("other.test, *", "10.1.2.3", 80),
        ("registry.test", "registry.test", 443),
        ("registry.test", "registry.test", 5000),
        (" Registry.TEST ,", "registry.test", 443),
        ("registry.test", "REGISTRY.test", 443),
        ("registry.test:443", "registry.test", 443),
        ("other.test,registry.test:5000", "registry.test", 5000),
        ("test", "registry.test", 443),
        ("test:443", "registry.test", 443),
        ("registry.test", "eu.west.registry.test", 443),
        (".test", "registry.test", 443),
        (".test:443", "a.registry.test", 443),
        ("*.test", "registry.test", 443),
        ("*.registry.test:5000", "eu.registry.test", 5000),
        ("10.1.2.3", "10.1.2.3", 443),
        ("10.1.2.3:443", "10.1.2.3", 443),
        ("10.0.0.0/8", "10.1.2.3", 5000),
        ("10.9.9.9/8", "10.1.2.3", 443),
        ("192.168.0.0/16,10.0.0.0/8", "10.1.2.3", 443),
        ("10.0.0.0/8:5000", "10.1.2.3", 5000),
        ("10.0.0.0/8", "::ffff:10.1.2.3", 443),
        ("2001:db8::1", "2001:db8::1", 443),
        ("2001:DB8:0::1", "2001:db8::1", 443),
        ("[2001:db8::1]", "2001:db8::1", 443),
        ("[2001:db8::1]:5000", "2001:db8::1", 5000),
        ("2001:db8::/32", "2001:db8::1", 443),
        ("[2001:db8::/32]:443", "2001:db8::1", 443),
        ("", "localhost", 5000),
        ("", "127.8.9.1", 5000),
        ("", "::1", 5000),
        ("", "0:0:0:0:0:0:0:1", 5000),
        ("", "::ffff:127.0.0.1", 5000),
    ],
)
def test_what_needs_none(no_proxy: str, host: str, port: int) -> None:
    """Names, domains, addresses and networks are excepted, each for one port where it has one; this machine always."""
    assert needs_no_proxy(no_proxy, host, port)


@pytest.mark.parametrize(
    ("no_proxy", "host", "port"),
    [
        ("", "registry.test", 443),
        (",, ,", "registry.test", 443),
        (",", "registry.test.", 443),
        ("*:443", "registry.test", 80),
        ("registry.test:443", "registry.test", 5000),
        ("registry.test:https", "registry.test", 443),
        (":443", "registry.test", 443),
        ("stry.test", "registry.test", 443),
        ("eu.registry.test", "registry.test", 443),
        ("registry.test", "registry.test.other", 443),
        (".registry.test", "registry.test", 443),
        ("*.registry.test", "registry.test", 443),
        ("*registry.test", "my-registry.test", 443),
        ("*registry.test", "eu.registry.test", 443),
        ("*.test:443", "registry.test", 80),
        ("10.1.2.3", "10.1.2.4", 443),
        ("10.1.2.3:443", "10.1.2.3", 80),
        ("2.3", "10.1.2.3", 443),
        ("10.0.0.0/8", "11.1.2.3", 443),
        ("10.0.0.0/8:443", "10.1.2.3", 80),
        ("10.0.0.0/99", "10.1.2.3", 443),
        ("10.0.0.0/8", "registry.test", 443),
        ("2001:db8::/32", "2001:db9::1", 443),
        ("[2001:db8::1]:443", "2001:db8::1", 80),
        ("[2001:db8::1", "2001:db8::2", 443),
        ("::/0", "10.1.2.3", 443),
        ("", "localhost.test", 443),
    ],
)
def test_what_needs_one(no_proxy: str, host: str, port: int) -> None:
    """What only resembles an exception is none, and what is no exception at all is passed over."""
    assert not needs_no_proxy(no_proxy, host, port)
