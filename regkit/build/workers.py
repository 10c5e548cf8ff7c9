"""What a running BuildKit can build."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from regkit.build.address import Address
from regkit.build.child import find_tool, guard
from regkit.build.environment import client_environment
from regkit.build.progress import clean
from regkit.errors import Unavailable, UsageError
from regkit.oci.platform import Platform

_LIMIT = 10.0
_VERSION = re.compile(r"BuildKit:\s+\S+\s+(\S+)")


def worker_platforms(address: Address, env: Mapping[str, str]) -> tuple[Platform, ...]:
    """Ask the builder at `address` for its platforms, the native one first; raise Unavailable without an answer."""
    return parse_workers(_ask(address, env, "workers", "--format", "{{json .}}"))


def version_of(address: Address, env: Mapping[str, str]) -> str:
    """Ask the builder at `address` for BuildKit's version; raise Unavailable without an answer."""
    found = _VERSION.search(clean(_ask(address, env, "info").replace(b"\n", b" ")))
    return found[1] if found else "unknown"


def serves(served: Sequence[Platform], wanted: Platform) -> bool:
    """Tell whether one of these platforms runs what is built for `wanted`: who runs arm/v7 runs arm/v6 and v5 too."""
    return any(
        (platform.os, platform.architecture) == (wanted.os, wanted.architecture)
        and platform.normalized.variant >= wanted.normalized.variant
        for platform in served
    )


def _ask(address: Address, env: Mapping[str, str], *question: str) -> bytes:
    buildctl = find_tool("buildctl", env)
    if buildctl is None:
        raise UsageError(
            "buildctl isn't on PATH, and asking a builder needs it", hint="regkit doctor says how to get it"
        )
    argv = [*guard(env), buildctl, *address.words, "debug", *question]
    try:
        done = subprocess.run(argv, env=client_environment(env, None), capture_output=True, timeout=_LIMIT, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"the builder at {address} doesn't answer within {_LIMIT:.0f} s") from None
    if done.returncode != 0:
        said = clean(done.stderr.strip().rpartition(b"\n")[2]).removeprefix("error: ")
        raise Unavailable(
            f"can't reach the builder at {address}: {said}",
            hint="is buildkitd running there, and is the address right? regkit doctor looks at the whole machine",
        )
    return done.stdout


def parse_workers(data: bytes) -> tuple[Platform, ...]:
    """Read the platforms of all workers, each once; raise Unavailable for an answer of another form."""
    try:
        workers: list[dict[str, Any]] = json.loads(data)
        found = [Platform.from_json(platform) for worker in workers for platform in worker["platforms"]]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Unavailable("the builder's list of workers can't be read") from None
    return tuple(dict.fromkeys(found))
