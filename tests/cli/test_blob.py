"""`regkit blob get|head|put` as users run it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.oci.digest import Digest
from regkit.oci.layout import blob_path
from tests.ops.support import Served, serving
from tests.ops.test_content import Spoiling
from tests.protocol.support import upload
from tests.support.command import clean_environment, fails, output_of, piped, regkit
from tests.support.memory import peak_memory
from tests.support.registries import embedded

DATA = random.Random(5).randbytes(3_000_000)
DIGEST = Digest.of(DATA)


def test_there_and_back(served: Served, tmp_path: Path) -> None:
    """From a file, from stdin and from a pipe; the bytes come back on stdout, or in a file."""
    name, file, out = f"{served.host}/team/hello", tmp_path / "file", tmp_path / "out"
    file.write_bytes(DATA)

    assert output_of(regkit("blob", "put", name, file)) == f"{DIGEST}\n"
    for source in ("-", "/dev/stdin"):
        done = piped("blob", "put", f"{name}{len(source)}", source, given=DATA, home=tmp_path)
        assert (done.returncode, done.stdout.decode()) == (0, f"{DIGEST}\n"), done.stderr
    assert piped("blob", "get", f"{name}1@{DIGEST}", given=b"", home=tmp_path).stdout == DATA
    assert output_of(regkit("blob", "get", f"{name}10@{DIGEST}", "--output", out)) == ""
    assert out.read_bytes() == DATA
    head = json.loads(output_of(regkit("blob", "head", f"{name}@{DIGEST}")))
    assert head == {"mediaType": "application/octet-stream", "digest": DIGEST, "size": len(DATA)}
    assert json.loads(output_of(regkit("blob", "head", f"{name}@{DIGEST}", f"{name}1@{DIGEST}"))) == [head, head]


def test_a_broken_blob_leaves_nothing(tmp_path: Path) -> None:
    """Neither a file, nor on stdout the last bytes that would make it look whole; exit code 7."""
    registry = Spoiling()
    upload(registry, "team/hello", DATA)
    with serving(registry) as served:
        name = f"{served.host}/team/hello@{DIGEST}"
        shown = fails("blob", "get", name, "--output", str(tmp_path / "out"), code=7)
        done = piped("blob", "get", name, given=b"", home=tmp_path)

    assert "has the digest" in shown
    assert list(tmp_path.iterdir()) == []
    assert done.returncode == 7
    assert len(done.stdout) < len(DATA)


def test_what_is_not_there(served: Served, tmp_path: Path) -> None:
    """Exit code 5; a tag is no blob, and one file takes one blob: exit code 2."""
    name = f"{served.host}/team/hello"
    out = str(tmp_path / "out")

    for verb in ("get", "head"):
        assert "no blob has this digest" in fails("blob", verb, f"{name}@{DIGEST}", code=5)
        assert "doesn't name a blob" in fails("blob", verb, f"{name}:1", code=2)
    two = fails("blob", "get", f"{name}@{DIGEST}", f"{name}@{DIGEST}", "--output", out, code=2)
    assert "--output takes one blob, not 2" in two
    assert "can't be written" in fails("blob", "get", stored(served.registry, name), "-o", "/proc/no/such", code=2)


def stored(registry: DevRegistry, name: str) -> str:
    """Put a blob there; give its name."""
    upload(registry, "team/hello", b"small")
    return f"{name}@{Digest.of(b'small')}"


def test_a_layout(tmp_path: Path) -> None:
    """A layout's directory takes blobs too, and gives them."""
    (tmp_path / "l").mkdir()
    (tmp_path / "l" / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (tmp_path / "l" / "index.json").write_text('{"schemaVersion": 2, "manifests": []}')
    place = f"ocidir://{tmp_path / 'l'}"

    done = piped("blob", "put", place, "-", given=DATA, home=tmp_path)

    assert done.stdout.decode().strip() == DIGEST
    assert (tmp_path / "l" / blob_path(DIGEST)).read_bytes() == DATA
    assert piped("blob", "get", f"{place}@{DIGEST}", given=b"", home=tmp_path).stdout == DATA


def test_large_blobs_are_streamed(tmp_path: Path) -> None:
    """The memory is the same for 100 MB as for a few bytes, both ways."""
    large, out = tmp_path / "large", tmp_path / "out"
    with large.open("wb") as file:
        file.truncate(100_000_000)
    with embedded(tmp_path / "registry") as registry:
        name = f"{registry.host}/team/large"
        put = peak_memory("blob", "put", name, large, home=tmp_path)
        digest = output_of(regkit("blob", "put", name, large)).strip()
        got = peak_memory("blob", "get", f"{name}@{digest}", "--output", out, home=tmp_path)

    assert out.stat().st_size == 100_000_000
    assert max(put, got) < 80_000_000


@pytest.mark.parametrize("source", ["-", "/dev/stdin"])
def test_a_pipe_that_nothing_comes_through(served: Served, tmp_path: Path, source: str) -> None:
    """The command before it has failed: exit code 2, and nothing is pushed. A file, or /dev/null, may be empty."""
    name = f"{served.host}/team/hello"
    empty = Digest.of(b"")

    done = piped("blob", "put", name, source, given=b"", home=tmp_path)

    assert (done.returncode, done.stdout) == (2, b"")
    assert b"nothing came on" in done.stderr
    assert b"/dev/null" in done.stderr
    assert "no blob has this digest" in fails("blob", "head", f"{name}@{empty}", code=5)
    assert output_of(regkit("blob", "put", name, "/dev/null")) == f"{empty}\n"
    assert json.loads(output_of(regkit("blob", "head", f"{name}@{empty}")))["size"] == 0


def test_a_disk_that_is_full_meanwhile(served: Served, tmp_path: Path) -> None:
    """What comes through a pipe has to be kept somewhere: where there is no room, that place is named."""
    script = 'ulimit -f 1 && exec "$0" -B -m regkit blob put "$1" -'
    name = f"{served.host}/team/hello"

    done = subprocess.run(
        ["bash", "-c", script, sys.executable, name],
        input=DATA,
        env=clean_environment(tmp_path, {"TMPDIR": str(tmp_path)}),
        capture_output=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(f"regkit: error: what comes from - can't be kept in {tmp_path}".encode())
    assert b"set TMPDIR" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["blob", "manifest"])
def test_a_file_that_fails_while_it_is_read(served: Served, verb: str) -> None:
    """Linux's own file that can't be read at its beginning: exit code 2, in one sentence."""
    said = fails(verb, "put", f"{served.host}/team/hello", "/proc/self/mem", code=2)

    assert "regkit: error: /proc/self/mem can't be read: Input/output error" in said


def test_put_names_a_repository_only(served: Served, tmp_path: Path) -> None:
    """A blob has no tag."""
    (tmp_path / "file").write_bytes(b"x")

    shown = fails("blob", "put", f"{served.host}/team/hello:1", str(tmp_path / "file"), code=2)

    assert "a blob is named by its digest alone" in shown
