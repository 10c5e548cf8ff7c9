"""`regkit merge`: what the jobs of a matrix built apart is one release, complete, or nothing is tagged."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import clean_environment, output_of, peer, regkit, started
from tests.support.registries import RunningRegistry, distribution

PLATFORMS = ("linux/amd64", "linux/arm64/v8", "linux/arm/v6")
EXPECTED = ("--expect-platforms", ",".join(PLATFORMS))
COMMIT = "8f3c2b1a9d7e6f5c4b3a29181716151413121110"
ORDER = ["1", "1.2", "1.2.3", "latest"]
VERSION = ("--version", "v1.2.3")


class Matrix:
    """The jobs of a matrix: each builds for one platform, in a home and with a directory of its own."""

    def __init__(self, registry: RunningRegistry, context: Path, builder: str, root: Path) -> None:
        self.registry, self.context, self.builder, self.root = registry, context, builder, root
        self.image = f"{registry.host}/team/hello"
        self.records = root / "records"

    def run(self, *platforms: str, options: tuple[str, ...] = ("--push-by-digest",)) -> list[str]:
        """Run a job for each platform, all at the same time; give what they printed."""
        printed = []
        with ExitStack() as stack:
            jobs = []
            for platform in platforms:
                command = started(*self.command(platform, options), home=self.home(platform), env=self.env)
                jobs.append(stack.enter_context(command))
            for job in jobs:
                out, err = job.communicate(timeout=120)
                assert job.returncode == 0, err.decode()
                printed += out.decode().split()
        return printed

    @property
    def env(self) -> dict[str, str]:
        return {"BUILDKIT_HOST": self.builder}

    def home(self, platform: str) -> Path:
        home = self.root / platform.replace("/", "-")
        home.mkdir(exist_ok=True)
        return home

    def command(self, platform: str, options: tuple[str, ...]) -> list[str | Path]:
        asked = ("--image", self.image, "--platform", platform, "--commit", COMMIT)
        # As CI systems unpack it: a directory a job.
        where = () if "--push" in options else ("--digest-dir", self.records / platform.replace("/", "-"))
        return ["build", self.context, *asked, *options, *where]

    def merge(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return regkit("merge", "--image", self.image, *VERSION, *words)

    def change(self, name: str, **changes: Any) -> None:
        """Say something else in a record."""
        path = self.records / name / f"{name}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture
def matrix(registry: RunningRegistry, hello: Path, builder: str, tmp_path: Path) -> Matrix:
    return Matrix(registry, hello, builder, tmp_path)


@pytest.fixture
def one(hello: Path, builder: str, tmp_path: Path) -> Iterator[Matrix]:
    """Give a matrix on one kind of registry."""
    with distribution(tmp_path / "registry") as running:
        yield Matrix(running, hello, builder, tmp_path)


def index_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output_of(peer("crane", "manifest", name)))
    return found


def test_three_jobs_and_the_last(matrix: Matrix) -> None:
    """Three processes side by side, then one merge: the index that one publish of all makes, tagged in its order."""
    pushed = matrix.run(*PLATFORMS)
    assert matrix.registry.tags("team/hello") == []
    mark = matrix.registry.mark()

    name = output_of(matrix.merge("--digest-dir", matrix.records, *EXPECTED)).strip()

    assert [child["digest"] for child in index_of(name)["manifests"]] == [p.partition("@")[2] for p in pushed]
    asked = [child["platform"] for child in index_of(name)["manifests"]]
    assert ["/".join(filter(None, (p["os"], p["architecture"], p.get("variant")))) for p in asked] == list(PLATFORMS)
    writes = [w.path.rpartition("/")[2] for w in matrix.registry.writes(mark) if "/manifests/" in w.path]
    assert writes == [name.partition("@")[2], *ORDER]
    assert not [w for w in matrix.registry.writes(mark) if "/blobs/" in w.path]
    assert index_of(name)["annotations"]["org.opencontainers.image.revision"] == COMMIT

    # The same builder gives one job for all platforms the same images.
    other = ("--image", f"{matrix.image}-whole", "--platform", ",".join(PLATFORMS), "--commit", COMMIT, *VERSION)
    whole = output_of(regkit("publish", matrix.context, *other, env=matrix.env)).strip()
    assert index_of(whole)["manifests"] == index_of(name)["manifests"]


def test_again_writes_nothing(matrix: Matrix) -> None:
    """A rerun of the last job ends well, with the same digest."""
    matrix.run(*PLATFORMS)
    first = output_of(matrix.merge("--digest-dir", matrix.records, *EXPECTED))
    mark = matrix.registry.mark()

    assert output_of(matrix.merge("--digest-dir", matrix.records, *EXPECTED)) == first
    assert matrix.registry.writes(mark) == []


def test_platform_tags_from_stdin(matrix: Matrix, tmp_path: Path) -> None:
    """What `build --push` printed is merged by `-`; the platform tags stay."""
    pushed = matrix.run(*PLATFORMS, options=("--push",))
    tags = [name.partition("@")[0].rpartition(":")[2] for name in pushed]
    argv = [sys.executable, "-m", "regkit", "merge", "--image", matrix.image, *VERSION, *EXPECTED, "-"]

    done = subprocess.run(
        argv, input="\n".join(pushed), env=clean_environment(tmp_path), capture_output=True, text=True, check=False
    )

    name = output_of(done).strip()
    assert [child["digest"] for child in index_of(name)["manifests"]] == [p.partition("@")[2] for p in pushed]
    assert matrix.registry.tags("team/hello") == sorted([*ORDER, *tags])


def test_job_that_failed_is_named(matrix: Matrix) -> None:
    """Two of three: exit 7 with the missing platform, and nothing is tagged; with the third it is."""
    matrix.run(PLATFORMS[0], PLATFORMS[2])
    mark = matrix.registry.mark()

    done = matrix.merge("--digest-dir", matrix.records, *EXPECTED)

    assert (done.returncode, done.stdout) == (7, "")
    assert f"there is no image for {PLATFORMS[1]}\n" in done.stderr
    assert matrix.registry.writes(mark) == []

    matrix.run(PLATFORMS[1])
    assert output_of(matrix.merge("--digest-dir", matrix.records, *EXPECTED)).startswith(matrix.image)


def test_reference_that_is_not_there_is_named(one: Matrix) -> None:
    """Exit 7 where it's said what is expected, 5 where it isn't; either way with the name, and nothing is tagged."""
    (first,) = one.run(PLATFORMS[0], options=("--push",))
    gone = f"{one.image}:8f3c2b1-linux-arm64-v8"
    mark = one.registry.mark()

    expecting = one.merge(first, gone, "--expect-platforms", f"{PLATFORMS[0]},{PLATFORMS[1]}")
    without = one.merge(first, gone)

    assert (expecting.returncode, without.returncode) == (7, 5)
    for done in (expecting, without):
        assert "8f3c2b1-linux-arm64-v8" in done.stderr
    lacking = one.merge(first, *EXPECTED)
    assert lacking.returncode == 7
    assert "no image for linux/arm64/v8, linux/arm/v6" in lacking.stderr
    assert one.registry.writes(mark) == []


def test_image_that_nobody_expects_is_named(one: Matrix) -> None:
    """A record of an older run, for a platform that was dropped, doesn't slip in: exit 7."""
    one.run(*PLATFORMS)

    done = one.merge("--digest-dir", one.records, "--expect-platforms", ",".join(PLATFORMS[:2]))

    assert done.returncode == 7
    assert f"aren't expected: {PLATFORMS[2]}" in done.stderr
    assert one.registry.tags("team/hello") == []


