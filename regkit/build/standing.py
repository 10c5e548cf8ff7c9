"""A buildkitd that stays: started by `regkit builder up`, found by every later call, ended by `regkit builder down`."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regkit.build import emulators
from regkit.build.address import Address
from regkit.build.builder import check_tools, command, last_words
from regkit.build.child import find_tool
from regkit.build.environment import daemon_environment, trusting
from regkit.build.standing_place import DOWN, Place, Standing
from regkit.build.workers import serves, version_of, worker_platforms
from regkit.errors import NotFound, Refused, Unavailable, UsageError
from regkit.events import Note, Reporter, ignore
from regkit.oci.platform import Platform

if TYPE_CHECKING:
    from regkit.config.spec import RegistryConfig

_START_LIMIT = 30.0
_STOP_LIMIT = 10.0
_CERTIFICATES = ("ca.pem", "cert.pem", "key.pem")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a builder: its platforms (none: all that the machine runs) and where it listens besides."""

    platforms: tuple[Platform, ...] = ()
    address: str | None = None
    tls_dir: Path | None = None
    rootless: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """A builder that answers: where, of which version, and what it builds, the native platform first."""

    address: str
    version: str
    platforms: tuple[Platform, ...]
    rootless: bool = False
    started: bool = field(default=False, compare=False)
    """Whether it was started just now."""

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON document."""
        return {
            "schema": 1,
            "address": self.address,
            "version": self.version,
            "platforms": [str(platform) for platform in self.platforms],
            "rootless": self.rootless,
        }


def standing_builder(env: Mapping[str, str]) -> Address | None:
    """Give the builder that `up` started, where it still runs."""
    place = Place(env)
    found = place.running()
    return Address(found.socket) if found else None


def up(
    wanted: Wanted,
    report: Reporter,
    *,
    env: Mapping[str, str],
    plain_http: Sequence[str] = (),
    ca_file: Path | None = None,
    registries: Mapping[str, RegistryConfig] | None = None,
) -> Status:
    """Start a buildkitd that stays, with emulators for the platforms; one that runs already is taken, if it is fit.

    Raise UsageError where a tool or an emulator is missing, or one runs that was asked for otherwise; Refused for an
    address that would give everybody root; Unavailable where it doesn't come up. Nothing is left then.
    """
    check_wanted(wanted)
    place = Place(env)
    with place.turn():
        found = place.running()
        if found is not None:
            return _fit(found, wanted, env, report)
        _check(wanted, env)
        place.clear()
        changes = emulators.provide(wanted.platforms, env, report)
        try:
            place.prepare(plain_http, registries or {})
            process = _start(place, wanted, env, ca_file)
            standing = Standing(
                process.pid,
                place.socket,
                wanted.address or place.socket,
                wanted.rootless,
                changes.handlers,
                changes.mounted,
            )
            place.write(standing)
            _wait(process, place, env)
            status = _ask(standing, env)
        except BaseException:
            _end(place, Standing.read(place.state))
            emulators.withdraw(changes, ignore)
            place.remove()
            raise
        report(Note(f"started buildkitd {status.version}, process {process.pid}, all of it in {place.root}"))
        return Status(status.address, status.version, status.platforms, status.rootless, started=True)


def status(env: Mapping[str, str]) -> Status:
    """Ask the builder that `up` started; raise NotFound where there is none, Unavailable where it doesn't answer."""
    found = Place(env).running()
    if found is None:
        raise NotFound("no builder is up", hint="regkit builder up starts one")
    return _ask(found, env)


def status_at(address: Address, env: Mapping[str, str]) -> Status:
    """Ask any builder; raise Unavailable where it doesn't answer."""
    return Status(str(address), version_of(address, env), worker_platforms(address, env))


def down(env: Mapping[str, str], report: Reporter) -> bool:
    """End it, and remove all that is there because of it; False where nothing was there."""
    place = Place(env)
    if not place.root.exists():
        return False
    with place.turn():
        found = Standing.read(place.state)
        was_up = place.running() is not None
        _end(place, found)
        if found is not None:
            emulators.withdraw(emulators.Changes(found.handlers, found.mounted), report)
        place.remove()
    return was_up


def check_wanted(wanted: Wanted) -> None:
    """Raise UsageError or Refused for an address that can't be, or shouldn't."""
    if wanted.address is None:
        if wanted.tls_dir is not None:
            raise UsageError("certificates are for an address of their own", hint="give --addr tcp://HOST:PORT")
        return
    scheme, _, place = wanted.address.partition("://")
    port = place.rpartition(":")[2]
    if scheme not in ("tcp", "unix") or not place or (scheme == "tcp" and not _is_port(port)):
        raise UsageError(f"a builder can't listen on {wanted.address!r}", hint="write tcp://HOST:PORT or unix:///PATH")
    if scheme == "unix" and not Path(place).parent.is_dir():
        raise UsageError(f"there is no directory for the socket {place}", hint="make it, or name another place")
    if scheme == "unix" and wanted.tls_dir is not None:
        raise UsageError("certificates are for tcp:// alone", hint="leave --tls-dir out")
    if wanted.tls_dir is not None:
        for name in _CERTIFICATES:
            if not (wanted.tls_dir / name).is_file():
                raise UsageError(f"{wanted.tls_dir} has no {name}", hint=f"it needs {', '.join(_CERTIFICATES)}")
    elif scheme == "tcp" and not _is_loopback(place):
        raise Refused(
            f"without certificates everybody who reaches {wanted.address} could run anything on this machine",
            hint="give --tls-dir DIR with ca.pem, cert.pem and key.pem; or listen on 127.0.0.1",
        )


