from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.errors import UsageError
from regkit.oci.digest import Digest
from regkit.oci.reference import Reference
from regkit.targets.archive import Archive
from regkit.targets.docker_archive import DockerArchive
from regkit.targets.layout import Layout
from regkit.targets.location import ArchiveFile, DockerFile, Location
from regkit.targets.repository import Repository
from regkit.transport.session import Session
from tests.support.layouts import make_layout

DIGEST = Digest.of(b"")


@pytest.mark.parametrize(
    ("text", "place", "identifier"),
    [
        ("ocidir://dir", "dir", None),
        ("ocidir:///abs/dir:1.2", "/abs/dir", "1.2"),
        ("ocidir://a/b:c/d", "a/b", "c/d"),
        ("ocidir://a/b:c/d/", "a/b:c/d", None),
        ("ocidir://a:b/:c/d:1", "a:b", "c/d:1"),
        ("oci:dir:docker.io/library/alpine:3.20", "dir", "docker.io/library/alpine:3.20"),
        ("oci:dir:localhost:5000/a--b/c_d:1+2", "dir", "localhost:5000/a--b/c_d:1+2"),
        ("oci:dir:user@host:1", "dir", "user@host:1"),
        ("oci:dir:_x", "dir", "_x"),
        (f"oci:dir:a/b:1@{DIGEST}", "dir", DIGEST),
        (f"ocidir://dir@{DIGEST}", "dir", DIGEST),
        (f"ocidir://dir:1.2@{DIGEST}", "dir", DIGEST),
        ("oci:dir", "dir", None),
        ("oci:dir:1.2", "dir", "1.2"),
        ("oci:/abs/dir:1.2", "/abs/dir", "1.2"),
        ("oci:.", ".", None),
    ],
)
def test_layouts(text: str, place: str, identifier: str | None) -> None:
    """A layout's directory, with a name or a digest in it; the name begins behind the first colon, the digest wins."""
    location = Location.parse(text)

    assert location == Location(Path(place), identifier)
    assert Location.parse(str(location)) == location


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
    ("text", "place", "identifier"),
    [
        ("oci-archive:x.tar", ArchiveFile(Path("x.tar")), None),
        ("oci-archive:/a/x.tar:1.2", ArchiveFile(Path("/a/x.tar")), "1.2"),
        (f"oci-archive:x.tar@{DIGEST}", ArchiveFile(Path("x.tar")), DIGEST),
        (f"oci-archive:x.tar:1@{DIGEST}", ArchiveFile(Path("x.tar")), DIGEST),
        ("oci-archive:a:b/x.tar", ArchiveFile(Path("a")), "b/x.tar"),
        ("oci-archive:x.tar:x/y:1", ArchiveFile(Path("x.tar")), "x/y:1"),
        ("oci-archive:a:b/x.tar/", ArchiveFile(Path("a:b/x.tar")), None),
        ("oci-archive:a:b/x.tar/:x/y:1", ArchiveFile(Path("a:b/x.tar")), "x/y:1"),
        ("docker-archive:x.tar", DockerFile(Path("x.tar")), None),
        ("docker-archive:/a/x.tar:hello", DockerFile(Path("/a/x.tar"), "docker.io/library/hello"), "latest"),
        ("docker-archive:x.tar:localhost:5000/a/b:1", DockerFile(Path("x.tar"), "localhost:5000/a/b"), "1"),
        (f"docker-archive:x.tar:a.b/c@{DIGEST}", DockerFile(Path("x.tar"), "a.b/c"), DIGEST),
        (f"docker-archive:x.tar@{DIGEST}", DockerFile(Path("x.tar")), DIGEST),
        ("docker-archive:x.tar::1.2", DockerFile(Path("x.tar")), "1.2"),
    ],
)
def test_archives(text: str, place: object, identifier: str | None) -> None:
    """An archive's file, with a tag or a digest in it; what Docker saves has whole names, or only tags."""
    location = Location.parse(text)

    assert (location.place, location.identifier) == (place, identifier)
    assert Location.parse(str(location)) == location


