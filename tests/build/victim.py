"""A process that builds as regkit does, to be killed by a test: CONTEXT as its argument, its events on stdout."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from regkit.build.buildctl import build
from regkit.build.builder import throwaway_builder
from regkit.build.spec import build_spec
from regkit.build.workspace import cache_root, workspace
from regkit.events import Event
from regkit.oci.platform import parse_platforms


def say(event: Event) -> None:
    print(event, flush=True)


def main() -> None:
    env = dict(os.environ)
    spec = build_spec(Path(sys.argv[1]), None, parse_platforms(["linux/amd64"]))
    with workspace(env) as directory, throwaway_builder(cache_root(env), say, env=env) as address:
        build(spec, address, directory / "layout", say, env=env)


if __name__ == "__main__":
    main()
