"""What a running BuildKit can build."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from regkit.build.child import find_tool, guard
from regkit.build.environment import client_environment
from regkit.build.progress import clean
from regkit.errors import Unavailable, UsageError
from regkit.oci.platform import Platform

_LIMIT = 10.0


def worker_platforms(address: str, env: Mapping[str, str]) -> tuple[Platform, ...]:
    """Ask the builder at `address` for its platforms, the native one first; raise Unavailable without an answer."""
    buildctl = find_tool("buildctl", env)
    if buildctl is None:
        raise UsageError(
            "buildctl isn't on PATH, and asking a builder needs it", hint="regkit doctor says how to get it"
        )
    argv = [*guard(env), buildctl, "--addr", address, "debug", "workers", "--format", "{{json .}}"]
    try:
        done = subprocess.run(argv, env=client_environment(env, None), capture_output=True, timeout=_LIMIT, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"the builder at {address} doesn't answer within {_LIMIT:.0f} s") from None
    if done.returncode != 0:
        said = clean(done.stderr.strip().rpartition(b"\n")[2]).removeprefix("error: ")
        raise Unavailable(f"can't reach the builder at {address}: {said}")
    return parse_workers(done.stdout)


def parse_workers(data: bytes) -> tuple[Platform, ...]:
    """Read the platforms of all workers, each once; raise Unavailable for an answer of another form."""
    try:
        workers: list[dict[str, Any]] = json.loads(data)
        found = [Platform.from_json(platform) for worker in workers for platform in worker["platforms"]]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Unavailable("the builder's list of workers can't be read") from None
    return tuple(dict.fromkeys(found))