def _is_port(text: str) -> bool:
    return text.isdecimal() and 0 < int(text[:6]) <= 65535


def _check(wanted: Wanted, env: Mapping[str, str]) -> None:
    """Raise UsageError where it can't be started here."""
    if not wanted.rootless:
        check_tools(env)
        return
    from regkit.build.rootless import lacking

    missing = next(iter(lacking(env)), None)
    if missing is not None:
        raise UsageError(f"a rootless builder needs {missing.name}: {missing.detail}", hint=missing.remedy)


def _start(place: Place, wanted: Wanted, env: Mapping[str, str], ca_file: Path | None) -> subprocess.Popen[bytes]:
    lock = place.lock()
    if lock is None:
        raise Unavailable(f"the lock in {place.root} is taken", hint=DOWN)
    argv = [*_command(place, wanted, env), *_listening(wanted), *_platforms(wanted.platforms)]
    try:
        with place.log.open("wb") as log:
            return subprocess.Popen(
                argv,
                env=place.environment(trusting(daemon_environment(env), ca_file, place.root)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                pass_fds=(lock,),
                start_new_session=True,
            )
    finally:
        os.close(lock)


def _command(place: Place, wanted: Wanted, env: Mapping[str, str]) -> list[str]:
    if not wanted.rootless:
        return command(place.content, place.socket, place.config, env)
    from regkit.build.rootless import rootless_command

    return rootless_command(place.content, place.socket, place.config, env)


def _listening(wanted: Wanted) -> list[str]:
    """Listen on the address that is asked for, too; buildkitd uses the certificates for tcp:// alone."""
    if wanted.address is None:
        return []
    names = zip(("--tlscacert", "--tlscert", "--tlskey"), _CERTIFICATES, strict=True)
    certificates = (
        [word for option, name in names for word in (option, str(wanted.tls_dir / name))] if wanted.tls_dir else []
    )
    return ["--addr", wanted.address, *certificates]


def _platforms(platforms: Sequence[Platform]) -> list[str]:
    """Limit the worker to these, the native one first, where a Dockerfile's BUILDPLATFORM stages run."""
    from regkit.build.machine import native_platform

    native = native_platform()
    ordered = [native, *(p for p in platforms if p.normalized != native.normalized)] if platforms else []
    return [word for platform in ordered for word in ("--oci-worker-platform", str(platform))]


def _wait(process: subprocess.Popen[bytes], place: Place, env: Mapping[str, str]) -> None:
    """Return when the daemon answers."""
    buildctl = find_tool("buildctl", env) or "buildctl"
    asked = [buildctl, "--addr", place.socket, "--wait", "--timeout", f"{_START_LIMIT:.0f}", "debug", "workers"]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    end = time.monotonic() + _START_LIMIT
    with subprocess.Popen(asked, env=daemon_environment(env), **quiet) as question:  # type: ignore[call-overload]
        try:
            while question.poll() is None and process.poll() is None and time.monotonic() < end:
                time.sleep(0.01)
        finally:
            question.kill()
        answered = question.wait() == 0
    if process.poll() is not None:
        raise Unavailable(f"buildkitd ended at its start: {last_words(place.log)}", hint="regkit doctor")
    if not answered:
        raise Unavailable(f"buildkitd doesn't answer: {last_words(place.log)}", hint="regkit doctor")


def _fit(found: Standing, wanted: Wanted, env: Mapping[str, str], report: Reporter) -> Status:
    """Take the builder that runs; raise UsageError where it isn't what is asked for."""
    there = _ask(found, env)
    lacking = [str(platform) for platform in wanted.platforms if not serves(there.platforms, platform)]
    if wanted.address not in (None, found.address):
        text = f"a builder runs already, and listens on {found.address}"
    elif wanted.rootless != found.rootless:
        text = f"a builder runs already, {'without' if found.rootless else 'as'} root"
    elif lacking:
        text = f"a builder runs already, and doesn't serve {', '.join(lacking)}"
    else:
        report(Note(f"a builder runs already, as process {found.process}"))
        return there
    raise UsageError(text, hint=f"end it first: {DOWN}")


def _ask(found: Standing, env: Mapping[str, str]) -> Status:
    said = status_at(Address(found.socket), env)
    return Status(found.address, said.version, said.platforms, found.rootless)


def _end(place: Place, found: Standing | None) -> None:
    """End the daemon, and wait until nothing holds its lock any more; raise Unavailable where something does."""
    if found is None or not place.root.exists():
        return
    free = place.lock()
    if free is None:
        _signal(found.process, signal.SIGTERM, _STOP_LIMIT)
        _signal(found.process, signal.SIGKILL, _STOP_LIMIT)
        free = place.lock(wait=_STOP_LIMIT)
    if free is None:
        raise Unavailable(f"the builder doesn't end, process {found.process}", hint=f"look at {place.log}")
    os.close(free)
    scheme, _, path = found.address.partition("://")
    if scheme == "unix" and Path(path).is_socket():
        Path(path).unlink()


def _signal(process: int, number: signal.Signals, limit: float) -> None:
    """Send a signal to the process group, and wait for the end of its first process."""
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(process)
        try:
            os.killpg(process, number)
            select.select((descriptor,), (), (), limit)
        finally:
            os.close(descriptor)


def _is_loopback(place: str) -> bool:
    from regkit.oci.reference import is_loopback

    return is_loopback(place)
