"""The peak memory of a regkit process, as the kernel counts it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.command import clean_environment

# The process reads its own VmHWM as its last act: what a parent is told (ru_maxrss) includes the parent's own pages.
_RUN = """
import sys
from regkit.__main__ import main
code = main()
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
sys.stderr.write("\\n" + peak)
sys.exit(code)
"""


def peak_memory(*arguments: str | Path, home: Path) -> int:
    """Run `regkit` and give its VmHWM in bytes; raise CalledProcessError where it fails."""
    argv = [sys.executable, "-c", _RUN, *map(str, arguments)]
    done = subprocess.run(argv, env=clean_environment(home), capture_output=True, text=True, check=True)
    _, kibibytes, unit = done.stderr.splitlines()[-1].split()
    assert unit == "kB"
    return int(kibibytes) * 1024
