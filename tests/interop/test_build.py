"""`regkit build`: images by digest, under platform tags, in layouts and archives, and records of what was pushed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import commit, git, output_of, peer, regkit
from tests.support.proxy import proxy
from tests.support.registries import RunningRegistry, distribution

PLATFORMS = ("linux/amd64", "linux/arm64/v8", "linux/arm/v6")
ASKED = ("--platform", ",".join(PLATFORMS))
COMMIT = "8f3c2b1a9d7e6f5c4b3a29181716151413121110"
TAGS = [f"{COMMIT[:7]}-{platform.replace('/', '-')}" for platform in PLATFORMS]


def manifest(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output_of(peer("crane", "manifest", name)))
    return found


def records(directory: Path) -> dict[str, dict[str, Any]]:
    return {path.name: json.loads(path.read_bytes()) for path in sorted(directory.iterdir())}


def platform_of(name: str) -> str:
    config = json.loads(output_of(peer("crane", "config", name)))
    return "/".join(filter(None, (config["os"], config["architecture"], config.get("variant"))))


def test_platform_tags(registry: RunningRegistry, hello: Path, builder: str) -> None:
    """A tag a platform, named from the commit, each on that platform's image; they make a release with `--from`."""
    image = f"{registry.host}/team/hello"

    done = regkit("build", hello, "--image", image, *ASKED, "--push", env={"BUILDKIT_HOST": builder})

    short = git(hello, "rev-parse", "HEAD")[:7]
    tags = [tag.replace(COMMIT[:7], short) for tag in TAGS]
    assert registry.tags("team/hello") == sorted(tags)
    digests = [output_of(peer("crane", "digest", f"{image}:{tag}")).strip() for tag in tags]
    assert output_of(done).splitlines() == [f"{image}:{t}@{d}" for t, d in zip(tags, digests, strict=True)]
    assert [platform_of(f"{image}:{tag}") for tag in tags] == ["linux/amd64", "linux/arm64", "linux/arm/v6"]

    # What it printed is what publish and merge read.
    name = output_of(regkit("publish", "--from", *output_of(done).split(), "--image", image, *ASKED, "-t", "1"))
    assert [child["digest"] for child in manifest(name.strip())["manifests"]] == digests


def test_again_writes_nothing(registry: RunningRegistry, hello: Path, builder: str) -> None:
    """The same build again finds all there: no request that writes, and the same lines."""
    command = ("build", hello, "--image", f"{registry.host}/again", *ASKED, "--push", "--commit", COMMIT)
    first = output_of(regkit(*command, env={"BUILDKIT_HOST": builder}))
    mark = registry.mark()

    assert output_of(regkit(*command, env={"BUILDKIT_HOST": builder})) == first
    assert registry.writes(mark) == []


def test_by_digest(registry: RunningRegistry, hello: Path, builder: str, tmp_path: Path) -> None:
    """No tag at all; each line names an image that is there; a record a platform says the same, and no more files."""
    image, other = f"{registry.host}/one/hello", f"{registry.host}/two/hello"

    done = regkit(
        *("build", hello, "--image", image, "--image", other, *ASKED, "--commit", COMMIT, "--push-by-digest"),
        *("--digest-dir", tmp_path / "new" / "records"),
        env={"BUILDKIT_HOST": builder},
    )

    assert registry.tags("one/hello") == registry.tags("two/hello") == []
    written = records(tmp_path / "new" / "records")
    assert list(written) == sorted(f"{platform.replace('/', '-')}.json" for platform in PLATFORMS)
    lines = output_of(done).splitlines()
    for record in written.values():
        assert (record["schema"], record["images"], record["commit"]) == (1, [image, other], COMMIT)
        assert record["tag"] is None
        for name in (f"{image}@{record['descriptor']['digest']}", f"{other}@{record['descriptor']['digest']}"):
            assert name in lines
            assert record["platform"].startswith(platform_of(name))
    assert len(lines) == 2 * len(PLATFORMS)


