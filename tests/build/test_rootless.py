"""What a builder without root needs, of machines that are described here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from regkit.build.rootless import SUBIDS, Need, needs

USER = "root"
SWITCHES = {
    "proc/sys/kernel/unprivileged_userns_clone": "0",
    "proc/sys/user/max_user_namespaces": "0",
    "proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
}


def machine(root: Path, **files: str) -> dict[str, Need]:
    """Describe a machine by files below `root`, with no program on PATH; give what isn't ok, by name."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return {need.name: need for need in needs({"PATH": str(root)}, root=root) if not need.ok}


def test_machine_without_anything(tmp_path: Path) -> None:
    """Every program and both kinds of ids are named, each with a command; a switch that isn't there is no limit."""
    found = machine(tmp_path)

    assert list(found) == ["buildctl", "buildkitd", "runc", "rootlesskit", "newuidmap", "newgidmap", "subuid", "subgid"]
    assert all(
        need.remedy.startswith(("apt-get install ", "go install ", "usermod --add-sub")) for need in found.values()
    )


@pytest.mark.parametrize("switch", SWITCHES)
def test_user_namespaces_that_are_switched_off(tmp_path: Path, switch: str) -> None:
    """By the switch's name, with the command that sets it otherwise."""
    off = machine(tmp_path, **{switch: f"{SWITCHES[switch]}\n"})["user namespaces"]
    name = switch.rpartition("/")[2]

    assert name in off.detail
    assert off.remedy.startswith("sysctl -w ")
    assert name in off.remedy
    assert "user namespaces" not in machine(tmp_path, **{switch: "7\n"})


@pytest.mark.parametrize(
    ("text", "enough"),
    [
        (f"{USER}:100000:{SUBIDS}\n", True),
        (f"{os.geteuid()}:100000:{SUBIDS}\n", True),
        (f"{USER}:1:1000\n{USER}:100000:{SUBIDS - 1000}\n", True),
        (f"{USER}:100000:{SUBIDS - 1}\n", False),
        (f"other:100000:{SUBIDS}\n", False),
        (f"# {USER}\n{USER}:x\n{USER}:1:many\n", False),
    ],
)
def test_subordinate_ids_are_added_up(tmp_path: Path, text: str, *, enough: bool) -> None:
    """By name or number, in one range or several; lines of another form count for nothing."""
    assert ("subuid" not in machine(tmp_path, **{"etc/subuid": text})) is enough
