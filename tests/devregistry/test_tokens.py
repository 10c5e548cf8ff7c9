"""Tokens: what others can read, and what is none."""

from __future__ import annotations

import jwt
import pytest

from regkit.devregistry.tokens import ISSUER, LIFETIME, Claims, Tokens

ACCESS = {"team/app": frozenset({"pull", "push"}), "other": frozenset[str]()}


class Clock:
    """A time that is set."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> Tokens:
    return Tokens("service", clock=clock)


def test_a_token_is_a_jwt_as_others_read_it(tokens: Tokens) -> None:
    """Another implementation verifies it with the public key, and finds distribution's claims."""
    token = tokens.access_token("me", ACCESS)
    key = jwt.PyJWK(tokens.jwks["keys"][0])

    claims = jwt.decode(
        token,
        key,
        ["ES256"],
        {"verify_exp": False, "verify_iat": False, "verify_nbf": False},
        audience="service",
        issuer=ISSUER,
    )

    assert jwt.get_unverified_header(token)["kid"] == key.key_id
    assert claims["sub"] == "me"
    assert claims["access"] == [{"type": "repository", "name": "team/app", "actions": ["pull", "push"]}]
    assert claims["exp"] - claims["iat"] == LIFETIME


def test_a_token_says_what_it_was_given(tokens: Tokens) -> None:
    """What may be done comes back; of what nothing may be done in, there is no word."""
    assert tokens.read(tokens.access_token("me", ACCESS)) == Claims("me", {"team/app": frozenset({"pull", "push"})})
    assert tokens.read(tokens.access_token(None, {})) == Claims(None, {})


def test_a_token_ends(tokens: Tokens, clock: Clock) -> None:
    """To the second: it holds for its lifetime, and not before it was given."""
    token = tokens.access_token("me", ACCESS)
    clock.now += LIFETIME - 1
    assert tokens.read(token) is not None
    clock.now += 1
    assert tokens.read(token) is None
    clock.now -= LIFETIME + 1
    assert tokens.read(token) is None


def test_an_identity_token_is_no_access_token(tokens: Tokens) -> None:
    """Neither is taken in the other's place."""
    identity = tokens.identity_token("me")

    assert tokens.read_identity(identity) == "me"
    assert tokens.read(identity) is None
    assert tokens.read_identity(tokens.access_token("me", ACCESS)) is None


def test_a_token_is_for_one_service(tokens: Tokens) -> None:
    """One that was signed for another service isn't taken, by the same key or not."""
    token = tokens.access_token("me", ACCESS)
    tokens.service = "other"

    assert tokens.read(token) is None


def test_what_others_signed_is_none(tokens: Tokens, clock: Clock) -> None:
    """Not another key's, another service's, an unsigned one, or one that was changed."""
    ours = tokens.access_token("me", ACCESS)
    header, payload, signature = ours.split(".")
    claims = jwt.decode(ours, options={"verify_signature": False})
    unsigned = jwt.encode(claims, None, "none")  # type: ignore[arg-type]  # no key is what is tried
    wrong = [
        Tokens("service", clock=clock).access_token("me", ACCESS),
        unsigned,
        jwt.encode(claims, tokens.jwks["keys"][0]["x"], "HS256"),
        f"{header}.{payload}.",
        f"{header}.{payload}.{signature[:-8]}",
        f"{header}.{payload}",
        f"{payload}.{payload}.{signature}",
        "",
        "a.b.c",
        "ä.ö.ü",
    ]

    assert [token for token in wrong if tokens.read(token) is not None] == []
