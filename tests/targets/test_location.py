from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.errors import UsageError
from regkit.oci.digest import Digest
from regkit.oci.reference import Reference
from regkit.targets.layout import Layout
from regkit.targets.location import Location
from regkit.targets.repository import Repository
from regkit.transport.session import Session
from tests.support.layouts import make_layout

DIGEST = Digest.of(b"")


@pytest.mark.parametrize(
    ("text", "place", "identifier"),
    [
        ("ocidir://dir", "dir", None),
        ("ocidir:///abs/dir:1.2", "/abs/dir", "1.2"),
        ("ocidir://a/b:c/d", "a/b:c/d", None),
        (f"ocidir://dir@{DIGEST}", "dir", DIGEST),
        (f"ocidir://dir:1.2@{DIGEST}", "dir", DIGEST),
        ("oci:dir", "dir", None),
        ("oci:dir:1.2", "dir", "1.2"),
        ("oci:/abs/dir:1.2", "/abs/dir", "1.2"),
        ("oci:.", ".", None),
    ],
)
def test_layouts(text: str, place: str, identifier: str | None) -> None:
    """A layout's directory, with a tag or a digest in it; the digest wins."""
    assert Location.parse(text) == Location(Path(place), identifier)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ubuntu", ("docker.io/library/ubuntu", "latest")),
        ("ghcr.io/a/b:1", ("ghcr.io/a/b:1", "1")),
        (f"ghcr.io/a/b:1@{DIGEST}", (f"ghcr.io/a/b:1@{DIGEST}", DIGEST)),
    ],
)
def test_references(text: str, expected: tuple[str, str]) -> None:
    """Everything else is a reference; without tag and digest it means `latest`."""
    location = Location.parse(text)

    assert (str(location), location.identifier) == expected
    assert location.place == Reference.parse(text)


@pytest.mark.parametrize(
    "text", ["ocidir://", "oci:", "ocidir://:1", "ocidir://@x", "oci:dir:-1", "oci:dir@sha256:1", "A/B"]
)
def test_what_is_no_location(text: str) -> None:
    """No directory, no tag, no digest: refused with a sentence."""
    with pytest.raises(UsageError):
        Location.parse(text)


@given(st.text())
def test_arbitrary_text_is_a_location_or_bad_usage(text: str) -> None:
    """Nothing but a UsageError comes out, and what was read is written and read again."""
    for prefix in ("", "oci:", "ocidir://"):
        try:
            location = Location.parse(prefix + text)
        except UsageError:
            continue
        assert Location.parse(str(location)) == Location(location.place, location.identifier)


def test_the_full_spelling() -> None:
    """A location is written as it can be given again."""
    for text in ("ocidir://dir", "ocidir://dir:1", f"ocidir://dir@{DIGEST}", "ocidir://a:b/", "ocidir://a:b/:1"):
        assert str(Location.parse(text)) == text


def test_opening(tmp_path: Path) -> None:
    """A location opens as the target that it names; a directory that is no layout is refused."""
    make_layout(tmp_path / "layout")
    with Session() as session:
        assert isinstance(Location.parse(f"oci:{tmp_path}/layout").open(session), Layout)
        assert isinstance(Location.parse("localhost/a").open(session), Repository)
        with pytest.raises(UsageError, match="isn't an OCI image layout"):
            Location.parse(f"oci:{tmp_path}/nothing").open(session)
