"""`publish --test`: the images are tested before anything is pushed, as a user runs it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from regkit.build.builder import throwaway_builder
from regkit.events import ignore
from tests.support.command import LIMIT, clean_environment, git, output_of, peer, regkit, started
from tests.support.registries import RunningRegistry
from tests.support.releases import PLATFORMS, REPOSITORY, publish, tags_of
from tests.support.waiting import until

BUSYBOX = Path("/bin/busybox")
ONLY_EMBEDDED = pytest.mark.parametrize("registry", ["embedded"], indirect=True)
SHELL = """\
FROM scratch
ARG TARGETARCH
COPY busybox /bin/
RUN ["/bin/busybox", "--install", "/bin"]
RUN echo $TARGETARCH >/arch
ONBUILD RUN exit 9
"""
TWO = ("--platform", "linux/amd64,linux/386", "--version", "v1.0.0", "--commit", "0" * 40)


@pytest.fixture
def shell(tmp_path: Path) -> Path:
    """Give a context of an image with a shell, whose file /arch tells its architecture."""
    directory = tmp_path / "shell"
    directory.mkdir()
    (directory / "Dockerfile").write_text(SHELL)
    shutil.copy(BUSYBOX, directory / "busybox")
    return directory


def name_of(registry: RunningRegistry) -> str:
    return f"{registry.host}/{REPOSITORY}"


@ONLY_EMBEDDED
def test_each_platforms_image_is_run(registry: RunningRegistry, hello: Path, builder: str) -> None:
    """An image with no shell, on four platforms, three of them emulated: each says for what it is."""
    done = publish(registry, hello, "--test", '["/hello"]', builder=builder)

    assert done.returncode == 0, done.stderr
    said = re.findall(r"\[(\S+)\] \| Hello from (\S+), in an image for (\S+)", done.stderr)
    bare = [platform.replace("arm64/v8", "arm64") for platform in PLATFORMS]
    assert sorted(said) == sorted(zip(PLATFORMS, bare, bare, strict=True))
    assert tags_of(registry).keys() == {"1", "1.2", "1.2.3", "latest"}


def test_a_failure_pushes_nothing_and_ends_no_other(registry: RunningRegistry, shell: Path, builder: str) -> None:
    """One platform fails at once, the other one runs to its end; the error names the one and how it ended."""
    test = "if grep -q 386 /arch; then exit 3; fi; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo the end"
    mark = registry.mark()

    done = regkit("publish", shell, "--image", name_of(registry), *TWO, "--test", test, env={"BUILDKIT_HOST": builder})

    assert done.returncode == 7
    assert "error: the test failed for linux/386 (exit status 3): nothing was pushed" in done.stderr
    assert "[linux/amd64] | the end" in done.stderr
    assert done.stdout == ""
    assert registry.writes(mark) == []


@ONLY_EMBEDDED
def test_only_some_platforms_are_tested(registry: RunningRegistry, shell: Path, builder: str) -> None:
    """Those that a machine can't emulate, say, are left out."""
    test = ("--test", "grep -q amd64 /arch && cat /arch", "--test-platform", "linux/amd64")

    done = regkit("publish", shell, "--image", name_of(registry), *TWO, *test, env={"BUILDKIT_HOST": builder})

    assert done.returncode == 0, done.stderr
    assert "[linux/amd64] | amd64" in done.stderr
    assert "[linux/386] |" not in done.stderr


@ONLY_EMBEDDED
@pytest.mark.parametrize("kind", ["layout", "oci-archive", "reference"])
def test_what_is_built_already_is_tested(
    registry: RunningRegistry, shell: Path, builder: str, tmp_path: Path, kind: str
) -> None:
    """It is left as it is, and gets no builder's files; a failure publishes nothing."""
    env = {"BUILDKIT_HOST": builder}
    first, source_at = f"{registry.host}/first", tmp_path / "source"
    source_at.mkdir()
    output_of(regkit("publish", shell, "--image", first, *TWO, env=env))
    places = {
        "layout": f"ocidir://{source_at}/layout",
        "oci-archive": f"oci-archive:{source_at}/file",
        "reference": f"{first}:1.0.0",
    }
    if kind != "reference":
        output_of(regkit("copy", f"{first}:1.0.0", f"{places[kind]}:built"))
    source = source_at / "layout" if kind == "layout" else places[kind]
    before = sorted(str(path) for path in source_at.rglob("*"))
    mark = registry.mark()

    def run(test: str) -> tuple[int, str]:
        asked = ("--image", name_of(registry), *TWO[2:], "--test", test)
        done = regkit("publish", "--from", str(source), *asked, env=env)
        return done.returncode, done.stderr

    code, said = run("exit 4")
    assert code == 7, said
    assert re.search(r"failed for linux/\w+ \(exit status 4\), linux/\w+ \(exit status 4\)", said)
    assert registry.writes(mark) == []
    code, said = run("cat /arch")
    assert code == 0, said
    assert {"[linux/amd64] | amd64", "[linux/386] | 386"} <= set(said.splitlines())
    assert sorted(str(path) for path in source_at.rglob("*")) == before


