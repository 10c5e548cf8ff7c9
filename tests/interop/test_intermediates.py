"""Platform images that carry tags on the way to a release."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from regkit.oci.digest import Digest
from tests.support.command import git, output_of, peer
from tests.support.registries import RunningRegistry, debian
from tests.support.releases import (
    PLATFORMS,
    REPOSITORY,
    Release,
    publish,
    tags_deleted,
    tags_of,
    tags_put,
    validate,
)

TAGS = ["1", "1.2", "1.2.3", "latest"]
CAN_REMOVE_TAGS = pytest.mark.parametrize("registry", ["distribution", "embedded"], indirect=True)


@pytest.fixture(params=[True, False], ids=["deletes-enabled", "deletes-disabled"])
def old_registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningRegistry]:
    """Give Debian's docker-registry, with deletes switched on or off: it can remove no tag either way."""
    with debian(tmp_path / "registry", delete=request.param) as running:
        yield running


@pytest.fixture
def platform_tags(hello: Path) -> dict[str, str]:
    """Give each platform's tag: the commit's first seven digits, then the platform as it is asked for."""
    commit = git(hello, "rev-parse", "HEAD")
    return {platform: f"{commit[:7]}-{platform.replace('/', '-')}" for platform in PLATFORMS}


@CAN_REMOVE_TAGS
def test_they_are_gone_once_the_release_stands(
    registry: RunningRegistry, hello: Path, builder: str, platform_tags: dict[str, str]
) -> None:
    """Each platform's image has its own tag until the release stands; then only the release's tags are left.

    All that the release refers to is still there, since a tag alone is removed and never what it stands on.
    """
    done = publish(registry, hello, "--intermediate", "tag", builder=builder)

    release = released(registry, hello, done.stdout)
    log = registry.requests()
    put = tags_put(log)
    assert done.returncode == 0, done.stderr
    assert sorted(put[: len(PLATFORMS)]) == sorted(platform_tags.values())
    assert put[len(PLATFORMS) :] == TAGS
    assert release.tags == dict.fromkeys(TAGS, release.digest)
    assert [r.path.rpartition("/")[2] for r in log if r.method == "DELETE"] == tags_deleted(log)
    assert sorted(tags_deleted(log)) == sorted(platform_tags.values())
    for name in (f"{release.name}:1.2.3", f"{release.name}@{release.digest}"):
        validate(name)


@CAN_REMOVE_TAGS
def test_they_can_be_kept_and_removed_later(
    registry: RunningRegistry, hello: Path, builder: str, platform_tags: dict[str, str]
) -> None:
    """With `--keep-intermediate` each names its platform's image; the same publish without it removes just them."""
    done = publish(registry, hello, "--intermediate", "tag", "--keep-intermediate", builder=builder)

    release = released(registry, hello, done.stdout)
    children = [child["digest"] for child in release.index["manifests"]]
    expected = dict(zip(platform_tags.values(), children, strict=True))
    assert done.returncode == 0, done.stderr
    assert release.tags == {**expected, **dict.fromkeys(TAGS, release.digest)}

    mark = registry.mark()
    again = publish(registry, hello, "--intermediate", "tag", builder=builder)

    assert again.returncode == 0, again.stderr
    assert sorted(tags_deleted(registry.since(mark))) == sorted(platform_tags.values())
    assert len(registry.writes(mark)) == len(platform_tags)
    assert release.tags == dict.fromkeys(TAGS, release.digest)
    validate(f"{release.name}:1.2.3")