def test_what_is_up_is_told_where_the_rest_fails(
    registry: RunningRegistry, hello: Path, builder: str, tmp_path: Path
) -> None:
    """A platform's tag, or the second repository, fails: 75; the document and the records say what stands where."""
    with proxy(registry.host) as between:
        images = [f"{between.host}/{name}" for name in ("one", "two")]
        named = [word for image in images for word in ("--image", image)]
        command = ("build", hello, *ASKED, "--commit", COMMIT, "--push", "--format", "json", "--digest-dir")
        between.answer("PUT", f"one/manifests/{TAGS[1]}$", 503, {"Retry-After": "0"}, times=1000)
        part = regkit(*command, tmp_path / "part", *named[:2], env={"BUILDKIT_HOST": builder})
        between.answer("POST", "two/blobs", 503, {"Retry-After": "0"}, times=1000)
        between.answer("PUT", "two/manifests", 503, {"Retry-After": "0"}, times=1000)
        half = regkit(*command, tmp_path / "half", *named, env={"BUILDKIT_HOST": builder})

    stand = registry.tags("one")
    assert stand == sorted((TAGS[0], TAGS[2]))
    for done, directory in ((part, tmp_path / "part"), (half, tmp_path / "half")):
        assert done.returncode == 75, done.stderr
        told = json.loads(done.stdout)["platforms"]
        assert told == sorted(records(directory).values(), key=lambda each: PLATFORMS.index(each["platform"]))
        assert {record["tag"] for record in told} == {*stand, None}
        assert all(record["images"] == images[:1] for record in told)
        for record in told:
            manifest(f"{images[0].replace(between.host, registry.host)}@{record['descriptor']['digest']}")


def test_layout_and_archive(hello: Path, builder: str, tmp_path: Path) -> None:
    """Both hold one index over all platforms, with the variants that were asked for, the commit and the annotations."""
    places = (f"ocidir://{tmp_path}/out", f"oci-archive:{tmp_path}/out.tar:mine")

    done = regkit(
        *("build", hello, *ASKED, "--commit", COMMIT, "--annotation", "k=v"),
        *("--output", places[0], "--output", places[1]),
        env={"BUILDKIT_HOST": builder},
    )

    names = output_of(done).splitlines()
    assert [name.partition("@")[0] for name in names] == [f"{places[0]}:latest", places[1]]
    for place, name in zip(places, names, strict=True):
        shown = json.loads(output_of(regkit("inspect", place, "--format", "raw")))
        assert [
            "/".join(child["platform"].get(k, "") for k in ("os", "architecture", "variant")).rstrip("/")
            for child in shown["manifests"]
        ] == list(PLATFORMS)
        assert shown["annotations"] == {"k": "v", "org.opencontainers.image.revision": COMMIT}
        output_of(regkit("verify", place, "--platforms", ",".join(PLATFORMS)))
        assert output_of(regkit("resolve", place)).strip().rpartition("@")[2] == name.rpartition("@")[2]


def test_json_says_the_same(hello: Path, builder: str, tmp_path: Path) -> None:
    """One document: names, records, outputs."""
    place = f"ocidir://{tmp_path}/out"
    done = regkit(
        *("build", hello, "--platform", "linux/amd64", "--commit", COMMIT, "--output", place, "--format", "json"),
        env={"BUILDKIT_HOST": builder},
    )

    said = json.loads(output_of(done))
    assert (said["schema"], said["pushed"], said["names"]) == (1, False, said["outputs"])
    assert [each["platform"] for each in said["platforms"]] == ["linux/amd64"]


def test_without_any_place_the_cache_has_it(hello: Path, builder: str) -> None:
    """It's built, nothing is printed, and a warning says where the result is."""
    done = regkit("build", hello, env={"BUILDKIT_HOST": builder})

    assert output_of(done) == ""
    assert "nothing was pushed or written" in done.stderr


@pytest.mark.parametrize("registry", ["distribution"], indirect=True)
def test_test_that_fails_pushes_nothing(registry: RunningRegistry, hello: Path, builder: str, tmp_path: Path) -> None:
    """Exit 7, no record, no push: an image that doesn't work isn't handed to the last job."""
    done = regkit(
        *("build", hello, "--image", f"{registry.host}/bad", "--platform", "linux/amd64", "--push-by-digest"),
        *("--digest-dir", tmp_path / "records", "--test", '["/no/such/program"]', "--test-platform"),
        "linux/amd64",
        env={"BUILDKIT_HOST": builder},
    )

    assert done.returncode == 7, done.stderr
    assert registry.writes() == []
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--push",), "nothing says where to push"),
        (("--push", "--push-by-digest", "--image", "localhost:1/x"), "--push names images by tags"),
        (("--digest-dir", "records"), "says what was pushed"),
        (("--output", "localhost:1/x"), "can't be written to"),
        (("--output", "docker-archive:x.tar"), "can't be written to"),
        (("--push", "--image", "localhost:1/x", "--commit", "12"), "not a commit"),
        (("--annotation", "manifest-descriptor:k=v"), "isn't listed in an index yet"),
        (("--platform", "linux/foo"), "no architecture 'foo'"),
        (("--platform", "arm64,arm64/v8"), "asked for twice"),
    ],
)
def test_what_cannot_be_meant(hello: Path, words: tuple[str, ...], said: str) -> None:
    """Exit 2 with a sentence, before a registry or a builder is asked: there is none."""
    done = regkit("build", hello, *words, env={"BUILDKIT_HOST": "tcp://127.0.0.1:1"})

    assert done.returncode == 2, done.stderr
    assert said in done.stderr


