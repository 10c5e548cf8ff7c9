"""Digests: parsed before they are put into a URL or a path, checked while bytes pass."""

from __future__ import annotations

import hashlib
import re
from typing import BinaryIO, Self

from regkit.errors import ContentMismatch, UsageError

_PIECE = 1 << 20
_PATTERN = re.compile(r"(sha256):([0-9a-f]{64})|(sha512):([0-9a-f]{128})")


class Digest(str):
    """A registered digest, `sha256:` + 64 or `sha512:` + 128 lower-case hex (image-spec, descriptor.md#digests).

    Being a `str`, it goes wherever a digest is written; the only ways to get one check it, so nothing
    else reaches a URL or a path.
    """

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        """Raise UsageError unless `value` is a digest of a supported algorithm."""
        if not _PATTERN.fullmatch(value):
            raise UsageError(
                f"not a digest: {value[:140]!r}",
                hint="a digest is sha256: and 64 hex digits, or sha512: and 128",
            )
        return super().__new__(cls, value)

    @property
    def algorithm(self) -> str:
        """`sha256` or `sha512`."""
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        """The encoded part."""
        return self.partition(":")[2]

    @property
    def short(self) -> str:
        """Twelve hex digits, for people."""
        return self.hex[:12]

    @classmethod
    def of(cls, data: bytes, algorithm: str = "sha256") -> Self:
        """Compute the digest of `data`."""
        return cls(f"{algorithm}:{hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()}")

    @classmethod
    def read(cls, stream: BinaryIO) -> Self:
        """Compute the sha256 of all that a stream gives, a piece at a time."""
        digest = hashlib.sha256(usedforsecurity=False)
        while piece := stream.read(_PIECE):
            digest.update(piece)
        return cls(f"sha256:{digest.hexdigest()}")


class Verifier:
    """Checks size and digest of bytes that pass, the size first: no more than promised is ever hashed."""

    __slots__ = ("_digest", "_hash", "_seen", "_size", "_what")

    def __init__(self, digest: Digest, size: int, what: str = "") -> None:
        self._digest, self._size, self._what = digest, size, what or digest
        self._hash = hashlib.new(digest.algorithm, usedforsecurity=False)
        self._seen = 0

    def update(self, data: bytes) -> None:
        """Take the next bytes; raise ContentMismatch as soon as they are more than promised."""
        self._seen += len(data)
        if self._seen > self._size:
            raise ContentMismatch(f"{self._what} is larger than the {self._size} bytes that were promised")
        self._hash.update(data)

    def finish(self) -> None:
        """Raise ContentMismatch unless exactly the promised bytes have passed."""
        if self._seen != self._size:
            raise ContentMismatch(f"{self._what} ended after {self._seen} of {self._size} bytes")
        actual = f"{self._digest.algorithm}:{self._hash.hexdigest()}"
        if actual != self._digest:
            raise ContentMismatch(f"{self._what} has the digest {actual}, not {self._digest}")
