"""`publish --from`: what is built already, by whom and wherever it is, becomes a release."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from regkit.targets.layout import Layout
from tests.conftest import KINDS
from tests.ops.support import attested_layout
from tests.support.command import clean_environment, output_of, peer, regkit
from tests.support.layouts import make_layout
from tests.support.registries import RunningRegistry, distribution

PLATFORMS = ("linux/amd64", "linux/arm64/v8")
ORDER = ["1", "1.2", "1.2.3", "latest"]
VERSION = ("--version", "v1.2.3")


@pytest.fixture(scope="module", params=list(KINDS))
def registry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """Give a registry of each kind; every test has a repository of its own."""
    with KINDS[request.param](tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """Give another registry."""
    with distribution(tmp_path_factory.mktemp("other")) as running:
        yield running


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return attested_layout(tmp_path / "layout", *PLATFORMS)


def index_at(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output_of(peer("crane", "manifest", name)))
    return found


def platforms_of(index: dict[str, Any]) -> list[str]:
    return ["/".join(filter(None, (p["os"], p["architecture"], p.get("variant")))) for p in map_platforms(index)]


def map_platforms(index: dict[str, Any]) -> list[dict[str, str]]:
    return [child["platform"] for child in index["manifests"]]


def pull(name: str, tmp_path: Path) -> None:
    """Let skopeo pull all of it, and check every digest."""
    output_of(peer("skopeo", "copy", "--all", "--src-tls-verify=false", f"docker://{name}", f"oci:{tmp_path}/pulled"))


def publish(registry: RunningRegistry, name: str, *words: str | Path, **settings: Any) -> str:
    image = f"{registry.host}/{name}"
    done = output_of(regkit("publish", "--image", image, *VERSION, *words, **settings))
    assert done.startswith(f"{image}@sha256:")
    return done.strip()


@pytest.mark.parametrize("kind", ["directory", "ocidir", "oci-archive"])
def test_local_places(registry: RunningRegistry, layout: Path, tmp_path: Path, kind: str) -> None:
    """A layout's directory, by its path and by its scheme, and an archive of it give the same release."""
    output_of(regkit("copy", f"ocidir://{layout}:built", f"oci-archive:{tmp_path}/built.tar:built"))
    where = {
        "directory": str(layout),
        "ocidir": f"ocidir://{layout}:built",
        "oci-archive": f"oci-archive:{tmp_path}/built.tar",
    }

    name = publish(registry, f"local/{kind}", "--from", where[kind])

    assert name.partition("@")[2] == publish(registry, "local/again", "--from", layout).partition("@")[2]
    assert registry.tags(f"local/{kind}") == sorted(ORDER)
    index = index_at(name)
    assert platforms_of(index) == [PLATFORMS[0], "unknown/unknown", PLATFORMS[1], "unknown/unknown"]
    pull(name, tmp_path)


def test_docker_archives_of_single_platforms(registry: RunningRegistry, tmp_path: Path) -> None:
    """What skopeo saved for docker load, an archive a platform, is one index; variants come as they are asked for."""
    make_layout(tmp_path / "layout", PLATFORMS)
    sources = []
    for platform in PLATFORMS:
        os, architecture, *variant = platform.split("/")
        archive = f"docker-archive:{tmp_path}/{architecture}.tar"
        override = ["--override-os", os, "--override-arch", architecture]
        override += ["--override-variant", variant[0]] if variant else []
        output_of(peer("skopeo", *override, "copy", f"oci:{tmp_path}/layout:built", archive))
        sources.append(archive)

    name = publish(registry, "docker/archives", "--platform", ",".join(PLATFORMS), "--from", *sources)

    assert platforms_of(index_at(name)) == list(PLATFORMS)
    pull(name, tmp_path)


@pytest.mark.parametrize("where", ["here", "there"])
def test_platform_tags_of_jobs_that_built_apart(
    registry: RunningRegistry, other: RunningRegistry, tmp_path: Path, where: str
) -> None:
    """Platform tags, in the same repository or in another registry, become a release; what is there isn't sent."""
    home = registry if where == "here" else other
    tags = []
    for number, platform in enumerate(PLATFORMS):
        make_layout(tmp_path / str(number), [platform], seed=number)
        tags.append(f"{home.host}/apart/{registry.kind}/{where}:8f3c2b1-{platform.replace('/', '-')}")
        output_of(peer("crane", "push", str(Layout(tmp_path / str(number)).root), tags[-1]))
    mark = registry.mark()

    name = publish(registry, f"apart/{registry.kind}/{where}", "--from", *tags)

    assert platforms_of(index_at(name)) == list(PLATFORMS)
    pull(name, tmp_path)
    sent = [logged for logged in registry.writes(mark) if "/blobs/" in logged.path and logged.status == 201]
    assert bool(sent) == (where == "there")


def test_between_repositories_of_a_registry_blobs_are_mounted(
    registry: RunningRegistry, layout: Path, tmp_path: Path
) -> None:
    """A candidate's index by digest is promoted into another repository: its blobs are mounted, none is sent."""
    candidate = publish(registry, "candidate/app", "--from", layout)
    mark = registry.mark()

    promoted = publish(registry, "promoted/app", "--from", candidate)

    assert promoted.partition("@")[2] == candidate.partition("@")[2]
    writes = registry.writes(mark)
    assert not [logged for logged in writes if logged.method in ("PATCH", "PUT") and "/blobs/" in logged.path]
    assert [logged.status for logged in writes if "mount=" in logged.path]
    pull(promoted, tmp_path)


