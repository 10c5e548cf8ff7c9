"""Archives that regkit writes are read by its peers, and theirs by regkit."""

from __future__ import annotations

import json
import signal
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.devregistry.server import running
from regkit.oci.manifest import MAX_SIZE, Manifest
from regkit.protocol.flow import Bytes, Request, Response
from regkit.targets.archive import Archive
from regkit.targets.docker_archive import DockerArchive
from regkit.targets.layout import Layout
from regkit.targets.location import Location
from regkit.targets.target import Target
from regkit.targets.verified import read_all
from regkit.transport.session import Session
from tests.support.command import output_of, peer, regkit, started
from tests.support.layouts import make_layout

NAME = "example.org/team/hello"


@dataclass(frozen=True)
class Stage:
    """A registry, and a layout whose index is in it as `HOST/made:1`, its first image as `HOST/made:amd64`."""

    host: str
    session: Session
    layout: Layout
    index: Manifest

    @property
    def image(self) -> Manifest:
        return self.layout.manifest(self.index.manifests[0].digest)

    def pushed(self, name: str) -> Manifest:
        location = Location.parse(f"{self.host}/{name}")
        with location.open(self.session) as target:
            return target.manifest(str(location.identifier))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    root = tmp_path_factory.mktemp("stage") / "layout"
    index = make_layout(root, ["linux/amd64", "linux/arm64"], layers=2)
    with running(DevRegistry()) as server, Session() as session:
        made = Stage(server.host, session, Layout(root), index)
        with Location.parse(f"{server.host}/made").open(session) as target:
            transfer(made.layout, target, index, "1")
            target.push(made.image.descriptor, Bytes(made.image.raw), "amd64")
        yield made


def transfer(source: Target, target: Target, manifest: Manifest, name: str | None) -> None:
    for child in manifest.manifests:
        transfer(source, target, source.manifest(child.digest), None)
    for blob in manifest.blobs:
        target.push(blob, source.fetch(blob))
    target.push(manifest.descriptor, Bytes(manifest.raw), name)


def diff_ids(target: Target, manifest: Manifest) -> Any:
    assert manifest.config is not None
    return json.loads(read_all(target.fetch(manifest.config), MAX_SIZE))["rootfs"]["diff_ids"]


def check_content(target: Target, manifest: Manifest) -> None:
    for blob in manifest.blobs:
        assert len(read_all(target.fetch(blob), MAX_SIZE)) == blob.size


@pytest.fixture
def archive(stage: Stage, tmp_path: Path) -> Path:
    """Give an archive of the index, made by regkit."""
    with Archive(tmp_path / "made.tar", create=True) as target:
        transfer(stage.layout, target, stage.index, "1")
    return tmp_path / "made.tar"


@pytest.fixture
def docker_archive(stage: Stage, tmp_path: Path) -> Path:
    """Give an archive of one image, made by regkit."""
    with DockerArchive(tmp_path / "docker.tar", NAME, create=True) as target:
        transfer(stage.layout, target, stage.image, "1")
    return tmp_path / "docker.tar"


def test_skopeo_reads_our_archive(stage: Stage, archive: Path, tmp_path: Path) -> None:
    """The index and all below it come out with their digests."""
    output_of(peer("skopeo", "copy", "--all", f"oci-archive:{archive}:1", f"oci:{tmp_path}/out:1"))

    found = Layout(tmp_path / "out")
    assert found.manifest("1") == stage.index
    for child in stage.index.manifests:
        check_content(found, found.manifest(child.digest))


def test_names_with_slashes_and_a_colon(stage: Stage, tmp_path: Path) -> None:
    """What skopeo gives a layout and an archive as a name, regkit reads by it, and the other way round."""
    name = "example.org/team/hello:1.2"
    for kind, place in (("oci", tmp_path / "layout"), ("oci-archive", tmp_path / "a.tar")):
        output_of(peer("skopeo", "copy", "--all", f"oci:{stage.layout.root}:built", f"{kind}:{place}:{name}"))
        shown = output_of(regkit("resolve", f"{kind}:{place}:{name}"))
        assert shown.endswith(f"@{stage.index.digest}\n")
        theirs, ours = f"{kind}:{place}:{name}", f"{kind}:{place}-ours:{name}"
        output_of(regkit("copy", theirs, ours))
        read = output_of(peer("skopeo", "inspect", "--raw", ours))
        assert read.encode() == stage.index.raw


