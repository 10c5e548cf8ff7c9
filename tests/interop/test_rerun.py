"""A publish that is run again, and what it tells scripts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.command import commit, git, output_of, peer, regkit
from tests.support.registries import RunningRegistry
from tests.support.releases import PLATFORMS, REPOSITORY, Release, publish, tags_of, validate

ONLY_DISTRIBUTION = pytest.mark.parametrize("registry", ["distribution"], indirect=True)


def test_a_rebuild_with_nothing_new_writes_nothing(release: Release, hello: Path, builder: str, home: Path) -> None:
    """Another machine builds the same clone again with the same builder: the registry sees no writing request."""
    mark = release.registry.mark()

    done = publish(release.registry, hello, "--rebuild", builder=builder, home=home)

    assert done.returncode == 0, done.stderr
    assert done.stdout == release.stdout
    assert "] RUN " in done.stderr  # it did build
    assert release.registry.writes(mark) == []


def test_what_is_published_needs_no_builder(release: Release, hello: Path, home: Path, tmp_path: Path) -> None:
    """Another machine publishes the same clone, and has no builder, not even its tools: the release is found.

    The registry sees no writing request, and nothing that a builder would leave behind is in the home.
    """
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "git").symlink_to(str(shutil.which("git")))
    mark = release.registry.mark()

    command = ("publish", hello, "--image", release.name, "--platform", ",".join(PLATFORMS))
    done = regkit(*command, env={"PATH": str(tools)}, home=home)

    assert done.returncode == 0, done.stderr
    assert done.stdout == release.stdout
    assert release.registry.writes(mark) == []
    assert list(home.rglob("*buildkitd*")) == []


@pytest.mark.parametrize("registry", ["distribution", "embedded"], indirect=True)
@pytest.mark.parametrize("options", [(), ("--rebuild",)])
def test_a_rerun_with_platform_tags_writes_nothing(
    registry: RunningRegistry, hello: Path, hello_origin: Path, builder: str, options: tuple[str, ...]
) -> None:
    """The tags that named images on the way don't come back: the registry sees no writing request."""
    first = publish(registry, hello_origin, "--intermediate", "tag", builder=builder)
    before, mark = tags_of(registry), registry.mark()

    done = publish(registry, hello, "--intermediate", "tag", *options, builder=builder)

    assert done.returncode == 0, done.stderr
    assert done.stdout == output_of(first)
    assert registry.writes(mark) == []
    assert tags_of(registry) == before


@pytest.mark.parametrize("committed", [False, True])
def test_a_changed_file_under_the_same_version_is_refused(
    release: Release, hello: Path, builder: str, *, committed: bool
) -> None:
    """Another program under a published version: exit 9 before anything is written, committed or not.

    A change that isn't committed has the published commit, and is noticed all the same.
    """
    with (hello / "bin" / "hello-amd64").open("ab") as program:
        program.write(b"changed")
    if committed:
        git(hello, "tag", "--delete", "v1.2.3")
        commit(hello, "v1.2.3")
    before, mark = tags_of(release.registry), release.registry.mark()

    done = publish(release.registry, hello, builder=builder)

    assert done.returncode == 9
    assert done.stdout == ""
    assert f"{release.name}:1.2.3 is published already" in done.stderr
    assert release.registry.writes(mark) == []
    assert tags_of(release.registry) == before


@ONLY_DISTRIBUTION
def test_a_lost_image_is_brought_back(registry: RunningRegistry, hello: Path, builder: str) -> None:
    """Where one platform's image was deleted, the same publish again sends what is missing, and moves no tag."""
    first = publish(registry, hello, builder=builder)
    name, _, digest = output_of(first).strip().partition("@")
    before, mark = tags_of(registry), registry.mark()
    child = json.loads(output_of(peer("crane", "manifest", f"{name}@{digest}")))["manifests"][-1]["digest"]
    output_of(peer("crane", "delete", f"{name}@{child}"))

    done = publish(registry, hello, builder=builder)

    assert done.stdout == first.stdout, done.stderr
    sent = [logged.path for logged in registry.writes(mark) if logged.method == "PUT"]
    assert sent == [f"/v2/{REPOSITORY}/manifests/{child}"]
    assert tags_of(registry) == before
    validate(f"{name}:1.2.3")


