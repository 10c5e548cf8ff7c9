"""What a build needs, what of it is here, and the command that brings the rest: this machine, examined and judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from regkit.build.findings import Finding, findings
from regkit.build.machine import examine
from regkit.build.standing import standing_builder
from regkit.oci.platform import Platform


def diagnose(
    platforms: Sequence[Platform], env: Mapping[str, str], *, binfmt: Path = Path("/proc/sys/fs/binfmt_misc")
) -> tuple[Finding, ...]:
    """Tell all that a build for these platforms needs; with BUILDKIT_HOST set, or a builder up, that is less."""
    stays = None if env.get("BUILDKIT_HOST") else standing_builder(env)
    if stays is None:
        return findings(examine(env, binfmt=binfmt), platforms)
    machine = examine({**env, "BUILDKIT_HOST": stays.url}, binfmt=binfmt)
    return findings(replace(machine, stays=True), platforms)
