"""What regkit publishes, as other clients read it."""

from __future__ import annotations

import json
from pathlib import Path

from regkit.oci.digest import Digest
from tests.support.command import output_of, peer, regkit
from tests.support.releases import PLATFORMS, Release, validate


def test_crane_validates_the_image_of_every_platform(release: Release) -> None:
    """Each platform's image is whole: crane finds its manifest, configuration and layers, with the right digests."""
    validate(f"{release.name}:1.2.3")


def test_crane_refuses_the_whole_index_for_the_variant_that_buildkit_leaves_out(release: Release) -> None:
    """Crane compares an index's platform with the image's configuration by letter, and BuildKit writes none for v8.

    That is why images are validated one by one. When this test fails, crane or BuildKit has changed, and the index
    can be validated as a whole.
    """
    arm64 = next(child for child in release.index["manifests"] if child["platform"]["architecture"] == "arm64")
    config = json.loads(output_of(peer("crane", "config", f"{release.name}@{arm64['digest']}")))

    done = peer("crane", "validate", "--remote", f"{release.name}:1.2.3")

    assert done.returncode != 0
    assert f"({arm64['digest']}): mismatched Variant:  != {arm64['platform']['variant']}" in done.stderr
    assert "variant" not in config


def test_every_client_reads_the_same_bytes(release: Release) -> None:
    """Crane, regctl, oras, skopeo and regkit get the index as it was pushed; its digest is the one that was printed."""
    reference = f"{release.name}:1.2.3"
    shown = output_of(regkit("inspect", "--format", "raw", reference))
    plain = f"reg={release.registry.host},tls=disabled"

    assert Digest.of(shown.encode()) == release.digest
    assert output_of(peer("crane", "manifest", reference)) == shown
    assert output_of(peer("regctl", "--host", plain, "manifest", "get", "--format", "raw-body", reference)) == shown
    assert output_of(peer("oras", "manifest", "fetch", "--plain-http", reference)) == shown
    assert output_of(peer("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}")) == shown


def test_skopeo_copies_all_platforms_and_keeps_the_digest(release: Release, tmp_path: Path) -> None:
    """The release can be mirrored into a layout without a changed byte, and the copy is still a release."""
    copy = f"oci:{tmp_path / 'copy'}:1.2.3"

    done = peer("skopeo", "copy", "--all", "--src-tls-verify=false", f"docker://{release.name}:1.2.3", copy)

    shown = output_of(peer("skopeo", "inspect", "--raw", copy))
    assert done.returncode == 0, done.stderr
    assert Digest.of(shown.encode()) == release.digest
    assert output_of(regkit("inspect", "--format", "raw", copy)) == shown


def test_the_index_names_the_platforms_as_they_were_asked_for(release: Release) -> None:
    """The variants stand in the index as written on the command line, and in that order; BuildKit would drop `v8`."""
    platforms = [child["platform"] for child in release.index["manifests"]]

    written = ["/".join(p[key] for key in ("os", "architecture", "variant") if key in p) for p in platforms]
    assert written == list(PLATFORMS)


def test_the_index_says_which_version_and_commit_it_is(release: Release) -> None:
    """Whoever finds the image can find its source: git's tag and commit stand in the index's annotations."""
    annotations = release.index["annotations"]

    assert annotations["org.opencontainers.image.version"] == "1.2.3"
    assert annotations["org.opencontainers.image.revision"] == release.commit