@pytest.mark.parametrize(
    "text",
    [
        "ocidir://",
        "oci:",
        "ocidir://:1",
        "ocidir://@x",
        "oci:dir:-1",
        "oci:dir:a/-1",
        "oci:dir:a//b",
        "oci:dir:a::b",
        "oci:a@b",
        "oci:a@b:c",
        "oci:dir@sha256:1",
        "A/B",
        "oci:a\0b",
        "oci-archive:",
        "oci-archive::1",
        "oci-archive:x:-1",
        "oci-archive:x@sha256:1",
        "docker-archive:",
        "docker-archive::hello:1",
        "docker-archive:x:A/B",
        "docker-archive:x::-",
        "docker-archive:x:",
    ],
)
def test_what_is_no_location(text: str) -> None:
    """No directory, no file, no tag, no digest: refused with a sentence."""
    with pytest.raises(UsageError):
        Location.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "docker://alpine",
        "docker-daemon:alpine:3",
        "containers-storage:x",
        "dir:x",
        "dir:/x/y",
        "oci-layout://x:1",
        "https://ghcr.io/a/b",
        "OCI-Layout:x",
        "tarball:x.tar",
        "s3://bucket",
    ],
)
def test_other_schemes(text: str) -> None:
    """What other tools write before a colon isn't taken for an image of Docker Hub; the hint names what there is."""
    with pytest.raises(UsageError, match="names no place that is known") as caught:
        Location.parse(text)

    for known in ("ocidir://DIR", "oci-archive:FILE", "docker-archive:FILE"):
        assert known in str(caught.value.hint)


@pytest.mark.parametrize("text", ["./out", "../out", "/tmp/out", "~/out", "."])
def test_a_path_alone(text: str) -> None:
    """A path isn't taken for a registry; what the hint says to write instead is that path."""
    with pytest.raises(UsageError, match="is a path") as caught:
        Location.parse(text)

    for scheme, place in (
        ("ocidir://", Path(text)),
        ("oci-archive:", ArchiveFile(Path(text))),
        ("docker-archive:", DockerFile(Path(text))),
    ):
        assert f"{scheme}{text}" in str(caught.value.hint)
        assert Location.parse(f"{scheme}{text}").place == place


@given(st.text())
def test_arbitrary_text_is_a_location_or_bad_usage(text: str) -> None:
    """Nothing but a UsageError comes out, and what was read is written and read again."""
    for prefix in ("", "oci:", "ocidir://", "oci-archive:", "oci-archive:x:", "docker-archive:", "docker-archive:x:"):
        try:
            location = Location.parse(prefix + text)
        except UsageError:
            continue
        assert Location.parse(str(location)) == Location(location.place, location.identifier)


def test_the_full_spelling() -> None:
    """A location is written as it can be given again."""
    for text in ("ocidir://dir", "ocidir://dir:1", f"ocidir://dir@{DIGEST}", "ocidir://a:b/", "ocidir://a:b/:1"):
        assert str(Location.parse(text)) == text
    for text in ("oci-archive:x", "oci-archive:x:1", f"oci-archive:x@{DIGEST}", "oci-archive:a:b/:1"):
        assert str(Location.parse(text)) == text
    for text in ("docker-archive:x", "docker-archive:x:a.b/c:1", "docker-archive:x::1", f"docker-archive:x@{DIGEST}"):
        assert str(Location.parse(text)) == text


def test_opening(tmp_path: Path) -> None:
    """A location opens as the target that it names; a directory that is no layout is refused."""
    make_layout(tmp_path / "layout")
    with Session() as session:
        assert isinstance(Location.parse(f"oci:{tmp_path}/layout").open(session), Layout)
        assert isinstance(Location.parse("localhost/a").open(session), Repository)
        with pytest.raises(UsageError, match="isn't an OCI image layout"):
            Location.parse(f"oci:{tmp_path}/nothing").open(session)
        with pytest.raises(UsageError, match="can't be read"):
            Location.parse(f"oci-archive:{tmp_path}/nothing").open(session)


@pytest.mark.parametrize(
    ("text", "kind"), [("oci:{}", Layout), ("oci-archive:{}", Archive), ("docker-archive:{}", DockerArchive)]
)
def test_beginning(tmp_path: Path, text: str, kind: type) -> None:
    """With `create`, what isn't there is begun when its context ends, not before."""
    location = Location.parse(text.format(tmp_path / "new"))
    with Session() as session:
        target = location.open(session, create=True)
        assert not (tmp_path / "new").exists()
        with target:
            pass
        assert isinstance(location.open(session), kind)
