"""Tokens: JSON Web Tokens that the registry signs for itself (RFC 7519; distribution, token authentication)."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

LIFETIME = 300
"""How long a token is good, in seconds."""

REFRESH_LIFETIME = 30 * 24 * 3600
"""How long an identity token is good, in seconds, and never longer than the process."""

ISSUER = "regkit"
_ALGORITHM = "ES256"
_HALF = 32  # each of the two numbers of an ES256 signature, in bytes (RFC 7518, 3.4)


class Claims(NamedTuple):
    """What a token that holds says: who it is for, and what may be done in which repositories."""

    user: str | None
    access: Mapping[str, frozenset[str]]


class Tokens:
    """Issues and reads tokens, with a key (P-256) that is as old as the process and is never written down.

    `service` is whom they are for. Threads may share it.
    """

    def __init__(self, service: str, lifetime: float = LIFETIME, clock: Callable[[], float] = time.time) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec  # takes 50 ms: only token services wait for it

        self.service, self.lifetime, self._clock = service, lifetime, clock
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._key_id = secrets.token_hex(8)

    def access_token(self, user: str | None, access: Mapping[str, frozenset[str]]) -> str:
        """Sign what a user may do: actions by repository."""
        allowed = [(name, sorted(actions)) for name, actions in access.items() if actions]
        listed = [{"type": "repository", "name": name, "actions": actions} for name, actions in allowed]
        return self._sign({"sub": user or "", "access": listed}, self.lifetime)

    def identity_token(self, user: str) -> str:
        """Sign what a client keeps in a password's place (OAuth2's refresh token)."""
        return self._sign({"sub": user, "use": "refresh"}, REFRESH_LIFETIME)

    def read(self, token: str) -> Claims | None:
        """Read an access token; None where it isn't one of ours, or not any more."""
        claims = self._claims(token)
        if claims is None or "use" in claims:
            return None
        access = {entry["name"]: frozenset(entry["actions"]) for entry in claims["access"]}
        return Claims(claims["sub"] or None, access)

    def read_identity(self, token: str) -> str | None:
        """Read an identity token: its user, or None."""
        claims = self._claims(token)
        return None if claims is None or claims.get("use") != "refresh" else str(claims["sub"])

    @property
    def jwks(self) -> Mapping[str, Any]:
        """The public key as others read it, distribution for one (RFC 7517)."""
        numbers = self._key.public_key().public_numbers()
        x, y = (_encode(number.to_bytes(_HALF)) for number in (numbers.x, numbers.y))
        key = {"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": self._key_id, "alg": _ALGORITHM, "use": "sig"}
        return {"keys": [key]}

    def _sign(self, claims: Mapping[str, Any], lifetime: float) -> str:
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        now = self._clock()
        whole = {
            "iss": ISSUER,
            "aud": self.service,
            "iat": int(now),
            "nbf": int(now),
            "exp": int(now + lifetime),
            "jti": secrets.token_hex(8),
            **claims,
        }
        header = {"alg": _ALGORITHM, "typ": "JWT", "kid": self._key_id}
        signed = f"{_encode(json.dumps(header).encode())}.{_encode(json.dumps(whole).encode())}"
        numbers = decode_dss_signature(self._key.sign(signed.encode(), _ecdsa()))
        return f"{signed}.{_encode(b''.join(number.to_bytes(_HALF) for number in numbers))}"

    def _claims(self, token: str) -> Mapping[str, Any] | None:
        """Give the claims of a token that we signed and that holds now. Its header decides nothing but the key."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

        try:
            header, payload, signature = token.split(".")
            raw = _decode(signature)
            if len(raw) != 2 * _HALF:
                return None
            numbers = (int.from_bytes(raw[:_HALF]), int.from_bytes(raw[_HALF:]))
            self._key.public_key().verify(encode_dss_signature(*numbers), f"{header}.{payload}".encode(), _ecdsa())
            claims: Mapping[str, Any] = json.loads(_decode(payload))
        except (ValueError, binascii.Error, InvalidSignature):
            return None
        held = claims["aud"] == self.service and claims["nbf"] <= self._clock() < claims["exp"]
        return claims if held else None


def _ecdsa() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256

    return ec.ECDSA(SHA256())


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
