"""Local engines that take an image: docker, podman, containerd; each reads an archive from its stdin."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from regkit.build.child import find_tool, guard
from regkit.build.environment import client_environment
from regkit.build.progress import clean
from regkit.errors import RegkitError, Unavailable, UsageError
from regkit.oci.platform import Platform

_LIMIT = 30.0


@dataclass(frozen=True, slots=True)
class Engine:
    """A program, what it is asked to see whether it works, and how it takes an archive of docker save's."""

    program: str
    probe: tuple[str, ...]
    load: tuple[str, ...]
    names_platform: bool = False
    """Whether it has to be told which platform the archive is for."""


ENGINES: Mapping[str, Engine] = {
    "docker": Engine("docker", ("version", "--format", "{{.Server.Version}}"), ("load",)),
    "podman": Engine("podman", ("version", "--format", "{{.Client.Version}}"), ("load",)),
    "containerd": Engine("ctr", ("version",), ("images", "import"), names_platform=True),
}
"""By the names that users give them. ctr reads CONTAINERD_ADDRESS and CONTAINERD_NAMESPACE, docker DOCKER_HOST."""


def check_engine(name: str, env: Mapping[str, str]) -> None:
    """Raise UsageError where an engine's program is missing, Unavailable where it reaches no engine."""
    engine = ENGINES[name]
    argv = [*_command(name, env), *engine.probe]
    try:
        done = subprocess.run(
            argv,
            env=client_environment(env, None),
            capture_output=True,
            timeout=_LIMIT,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{name} doesn't answer within {_LIMIT:.0f} s") from None
    if done.returncode != 0:
        raise Unavailable(
            f"{name} can't be used: {_reason(done)}", hint=f"is it running? try: {engine.program} version"
        )


def load(name: str, archive: Path, platform: Platform, env: Mapping[str, str]) -> None:
    """Hand an archive over; raise RegkitError, with the engine's own reason, where it isn't taken."""
    engine = ENGINES[name]
    where = ("--platform", str(platform), "-") if engine.names_platform else ()
    argv = [*_command(name, env), *engine.load, *where]
    with archive.open("rb") as stdin:
        done = subprocess.run(argv, env=client_environment(env, None), capture_output=True, check=False, stdin=stdin)
    if done.returncode != 0:
        raise RegkitError(f"{name} didn't take the image for {platform}: {_reason(done)}")


def _command(name: str, env: Mapping[str, str]) -> list[str]:
    program = find_tool(ENGINES[name].program, env)
    if program is None:
        said = ENGINES[name].program
        raise UsageError(
            f"{said} isn't on PATH, and --load {name} needs it", hint=f"install {name}, or leave --load out"
        )
    return [*guard(env), program]


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = [text for line in (done.stderr + b"\n" + done.stdout).splitlines() if (text := clean(line))]
    said = [line for line in lines if line.lower().startswith(("error", "ctr:", "cannot"))]
    return next(iter([*said, *lines]), f"exit status {done.returncode}")[:500]
