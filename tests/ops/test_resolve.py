from __future__ import annotations

from pathlib import Path

import pytest

from regkit.errors import NotFound, UsageError
from regkit.oci.digest import Digest
from regkit.oci.platform import Platform
from regkit.ops.resolve import at_digest, resolve
from regkit.targets.layout import Layout
from regkit.targets.location import Location
from regkit.transport.session import Session
from tests.ops.support import attested_layout, release, serving

DIGEST = Digest("sha256:" + "a" * 64)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return attested_layout(tmp_path / "layout", "linux/amd64", "linux/arm64")


def test_a_tag_is_asked_for_by_head_alone(layout: Path) -> None:
    """What a tag stands for costs one HEAD, which no hub counts as a pull."""
    with serving() as served:
        release(served, layout)
        served.access.clear()
        location = Location.parse(f"{served.host}/team/hello:1.2")

        found = resolve(served.session, location)

        assert found.digest == served.tags()["1.2"]
        assert found.is_index
        assert [request.method for request in served.access] == ["HEAD"]


def test_a_platform_of_an_index(layout: Path) -> None:
    """The platform is compared after normalising; of an image by itself there is nothing to choose."""
    arm64 = next(c for c in Layout(layout).manifest("built").manifests if str(c.platform) == "linux/arm64")
    with Session() as session:
        found = resolve(session, Location.parse(f"oci:{layout}:built"), Platform.parse("linux/arm64/v8"))
        alone = resolve(session, Location.parse(f"oci:{layout}@{arm64.digest}"), Platform.parse("linux/arm64"))
        with pytest.raises(NotFound, match="has no image for linux/s390x") as caught:
            resolve(session, Location.parse(f"oci:{layout}:built"), Platform.parse("linux/s390x"))
    assert caught.value.hint == "it has: linux/amd64, linux/arm64"  # what attests them is for no platform

    assert found == arm64
    assert alone.digest == arm64.digest


def test_a_layout_with_one_entry_needs_no_name(layout: Path, tmp_path: Path) -> None:
    """Its only entry is meant; where there is none, that is said."""
    Layout(tmp_path / "empty", create=True).__exit__(None)
    with Session() as session:
        assert resolve(session, Location.parse(f"oci:{layout}")).digest == Layout(layout).roots[0].digest
        with pytest.raises(UsageError, match="has 0 entries"):
            resolve(session, Location.parse(f"oci:{tmp_path / 'empty'}"))


def test_what_is_not_there(layout: Path) -> None:
    """A name that stands for nothing is named."""
    with serving() as served, pytest.raises(NotFound, match="team/hello:9 isn't there"):
        resolve(served.session, Location.parse(f"{served.host}/team/hello:9"))
    with Session() as session, pytest.raises(NotFound, match=f"@{DIGEST} isn't there"):
        resolve(session, Location.parse(f"oci:{layout}@{DIGEST}"))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ghcr.io/a/b:1", f"ghcr.io/a/b@{DIGEST}"),
        (f"alpine:3@sha256:{'b' * 64}", f"docker.io/library/alpine@{DIGEST}"),
        ("oci:some/dir:1", f"ocidir://some/dir@{DIGEST}"),
        ("ocidir://some/dir", f"ocidir://some/dir@{DIGEST}"),
    ],
)
def test_the_name_of_a_digest(text: str, name: str) -> None:
    """The place stays, the tag goes; what is given can be read again."""
    assert at_digest(Location.parse(text), DIGEST) == name
    assert Location.parse(name).identifier == DIGEST
