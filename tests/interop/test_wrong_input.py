"""What can't be meant, or can't be done: one clear sentence, its exit code, and nothing is written."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import regkit
from tests.support.layouts import make_layout
from tests.support.registries import RunningRegistry, distribution

SHELL = "FROM scratch\nCOPY busybox /bin/\n"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """Give one registry for all: nothing here may write to it."""
    with distribution(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Give a working directory with a context that would build, and a layout that could be published."""
    (tmp_path / "context").mkdir()
    shutil.copy("/bin/busybox", tmp_path / "context")
    (tmp_path / "context" / "Dockerfile").write_text(SHELL)
    make_layout(tmp_path / "layout")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "sentence", "hint"),
    [
        pytest.param(
            ("context", "--platform", "linux/amd46"),
            "unknown platform 'linux/amd46': linux has no architecture 'amd46'",
            "known are 386, amd64, ",
            id="unknown architecture",
        ),
        pytest.param(
            ("context", "--platform", "linux/arm/v9"),
            "unknown platform 'linux/arm/v9': arm has no variant 'v9'",
            "known are v5, v6, v7, v8",
            id="unknown variant",
        ),
        pytest.param(
            ("context", "--platform", "foo/amd64"), "unknown platform 'foo/amd64': no system 'foo'", "", id="no system"
        ),
        pytest.param(
            ("context", "--platform", "arm64,arm64/v8"),
            "the platform linux/arm64/v8 is asked for twice (linux/arm64 and linux/arm64/v8 are the same)",
            "name each platform once",
            id="the same twice, in short",
        ),
        pytest.param(
            ("context", "--platform", "linux/arm64,linux/arm64/v8"),
            "the platform linux/arm64/v8 is asked for twice (linux/arm64 and linux/arm64/v8 are the same)",
            "name each platform once",
            id="the same twice",
        ),
        pytest.param(
            ("context", "--platform", "linux/arm/v7", "--platform", "linux/arm"),
            "the platform linux/arm is asked for twice (linux/arm/v7 and linux/arm are the same)",
            "name each platform once",
            id="the same twice, repeated",
        ),
        pytest.param(
            ("context", "--image", "HOST/App"), "not an image reference: 'HOST/App'", "", id="reference in capitals"
        ),
        pytest.param(
            ("context", "--image", "HOST/app:1.2.3"),
            "'HOST/app:1.2.3' names more than a repository",
            "write HOST/app",
            id="reference with a tag",
        ),
        pytest.param(("context", "--image", "https://HOST/app"), "not an image reference: ", "", id="URL"),
        pytest.param(("context", "--image", ""), "not an image reference: ''", "", id="empty reference"),
        pytest.param(
            ("context", "--version", "v1.2"),
            "not a semantic version: 'v1.2'",
            "write MAJOR.MINOR.PATCH as v1.2.3",
            id="version of two numbers",
        ),
        pytest.param(
            ("context", "--version", "refs/tags/nightly"),
            "not a semantic version: 'nightly'",
            "",
            id="tag that isn't a version",
        ),
        pytest.param(("context", "--version", "1.02.3"), "not a semantic version: '1.02.3'", "", id="leading zero"),
        pytest.param(("context", "--tag", "a/b"), "not a tag: 'a/b'", "a tag is up to 128 letters", id="no tag"),
        pytest.param(("layout",), "there is no Dockerfile in layout", "name it with --file", id="no Dockerfile"),
        pytest.param(
            ("context", "--file", "Dockerfile.other"),
            "there is no Dockerfile Dockerfile.other",
            "--file is relative to the working directory",
            id="no such --file",
        ),
        pytest.param(("missing",), "the build context missing doesn't exist", "name the directory", id="no context"),
        pytest.param(
            ("context/Dockerfile",), "the build context context/Dockerfile isn't a directory", "", id="file as context"
        ),
        pytest.param(("context", "--annotation", "=x"), "not an annotation: ", "", id="annotation without a key"),
        pytest.param(("context", "--build-arg", "=x"), "not a build argument: '=x'", "", id="argument without a name"),
        pytest.param(
            ("context", "--intermediate", "tag"),
            "platform tags need a commit, and none is known",
            "give --commit SHA",
            id="intermediates without a commit",
        ),
        pytest.param(
            ("context", "--intermediate", "tag", "--commit", "main"), "not a commit: 'main'", "", id="no commit"
        ),
        pytest.param(("--from", "context"), "context isn't an OCI image layout", "", id="--from something else"),
        pytest.param(("--from", "missing"), "missing isn't an OCI image layout", "", id="--from nothing"),
    ],
)
def test_input_that_cannot_be_meant(
    registry: RunningRegistry, work: Path, arguments: tuple[str, ...], sentence: str, hint: str
) -> None:
    """2 and a sentence that says which input and what is wrong with it; the registry isn't even asked to change."""
    mark = registry.mark()
    given = tuple(argument.replace("HOST", registry.host) for argument in arguments)
    image = () if "--image" in given else ("--image", f"{registry.host}/app")
    version = () if "--version" in given else ("--version", "1.2.3")

    done = regkit("publish", *given, *image, *version, cwd=work, env={"BUILDKIT_HOST": "unix:///nowhere"})

    assert_one_sentence(done, 2, sentence.replace("HOST", registry.host), hint.replace("HOST", registry.host))
    assert registry.writes(mark) == []


