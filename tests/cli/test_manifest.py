"""`regkit manifest get|head|put|rm` as users run it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from regkit.oci import mediatype
from regkit.oci.digest import Digest
from regkit.targets.layout import Layout
from tests.ops.support import Served, attested_layout, release, serving
from tests.support.command import clean_environment, fails, output_of, piped, regkit

ODD = b'{ "schemaVersion": 2,\t"manifests": [] }\n'


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving() as served:
        release(served, attested_layout(tmp_path / "layout", "linux/amd64", "linux/arm64"))
        served.access.clear()
        yield served


def test_get_gives_the_bytes(served: Served, tmp_path: Path) -> None:
    """Nothing is added, not even a line's end; several are one after the other."""
    name = f"{served.host}/team/hello:1"
    whole = piped("manifest", "get", name, given=b"", home=tmp_path).stdout
    arm64 = piped("manifest", "get", name, "--platform", "arm64", given=b"", home=tmp_path).stdout
    both = piped("manifest", "get", name, "-", given=name.encode(), home=tmp_path).stdout

    assert Digest.of(whole) == served.tags()["1"]
    assert Digest.of(arm64) in {child["digest"] for child in json.loads(whole)["manifests"]}
    assert both == whole + whole
    assert "answered 404" in fails("manifest", "get", f"{name}.9", code=5)


def test_head_gives_the_descriptor(served: Served) -> None:
    """As JSON that goes into an index as it stands; nothing is read for it."""
    name = f"{served.host}/team/hello"
    there = json.loads(output_of(regkit("manifest", "head", f"{name}:1")))

    assert {request.method for request in served.access} == {"HEAD"}
    assert (there["mediaType"], there["digest"]) == (mediatype.OCI_INDEX, served.tags()["1"])
    several = json.loads(output_of(regkit("manifest", "head", f"{name}:1", f"{name}:1.2")))
    assert several == [there, there]
    assert "isn't there" in fails("manifest", "head", f"{name}:9", code=5)


def test_put_takes_a_file_or_stdin(served: Served, tmp_path: Path) -> None:
    """The bytes arrive untouched, and the digest is printed."""
    name, file = f"{served.host}/team/hello", tmp_path / "index.json"
    file.write_bytes(ODD)

    assert output_of(regkit("manifest", "put", f"{name}:odd", file)) == f"{Digest.of(ODD)}\n"
    assert served.tags()["odd"] == Digest.of(ODD)
    kind = ("--media-type", mediatype.DOCKER_INDEX)
    done = piped("manifest", "put", f"{name}:docker", "-", *kind, given=ODD, home=tmp_path)
    assert done.stdout.decode().strip() == Digest.of(ODD)
    head = json.loads(output_of(regkit("manifest", "head", f"{name}:docker")))
    assert head["mediaType"] == mediatype.DOCKER_INDEX


def test_put_refuses_what_is_no_manifest(served: Served, tmp_path: Path) -> None:
    """Nothing is sent."""
    name, file = f"{served.host}/team/hello:bad", tmp_path / "index.json"
    file.write_bytes(b"{}")
    assert "hint: add --media-type" in fails("manifest", "put", name, str(file), code=2)
    file.write_bytes(b" " * (4 << 20) + b"{}")
    assert "is larger than the 4194304 bytes of a manifest" in fails("manifest", "put", name, str(file), code=2)
    file.write_bytes(ODD)
    assert "has the digest" in fails("manifest", "put", f"{name}@sha256:{'0' * 64}", str(file), code=7)
    assert "does not exist" in fails("manifest", "put", name, "/nonexistent", code=2)
    assert served.writes == []


def test_rm(served: Served, tmp_path: Path) -> None:
    """--dry-run and the refusal name every tag; without a terminal it needs --yes; then the manifest goes."""
    digest, name = served.tags()["1"], f"{served.host}/team/hello"
    child = Layout(tmp_path / "layout").manifest("built").manifests[0].digest
    plan = [f"remove {name}@{digest} ({mediatype.OCI_INDEX})"]
    plan += [f"  with the tag {tag}" for tag in sorted(served.tags())]

    assert sorted(output_of(regkit("manifest", "rm", f"{name}@{digest}", "--dry-run")).splitlines()) == sorted(plan)
    refused = fails("manifest", "rm", f"{name}@{digest}", code=2)
    assert "  with the tag 1.2.3\n" in refused
    assert refused.endswith("  hint: add --yes\n")
    assert "  BREAKS latest, an index that lists it" in fails("manifest", "rm", f"{name}@{child}", code=2)
    assert served.writes == []

    done = regkit("manifest", "rm", f"{name}@{digest}", f"{name}@{'sha256:' + '0' * 64}", "--yes")
    assert (output_of(done), done.stderr.splitlines()[0]) == ("", f"removed {name}@{digest}")
    assert served.tags() == {}
    assert output_of(regkit("manifest", "rm", f"{name}@{digest}", "--dry-run")).endswith("(not there)\n")


def test_rm_of_a_tag_points_to_tag_rm(served: Served) -> None:
    """Deleting by digest would take the other tags along, so a tag is refused."""
    shown = fails("manifest", "rm", f"{served.host}/team/hello:1", "--yes", code=2)

    assert f"`regkit tag rm {served.host}/team/hello:1` removes the tag alone" in shown
    assert served.writes == []


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 2)])
def test_rm_asks_on_a_terminal(served: Served, tmp_path: Path, answer: str, code: int) -> None:
    """Where somebody can be asked, the plan is shown, and the answer counts."""
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "regkit", "manifest", "rm", f"{served.host}/team/hello@{served.tags()['1']}"]
    os.write(ours, f"{answer}\n".encode())
    env = clean_environment(tmp_path)
    with os.fdopen(theirs) as terminal, os.fdopen(ours, "rb", buffering=0):
        done = subprocess.run(argv, stdin=terminal, capture_output=True, text=True, check=False, timeout=60, env=env)

    assert done.returncode == code, done.stderr
    assert "  with the tag latest\n" in done.stderr
    assert (served.tags() == {}) == (answer == "y")
