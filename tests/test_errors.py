"""What an error says, and leaves unsaid."""

from __future__ import annotations

import pytest

from regkit.errors import BuildFailed, RegkitError, harmless

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("'https://me:canary@a.test/x' is a URL", "'https://…@a.test/x' is a URL"),
        ("https://canary@a.test", "https://…@a.test"),
        ("https://me:can@ary@a.test", "https://…@a.test"),
        ("HTTPS://me:canary@a.test:5/x?y=canary", "HTTPS://…@a.test:5/x?…"),
        ("leads to 'https://a.test/b?X-Amz-Signature=canary', no", "leads to 'https://a.test/b?…', no"),
        ("http://a.test/?canary and http://b.test/?canary", "http://a.test/?… and http://b.test/?…"),
        ("tcp://me:canary@127.0.0.1:1: refused", "tcp://…@127.0.0.1:1: refused"),
        ("https://a.test/x?next=https://me:canary@b.test", "https://a.test/x?…"),
    ],
)
def test_addresses_are_told_without_what_may_be_secret(text: str, shown: str) -> None:
    """In the sentence, in the hint, and in all that Python makes of an error."""
    assert harmless(text) == shown
    error = BuildFailed(text, hint=text, log=("as it was",))
    assert (error.message, error.hint, str(error), error.args) == (shown, shown, shown, (shown,))
    assert "canary" not in f"{error!r} {error.__dict__}"


@pytest.mark.parametrize(
    "text",
    [
        "plain words",
        "ssh://me@board.test isn't there",
        f"ocidir://layout:1@{DIGEST}",
        f"ghcr.io/a/b:1@{DIGEST} has no linux/arm64",
        f"https://a.test/v2/b@{DIGEST}",
        "https://a.test/b, and https://c.test: both",
        "is it right? https://a.test",
        "ocidir://what?x",
        "://" * 10,
    ],
)
def test_all_else_stays(text: str) -> None:
    """Digests, users of ssh, paths."""
    assert harmless(text) == text
    assert RegkitError(text).hint is None


def test_a_long_text_is_no_burden() -> None:
    """It is read once."""
    assert harmless("a" * 1_000_000 + "x://" * 100_000).endswith("x://")
