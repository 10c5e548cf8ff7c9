"""Credential helpers: the programs `docker-credential-NAME` that keep logins for Docker (docker-credential-helpers).

A helper is never waited for without end, its answer is bounded, and what it says is shown nowhere: it may hold secrets.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from regkit.errors import UsageError
from regkit.protocol.auth import TOKEN_USER, Login

_MAX_ANSWER = 1024 * 1024
_MAX_INPUT = 32 * 1024  # a pipe takes it whole, so that a helper that reads nothing blocks nobody
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Helper:
    """A helper by its short name, which may take `limit` seconds; `origin` is the configuration that names it.

    Whatever fails is a UsageError.
    """

    name: str
    origin: str
    env: Mapping[str, str]
    limit: float

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                f"{self.origin} names a credential helper that can't be one: {self.name[:100]!r}",
                hint="write the NAME of a program docker-credential-NAME on the PATH",
            )

    @property
    def program(self) -> str:
        """The program's name."""
        return f"docker-credential-{self.name}"

    def get(self, key: str) -> Login | None:
        """Ask for the login that it keeps under `key`; None where it has none."""
        status, answer = self._run("get", key, key)
        if status != 0:
            if b"credentials not found" in answer.lower():
                return None
            raise self._failed(key, f"ended with {status}")
        try:
            document = json.loads(answer)
            user, secret = document["Username"], document["Secret"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise self._failed(key, "gave an answer that can't be read") from None
        if not isinstance(user, str) or not isinstance(secret, str):
            raise self._failed(key, "gave an answer that can't be read")
        if not secret:
            return None
        origin = f"{self.program} ({self.origin})"
        return Login(user, "", origin, secret) if user == TOKEN_USER else Login(user, secret, origin)

    def store(self, key: str, login: Login) -> None:
        """Hand it a login to keep."""
        user = TOKEN_USER if login.identity_token else login.username
        document = {"ServerURL": key, "Username": user, "Secret": login.identity_token or login.password}
        status, _ = self._run("store", key, json.dumps(document))
        if status != 0:
            raise self._failed(key, f"didn't take the login: it ended with {status}")

    def erase(self, key: str) -> bool:
        """Have it forget a login; False where it had none."""
        if self.get(key) is None:
            return False
        status, _ = self._run("erase", key, key)
        if status != 0:
            raise self._failed(key, f"didn't forget the login: it ended with {status}")
        return True

    def _failed(self, key: str, what: str) -> UsageError:
        return UsageError(
            f"the credential helper {self.program}, which {self.origin} names for {key}, {what}",
            hint=f"see what it says: echo {key} | {self.program} get",
        )

    def _run(self, verb: str, key: str, given: str) -> tuple[int, bytes]:
        path = shutil.which(self.program, path=self.env.get("PATH", os.defpath))
        if path is None:
            raise UsageError(
                f"the credential helper {self.program}, which {self.origin} names for {key}, isn't on the PATH",
                hint=f"install it, or take it out of {self.origin}",
            )
        data = given.encode()
        if len(data) > _MAX_INPUT:
            raise self._failed(key, "can't be given so long a login")
        try:
            process = subprocess.Popen(
                [path, verb],
                env=dict(self.env),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise self._failed(key, f"can't be started: {error.strerror}") from None
        with process:
            try:
                return _converse(process, data, time.monotonic() + self.limit)
            except _TooMuch:
                raise self._failed(key, f"said more than {_MAX_ANSWER} bytes") from None
            except (TimeoutError, subprocess.TimeoutExpired):
                raise self._failed(key, f"didn't answer within {self.limit:g} s") from None
            finally:
                if process.returncode is None:  # not waited for yet: the group's number is still its own
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)


class _TooMuch(Exception):
    pass


def _converse(process: subprocess.Popen[bytes], given: bytes, end: float) -> tuple[int, bytes]:
    """Give a process its input, read what it says until it closes its output, and wait for its end."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):
        process.stdin.write(given)
        process.stdin.flush()
    with suppress(BrokenPipeError):
        process.stdin.close()
    answer = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0.0, end - time.monotonic())):
                raise TimeoutError
            chunk = os.read(process.stdout.fileno(), 1 << 16)
            if not chunk:
                break
            answer += chunk
            if len(answer) > _MAX_ANSWER:
                raise _TooMuch
    return process.wait(max(0.0, end - time.monotonic())), bytes(answer)