def test_regctl_and_oras_read_our_archive(stage: Stage, archive: Path) -> None:
    """Both push it to a registry, with its digests."""
    plain = f"reg={stage.host},tls=disabled"
    output_of(peer("regctl", "--host", plain, "image", "import", f"{stage.host}/regctl:1", archive))
    output_of(peer("oras", "copy", "--from-oci-layout", f"{archive}:1", "--to-plain-http", f"{stage.host}/oras:1"))

    for name in ("regctl:1", "oras:1"):
        assert stage.pushed(name) == stage.index


def test_crane_reads_our_docker_archive(stage: Stage, docker_archive: Path) -> None:
    """It is valid, and pushed with the configuration and layers that it had."""
    assert "PASS" in output_of(peer("crane", "validate", "--tarball", docker_archive))

    output_of(peer("crane", "push", "--insecure", docker_archive, f"{stage.host}/crane:1"))

    pushed = stage.pushed("crane:1")
    assert [blob.digest for blob in pushed.blobs] == [blob.digest for blob in stage.image.blobs]


def test_skopeo_reads_our_docker_archive(stage: Stage, docker_archive: Path, tmp_path: Path) -> None:
    """It is found under its name, and its layers hold what they held."""
    output_of(peer("skopeo", "copy", f"docker-archive:{docker_archive}:{NAME}:1", f"oci:{tmp_path}/out:1"))

    found = Layout(tmp_path / "out")
    manifest = found.manifest("1")
    check_content(found, manifest)
    assert diff_ids(found, manifest) == diff_ids(stage.layout, stage.image)


def test_regctl_reads_our_docker_archive(stage: Stage, docker_archive: Path) -> None:
    """The manifest is the one that was written, byte for byte."""
    plain = f"reg={stage.host},tls=disabled"
    output_of(peer("regctl", "--host", plain, "image", "import", f"{stage.host}/regctl-docker:1", docker_archive))

    assert stage.pushed("regctl-docker:1") == stage.image


@pytest.mark.parametrize("tag", [":1", ""])
def test_we_read_skopeos_archive(stage: Stage, tmp_path: Path, tag: str) -> None:
    """An index with all its images, named or not."""
    path = tmp_path / "x.tar"
    output_of(peer("skopeo", "copy", "--all", f"oci:{stage.layout.root}:built", f"oci-archive:{path}{tag}"))

    archive = Archive(path)
    (root,) = archive.roots
    assert archive.manifest(root.digest) == stage.index
    assert archive.tags() == (("1",) if tag else ())
    for child in stage.index.manifests:
        check_content(archive, archive.manifest(child.digest))
    shown = json.loads(output_of(regkit("inspect", "--format", "json", f"oci-archive:{path}{tag}")))
    assert shown["digest"] == stage.index.digest


def test_we_read_skopeos_docker_archive(stage: Stage, tmp_path: Path) -> None:
    """Plain layers, whose digests are those in the configuration; symbolic links for older Dockers are no obstacle."""
    path = tmp_path / "x.tar"
    output_of(peer("skopeo", "copy", f"oci:{stage.layout.root}:built", f"docker-archive:{path}:{NAME}:1"))

    archive = DockerArchive(path, NAME)
    manifest = archive.manifest("1")
    check_content(archive, manifest)
    assert manifest.config == stage.image.config
    assert [layer.digest for layer in manifest.layers] == diff_ids(stage.layout, stage.image)
    for reference in (f"docker-archive:{path}", f"docker-archive:{path}:{NAME}:1", f"docker-archive:{path}::1"):
        shown = json.loads(output_of(regkit("inspect", "--format", "json", reference)))
        assert shown["digest"] == manifest.digest


@pytest.mark.parametrize("kind", ["tarball", "legacy"])
def test_we_read_cranes_docker_archive(stage: Stage, tmp_path: Path, kind: str) -> None:
    """What crane pulls has the layers as the registry has them, or, in the old form, what is in them."""
    path = tmp_path / "x.tar"
    output_of(peer("crane", "pull", "--insecure", f"--format={kind}", f"{stage.host}/made:amd64", path))

    archive = DockerArchive(path)
    assert archive.tags() == ("amd64",)
    manifest = archive.manifest("amd64")
    check_content(archive, manifest)
    assert diff_ids(archive, manifest) == diff_ids(stage.layout, stage.image)
    if kind == "tarball":
        assert manifest.blobs == stage.image.blobs