@ONLY_DISTRIBUTION
def test_a_newer_release_that_lost_an_image_does_not_touch_an_older_one(
    registry: RunningRegistry, hello: Path, builder: str
) -> None:
    """What is missing in `1.3.0`, on which `latest` stands, is no reason to build a published `1.2.3` again."""
    first = publish(registry, hello, builder=builder)
    with (hello / "bin" / "hello-amd64").open("ab") as program:
        program.write(b"newer")
    newer = output_of(publish(registry, hello, "--version", "v1.3.0", builder=builder)).strip()
    git(hello, "checkout", "--", ".")
    child = json.loads(output_of(peer("crane", "manifest", newer)))["manifests"][0]["digest"]
    output_of(peer("crane", "delete", f"{newer.partition('@')[0]}@{child}"))
    mark = registry.mark()

    done = publish(registry, hello, builder="unix:///nowhere")

    assert done.stdout == output_of(first), done.stderr
    assert done.returncode == 0
    assert registry.writes(mark) == []


def test_stdout_is_the_name_to_pull_by(release: Release) -> None:
    """A script can take stdout as it is: one line, NAME@DIGEST, and a registry knows it."""
    assert release.stdout == f"{release.name}@{release.digest}\n"
    assert output_of(peer("crane", "digest", f"{release.name}:latest")).strip() == release.digest


def test_the_metadata_file_has_the_keys_that_buildx_writes(
    release: Release, hello: Path, builder: str, tmp_path: Path
) -> None:
    """What reads buildx's metadata file reads this one."""
    done = publish(release.registry, hello, "--metadata-file", tmp_path / "metadata.json", builder=builder)

    metadata = json.loads((tmp_path / "metadata.json").read_text())
    raw = output_of(peer("crane", "manifest", release.name))
    assert done.stdout == release.stdout
    assert metadata["containerimage.digest"] == release.digest
    assert metadata["containerimage.descriptor"] == {
        "mediaType": json.loads(raw)["mediaType"],
        "digest": release.digest,
        "size": len(raw.encode()),
    }
    assert metadata["image.name"].split(",") == [f"{release.name}:{tag}" for tag in ("1", "1.2", "1.2.3", "latest")]


def test_json_is_one_document_on_stdout(release: Release, hello: Path, builder: str) -> None:
    """With `--format json` stdout is one document with a schema's number, the digest, and each image's descriptor."""
    done = publish(release.registry, hello, "--format", "json", builder=builder)

    document = json.loads(output_of(done))
    assert document["schema"] == 1
    assert document["digest"] == release.digest
    assert document["images"] == release.index["manifests"]
    assert set(document["tags"]) | set(document["kept"]) == set(release.tags)


@ONLY_DISTRIBUTION
@pytest.mark.parametrize("shape", ["text", "json"])
def test_a_dry_run_only_says_what_would_be_done(registry: RunningRegistry, hello: Path, shape: str) -> None:
    """The plan names the tags in their order; no builder is needed, and the registry sees no writing request."""
    command = ("publish", hello, "--image", f"{registry.host}/{REPOSITORY}", "--platform", ",".join(PLATFORMS))

    plan = output_of(regkit(*command, "--dry-run", "--format", shape, env={"BUILDKIT_HOST": "unix:///nowhere"}))

    if shape == "json":
        planned = [decision["tag"] for decision in json.loads(plan)["tags"] if decision["moves"]]
    else:
        planned = [line.split()[1].rstrip(":") for line in plan.splitlines() if line.startswith("tag ")]
    assert planned == ["1", "1.2", "1.2.3", "latest"]
    assert registry.requests() != []
    assert registry.writes() == []