@ONLY_EMBEDDED
def test_a_rerun_that_reuses_the_release_tests_nothing(registry: RunningRegistry, hello: Path, builder: str) -> None:
    """What is published stays as it is, whatever a test would say now; the plan tells so."""
    output_of(publish(registry, hello, "--test", '["/hello"]', builder=builder))
    before = tags_of(registry)

    again = ("--test", '["/missing"]')
    plan = regkit(
        *("plan", hello, "--image", name_of(registry), "--platform", ",".join(PLATFORMS), *again),
        env={"BUILDKIT_HOST": builder},
    )
    assert "test       not run: nothing is built, and what is published stays as it is" in output_of(plan).splitlines()
    done = publish(registry, hello, *again, builder=builder)
    assert done.returncode == 0, done.stderr
    assert tags_of(registry) == before
    assert publish(registry, hello, *again, "--rebuild", builder=builder).returncode == 7


@ONLY_EMBEDDED
def test_several_builders_test_what_they_built(
    registry: RunningRegistry, shell: Path, builder: str, tmp_path: Path
) -> None:
    """Each its platforms: one that is gone after the build would be missed."""
    with throwaway_builder(tmp_path / "second", ignore, env=clean_environment(tmp_path)) as second:
        builders = ("--builder", f"linux/amd64={builder}", "--builder", f"linux/386={second}")
        done = regkit("publish", shell, "--image", name_of(registry), *TWO, *builders, "--test", "cat /arch")

    assert done.returncode == 0, done.stderr
    assert f"linux/386: built at {second}" in done.stderr
    assert {"[linux/amd64] | amd64", "[linux/386] | 386"} <= set(done.stderr.splitlines())


@ONLY_EMBEDDED
def test_ctrl_c_ends_what_is_tested(registry: RunningRegistry, shell: Path, builder: str, tmp_path: Path) -> None:
    """130, nothing was pushed, and no command runs on."""
    mark, sign = registry.mark(), f"sign-{os.urandom(8).hex()}"
    asked = ("--image", name_of(registry), *TWO, "--test", f"echo begun; : {sign}; while :; do :; done")

    with started("publish", shell, *asked, home=tmp_path, env={"BUILDKIT_HOST": str(builder)}) as process:
        assert process.stderr is not None
        while not process.stderr.readline().endswith(b"| begun\n"):
            assert process.poll() is None
        assert running(sign)
        process.send_signal(signal.SIGINT)
        process.wait(LIMIT)

    assert process.returncode == 130
    assert registry.writes(mark) == []
    until(lambda: not running(sign), "no command of the test runs")


def running(sign: str) -> list[str]:
    """Give the processes whose command line holds a text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if sign.encode() in path.read_bytes():
                found.append(path.parent.name)
    return found


@ONLY_EMBEDDED
def test_a_plan_says_what_is_tested_and_keeps_it(
    registry: RunningRegistry, shell: Path, builder: str, tmp_path: Path
) -> None:
    """A plan that was made with a test isn't carried out without it."""
    asked = ("--image", name_of(registry), *TWO, "--test", "exit 5", "--test-platform", "linux/386")
    env = {"BUILDKIT_HOST": builder}

    plan = output_of(regkit("plan", shell, *asked, "--out", tmp_path / "plan.json", "--format", "json", env=env))
    assert json.loads(plan)["test"] == {"command": "exit 5", "platforms": ["linux/386"], "runs": True}
    done = regkit("publish", "--plan", tmp_path / "plan.json", env=env)
    assert done.returncode == 7
    assert "linux/386 (exit status 5)" in done.stderr


@ONLY_EMBEDDED
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--test", ""), "the test is empty"),
        (("--test", '["/x", 1]'), "not a command"),
        (("--test-platform", "linux/amd64"), "there is none"),
        (("--test", "true", "--test-platform", "linux/arm64"), "linux/arm64 isn't among the platforms"),
        (("--load", "podman", "--load-platform", "linux/arm64"), "linux/arm64 isn't among the platforms"),
        (("--load-platform", "linux/amd64"), "nothing is"),
    ],
)
def test_what_cant_be_meant_is_refused_before_the_build(
    registry: RunningRegistry, shell: Path, builder: str, options: tuple[str, ...], said: str
) -> None:
    mark = registry.mark()

    done = regkit("publish", shell, "--image", name_of(registry), *TWO, *options, env={"BUILDKIT_HOST": builder})

    assert done.returncode == 2
    assert said in done.stderr
    assert "] RUN " not in done.stderr
    assert registry.writes(mark) == []


@ONLY_EMBEDDED
def test_the_builder_of_our_own_serves_the_test_too(registry: RunningRegistry, hello: Path, tmp_path: Path) -> None:
    """Without BUILDKIT_HOST one is started, for the build and the test, and nothing of it is left running."""
    asked = ("--image", name_of(registry), "--platform", "linux/amd64", "--version", "v2.0.0")

    done = regkit("publish", hello, *asked, "--test", '["/hello"]', home=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "[linux/amd64] | Hello from linux/amd64" in done.stderr
    digest = output_of(peer("crane", "digest", f"{name_of(registry)}:2.0.0")).strip()
    assert done.stdout == f"{name_of(registry)}@{digest}\n"
    assert git(hello, "status", "--porcelain") == ""