def test_we_read_cranes_layout_in_a_tar(stage: Stage, tmp_path: Path) -> None:
    """A layout that crane wrote, packed by tar, is an archive."""
    output_of(peer("crane", "pull", "--insecure", "--format=oci", f"{stage.host}/made:1", tmp_path / "layout"))
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as packed:
        packed.add(tmp_path / "layout", arcname=".")

    archive = Archive(tmp_path / "x.tar.gz")
    assert [root.digest for root in archive.roots] == [stage.index.digest]
    assert archive.manifest(stage.index.digest) == stage.index


@pytest.mark.parametrize("options", [(), ("--compress",)])
def test_we_read_regctls_export(stage: Stage, tmp_path: Path, options: tuple[str, ...]) -> None:
    """An archive of both kinds in one: as either, it has the same image, under its own digest."""
    path = tmp_path / "x.tar"
    plain = f"reg={stage.host},tls=disabled"
    output_of(peer("regctl", "--host", plain, "image", "export", *options, f"{stage.host}/made:amd64", path))

    for archive in (Archive(path), DockerArchive(path)):
        assert [root.digest for root in archive.roots] == [stage.image.digest]
        assert archive.manifest(stage.image.digest) == stage.image
        check_content(archive, stage.image)


def test_the_command(stage: Stage, tmp_path: Path) -> None:
    """`regkit copy` goes from a registry to both kinds of archive and back, and the digests stay."""
    name, oci, docker = f"{stage.host}/made:1", f"oci-archive:{tmp_path}/o.tar", f"docker-archive:{tmp_path}/d.tar"
    output_of(regkit("copy", name, oci))
    output_of(regkit("copy", oci, f"{stage.host}/back:1"))
    output_of(regkit("copy", f"{stage.host}/made:amd64", f"{docker}:{NAME}:1"))
    output_of(regkit("copy", f"{docker}:{NAME}:1", f"{stage.host}/back:amd64"))

    assert stage.pushed("back:1") == stage.index
    assert stage.pushed("back:amd64") == stage.image
    output_of(regkit("copy", "--platform", "linux/arm64", name, f"docker-archive:{tmp_path}/p.tar:{NAME}:1"))
    assert "PASS" in output_of(peer("crane", "validate", "--tarball", tmp_path / "p.tar"))
    refused = regkit("copy", name, f"docker-archive:{tmp_path}/no.tar")
    assert refused.returncode == 2
    assert "--platform" in refused.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.tar", "o.tar", "p.tar"]


class Stalling(DevRegistry):
    """Answers no request for a layer before it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.layers: frozenset[str] = frozenset()

    def handle(self, request: Request) -> Response:
        if request.method == "GET" and request.url.rpartition("/")[2] in self.layers:
            self.asked.set()
            self.go_on.wait()
        return super().handle(request)


@pytest.mark.parametrize("kind", ["oci-archive", "docker-archive"])
def test_ctrl_c(stage: Stage, tmp_path: Path, kind: str) -> None:
    """Ctrl-C in the middle of a copy ends with 130; the archive that was there stays, and nothing lies beside it."""
    path, home = tmp_path / "out" / "x.tar", tmp_path / "home"
    for directory in (path.parent, home):
        directory.mkdir()
    output_of(regkit("copy", f"{stage.host}/made:amd64", f"{kind}:{path}"))
    before, other = path.read_bytes(), make_layout(tmp_path / "other", seed=1)
    source, registry = Layout(tmp_path / "other"), Stalling()
    with running(registry) as server, Session() as session:
        with Location.parse(f"{server.host}/slow").open(session) as target:
            image = source.manifest(other.manifests[0].digest)
            transfer(source, target, image, "1")
        registry.layers = frozenset(layer.digest for layer in image.layers)
        with started("copy", f"{server.host}/slow:1", f"{kind}:{path}", home=home) as process:
            assert registry.asked.wait(60)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        registry.go_on.set()

    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["x.tar"]