def test_no_version_at_all(registry: RunningRegistry, work: Path) -> None:
    """Neither CI, nor git, nor `--version`: 2, and the hint names the option."""
    done = regkit("publish", "context", "--image", f"{registry.host}/app", cwd=work)

    assert_one_sentence(done, 2, "no version is known", "give --version")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("publish", "--imgae", "x"), "No such option: --imgae"),
        (("publish",), "Missing option '--image'"),
        (("publihs",), "No such command 'publihs'"),
        (("publish", "--image", "x/y", "--intermediate", "names"), "'names' is not one of 'digest', 'tag'"),
        (("--progress", "loud", "doctor"), "'loud' is not one of"),
        (("--ca-file", "missing.pem", "doctor"), "'missing.pem' does not exist"),
    ],
)
def test_options_that_do_not_exist(work: Path, arguments: tuple[str, ...], said: str) -> None:
    """2, with the option and the way to the help."""
    done = regkit(*arguments, cwd=work)

    assert done.returncode == 2
    assert said in done.stderr.replace('"', "'")
    assert "--help" in done.stderr
    assert (done.stdout, "Traceback" in done.stderr) == ("", False)


def test_platform_that_a_layout_lacks(registry: RunningRegistry, work: Path) -> None:
    """5, with the platform that is missing, and those that are there."""
    mark = registry.mark()

    done = regkit(
        *("publish", "--from", "layout", "--platform", "linux/amd64,linux/arm/v6", "--image", f"{registry.host}/app"),
        *("--version", "1.2.3"),
        cwd=work,
    )

    assert_one_sentence(done, 5, "there is no image for linux/arm/v6 in ocidir://layout", "there are: linux/amd64")
    assert registry.writes(mark) == []


def test_step_that_fails(registry: RunningRegistry, work: Path, builder: str) -> None:
    """6, with the step's own last lines, the platform that it failed for, and its exit code."""
    mark = registry.mark()
    run = '["/bin/busybox", "sh", "-c", "echo this is why; echo and this >&2; exit 3"]'
    (work / "context" / "Dockerfile").write_text(f"{SHELL}RUN {run}\n")

    done = build(registry, work, builder)

    assert_one_sentence(done, 6, "the build failed for linux/amd64 at [2/2] RUN ", "")
    assert "exit code: 3" in done.stderr
    assert {"  | this is why", "  | and this"} <= set(done.stderr.splitlines())
    assert registry.writes(mark) == []


def test_dockerfile_that_cannot_be_read(registry: RunningRegistry, work: Path, builder: str) -> None:
    """6, with BuildKit's own reason."""
    (work / "context" / "Dockerfile").write_text("FROM scratch\nRUNN x\n")

    done = build(registry, work, builder)

    assert_one_sentence(done, 6, "", "")
    assert "unknown instruction: RUNN" in done.stderr


@pytest.mark.parametrize(
    ("missing", "told"),
    [("HOST/base:1.0", (6, "isn't there")), ("127.0.0.1:1/base:1.0", (75, "can't be looked at"))],
    ids=["no such image", "no registry"],
)
def test_base_image_that_does_not_exist(
    registry: RunningRegistry, work: Path, builder: str, missing: str, told: tuple[int, str]
) -> None:
    """The sentence names the image; with --no-preflight BuildKit's does, and a build fails with 6."""
    mark, image = registry.mark(), missing.replace("HOST", registry.host)
    (work / "context" / "Dockerfile").write_text(f"FROM {image}\n")
    status, said = told

    assert_one_sentence(build(registry, work, builder), status, f"the base image {image} {said}", "")
    done = build(registry, work, builder, "--no-preflight")
    assert_one_sentence(done, 6, f"the base image {image} can't be used", "")
    assert registry.writes(mark) == []


def test_no_registry_there(work: Path) -> None:
    """75, before a build starts: no step ran, and no buildkitd either."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        host = f"127.0.0.1:{reserved.getsockname()[1]}"
    home = work / "home"
    home.mkdir()

    done = regkit(
        *("-v", "publish", "context", "--image", f"{host}/app", "--version", "1.2.3", "--platform", "linux/amd64"),
        cwd=work,
        home=home,
    )

    assert_one_sentence(done, 75, f"{host} can't be reached: Connection refused", "")
    assert "building" not in done.stderr
    assert "buildkitd" not in done.stderr
    assert list(home.iterdir()) == []


def build(registry: RunningRegistry, work: Path, builder: str, *options: str) -> subprocess.CompletedProcess[str]:
    arguments = ("context", "--image", f"{registry.host}/app", "--version", "1.2.3", "--platform", "linux/amd64")
    return regkit("publish", *arguments, *options, cwd=work, env={"BUILDKIT_HOST": builder})


def assert_one_sentence(done: subprocess.CompletedProcess[str], status: int, sentence: str, hint: str) -> None:
    """Check for the exit code, for one line with the error that begins so, and for a hint that does, on the next."""
    lines = done.stderr.splitlines()
    errors = [line for line in lines if line.startswith("regkit: error: ")]
    assert (done.returncode, done.stdout, len(errors)) == (status, "", 1), done.stderr
    assert errors[0].startswith(f"regkit: error: {sentence}"), done.stderr
    following = lines[lines.index(errors[0]) + 1 :]
    assert len(following) <= 1, done.stderr
    if hint:
        assert "".join(following).startswith(f"  hint: {hint}"), done.stderr
    assert "Traceback" not in done.stderr