def test_attestations_stay_with_their_image(registry: RunningRegistry, other: RunningRegistry, layout: Path) -> None:
    """Of an index in another registry one platform is taken: its attestation comes along, and no other."""
    candidate = publish(other, f"attested/{registry.kind}", "--from", layout)

    index = index_at(publish(registry, "attested/one", "--platform", "linux/arm64/v8", "--from", candidate))

    image, attestation = index["manifests"]
    assert platforms_of(index) == ["linux/arm64/v8", "unknown/unknown"]
    assert attestation["annotations"]["vnd.docker.reference.digest"] == image["digest"]
    assert index["manifests"] == index_at(candidate)["manifests"][2:]


def test_annotations_that_all_sources_share_are_kept(other: RunningRegistry, layout: Path) -> None:
    """What a candidate says of itself, its release says too; version and revision are the release's own."""
    candidate = publish(
        other, "notes/candidate", "--from", layout, "--annotation", "org.opencontainers.image.source=here"
    )

    image = f"{other.host}/notes/app"
    command = ("publish", "--image", image, "--version", "v2.0.0", "--from", candidate)
    index = index_at(output_of(regkit(*command)).strip())

    assert index["annotations"]["org.opencontainers.image.source"] == "here"
    assert index["annotations"]["org.opencontainers.image.version"] == "2.0.0"


def test_sources_from_stdin(other: RunningRegistry, tmp_path: Path) -> None:
    """`-` reads a source a line; it stands beside others, and `--from` may come several times."""
    for number, platform in enumerate(("linux/amd64", "linux/arm64", "linux/s390x")):
        make_layout(tmp_path / str(number), [platform], seed=number)
    argv = [sys.executable, "-m", "regkit", "publish", "--image", f"{other.host}/stdin/app", *VERSION]
    argv += ["--from", str(tmp_path / "0"), "--from", "-"]

    done = subprocess.run(
        argv,
        input=f"{tmp_path}/1\nocidir://{tmp_path}/2\n\n",
        env=clean_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert platforms_of(index_at(done.stdout.strip())) == ["linux/amd64", "linux/arm64", "linux/s390x"]


def test_a_rerun_writes_nothing(registry: RunningRegistry, other: RunningRegistry, layout: Path) -> None:
    """The same sources again, from another registry: the same digest, and no request that writes."""
    candidate = publish(other, f"rerun/{registry.kind}", "--from", layout)
    first = publish(registry, "rerun/app", "--from", candidate)
    mark = registry.mark()

    assert publish(registry, "rerun/app", "--from", candidate) == first
    assert registry.writes(mark) == []


def test_two_images_for_a_platform_are_refused(other: RunningRegistry, layout: Path, tmp_path: Path) -> None:
    """Which of two is meant can't be known: exit 2 with a sentence that names both, and nothing is written."""
    second = attested_layout(tmp_path / "second", "linux/arm64", content="other")
    mark = other.mark()

    done = regkit("publish", "--image", f"{other.host}/twice", *VERSION, "--from", layout, second)

    assert (done.returncode, done.stdout) == (2, "")
    assert "there are two images for linux/arm64" in done.stderr
    for place in (layout, second):
        assert f" in ocidir://{place}" in done.stderr
    assert other.writes(mark) == []


def test_missing_platforms_are_named(other: RunningRegistry, layout: Path) -> None:
    """Asked for and not there: all of them stand in the sentence, and what there is in the hint; exit 5."""
    command = ("publish", "--image", f"{other.host}/missing", *VERSION, "--from", layout)
    done = regkit(*command, "--platform", "linux/s390x,linux/amd64,linux/riscv64")

    assert done.returncode == 5
    assert "no image for linux/s390x, linux/riscv64 in ocidir://" in done.stderr
    assert "there are: linux/amd64, linux/arm64/v8" in done.stderr


@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        ("{tmp}/nowhere", 2, "isn't an OCI image layout"),
        ("oci-archive:{tmp}/nowhere.tar", 2, "nowhere.tar"),
        ("{host}/nothing/here:1", 5, "nothing/here"),
        ("{tmp}/file.tar", 2, "write oci-archive:"),
        ("A/B", 2, "not an image reference"),
        ("dir:/tmp", 2, "names no place"),
        ("ocidir://{layout}:wrong", 5, "wrong"),
        ("{tmp}/empty", 5, "there are no images"),
    ],
)
def test_what_is_no_source(other: RunningRegistry, tmp_path: Path, source: str, code: int, said: str) -> None:
    """What names nothing, or nothing that can be published, is a sentence with its exit code; nothing is written."""
    (tmp_path / "file.tar").write_bytes(b"")
    with Layout(tmp_path / "empty", create=True):
        pass
    layout = attested_layout(tmp_path / "layout", *PLATFORMS)
    place = source.format(tmp=tmp_path, host=other.host, layout=layout)
    mark = other.mark()

    done = regkit("publish", "--image", f"{other.host}/wrong", *VERSION, "--from", place)

    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert other.writes(mark) == []
