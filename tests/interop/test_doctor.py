"""`regkit doctor`, and a publish, on machines where something is missing: what, for which platform, and the remedy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.command import clean_environment, output_of, regkit
from tests.support.registries import RunningRegistry, distribution

NOBODY = 65534
PLATFORMS = "linux/amd64,linux/arm64/v8,linux/arm/v7,linux/arm/v6"
EVERY = PLATFORMS.replace(",", ", ")
TOOLS = {
    "buildctl": "go install github.com/moby/buildkit/cmd/buildctl@",
    "buildkitd": "go install github.com/moby/buildkit/cmd/buildkitd@",
    "runc": "apt-get install runc",
    "setpriv": "apt-get install util-linux",
    "unshare": "apt-get install util-linux",
}
AS_NOBODY = (
    # Nobody's only privilege is to read: this machine's Python may lie where others can't look.
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search", "--"),
)
NO_PROGRAM = b"\x7fELF\x02\x01\x01" + bytes(9) + (2).to_bytes(2, "little") + (0x1234).to_bytes(2, "little") + bytes(64)
"""The head of a program for a machine that doesn't exist: no handler takes it."""


@pytest.fixture
def work() -> Iterator[Path]:
    """Give a directory that is nobody's, with a context that would build."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        (path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
        for each in (path, path / "Dockerfile"):
            os.chown(each, NOBODY, NOBODY)
        yield path


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RunningRegistry]:
    """Give a registry that nothing may be written to."""
    with distribution(tmp_path / "registry") as running:
        yield running
        assert running.writes() == []


def path_without(missing: str, directory: Path) -> str:
    """Make a PATH with all that a build needs, but one tool."""
    directory.mkdir()
    for name in (*TOOLS, "true"):
        found = shutil.which(name)
        assert found, f"this machine has no {name}"
        if name != missing:
            (directory / name).symlink_to(found)
    return str(directory)


def behind(
    prefix: Sequence[str], *arguments: str | Path, home: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run regkit by another command that sets it in a different place."""
    argv = [*prefix, sys.executable, "-m", "regkit", *map(str, arguments)]
    return subprocess.run(
        argv, env=clean_environment(home, env), cwd=home, capture_output=True, text=True, timeout=60, check=False
    )


def missing(done: subprocess.CompletedProcess[str]) -> dict[str, tuple[str, str]]:
    """Give what a report calls missing: name → (the platforms that it holds back, the remedy)."""
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    found = {}
    for number, line in enumerate(lines):
        if line.startswith("MISSING  "):
            held, remedy = (text.strip() for text in lines[number + 1 : number + 3])
            assert (held.partition(": ")[0], remedy.partition(": ")[0]) == ("holds back", "remedy")
            name = line.removeprefix("MISSING  ").partition(":")[0]
            found[name] = (held.partition(": ")[2], remedy.partition(": ")[2])
    return found


def assert_refused(done: subprocess.CompletedProcess[str], sentence: str, hint: str) -> None:
    """Check a publish's end: 2, one sentence, one hint, no result."""
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.endswith(f"regkit: error: {sentence}\n  hint: {hint}\n"), done.stderr
    assert done.stderr.count("regkit: error: ") == 1


def test_machine_that_has_everything() -> None:
    """0, and each thing that a build for these platforms needs, with where it is."""
    done = regkit("doctor", "--platform", PLATFORMS)

    lines = output_of(done).splitlines()
    assert [line.split(":")[0].split()[0] for line in lines] == ["ok"] * len(lines)
    names = [line.removeprefix("ok").strip().partition(":")[0] for line in lines]
    assert names == [*TOOLS, "rights", "binfmt_misc", "emulator for arm64", "emulator for arm"]


def test_report_for_programs() -> None:
    """`--format json`: the same findings, by name."""
    done = regkit("doctor", "--platform", "linux/amd64", "--format", "json", env={"PATH": "/nonexistent"})

    document = json.loads(done.stdout)
    assert (done.returncode, document["schema"]) == (1, 1)
    findings = {finding["name"]: finding for finding in document["findings"]}
    assert not findings["buildctl"]["ok"]
    assert findings["buildctl"]["platforms"] == ["linux/amd64"]
    assert findings["buildctl"]["remedy"].startswith(TOOLS["buildctl"])


def test_as_nobody(work: Path, registry: RunningRegistry) -> None:
    """Who isn't root can't run a builder of their own: doctor says so, and what to do; a publish is refused."""
    name = f"{registry.host}/app"

    report = behind(AS_NOBODY, "doctor", "--platform", PLATFORMS, home=work)
    refused = behind(
        AS_NOBODY, "publish", work, "--image", name, "--version", "1.2.3", "--platform", "linux/amd64", home=work
    )

    either = "set BUILDKIT_HOST to a running BuildKit, or start one without root: regkit builder up --rootless"
    assert missing(report) == {
        "rights": (EVERY, f"run it as root (sudo), or {either}"),
        "subuid": (EVERY, "usermod --add-subuids 100000-165535 nobody"),
        "subgid": (EVERY, "usermod --add-subgids 100000-165535 nobody"),
    }
    hint = f"run as root, or {either}"
    assert_refused(refused, "a builder of our own needs root", hint)