def test_platform_tags_need_a_commit(builder: str, tmp_path: Path) -> None:
    """Outside git and CI, without --commit: exit 2."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    env = {"BUILDKIT_HOST": builder, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    done = regkit("build", tmp_path, "--image", "localhost:1/x", "--push", env=env)

    assert done.returncode == 2, done.stderr
    assert "platform tags need a commit" in done.stderr


def test_registry_that_is_absent_is_found_before_the_build(hello: Path) -> None:
    """Exit 75 for the registry, though the builder isn't there either."""
    done = regkit(
        *("build", hello, "--image", "localhost:1/x", "--platform", "linux/amd64", "--push-by-digest"),
        env={"BUILDKIT_HOST": "tcp://127.0.0.1:1"},
    )

    assert done.returncode == 75
    assert "localhost:1" in done.stderr
    assert "builder" not in done.stderr


def test_options_of_the_configuration(hello: Path, builder: str, tmp_path: Path) -> None:
    """A `[publish.NAME]` says for build and merge, too, what is built for what, and where it goes."""
    with distribution(tmp_path / "registry") as registry:
        image = f"{registry.host}/of/file"
        text = f'[publish.hello]\nimage = "{image}"\nplatform = ["linux/amd64", "linux/arm64/v8"]\n'
        (hello / "regkit.toml").write_text(text)
        commit(hello)

        output_of(
            regkit(
                "build", "--push-by-digest", "--digest-dir", tmp_path / "d", cwd=hello, env={"BUILDKIT_HOST": builder}
            )
        )
        name = output_of(regkit("merge", "--digest-dir", tmp_path / "d", "--version", "v2.0.0", cwd=hello)).strip()

        assert name.startswith(f"{image}@")
        assert len(manifest(name)["manifests"]) == 2
        assert registry.tags("of/file") == ["2", "2.0", "2.0.0", "latest"]


def test_a_builder_far_away_is_refused_unless_its_file_is_named(hello: Path) -> None:
    """Before it is asked; the one of a named file isn't there, so nothing goes to it."""
    (hello / "regkit.toml").write_text('[builders]\n"*" = { addr = "tcp://builder.invalid:1" }\n')
    build = ("build", ".", "--platform", "linux/amd64")

    found, named = (regkit("--quiet", *how, *build, cwd=hello) for how in ((), ("--config", "regkit.toml")))

    assert (found.returncode, named.returncode) == (2, 75)
    assert "would send the source, and logins, to the builder at tcp://builder.invalid:1" in found.stderr
    assert "name the file: --config" in found.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--output", "ocidir://file"),
        ("--output", "ocidir://file/x"),
        ("--output", "ocidir://link"),
        ("--output", "oci-archive:missing/x.tar"),
        ("--output", "oci-archive:directory"),
        ("--output", "ocidir:///proc/x"),
        ("--output", "oci-archive:/proc/x"),
        ("--push-by-digest", "--image", "localhost:1/x", "--digest-dir", "file/x"),
        ("--push-by-digest", "--image", "localhost:1/x", "--digest-dir", "/proc/x"),
        ("--push-by-digest", "--image", "localhost:1/x", "--digest-dir", "taken"),
    ],
)
def test_places_that_cannot_be_written_to(hello: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    """Exit 2 before a registry or a builder is asked, of which there is none; nothing is made on the way."""
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "directory").mkdir()
    (tmp_path / "taken" / "linux-amd64.json").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))

    done = regkit(
        *("build", hello, "--platform", "linux/amd64"),
        *words,
        env={"BUILDKIT_HOST": "tcp://127.0.0.1:1"},
        cwd=tmp_path,
    )

    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "can't be written" in done.stderr or "can't be read" in done.stderr or "isn't an OCI image" in done.stderr
    assert sorted(tmp_path.rglob("*")) == before
