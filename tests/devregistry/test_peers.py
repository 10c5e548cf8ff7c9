"""Real clients against the registry on a socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.devregistry.server import Server, running

from .support import layer, run, write_layout

PLATFORMS = ["linux/amd64", "linux/arm64/v8", "linux/arm/v7"]


@pytest.fixture
def server(registry: DevRegistry) -> Iterator[Server]:
    with running(registry) as served:
        yield served


def test_crane(server: Server, tmp_path: Path) -> None:
    """Crane pushes an image, lists, validates, copies by mount, pulls and deletes it."""
    name, copy = f"{server.host}/team/app", f"{server.host}/copy"
    (tmp_path / "layer.tar.gz").write_bytes(layer("hello"))

    pushed = run("crane", "append", "-f", str(tmp_path / "layer.tar.gz"), "-t", f"{name}:1", home=tmp_path)
    run("crane", "tag", f"{name}:1", "latest", home=tmp_path)
    run("crane", "copy", f"{name}:1", f"{copy}:2", home=tmp_path)
    run("crane", "validate", "--remote", f"{copy}:2", home=tmp_path)
    run("crane", "pull", "--format", "oci", f"{copy}:2", str(tmp_path / "pulled"), home=tmp_path)

    assert run("crane", "ls", name, home=tmp_path).split() == ["1", "latest"]
    digest = run("crane", "digest", f"{copy}:2", home=tmp_path).strip()
    assert pushed.strip().endswith(digest)
    run("crane", "delete", f"{name}:latest", home=tmp_path)
    assert run("crane", "ls", name, home=tmp_path).split() == ["1"]
    run("crane", "delete", f"{name}@{digest}", home=tmp_path)
    assert run("crane", "ls", name, home=tmp_path).split() == []


def test_skopeo(server: Server, tmp_path: Path) -> None:
    """Skopeo copies a multi-platform layout there and back without a changed byte."""
    index = write_layout(tmp_path / "layout", PLATFORMS, "1.2")
    image = f"docker://{server.host}/team/app:1.2"

    run(
        "skopeo",
        "copy",
        "--all",
        "--dest-tls-verify=false",
        f"oci:{tmp_path / 'layout'}:1.2",
        image,
        home=tmp_path,
    )
    run("skopeo", "copy", "--all", "--src-tls-verify=false", image, f"oci:{tmp_path / 'back'}:1.2", home=tmp_path)

    assert run("skopeo", "inspect", "--raw", "--tls-verify=false", image, home=tmp_path).encode() == index.raw
    run("crane", "validate", "--remote", f"{server.host}/team/app:1.2", "--platform", "linux/amd64", home=tmp_path)


def test_regctl(server: Server, tmp_path: Path) -> None:
    """Regctl copies a layout in, reads and lists it, mounts it into another repository, and deletes a tag."""
    index = write_layout(tmp_path / "layout", PLATFORMS, "1.2")
    name, host = f"{server.host}/team/app", f"reg={server.host},tls=disabled"

    def regctl(*argv: str) -> str:
        return run("regctl", "--host", host, *argv, home=tmp_path)

    regctl("image", "copy", f"ocidir://{tmp_path / 'layout'}:1.2", f"{name}:1.2")
    regctl("image", "copy", f"{name}:1.2", f"{server.host}/other:1")

    assert regctl("manifest", "get", "--format", "raw-body", f"{name}:1.2").encode() == index.raw
    assert regctl("tag", "ls", name).split() == ["1.2"]
    assert regctl("image", "digest", f"{server.host}/other:1").strip() == index.digest
    regctl("tag", "delete", f"{name}:1.2")
    assert regctl("tag", "ls", name).split() == []


def test_oras(server: Server, tmp_path: Path) -> None:
    """Oras pushes an artifact and pulls it, attaches another to it, and discovers that one."""
    (tmp_path / "hello.txt").write_text("hello")
    name = f"{server.host}/artifact:1"

    def oras(*argv: str) -> str:
        return run("oras", *argv, "--plain-http", home=tmp_path)

    oras("push", name, f"{tmp_path / 'hello.txt'}:text/plain", "--disable-path-validation")
    oras("attach", name, "--artifact-type", "text/x", f"{tmp_path / 'hello.txt'}:text/x", "--disable-path-validation")
    oras("pull", name, "-o", str(tmp_path / "pulled"), "--allow-path-traversal")
    found = json.loads(oras("discover", name, "--format", "json"))

    assert (tmp_path / "hello.txt").read_text() == "hello"
    assert [referrer["artifactType"] for referrer in found.get("referrers", found.get("manifests"))] == ["text/x"]
    assert oras("repo", "tags", f"{server.host}/artifact").split() == ["1"]