def test_image_that_the_registry_lost_is_named(one: Matrix) -> None:
    """A record says it was pushed, the registry doesn't have it: exit 7 with platform and digest."""
    pushed = one.run(*PLATFORMS)
    output_of(peer("crane", "delete", pushed[1]))

    done = one.merge("--digest-dir", one.records, *EXPECTED)

    assert done.returncode == 7, done.stderr
    assert f"{PLATFORMS[1]} ({pushed[1].partition('@')[2]})" in done.stderr
    assert one.registry.tags("team/hello") == []


def test_records_of_another_image_are_refused(one: Matrix) -> None:
    """Exit 9 with both names: what was pushed elsewhere isn't this image's."""
    one.run(PLATFORMS[0])

    done = regkit("merge", "--image", f"{one.image}-other", *VERSION, "--digest-dir", one.records)

    assert done.returncode == 9, done.stderr
    assert f"{PLATFORMS[0]} was pushed to {one.image}" in done.stderr
    assert one.registry.tags("team/hello-other") == []


def test_one_foreign_record_among_ours_is_refused(one: Matrix) -> None:
    """Exit 9: it's named by its platform."""
    one.run(*PLATFORMS)
    one.change("linux-arm64-v8", images=[f"{one.image}-other"])

    done = one.merge("--digest-dir", one.records, *EXPECTED)

    assert done.returncode == 9, done.stderr
    assert f"{PLATFORMS[1]} was pushed to {one.image}-other" in done.stderr
    assert one.registry.tags("team/hello") == []


