"""Users: who is known, and what each may do."""

from __future__ import annotations

from pathlib import Path

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.devregistry.users import ACTIONS, Grant, Users
from regkit.errors import UsageError


def hashed(password: str, prefix: bytes = b"2b") -> str:
    """Hash a password as `htpasswd -B` does it; that writes `$2y$` where Python writes `$2b$`."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).replace(b"2b", prefix, 1).decode()


@pytest.fixture(scope="module")
def users() -> Users:
    return Users({"me": hashed("secret", b"2y"), "you": hashed("ünïcode")})


def test_a_password_is_right_or_wrong(users: Users) -> None:
    """Each user's own, whichever prefix the hash has; asked twice, it is the same."""
    for _ in range(2):
        assert users.knows("me", "secret")
        assert users.knows("you", "ünïcode")
        for user, password in (("me", "wrong"), ("me", ""), ("you", "secret"), ("nobody", "secret"), ("", "")):
            assert not users.knows(user, password), (user, password)


def test_what_bcrypt_does_not_count() -> None:
    """Bytes after the 72nd don't count, as for Apache; a NUL is no part of a password."""
    users = Users({"me": hashed("x" * 72)})

    assert users.knows("me", "x" * 100)
    assert not users.knows("me", "x" * 71)
    assert not users.knows("me", "\0" + "x" * 72)


def test_a_file(tmp_path: Path) -> None:
    """Lines of `user:hash`; empty ones and comments don't count."""
    path = tmp_path / "htpasswd"
    path.write_text(f"# ours\n\nme:{hashed('a')}\nyou:{hashed('b', b'2y')}\n")

    users = Users.load(path)

    assert (users.knows("me", "a"), users.knows("you", "b"), users.knows("me", "b")) == (True, True, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no users"),
        ("me:secret\n", "line 1 of"),
        ("me:$apr1$abcdefgh$abcdefghijklmnopqrstuv\n", "line 1 of"),
        (f"me:{hashed('a')}\nyou:{{SHA}}2jmj7l5rSw0yVb/vlWAYkK/YBwk=\n", "line 2 of"),
        (f":{hashed('a')}\n", "line 1 of"),
        (f"me:{hashed('a').replace('$04$', '$31$')}\n", "would take seconds"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    """What can't be checked is said with its line, without the line's content."""
    path = tmp_path / "htpasswd"
    path.write_text(text)

    with pytest.raises(UsageError, match=said) as caught:
        Users.load(path)

    assert "secret" not in f"{caught.value}{caught.value.hint}"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The sentence names it."""
    with pytest.raises(UsageError, match=r"none: No such file"):
        Users.load(tmp_path / "none")


def test_grants() -> None:
    """Without a grant a user may do all, with one only that; others pull where everybody may."""
    grants = (Grant.parse("ci=team/*:pull,push"), Grant.parse("ci=base:pull"))
    users = Users({"ci": "", "admin": ""}, grants)
    open_to_all = Users({"ci": "", "admin": ""}, grants, anonymous_pull=True)

    assert users.allowed("admin", "anything") == ACTIONS
    assert users.allowed("ci", "team/app") == {"pull", "push"}
    assert users.allowed("ci", "base") == {"pull"}
    assert users.allowed("ci", "other") == users.allowed(None, "team/app") == set()
    assert open_to_all.allowed("ci", "other") == open_to_all.allowed(None, "other") == {"pull"}


@pytest.mark.parametrize(
    "text", ["", "me", "me=app", "me=:pull", "=app:pull", "me=app:", "me=app:write", "me=app:pull,"]
)
def test_what_is_no_grant(text: str) -> None:
    """Anything that isn't user, pattern and known actions is refused."""
    with pytest.raises(UsageError, match="not a grant"):
        Grant.parse(text)


def test_a_grant_for_nobody() -> None:
    """A name that the file doesn't have is a slip of the pen."""
    with pytest.raises(UsageError, match="whom the file doesn't have: yu"):
        Users({"you": ""}, (Grant.parse("yu=*:pull"),))


def test_hashes_are_in_no_repr(users: Users) -> None:
    """They are worth a dictionary attack."""
    assert "$2" not in repr(users)


@given(st.text(max_size=20), st.text(max_size=20))
def test_nobody_else_is_let_in(users: Users, user: str, password: str) -> None:
    """Any other pair of texts is refused, and none is an error."""
    assert users.knows(user, password) == ((user, password) in {("me", "secret"), ("you", "ünïcode")})
