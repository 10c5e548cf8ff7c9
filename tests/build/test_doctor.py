"""What doctor says of this machine."""

from __future__ import annotations

import os
from pathlib import Path

from regkit.build.address import Address
from regkit.build.doctor import diagnose
from regkit.build.machine import TOOLS, native_platform
from regkit.oci.platform import parse_platforms

PLATFORMS = parse_platforms(["linux/amd64,linux/386,linux/arm64/v8,linux/arm/v7,linux/arm/v6"])


def test_this_machine_can_build_for_itself(env: dict[str, str]) -> None:
    """The tests of this directory do."""
    found = diagnose([native_platform()], env)

    assert all(finding.ok for finding in found), found


def test_running_builder_is_asked_for_its_platforms(builder: Address, env: dict[str, str]) -> None:
    """And one that isn't there is told by its address."""
    (_, served) = diagnose([native_platform()], {**env, "BUILDKIT_HOST": builder.url})
    assert served.ok, served

    (_, nobody) = diagnose([native_platform()], {**env, "BUILDKIT_HOST": "tcp://127.0.0.1:1"})
    assert not nobody.ok
    assert "can't reach the builder at tcp://127.0.0.1:1" in nobody.detail


def test_as_nobody_with_an_empty_path(tmp_path: Path) -> None:
    """Every tool and the rights are missing, binfmt isn't there, and nothing raises."""
    os.seteuid(65534)
    try:
        found = diagnose(PLATFORMS, {"PATH": str(tmp_path)}, binfmt=tmp_path)
    finally:
        os.seteuid(0)

    assert [finding.name for finding in found if not finding.ok][:6] == [*TOOLS, "rights"]
    assert "isn't root" in next(f.detail for f in found if f.name == "rights")
    assert next(f for f in found if f.name == "binfmt_misc").ok is False