def test_where_tags_cannot_be_removed_they_stay_and_protect_the_release(
    old_registry: RunningRegistry, hello: Path, builder: str, platform_tags: dict[str, str]
) -> None:
    """On docker-registry 2.8 the release is up, the command says which tags stay, and ends with 8.

    Nothing was deleted, by digest least of all, and the registry's own garbage collection leaves the release whole.
    """
    done = publish(old_registry, hello, "--intermediate", "tag", builder=builder)

    release = released(old_registry, hello, done.stdout)
    assert done.returncode == 8
    assert done.stdout == f"{release.name}@{Digest(release.digest)}\n"
    message = next(line for line in done.stderr.splitlines() if line.startswith("regkit: error: "))
    assert "the release is up" in message
    assert all(tag in message for tag in platform_tags.values())
    assert all(path_is_tag(r.path) and r.status >= 400 for r in old_registry.requests() if r.method == "DELETE")
    children = [child["digest"] for child in release.index["manifests"]]
    expected = dict(zip(platform_tags.values(), children, strict=True)) | dict.fromkeys(TAGS, release.digest)
    assert release.tags == expected

    collect_garbage(old_registry)

    assert release.tags == expected
    validate(f"{release.name}:1.2.3")


@pytest.mark.parametrize("registry", ["debian"], indirect=True)
def test_there_a_rerun_says_the_same_and_changes_nothing(registry: RunningRegistry, hello: Path, builder: str) -> None:
    """Running it again sends nothing new; it asks once more for a tag to be removed, is refused, and ends with 8."""
    first = publish(registry, hello, "--intermediate", "tag", builder=builder)
    before, mark = tags_of(registry), registry.mark()

    again = publish(registry, hello, "--intermediate", "tag", "--format", "json", builder=builder)

    document = json.loads(again.stdout)
    assert (first.returncode, again.returncode) == (8, 8)
    assert f"{document['image']}@{document['digest']}\n" == first.stdout
    assert document["unfinished"] in again.stderr
    assert all(r.method == "DELETE" and path_is_tag(r.path) and r.status >= 400 for r in registry.writes(mark))
    assert tags_of(registry) == before


@pytest.mark.parametrize("registry", ["debian"], indirect=True)
def test_without_them_its_garbage_collection_takes_the_images(
    registry: RunningRegistry, hello: Path, builder: str
) -> None:
    """Why they stay there: with `-m` the garbage collector of 2.8 deletes what only a tagged index refers to."""
    name = output_of(publish(registry, hello, builder=builder)).partition("@")[0]
    validate(f"{name}:1.2.3")

    collect_garbage(registry)

    assert sorted(registry.tags(REPOSITORY)) == TAGS
    for platform in PLATFORMS:
        assert peer("crane", "validate", "--remote", f"{name}:1.2.3", "--platform", platform).returncode != 0


@pytest.mark.parametrize("registry", ["distribution"], indirect=True)
def test_without_a_commit_there_is_no_name_for_them(
    registry: RunningRegistry, hello: Path, builder: str, tmp_path: Path
) -> None:
    """Outside git and CI, without `--commit`: exit 2 before anything is built or written; with it, all is well."""
    plain = shutil.copytree(hello, tmp_path / "plain", ignore=shutil.ignore_patterns(".git"))
    options = ("--version", "v1.2.3", "--intermediate", "tag")

    done = publish(registry, plain, *options, builder=builder)
    assert done.returncode == 2
    assert "--commit" in done.stderr
    assert registry.writes() == []

    commit = git(hello, "rev-parse", "HEAD")
    output_of(publish(registry, plain, *options, "--commit", commit, builder=builder))
    assert {tag.partition("-")[0] for tag in tags_put(registry.requests())[: len(PLATFORMS)]} == {commit[:7]}


def released(registry: RunningRegistry, hello: Path, stdout: str) -> Release:
    """Read what a publish printed."""
    return Release(registry, f"{registry.host}/{REPOSITORY}", git(hello, "rev-parse", "HEAD"), stdout)


def path_is_tag(path: str) -> bool:
    """Tell whether a manifest is named by its tag, and not by its digest."""
    return path.startswith(f"/v2/{REPOSITORY}/manifests/") and ":" not in path


def collect_garbage(registry: RunningRegistry) -> None:
    """Run docker-registry's garbage collector, untagged manifests included, while the registry rests."""
    assert registry.config is not None
    output_of(peer("docker-registry", "garbage-collect", "--delete-untagged", registry.config))
