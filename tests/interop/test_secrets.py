"""Secrets in places where nobody should write them: they are in no output, also with --debug, and in no event."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.support.command import regkit
from tests.support.layouts import make_layout
from tests.transport.support import http, serving

CANARY = "canary-3e9a"
LOGIN = f"me:{CANARY}"
SIGNED = f"X-Amz-Signature={CANARY}"
DATA = b"x" * 1000
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"

BUILD = ("build", "context", "--platform", "linux/amd64")

every_verbosity = pytest.mark.parametrize(
    "verbosity", [("--debug", "-v"), ("--debug", "--progress", "json")], ids=["text", "json"]
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    (tmp_path / "README.md").write_text("# Hello\n")
    make_layout(tmp_path / "layout")
    return tmp_path


@every_verbosity
@pytest.mark.parametrize(
    ("words", "env", "config"),
    [
        (("tag", "ls", f"https://{LOGIN}@ghcr.io/a/b"), {}, ""),
        (("tag", "ls", f"{LOGIN}@ghcr.io/a/b"), {}, ""),
        (("copy", "ocidir://layout", f"https://{LOGIN}@ghcr.io/a/b:1"), {}, ""),
        (("login", f"https://{LOGIN}@ghcr.io"), {}, ""),
        (("whoami", f"{LOGIN}@127.0.0.1:1"), {}, ""),
        (("--plain-http", f"{LOGIN}@ghcr.io", "tag", "ls", "a/b"), {}, ""),
        (("readme", "push", "--image", "acme/app", "--api", f"https://{LOGIN}@h.test"), {}, ""),
        (("publish", "context", "--image", f"https://{LOGIN}@ghcr.io/x", "--version", "1.0.0"), {}, ""),
        ((*BUILD, "--builder", f"*=tcp://{LOGIN}@127.0.0.1:1"), {}, ""),
        ((*BUILD, "--builder", f"*=htt://{LOGIN}@127.0.0.1:1"), {}, ""),
        ((*BUILD, "--cache-to", f"secret_access_key={CANARY}"), {}, ""),
        ((*BUILD, "--cache-to", f"type=s3,secret_access_key={CANARY},oops"), {}, ""),
        ((*BUILD, "--cache-from", f"type=registry,ref=https://{LOGIN}@ghcr.io/x"), {}, ""),
        (BUILD, {"BUILDKIT_HOST": f"tcp://{LOGIN}@127.0.0.1:1"}, ""),
        (("builder", "status", "--addr", f"tcp://{LOGIN}@127.0.0.1:1"), {}, ""),
        (("tag", "ls", "registry.invalid/a"), {"HTTPS_PROXY": f"http://{LOGIN}@127.0.0.1:1"}, ""),
        (("tag", "ls", "127.0.0.1:1/a"), {}, f'[registry."ghcr.io"]\nmirror = "{LOGIN}@h.test"\n'),
        (("tag", "ls", "127.0.0.1:1/a"), {}, f'[registry."ghcr.io"]\napi = "https://{LOGIN}@h.test"\n'),
        (("tag", "ls", "127.0.0.1:1/a"), {}, f'[registry."{LOGIN}@ghcr.io"]\nplain-http = true\n'),
    ],
)
def test_a_login_in_an_address_is_not_repeated(
    place: Path, words: tuple[str, ...], env: dict[str, str], config: str, verbosity: tuple[str, ...]
) -> None:
    """Whatever is wrong with the rest: the sentence does without it."""
    if config:
        (place / "regkit.toml").write_text(config)

    done = regkit(*verbosity, *words, cwd=place, env=env)

    assert done.returncode in (2, 75), done.stderr
    assert CANARY not in done.stdout + done.stderr
    assert "error" in done.stderr


CUT = http(200, DATA[:500], length=1000)
PART = http(206, DATA, "Content-Range: bytes 7-999/1000")


@every_verbosity
@pytest.mark.parametrize(
    "answers", [[CUT, *[PART] * 20], [http(403, b"<Error/>")] * 20, [http(404)] * 20, [http(200, b"y" * 1000)] * 20]
)
def test_a_signature_in_a_redirect_is_not_told(
    tmp_path: Path, verbosity: tuple[str, ...], answers: list[bytes]
) -> None:
    """The address of a storage is a key to it for as long as it lives."""
    with serving(answers) as storage:
        away = http(307, b"", f"Location: http://{storage.host}/blob?{SIGNED}")
        size = http(200, b"", length=len(DATA))
        with serving([size, *[away] * 20]) as server:
            target = f"{server.host}/a@{DIGEST}"
            done = regkit(*verbosity, "blob", "get", target, "-o", tmp_path / "blob", cwd=tmp_path)

    assert any(SIGNED in line for line in storage.lines), done.stderr
    assert done.returncode not in (0, 2, 130)
    assert CANARY not in done.stdout + done.stderr
    assert not (tmp_path / "blob").exists()


@every_verbosity
@pytest.mark.parametrize("refusal", [http(403, b"no"), http(404), http(302, b"", "Location: /x")])
def test_a_signature_in_an_uploads_location_is_not_told(
    place: Path, verbosity: tuple[str, ...], refusal: bytes
) -> None:
    """An upload that goes elsewhere, and fails there."""
    with serving([refusal] * 20) as storage:
        begun = http(202, b"", f"Location: http://{storage.host}/up?{SIGNED}")
        with serving([http(404), *[begun] * 20]) as server:
            done = regkit(*verbosity, "blob", "put", f"{server.host}/a", "README.md", cwd=place)

    assert any(SIGNED in line for line in storage.lines), done.stderr
    assert done.returncode not in (0, 2, 130)
    assert CANARY not in done.stdout + done.stderr
