"""`regkit verify` beside `crane validate`, on releases that are whole and on broken ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.targets.layout import Layout
from tests.support.command import output_of, peer, regkit
from tests.support.layouts import make_layout
from tests.support.memory import peak_memory
from tests.support.registries import RunningRegistry
from tests.support.releases import PLATFORMS, Release


@pytest.fixture
def images(tmp_path: Path) -> Sequence[Descriptor]:
    """Give the images of a layout with an index over them."""
    return make_layout(tmp_path / "layout", ["linux/amd64", "linux/arm/v7"], layers=2).manifests


@pytest.fixture
def name(registry: RunningRegistry, images: Sequence[Descriptor], tmp_path: Path) -> str:
    """Give the name of these in a registry, as skopeo pushed them."""
    del images
    name = f"{registry.host}/team/hello:1"
    copy = ("skopeo", "copy", "--all", "--dest-tls-verify=false")
    output_of(peer(*copy, f"oci:{tmp_path / 'layout'}:built", f"docker://{name}"))
    return name


def kept(registry: RunningRegistry, digest: Digest) -> Path:
    """Find the file in which a registry keeps content."""
    for path in (registry.root / "content").rglob(digest.hex):
        if path.is_file():
            return path
        if (path / "data").is_file():
            return path / "data"
    raise FileNotFoundError(digest)


def crane_finds(name: str, *options: str) -> bool:
    """Tell whether crane finds something wrong."""
    return peer("crane", "validate", "--remote", name, *options).returncode != 0


def test_a_whole_release(name: str) -> None:
    """Both find nothing wrong, and regkit with the right platforms as well."""
    assert not crane_finds(name)
    assert output_of(regkit("verify", name, "--blobs", "--platforms", "linux/amd64,linux/arm")).startswith("good: ")


def test_a_blob_that_is_lost(
    registry: RunningRegistry, name: str, images: Sequence[Descriptor], tmp_path: Path
) -> None:
    """Both notice; regkit names the blob and its platform, and asks for no layer's content."""
    layer = Layout(tmp_path / "layout").manifest(images[1].digest).layers[1]
    kept(registry, layer.digest).unlink()

    done = regkit("verify", name)

    assert crane_finds(name)
    assert done.returncode == 7
    assert done.stdout == f"wrong: linux/arm/v7: the blob {layer.digest} of {layer.size} bytes isn't there\n"


def test_a_blob_with_other_bytes(
    registry: RunningRegistry, name: str, images: Sequence[Descriptor], tmp_path: Path
) -> None:
    """Seen by who reads it: `--blobs`, and crane unless it is to be fast."""
    layer = Layout(tmp_path / "layout").manifest(images[0].digest).layers[0]
    path = kept(registry, layer.digest)
    path.write_bytes(path.read_bytes()[:-1] + b"!")

    done = regkit("verify", name, "--blobs")

    assert crane_finds(name)
    assert not crane_finds(name, "--fast")
    assert regkit("verify", name).returncode == 0
    assert done.returncode == 7
    assert done.stdout.startswith(f"wrong: linux/amd64: the blob {layer.digest} ")


def test_an_image_that_is_lost(registry: RunningRegistry, name: str, images: Sequence[Descriptor]) -> None:
    """A hole in an index: both notice, and regkit says that the platform is missing."""
    kept(registry, images[0].digest).unlink()

    done = regkit("verify", name, "--platforms", "linux/amd64,linux/arm/v7")

    assert crane_finds(name)
    assert done.returncode == 7
    assert "wrong: linux/amd64: there is no image for this platform\n" in done.stdout


def test_what_buildkit_builds(release: Release) -> None:
    """A real release is good: BuildKit leaves the variant out of arm64's configuration, which is a note.

    Crane takes that for an error (test_peers).
    """
    shown = output_of(regkit("verify", f"{release.name}:1.2.3", "--blobs", "--platforms", ",".join(PLATFORMS)))

    note, good = shown.splitlines()
    assert note == (
        "note: linux/arm64/v8: the index says linux/arm64/v8, the configuration linux/arm64, which is the same"
    )
    assert good.startswith(f"good: {release.name}:1.2.3 {release.digest}: {', '.join(PLATFORMS)}; ")


@pytest.mark.parametrize("registry", ["distribution"], indirect=True)
def test_the_memory_does_not_grow_with_the_layers(registry: RunningRegistry, tmp_path: Path) -> None:
    """All blobs of a large release are read side by side, each in pieces."""
    make_layout(tmp_path / "layout", ["linux/amd64", "linux/arm64"], layers=8, layer_size=16 << 20)
    output_of(regkit("copy", f"oci:{tmp_path / 'layout'}:built", f"{registry.host}/large:1"))

    peak = peak_memory("verify", "--blobs", f"{registry.host}/large:1", home=tmp_path)

    assert peak < 80_000_000


@pytest.mark.parametrize("kind", ["ocidir", "oci-archive", "docker-archive"])
@pytest.mark.parametrize("registry", ["distribution"], indirect=True)
def test_every_kind_of_place(name: str, kind: str, tmp_path: Path) -> None:
    """A copy in a layout or an archive is looked at by the same verbs, and is the same."""
    place = f"ocidir://{tmp_path / 'copy'}:1" if kind == "ocidir" else f"{kind}:{tmp_path / 'copy.tar'}"
    image = output_of(regkit("resolve", "--platform", "linux/amd64", name)).strip()
    output_of(regkit("copy", image, place))

    assert output_of(regkit("verify", place, "--blobs")).startswith("good: ")
    assert output_of(regkit("diff", image, place, "--detailed-exitcode")).startswith("equal: ")
    assert output_of(regkit("resolve", place)).strip().endswith(image.partition("@")[2])
    for show in (("inspect", "--config"), ("manifest", "get"), ("manifest", "head")):
        assert output_of(regkit(*show, place)) == output_of(regkit(*show, image))
    tree = output_of(regkit("inspect", "--format", "tree", image)).splitlines()
    assert output_of(regkit("inspect", "--format", "tree", place)).splitlines()[1:] == tree[1:]
