"""Emulators that the kernel is given, in namespaces with a binfmt_misc of their own: this machine's stays as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from regkit.build.binfmt import read_handlers
from regkit.build.emulators import BINFMT, Changes, provide, withdraw
from regkit.events import ignore
from tests.conftest import HELLO

ROOT = Path(__file__).parents[2]
APART = ("unshare", "--user", "--map-root-user", "--mount")
AS_NOBODY = (
    # Nobody's only privilege is to read: this machine's Python may lie where others can't look.
    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    *("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"),
)


def emulating(
    tmp_path: Path, platforms: str, *before: str, path: str | None = None, apart: Sequence[str] = APART
) -> list[dict[str, Any]]:
    """Provide emulators in namespaces of their own, after the commands `before`; give what is told."""
    root = tmp_path / "binfmt"
    root.mkdir()
    program = HELLO / "bin" / "hello-arm64"
    words = " ".join(f"'{word}'" for word in (sys.executable, "-m", "tests.build.emulating", root, platforms, program))
    script = "\n".join(
        [*(line.format(root=root) for line in before), f"PATH={path or os.environ['PATH']} exec {words}"]
    )
    done = subprocess.run([*apart, "sh", "-ec", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(autouse=True)
def _machine_is_left_alone(env: dict[str, str], hello_origin: Path) -> Any:
    del hello_origin  # it compiles the programs
    before = read_handlers(BINFMT, env)
    yield
    assert read_handlers(BINFMT, env) == before


def test_emulators_are_registered_and_withdrawn(tmp_path: Path) -> None:
    """Where binfmt_misc isn't even mounted: a foreign program runs; then all is as before, and each step is said."""
    provided, withdrawn = emulating(tmp_path, "linux/amd64,linux/arm64,linux/arm/v6,linux/arm/v7")

    assert provided["handlers"] == ["regkit-arm64", "regkit-arm"]
    assert {*provided["handlers"], "register", "status"} <= {*provided["there"]}
    assert provided["said"].startswith("hello: ")
    assert withdrawn["there"] == []
    assert [note.split()[0] for note in withdrawn["notes"]] == [
        *("mounted", "registered", "registered"),
        *("withdrew", "withdrew", "unmounted"),
    ]


def test_what_was_mounted_before_stays_mounted(tmp_path: Path) -> None:
    """Only what was changed is taken back."""
    provided, withdrawn = emulating(tmp_path, "linux/arm64", "mount -t binfmt_misc binfmt_misc {root}")

    assert (provided["handlers"], provided["mounted"]) == (["regkit-arm64"], False)
    assert withdrawn["there"] == ["register", "status"]


OTHERS = (
    r"printf '%s' ':other:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:"
    r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/bin/qemu-aarch64-static:{flags}'"
    " > {root}/register"
)


def test_handler_that_works_is_left_as_it_is(tmp_path: Path) -> None:
    """Somebody else's serves as well; nothing is registered."""
    line = OTHERS.replace("{flags}", "F")

    provided, withdrawn = emulating(tmp_path, "linux/arm64", "mount -t binfmt_misc binfmt_misc {root}", line)

    assert provided["handlers"] == []
    assert provided["said"].startswith("hello: ")
    assert withdrawn["there"] == ["other", "register", "status"]


@pytest.mark.parametrize(
    ("flags", "more", "said"), [("", ":", "lacks the flag F"), ("F", "echo 0 > {root}/other", "is disabled")]
)
def test_handler_that_does_not_work_is_somebody_elses(tmp_path: Path, flags: str, more: str, said: str) -> None:
    """It is named, with the command that helps; nothing is changed behind its owner's back."""
    line = OTHERS.replace("{flags}", flags)

    (refused,) = emulating(tmp_path, "linux/arm64", "mount -t binfmt_misc binfmt_misc {root}", line, more)

    assert said in refused["message"]
    assert str(tmp_path / "binfmt" / "other") in refused["hint"]
    assert refused["there"] == ["other", "register", "status"]


def test_missing_emulator_takes_back_what_was_done(tmp_path: Path) -> None:
    """One of two isn't on PATH: the other's handler goes again, and so does the mount."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("mount", "umount", "qemu-aarch64-static"):
        found = next(d for d in ("/bin", "/usr/bin", "/sbin") if Path(d, name).exists())
        (tools / name).symlink_to(Path(found, name).resolve())

    (refused,) = emulating(tmp_path, "linux/arm64,linux/s390x", path=str(tools))

    assert refused["message"] == "no emulator for s390x is on PATH"
    assert "apt-get install qemu-user-static" in refused["hint"]
    assert refused["there"] == []


def test_without_rights_it_is_said(tmp_path: Path) -> None:
    """A user who may not mount it gets the command for root."""
    (refused,) = emulating(tmp_path, "linux/arm64", apart=AS_NOBODY)

    assert "isn't mounted" in refused["message"]
    assert refused["hint"].startswith("as root: mount -t binfmt_misc")


def test_nothing_that_is_not_ours_is_withdrawn(tmp_path: Path) -> None:
    """A name that a changed state file holds is no licence to remove somebody's handler."""
    (tmp_path / "qemu-arm").write_text("enabled\n")

    withdraw(Changes(("qemu-arm", "../qemu-arm")), ignore, root=tmp_path)

    assert (tmp_path / "qemu-arm").read_text() == "enabled\n"


def test_no_platforms_change_nothing(tmp_path: Path, env: dict[str, str]) -> None:
    """All that runs here is what is served then."""
    assert provide((), env, ignore, root=tmp_path) == Changes()
