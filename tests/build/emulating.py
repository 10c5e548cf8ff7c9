"""In namespaces of its own, where binfmt_misc is its own too: provide emulators, run PROGRAM, withdraw them.

`DIRECTORY PLATFORMS PROGRAM` are the arguments; what is there at each point goes to stdout, a JSON object a line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from regkit.build.emulators import provide, withdraw
from regkit.errors import UsageError
from regkit.events import Event
from regkit.oci.platform import parse_platforms


def main() -> None:
    root, platforms, program = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    notes: list[Event] = []

    def tell(name: str, **more: object) -> None:
        print(json.dumps({"at": name, "there": sorted(path.name for path in root.iterdir()), **more}), flush=True)

    try:
        changes = provide(parse_platforms([platforms]), os.environ, notes.append, root=root)
    except UsageError as error:
        tell("refused", message=error.message, hint=error.hint)
        return
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    tell("provided", said=done.stdout + done.stderr, handlers=changes.handlers, mounted=changes.mounted)
    withdraw(changes, notes.append, root=root)
    tell("withdrawn", notes=[getattr(note, "text", "") for note in notes])


if __name__ == "__main__":
    main()
