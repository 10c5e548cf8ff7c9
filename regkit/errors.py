"""What can go wrong, by meaning; each class carries its exit code.

::

    RegkitError                1   failed
    ├── UsageError             2   bad input or configuration, a tool that is missing
    ├── AccessDenied           4   the registry refuses these credentials
    ├── NotFound               5   no such repository, tag, manifest or blob
    ├── BuildFailed            6   a RUN step, a base image
    ├── VerificationFailed     7   what is there isn't what it should be
    │   └── ContentMismatch    7   bytes that don't have their digest or size
    ├── PartlyDone             8   the release is up, a later step isn't
    ├── Refused                9   unsafe, immutable, or the registry can't
    ├── Unavailable           75   temporary or unreachable: try again
    ├── Interrupted          130   Ctrl-C, SIGTERM
    └── ProtocolError          1   the other side broke its specification
        └── UnexpectedStatus   1   an HTTP answer that its specification doesn't name
"""

from __future__ import annotations

import re

_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9+.-])(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)"
    r"(?P<login>[^\s/'\"]*@(?!sha(?:256|512):))?(?P<place>[^\s?'\"]*)(?P<query>\?[^\s'\"]*)?"
)


def harmless(text: str) -> str:
    """Leave out of the addresses in a text what may be secret: a login, and what follows a `?`, where signatures are.

    The name in `ssh://me@host` stays; in `https://NAME@host` it may be a token.
    """
    return _ADDRESS.sub(_harmless, text) if "://" in text else text


def _harmless(found: re.Match[str]) -> str:
    scheme, login, place, query = found.group("scheme", "login", "place", "query")
    web = scheme.lower() in ("http://", "https://")
    if login and (web or ":" in login):
        login = "…@"
    return f"{scheme}{login or ''}{place}{'?…' if web and query else query or ''}"


class RegkitError(Exception):
    """One sentence (what, where) and, where there is one, a hint with the next step; of addresses what is harmless.

    `done` is what a verb had done when it went wrong, in the form of the verb's result; None where nothing was.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = harmless(message)
        super().__init__(self.message)
        self.hint = hint and harmless(hint)
        self.done: object | None = None

    def add(self, more: str) -> None:
        """Say more after the sentence."""
        self.message = f"{self.message}; {harmless(more)}"
        self.args = (self.message,)


def leave(error: BaseException, done: object) -> None:
    """Leave with an error, or with Ctrl-C, what was done by then: as its `done`."""
    vars(error)["done"] = done


class UsageError(RegkitError):
    """The input or the configuration is wrong; nothing was done."""

    exit_code = 2


class AccessDenied(RegkitError):
    """The registry doesn't let these credentials in."""

    exit_code = 4


class NotFound(RegkitError):
    """A repository, tag, manifest or blob that isn't there."""

    exit_code = 5


class BuildFailed(RegkitError):
    """BuildKit could not build; `log` holds the failing step's own lines."""

    exit_code = 6

    def __init__(self, message: str, *, hint: str | None = None, log: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.log = log


class VerificationFailed(RegkitError):
    """What is there isn't what it should be."""

    exit_code = 7


class ContentMismatch(VerificationFailed):
    """Bytes that don't have the digest or the size that was promised."""


class PartlyDone(RegkitError):
    """The release is up, a later step isn't; the message says whether a rerun can finish it."""

    exit_code = 8


class Refused(RegkitError):
    """Unsafe, immutable, or something that the registry can't do; nothing was changed."""

    exit_code = 9


class Unavailable(RegkitError):
    """Temporary or unreachable: trying again later may work; `transient` ones are tried again by ourselves."""

    exit_code = 75

    def __init__(self, message: str, *, hint: str | None = None, transient: bool = True) -> None:
        super().__init__(message, hint=hint)
        self.transient = transient


class Interrupted(RegkitError):
    """Stopped from outside."""

    exit_code = 130


class ProtocolError(RegkitError):
    """The other side broke its specification."""


class UnexpectedStatus(ProtocolError):
    """An HTTP answer that its specification doesn't name for this request."""

    def __init__(self, message: str, *, status: int, codes: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.codes = codes
