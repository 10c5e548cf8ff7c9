"""Where a builder that stays has all that it is: one private directory, and a lock that tells whether it runs.

The lock is held by the daemon's whole process tree: while it is taken the builder runs, whatever became of the process
that is written down.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from regkit.build.builder import SOCKET_LIMIT, configuration
from regkit.build.child import find_tool
from regkit.build.environment import daemon_environment
from regkit.build.workspace import cache_root, is_still, lock_file, private_directory
from regkit.errors import Unavailable
from regkit.files import write_whole

if TYPE_CHECKING:
    from regkit.config.spec import RegistryConfig

SCHEMA = 1
DOWN = "regkit builder down"
_TURN_LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class Standing:
    """A builder that stays. `socket` is for this machine, `address` for whoever it was asked for."""

    process: int
    socket: str
    address: str
    rootless: bool
    handlers: tuple[str, ...] = ()
    """The emulators' handlers that were registered for it."""
    mounted: bool = False
    """Whether binfmt_misc was mounted for them."""

    def to_json(self) -> dict[str, Any]:
        """Give what is written down."""
        return {
            "schema": SCHEMA,
            "process": self.process,
            "socket": self.socket,
            "address": self.address,
            "rootless": self.rootless,
            "handlers": list(self.handlers),
            "mounted": self.mounted,
        }

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read what is written down; None where there is nothing that can be read."""
        try:
            said = json.loads(path.read_bytes())
            return cls(
                int(said["process"]),
                str(said["socket"]),
                str(said["address"]),
                said["rootless"] is True,
                tuple(str(name) for name in said["handlers"]),
                said["mounted"] is True,
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


class Place:
    """The directory, and what lies in it."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.root = cache_root(env) / "builder"
        self.state = self.root / "state.json"
        self.config = self.root / "buildkitd.toml"
        self.log = self.root / "buildkitd.log"
        self.content = self.root / "buildkitd"
        name = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:8]
        short = len(os.fsencode(self.root)) + len("/s") <= SOCKET_LIMIT
        self._sockets = self.root if short else Path("/tmp", f"regkit-{os.geteuid()}-{name}")  # noqa: S108 - made 0700

    @property
    def socket(self) -> str:
        """The address of the socket that it always listens on."""
        return f"unix://{self._sockets}/s"

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let one at a time start or end it; raise Unavailable where another one takes too long."""
        path = private_directory(self.root.parent) / "builder.lock"
        while True:
            lock = lock_file(path, wait=_TURN_LIMIT)
            if lock is None:
                raise Unavailable(
                    "another regkit has been starting or ending the builder for a minute", hint="try again"
                )
            if is_still(path, lock):
                break
            os.close(lock)  # who had the turn before has removed it
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(lock)

    def running(self) -> Standing | None:
        """Give what runs: its lock is taken."""
        if not self.state.exists():
            return None
        lock = self.lock()
        if lock is not None:
            os.close(lock)
            return None
        return Standing.read(self.state)

    def lock(self, wait: float = 0.0) -> int | None:
        """Take the lock; None while a builder runs, or where there is nothing."""
        try:
            return lock_file(self.root / "lock", wait=wait)
        except FileNotFoundError:
            return None

    def clear(self) -> None:
        """Remove what a builder left that was ended by somebody else."""
        if self.root.exists():
            self.remove()

    def prepare(self, plain_http: Sequence[str], registries: Mapping[str, RegistryConfig]) -> None:
        """Make the directories, and write what the daemon is told of registries."""
        private_directory(self.root)
        private_directory(self._sockets)
        private_directory(self.content)
        private_directory(self.root / "tmp")
        self.config.write_text(configuration(plain_http, registries), encoding="utf-8")

    def environment(self, daemon: Mapping[str, str]) -> dict[str, str]:
        """Give the daemon's environment: what it and rootlesskit make on the way lies here, too."""
        return {**daemon, "XDG_RUNTIME_DIR": str(self._sockets), "TMPDIR": str(self.root / "tmp")}

    def write(self, standing: Standing) -> None:
        """Write down what runs."""
        write_whole(self.state, [json.dumps(standing.to_json(), indent=2).encode() + b"\n"], 0o600)

    def remove(self) -> None:
        """Remove all of it; raise Unavailable where something stays."""
        self.state.unlink(missing_ok=True)
        for directory in {self.root, self._sockets}:
            shutil.rmtree(directory, ignore_errors=True)
            if directory.exists():
                self._remove_as_root_of_our_own(directory)
            if directory.exists():
                raise Unavailable(f"{directory} can't be removed", hint=f"look at what is in it, then {DOWN} again")

    def _remove_as_root_of_our_own(self, directory: Path) -> None:
        """Remove what belongs to subordinate ids: the files of images that were built without root."""
        rootlesskit = find_tool("rootlesskit", self._env)
        if rootlesskit is not None:
            argv = [rootlesskit, "--net=host", "rm", "-rf", str(directory)]
            subprocess.run(argv, env=daemon_environment(self._env), capture_output=True, check=False)
