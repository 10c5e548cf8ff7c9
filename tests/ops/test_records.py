"""Records of what was pushed: written whole, read with suspicion, checked purely."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from regkit.errors import NotFound, Refused, UsageError, VerificationFailed
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.platform import Platform, parse_platforms
from regkit.oci.reference import Reference
from regkit.ops.records import MAX_FILES, MAX_SIZE, Record, check_complete, check_records, read_records, write_record

IMAGE, OTHER = Reference.parse_name("h.example/a"), Reference.parse_name("h.example/b")
AMD64, ARM64 = PLATFORMS = parse_platforms(["linux/amd64,linux/arm64/v8"])
COMMIT = "8f3c2b1a9d7e6f5c4b3a29181716151413121110"


def record(platform: Platform = AMD64, content: bytes = b"x", **more: object) -> Record:
    descriptor = Descriptor(mediatype.OCI_MANIFEST, Digest.of(content), len(content))
    made = Record((IMAGE, OTHER), platform, descriptor, f"8f3c2b1-{platform.slug}", COMMIT)
    return replace(made, **more)  # type: ignore[arg-type]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """In a directory that is made, a file a platform, also where each lies in a directory of its own."""
    paths = [write_record(tmp_path / "a" / str(number), record(p)) for number, p in enumerate(PLATFORMS)]

    assert [path.name for path in paths] == ["linux-amd64.json", "linux-arm64-v8.json"]
    assert read_records(tmp_path / "a") == (record(AMD64), record(ARM64))
    assert json.loads(paths[0].read_bytes())["schema"] == 1


def test_again_replaces_it(tmp_path: Path) -> None:
    """A job that runs again says what it pushed last; nothing else lies there."""
    write_record(tmp_path, record(content=b"old"))
    write_record(tmp_path, record(content=b"new"))

    assert read_records(tmp_path) == (record(content=b"new"),)
    assert len(list(tmp_path.iterdir())) == 1


def test_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """A file in its place: a UsageError that names it."""
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file"):
        write_record(tmp_path / "file" / "x", record())


@pytest.mark.parametrize("lacking", ["images", "platform", "descriptor", "tag", "commit", "schema"])
def test_record_that_lacks_something(tmp_path: Path, lacking: str) -> None:
    """All keys have to be there; the file is named."""
    path = write_record(tmp_path, record())
    said = json.loads(path.read_bytes())
    del said[lacking]
    path.write_text(json.dumps(said))

    with pytest.raises(UsageError, match=r"linux-amd64\.json isn't a record of a build"):
        read_records(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"images": []},
        {"images": [1]},
        {"images": ["UPPER"]},
        {"images": ["h.example/a:tag"]},
        {"platform": None},
        {"descriptor": None},
        {"descriptor": {"mediaType": mediatype.OCI_MANIFEST, "digest": "md5:1", "size": 1}},
        {"tag": "not a tag"},
        {"commit": 1},
        {"schema": "1"},
    ],
)
def test_record_of_another_form(tmp_path: Path, changes: dict[str, object]) -> None:
    """One sentence, whatever is in it."""
    path = write_record(tmp_path, record())
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}))

    with pytest.raises(UsageError, match=r"linux-amd64\.json is"):
        read_records(tmp_path)


def test_size_and_number_are_bounded(tmp_path: Path) -> None:
    """A file that is too large isn't read, a directory that has too many files isn't either."""
    write_record(tmp_path, record())
    (tmp_path / "linux-arm64-v8.json").write_bytes(b" " * MAX_SIZE + b"{}")
    with pytest.raises(UsageError, match="isn't a record"):
        read_records(tmp_path)

    for number in range(MAX_FILES + 1):
        (tmp_path / f"{number}.json").touch()
    with pytest.raises(UsageError, match=f"more than {MAX_FILES} files"):
        read_records(tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    """Neither a directory, nor a record in it: other files don't count."""
    with pytest.raises(NotFound, match="there is no directory"):
        read_records(tmp_path / "nowhere")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(NotFound, match="no records"):
        read_records(tmp_path)


def test_two_records_for_a_platform(tmp_path: Path) -> None:
    """The same digest twice is one record; another one is refused, and spellings of a platform are one."""
    write_record(tmp_path / "a", record(ARM64))
    write_record(tmp_path / "b", record(Platform.parse("linux/arm64")))
    assert read_records(tmp_path) == (record(ARM64),)

    write_record(tmp_path / "b", record(Platform.parse("linux/arm64"), b"y"))
    with pytest.raises(Refused, match="name two images for"):
        read_records(tmp_path)


def test_repository_that_all_were_pushed_to() -> None:
    """The first of those asked for; where they have none in common, a foreign record is named, if there is one."""
    assert check_records([record()], [IMAGE], (), None) == IMAGE
    assert check_records([record()], [Reference.parse_name("h.example/new"), OTHER], (), None) == OTHER
    with pytest.raises(Refused, match=r"linux/amd64 was pushed to h\.example/b"):
        check_records([record(images=(OTHER,)), record(ARM64)], [IMAGE], (), None)
    with pytest.raises(Refused, match="none in common"):
        check_records([record(images=(OTHER,)), record(ARM64, images=(IMAGE,))], [IMAGE, OTHER], (), None)


def test_commits_have_to_agree() -> None:
    """Short ones with long ones; one that isn't known says nothing."""
    for commit in (None, COMMIT, COMMIT[:7], COMMIT.upper()):
        check_records([record(), record(ARM64, commit=None)], [IMAGE], (), commit)
    with pytest.raises(Refused, match="this call is of 1111111, linux/amd64 of 8f3c2b1"):
        check_records([record()], [IMAGE], (), "1111111")
    with pytest.raises(Refused, match=r"linux/amd64 is of 8f3c2b1.*linux/arm64/v8 of 2222222"):
        check_records([record(), record(ARM64, commit="2222222")], [IMAGE], (), None)


def test_completeness() -> None:
    """Exactly what is expected, in any spelling; all that is missing stands in the sentence."""
    check_complete(PLATFORMS, ())
    check_complete(PLATFORMS, parse_platforms(["linux/arm64,linux/amd64"]))
    with pytest.raises(VerificationFailed, match="no image for linux/s390x, linux/arm/v6"):
        check_complete(PLATFORMS, parse_platforms(["linux/amd64,linux/s390x,linux/arm/v6"]))
    with pytest.raises(VerificationFailed, match="aren't expected: linux/arm64/v8"):
        check_complete(PLATFORMS, [AMD64])
    with pytest.raises(VerificationFailed, match="no image for linux/amd64"):
        check_complete((), [AMD64])