@pytest.mark.parametrize("tool", TOOLS)
def test_without_a_tool(work: Path, registry: RunningRegistry, tool: str, tmp_path: Path) -> None:
    """Without one of the programs: doctor gives the command that brings it; a publish names it and is refused."""
    env = {"PATH": path_without(tool, tmp_path / "bin")}
    name = f"{registry.host}/app"

    report = regkit("doctor", "--platform", PLATFORMS, env=env)
    refused = regkit("publish", work, "--image", name, "--version", "1.2.3", "--platform", "linux/amd64", env=env)

    found = missing(report)
    assert found.keys() == {tool}
    assert found[tool][0] == EVERY
    assert found[tool][1].startswith(TOOLS[tool])
    hint = "regkit doctor says how to get it; or set BUILDKIT_HOST to a running BuildKit"
    assert_refused(refused, f"{tool} isn't on PATH, and a builder of our own needs it", hint)


def test_without_buildctl_for_a_running_builder(work: Path, registry: RunningRegistry, tmp_path: Path) -> None:
    """With `BUILDKIT_HOST` buildctl is all that is needed; without it, doctor and publish say so."""
    env = {"PATH": path_without("buildctl", tmp_path / "bin"), "BUILDKIT_HOST": "unix:///run/some/buildkitd.sock"}
    name = f"{registry.host}/app"

    report = regkit("doctor", "--platform", "linux/amd64", env=env)
    refused = regkit("publish", work, "--image", name, "--version", "1.2.3", "--platform", "linux/amd64", env=env)

    assert missing(report).keys() == {"buildctl"}
    assert_refused(refused, "buildctl isn't on PATH, and a build needs it", "regkit doctor says how to get it")


def test_without_binfmt_handlers(work: Path, tmp_path: Path) -> None:
    """Where the kernel knows no emulator: the foreign platforms are held back, the machine's own is not."""
    (tmp_path / "empty").mkdir()
    hide = f'mount --bind {tmp_path / "empty"} /proc/sys/fs/binfmt_misc && exec "$@"'
    inside = ("unshare", "--mount", "sh", "-c", hide, "sh")

    native = behind(inside, "doctor", "--platform", "linux/amd64", home=work)
    foreign = behind(inside, "doctor", "--platform", PLATFORMS, home=work)

    output_of(native)
    assert "binfmt" not in native.stdout
    emulators = "apt-get install qemu-user-static binfmt-support"
    assert missing(foreign) == {
        "binfmt_misc": (
            "linux/arm64/v8, linux/arm/v7, linux/arm/v6",
            "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc",
        ),
        "emulator for arm64": ("linux/arm64/v8", emulators),
        "emulator for arm": ("linux/arm/v7, linux/arm/v6", emulators),
    }


def test_publish_of_what_nothing_here_can_run(work: Path, registry: RunningRegistry, builder: str) -> None:
    """A `RUN` whose program no emulator takes: 6 with the platform, and the hint leads to doctor.

    Before the build it can't be refused: a Dockerfile that runs nothing foreign needs no emulator.
    """
    (work / "program").write_bytes(NO_PROGRAM)
    (work / "program").chmod(0o755)
    (work / "Dockerfile").write_text('FROM scratch\nCOPY program /\nRUN ["/program"]\n')
    name = f"{registry.host}/app"

    done = regkit(
        *("publish", work, "--image", name, "--version", "1.2.3", "--platform", "linux/arm64/v8"),
        env={"BUILDKIT_HOST": builder},
    )

    assert done.returncode == 6
    assert "regkit: error: the build failed for linux/arm64/v8 at [2/2] RUN " in done.stderr
    hint = "does an emulator run linux/arm64/v8? regkit doctor --platform linux/arm64/v8 tells"
    assert done.stderr.endswith(f"  hint: {hint}\n")


def test_builder_elsewhere(builder: str) -> None:
    """With `BUILDKIT_HOST`, what counts is whether that builder answers, and for which platforms."""
    there = regkit("doctor", "--platform", PLATFORMS, env={"BUILDKIT_HOST": builder})
    nowhere = regkit("doctor", "--platform", PLATFORMS, env={"BUILDKIT_HOST": "tcp://127.0.0.1:1"})

    assert f"ok       BUILDKIT_HOST: {builder} serves " in output_of(there)
    remedy = "name one that runs, or unset BUILDKIT_HOST: regkit then starts its own"
    assert missing(nowhere) == {"BUILDKIT_HOST": (EVERY, remedy)}


def test_unknown_platform() -> None:
    """2, as everywhere."""
    done = regkit("doctor", "--platform", "linux/amd46")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("regkit: error: unknown platform 'linux/amd46': ")