def test_records_of_different_commits_are_refused(one: Matrix) -> None:
    """A record that an older run left: exit 9; so is one that isn't of the commit that is asked for."""
    one.run(*PLATFORMS)
    wrong = one.merge("--digest-dir", one.records, *EXPECTED, "--commit", "1" * 40)
    same = one.merge("--digest-dir", one.records, *EXPECTED, "--commit", COMMIT[:10], "--dry-run")
    one.change("linux-arm64-v8", commit="2" * 40)
    mixed = one.merge("--digest-dir", one.records, *EXPECTED)

    assert (wrong.returncode, same.returncode, mixed.returncode) == (9, 0, 9)
    assert f"this call is of {'1' * 40}" in wrong.stderr
    assert "2" * 40 in mixed.stderr
    assert one.registry.tags("team/hello") == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": 2}, "a record of the unknown schema 2"),
        ({"platform": "linux/foo"}, "no architecture 'foo'"),
        ({"descriptor": {"digest": "sha256:12"}}, "isn't a record of a build"),
        ({"images": "x"}, "'images' aren't names"),
        ({"tag": 1}, "isn't text"),
    ],
)
def test_what_is_no_record(one: Matrix, changes: dict[str, Any], said: str) -> None:
    """Exit 2 with the file's name; nothing is tagged."""
    one.run(PLATFORMS[0])
    one.change("linux-amd64", **changes)

    done = one.merge("--digest-dir", one.records)

    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "linux-amd64.json" in done.stderr
    assert one.registry.tags("team/hello") == []


def test_record_that_lies_about_its_platform(one: Matrix) -> None:
    """The image's own configuration counts: exit 7."""
    one.run(PLATFORMS[0])
    one.change("linux-amd64", platform="linux/s390x")

    done = one.merge("--digest-dir", one.records, "--expect-platforms", "linux/s390x")

    assert done.returncode == 7, done.stderr
    assert "no image for linux/s390x" in done.stderr


def test_two_records_for_a_platform(one: Matrix) -> None:
    """The same twice is one; two digests are refused with both files."""
    one.run(PLATFORMS[0])
    (one.records / "copy.json").write_bytes((one.records / "linux-amd64" / "linux-amd64.json").read_bytes())
    assert one.merge("--digest-dir", one.records, "--dry-run").returncode == 0

    said = json.loads((one.records / "copy.json").read_text())
    said["descriptor"]["digest"] = f"sha256:{'0' * 64}"
    (one.records / "copy.json").write_text(json.dumps(said))
    done = one.merge("--digest-dir", one.records)

    assert done.returncode == 9, done.stderr
    assert "copy.json" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "nothing says what to merge"),
        (("--digest-dir", "{root}/nowhere"), 5, "there is no directory"),
        (("--digest-dir", "{root}/empty"), 5, "there are no records"),
        (("--digest-dir", "{root}/junk"), 2, "isn't a record of a build"),
        (("--digest-dir", "{root}/empty", "x:1"), 2, "or two things do"),
    ],
)
def test_nothing_to_merge(one: Matrix, tmp_path: Path, words: tuple[str, ...], code: int, said: str) -> None:
    """A sentence and its exit code; nothing is asked for."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "a.json").write_text("[1")

    done = one.merge(*(word.format(root=tmp_path) for word in words))

    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert one.registry.writes() == []


def test_merge_keeps_publishs_rules(one: Matrix) -> None:
    """An exact version that stands on other content is refused, an older line's release moves no alias of a newer."""
    one.run(*PLATFORMS)
    output_of(one.merge("--digest-dir", one.records, *EXPECTED))

    other = regkit(
        *("merge", "--image", one.image, *VERSION, "--digest-dir", one.records, *EXPECTED, "--annotation", "k=v")
    )
    older = regkit("merge", "--image", one.image, "--version", "v1.1.9", "--digest-dir", one.records, *EXPECTED)

    assert other.returncode == 9
    assert "is published already with other content" in other.stderr
    output_of(older)
    digests = {tag: output_of(peer("crane", "digest", f"{one.image}:{tag}")) for tag in one.registry.tags("team/hello")}
    assert digests["latest"] == digests["1.2.3"] == digests["1"] != digests["1.1.9"] == digests["1.1"]


def test_files_that_tell_of_it(one: Matrix, tmp_path: Path) -> None:
    """As publish writes them: buildx's keys, names, the digest."""
    one.run(PLATFORMS[0])

    done = one.merge(
        *("--digest-dir", one.records, "--metadata-file", tmp_path / "m.json", "--image-refs", tmp_path / "refs"),
        *("--digest-file", tmp_path / "digest", "--format", "json"),
    )

    said = json.loads(output_of(done))
    assert json.loads((tmp_path / "m.json").read_text())["containerimage.digest"] == said["digest"]
    assert (tmp_path / "digest").read_text() == said["digest"]
    assert (tmp_path / "refs").read_text() == f"{one.image}@{said['digest']}\n"
