"""Who may do what: users from an htpasswd file, and what each is granted."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Self

from regkit.errors import UsageError

ACTIONS = frozenset({"pull", "push", "delete"})
"""All that can be granted in a repository (distribution, token scope)."""

_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_MAX_COST = 14  # a second and more for each login: nobody means that
_FILE_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Grant:
    """What a user may do: `actions` in the repositories whose names match `pattern`, as a shell matches files."""

    user: str
    pattern: str
    actions: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `USER=PATTERN:ACTION,…`; raise UsageError for anything else."""
        user, equals, rest = text.partition("=")
        pattern, colon, listed = rest.rpartition(":")
        actions = frozenset(listed.split(","))
        if not (user and equals and pattern and colon) or not actions <= ACTIONS:
            raise UsageError(f"not a grant: {text!r}", hint="write USER=PATTERN:ACTION,… as me=team/*:pull,push")
        return cls(user, pattern, actions)


@dataclass(frozen=True)
class Users:
    """Who is let in. A user without a grant may do all, one with grants only that; others pull, if `anonymous_pull`.

    `hashes` maps names to bcrypt hashes and is in no repr. Threads may share it.
    """

    hashes: Mapping[str, str] = field(repr=False)
    grants: tuple[Grant, ...] = ()
    anonymous_pull: bool = False
    _proven: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False, compare=False)

    def __post_init__(self) -> None:
        unknown = {grant.user for grant in self.grants} - set(self.hashes)
        if unknown:
            raise UsageError(f"a grant names a user whom the file doesn't have: {', '.join(sorted(unknown))}")

    @classmethod
    def load(cls, path: Path, grants: Iterable[Grant] = (), *, anonymous_pull: bool = False) -> Self:
        """Read an htpasswd file, as `htpasswd -B` writes it; raise UsageError, with the line, for any other hash."""
        try:
            with path.open("rb") as file:
                text = file.read(_FILE_LIMIT + 1).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"can't read the users in {path}: {getattr(error, 'strerror', None) or error}",
                hint="write the file with: htpasswd -B -c FILE USER",
            ) from None
        if len(text) > _FILE_LIMIT:
            raise UsageError(f"{path} is too large for a file of users")
        hashes = dict(_users(path, text))
        if not hashes:
            raise UsageError(f"{path} has no users", hint="add one: htpasswd -B FILE USER")
        return cls(hashes, tuple(grants), anonymous_pull)

    def knows(self, user: str, password: str) -> bool:
        """Check a password. The slow hash is computed once for each, and for names that aren't there as well."""
        import bcrypt  # only who is asked for a login waits for it

        known = self.hashes.get(user)
        proof = hmac.digest(self._key, f"{user}:{password}".encode(), hashlib.sha256)
        if known is not None and hmac.compare_digest(self._proven.get(user, b""), proof):
            return True
        anybody = next(iter(self.hashes.values()))
        secret = password.replace("\0", "").encode()[:72]  # all that bcrypt counts
        right = bcrypt.checkpw(secret, (known or anybody).encode()) and known is not None and "\0" not in password
        if right:
            self._proven[user] = proof
        return right

    def allowed(self, user: str | None, repository: str) -> frozenset[str]:
        """Tell what a user, or somebody without a login (None), may do in a repository."""
        mine = [grant for grant in self.grants if grant.user == user]
        open_to_all = {"pull"} if self.anonymous_pull else set[str]()
        if user is not None and not mine:
            return ACTIONS
        granted = (grant.actions for grant in mine if fnmatchcase(repository, grant.pattern))
        return frozenset(open_to_all.union(*granted))


def _users(path: Path, text: str) -> Iterable[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        user, _, hashed = line.strip().partition(":")
        cost = _BCRYPT.fullmatch(hashed)
        if not user or cost is None:
            raise UsageError(
                f"line {number} of {path} isn't a user with a bcrypt hash",
                hint="write it with: htpasswd -B FILE USER",
            )
        if int(cost[1]) > _MAX_COST:
            raise UsageError(f"line {number} of {path}: a bcrypt cost above {_MAX_COST} would take seconds a login")
        yield user, hashed
