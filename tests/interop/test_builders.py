"""One release from several builders: side by side, by platform, with fallbacks; the absent and the lost are named."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme

from tests.support.builders import BUSYBOX, RunningBuilder, certificates, running_builder
from tests.support.command import output_of, peer, regkit, started
from tests.support.registries import RunningRegistry, distribution, embedded

ARM = "linux/arm64/v8"
BOTH = f"linux/amd64,{ARM}"
VERSION = ("--version", "v1.2.3", "--commit", "8f3c2b1a9d7e6f5c4b3a29181716151413121110")
SH = '"/busybox", "sh", "-c"'
NOBODY = "tcp://127.0.0.1:1"
REACHING = {
    "ssh": "ssh://builder.example",
    "docker": "docker-container://builder",
    "podman": "podman-container://builder",
    "nerdctl": "nerdctl-container://builder",
    "kubectl": "kube-pod://builder",
}
"""The programs by which buildctl reaches builders, and addresses of theirs."""


class Fleet(NamedTuple):
    """A builder for amd64 on a socket, and one for arm64 behind mutual TLS."""

    amd64: RunningBuilder
    arm64: RunningBuilder

    @property
    def options(self) -> tuple[str, ...]:
        """Each for its platform."""
        return ("--builder", f"linux/amd64={self.amd64.option}", "--builder", f"linux/arm64={self.arm64.option}")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Iterator[Fleet]:
    root = tmp_path_factory.mktemp("fleet")
    with (
        running_builder(root / "amd64", "linux/amd64") as amd64,
        running_builder(root / "arm64", "linux/arm64", authority=authority) as arm64,
    ):
        yield Fleet(amd64, arm64)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with distribution(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """Give a context whose steps name the test that they're of: no other one's cache has them."""
    directory = tmp_path / "context"
    directory.mkdir()
    shutil.copy(BUSYBOX, directory / "busybox")
    (directory / "mark").write_text(str(tmp_path))
    write(directory, f'RUN [{SH}, "echo $TARGETARCH > /arch"]')
    return directory


def write(context: Path, *steps: str) -> None:
    lines = ("FROM scratch", "ARG TARGETARCH", "COPY busybox mark /", *steps)
    (context / "Dockerfile").write_text("\n".join(lines) + "\n")


def index_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output_of(peer("crane", "manifest", name)))
    return found


def content(name: str, platform: str, path: str) -> str:
    """Read a file of an image, by crane."""
    return output_of(peer("sh", "-c", f"crane export --platform {platform} {name} - | tar -xO {path}"))


def test_each_builder_builds_its_platforms(fleet: Fleet, registry: RunningRegistry, context: Path) -> None:
    """One release of both, each image from the builder whose pattern it has; their caches tell who built what."""
    before = [len(builder.built()) for builder in fleet]
    image = f"{registry.host}/side/by"

    done = regkit("publish", context, "--image", image, "--platform", BOTH, *VERSION, *fleet.options)

    name = output_of(done).strip()
    assert [child["platform"] for child in index_of(name)["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux", "variant": "v8"},
    ]
    for platform in ("amd64", "arm64"):
        assert content(name, f"linux/{platform}", "arch").strip() == platform
    assert f"linux/amd64: built at {fleet.amd64.address}" in done.stderr
    assert f"{ARM}: built at {fleet.arm64.address}" in done.stderr
    for builder, count in zip(fleet, before, strict=True):
        assert len(builder.built()) > count


def test_builders_of_the_configuration(fleet: Fleet, registry: RunningRegistry, context: Path) -> None:
    """`[builders]`, certificates relative to the file; BUILDKIT_HOST, which is of the environment, wins over it."""
    shutil.copytree(fleet.arm64.address.tls_dir or "", context / "certs")
    (context / "regkit.toml").write_text(
        f"""
        [publish.hello]
        image = "{registry.host}/from/file"
        platform = "{BOTH}"
        [builders]
        "linux/amd64" = {{ addr = "{fleet.amd64.address}" }}
        "*" = {{ addr = "{fleet.arm64.address}", tls-dir = "certs" }}
        """
    )
    (context / ".dockerignore").write_text("certs\nregkit.toml\n")

    shared = regkit("publish", *VERSION, cwd=context)
    alone = regkit("publish", "--rebuild", *VERSION, cwd=context, env={"BUILDKIT_HOST": NOBODY})

    assert len(index_of(output_of(shared).strip())["manifests"]) == 2
    assert f"{ARM}: built at {fleet.arm64.address}" in shared.stderr
    assert (alone.returncode, f"can't reach the builder at {NOBODY}" in alone.stderr) == (75, True)


def test_absent_builder_is_named_before_anything_is_built(
    fleet: Fleet, registry: RunningRegistry, context: Path
) -> None:
    """Exit 75 with its address and its platform; the other one builds nothing, nothing is pushed."""
    before, mark = fleet.amd64.built(), registry.mark()
    builders = ("--builder", f"linux/amd64={fleet.amd64.option}", "--builder", f"linux/arm64={NOBODY}")

    done = regkit("publish", context, "--image", f"{registry.host}/absent", "--platform", BOTH, *VERSION, *builders)

    assert (done.returncode, done.stdout) == (75, "")
    assert f"no builder is there for {ARM}: can't reach the builder at {NOBODY}" in done.stderr
    assert fleet.amd64.built() == before
    assert registry.writes(mark) == []


def test_absent_builders_platforms_go_to_a_fallback(fleet: Fleet, registry: RunningRegistry, context: Path) -> None:
    """The less exact pattern stands in, and a line says so; so does the second one of the same pattern."""
    for fallback in ("*", "linux/*", "linux/arm64"):
        builders = ("--builder", f"linux/arm64={NOBODY}", "--builder", f"{fallback}={fleet.arm64.option}")

        image = f"{registry.host}/fallback"
        done = regkit("publish", context, "--image", image, "--rebuild", "--platform", ARM, *VERSION, *builders)

        assert len(index_of(output_of(done).strip())["manifests"]) == 1
        assert f"warning: {ARM} is built at {fleet.arm64.address}: can't reach the builder at {NOBODY}" in done.stderr


def test_of_two_for_everything_the_native_one_builds(fleet: Fleet, registry: RunningRegistry, context: Path) -> None:
    """Patterns may leave it open: each platform goes where it needs no emulator."""
    builders = ("--builder", f"*={fleet.amd64.option}", "--builder", f"*={fleet.arm64.option}")

    image = f"{registry.host}/open"
    done = regkit("publish", context, "--image", image, "--platform", BOTH, *VERSION, *builders)

    output_of(done)
    assert f"linux/amd64: built at {fleet.amd64.address}" in done.stderr
    assert f"{ARM}: built at {fleet.arm64.address}" in done.stderr


def test_what_no_pattern_is_for(fleet: Fleet, registry: RunningRegistry, context: Path, tmp_path: Path) -> None:
    """BUILDKIT_HOST builds it, and stands in for a builder that is absent; else a throw-away one builds it."""
    command: tuple[str | Path, ...] = ("publish", context, "--platform", BOTH, *VERSION)
    given = ("--image", f"{registry.host}/given", "--builder", f"linux/arm64={fleet.arm64.option}")
    absent = ("--image", f"{registry.host}/absent/too", "--builder", f"linux/arm64={NOBODY}")
    host = {"BUILDKIT_HOST": str(fleet.amd64.address)}

    named = regkit(*command, *given, env=host)
    alone = regkit("-v", *command, *given, "--rebuild", "--no-immutable", home=tmp_path)
    instead = regkit(*command, *absent, env=host)

    for done in (named, alone, instead):
        assert len(index_of(output_of(done).strip())["manifests"]) == 2
    assert f"linux/amd64: built at {fleet.amd64.address}" in named.stderr
    assert f"linux/amd64: built at unix://{tmp_path}/.cache/regkit/" in alone.stderr
    for done in (named, alone):
        assert f"{ARM}: built at {fleet.arm64.address}" in done.stderr
    assert f"warning: {ARM} is built at {fleet.amd64.address}: can't reach the builder at {NOBODY}" in instead.stderr


def test_who_has_no_certificate_is_kept_out(
    fleet: Fleet, registry: RunningRegistry, context: Path, tmp_path: Path
) -> None:
    """Neither without one nor with another authority's; exit 75, and nothing is pushed."""
    others = certificates(trustme.CA(), tmp_path / "others", "client.example")
    mark = registry.mark()
    for option in (str(fleet.arm64.address), f"{fleet.arm64.address},tls-dir={others}"):
        builders = ("--builder", f"linux/amd64={fleet.amd64.option}", "--builder", f"linux/arm64={option}")

        image = f"{registry.host}/kept/out"
        done = regkit("publish", context, "--image", image, "--platform", BOTH, *VERSION, *builders)

        assert done.returncode == 75, done.stderr
        assert f"no builder is there for {ARM}" in done.stderr
    assert registry.writes(mark) == []


def test_builder_that_is_killed_during_a_run_is_named(
    fleet: Fleet, registry: RunningRegistry, context: Path, tmp_path: Path
) -> None:
    """Exit 75 with its address; the other builder's step, which would never end, is stopped; nothing is tagged."""
    write(context, f'RUN [{SH}, "echo asleep; exec /busybox sleep 31536003"]')
    mark = registry.mark()
    with running_builder(tmp_path / "doomed", "linux/arm64") as doomed:
        builders = ("--builder", f"linux/amd64={fleet.amd64.option}", "--builder", f"linux/arm64={doomed.option}")
        command = ("--progress", "json", "publish", context, "--image", f"{registry.host}/killed", "--platform", BOTH)
        with started(*command, *VERSION, *builders, home=tmp_path) as process:
            await_steps(process)
            doomed.kill()
            assert process.stderr is not None
            rest = process.stderr.read().decode()
            code = process.wait(60)

    assert code == 75
    assert f"the builder at {doomed.address} was lost during the build" in rest
    assert registry.writes(mark) == []
    assert registry.tags("killed") == []


def await_steps(process: subprocess.Popen[bytes]) -> None:
    """Wait until the steps of both platforms say that they sleep."""
    assert process.stderr is not None
    asleep: set[str] = set()
    for line in process.stderr:
        event = json.loads(line)
        if event["event"] == "StepLog" and event["line"] == "asleep":
            asleep.add(event["platform"])
        if asleep == {"linux/amd64", ARM}:
            return
    raise AssertionError("the steps didn't begin")


def test_step_that_fails_at_one_builder_ends_the_other(fleet: Fleet, registry: RunningRegistry, context: Path) -> None:
    """Exit 6 with that platform and its lines, though the other one's step would sleep for a year."""
    write(
        context,
        f'RUN [{SH}, "[ $TARGETARCH = arm64 ] && echo broken && exit 3; exec /busybox sleep 31536004"]',
    )
    mark = registry.mark()

    image = f"{registry.host}/failing"
    done = regkit("publish", context, "--image", image, "--platform", BOTH, *VERSION, *fleet.options)

    assert done.returncode == 6, done.stderr
    assert f"the build failed for {ARM}" in done.stderr
    assert "  | broken\n" in done.stderr
    assert registry.writes(mark) == []


def test_interrupted_while_both_build(fleet: Fleet, registry: RunningRegistry, context: Path, tmp_path: Path) -> None:
    """Ctrl-C ends both: exit 130, no buildctl is left, nothing is pushed."""
    write(context, f'RUN [{SH}, "echo asleep; exec /busybox sleep 31536005"]')
    mark = registry.mark()
    command = ("--progress", "json", "publish", context, "--image", f"{registry.host}/stopped", "--platform", BOTH)
    with started(*command, *VERSION, *fleet.options, home=tmp_path) as process:
        await_steps(process)
        process.send_signal(signal.SIGINT)
        process.communicate()
        code = process.wait(60)

    assert code == 130
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(context) in read(path)]
    assert left == []
    assert registry.writes(mark) == []


def read(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


@pytest.mark.parametrize("tool", REACHING)
def test_addresses_that_another_program_reaches(
    fleet: Fleet, registry: RunningRegistry, context: Path, tmp_path: Path, tool: str
) -> None:
    """The program is told to run `buildctl dial-stdio` there; here it finds the builder on its socket."""
    url = REACHING[tool]
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / tool).write_text(f"#!/bin/sh\nexec buildctl --addr {fleet.amd64.address} dial-stdio\n")
    (programs / tool).chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    builders = ("--builder", f"linux/amd64={url}", "--builder", f"linux/arm64={fleet.arm64.option}")

    image = f"{registry.host}/reached/{tool}"
    command = ("publish", context, "--image", image, "--platform", BOTH, *VERSION, *builders)
    done = regkit(*command, env={"PATH": path})

    assert len(index_of(output_of(done).strip())["manifests"]) == 2
    assert f"linux/amd64: built at {url}" in done.stderr


@pytest.mark.parametrize(
    ("builder", "said"),
    [
        ("linux/arm64", "not a builder"),
        ("linux/foo=tcp://h:1", "no architecture 'foo'"),
        ("*=http://h:1", "not a builder"),
        ("*=unix:///s,tls-dir=/", "not a builder"),
        ("*=tcp://h:1,tls-dir=/nowhere", "isn't a directory"),
        ("*=tcp://h:1,tls=1", "not a builder"),
    ],
)
def test_what_is_no_builder(registry: RunningRegistry, context: Path, builder: str, said: str) -> None:
    """Exit 2 with a sentence, and nothing is asked."""
    mark = registry.mark()

    done = regkit("publish", context, "--image", f"{registry.host}/wrong", *VERSION, "--builder", builder)

    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert registry.since(mark) == []


def test_cache_goes_through_a_registry(fleet: Fleet, context: Path, tmp_path: Path) -> None:
    """What one builder wrote, another one that has built nothing reads: its RUN is cached; a name alone is enough."""
    with embedded(tmp_path / "registry") as registry, running_builder(tmp_path / "other", "linux/amd64") as other:
        image, cache = f"{registry.host}/cached", f"{registry.host}/cache:main"
        command: tuple[str | Path, ...] = ("--progress", "json", "publish", context, "--image", image)
        command += ("--platform", "linux/amd64", *VERSION)
        wrote = ("--cache-to", f"type=registry,ref={cache},mode=max", "--builder", f"*={fleet.amd64.option}")
        output_of(regkit(*command, *wrote))
        assert registry.tags("cache") == ["main"]

        done = regkit(*command, "--rebuild", "--cache-from", cache, "--builder", f"*={other.option}")

        output_of(done)
        steps = [json.loads(line) for line in done.stderr.splitlines()]
        cached = [step["cached"] for step in steps if step["event"] == "StepDone" and " RUN " in step["name"]]
        assert cached == [True]


def test_builders_do_not_write_over_each_others_cache(fleet: Fleet, context: Path, tmp_path: Path) -> None:
    """Each writes one of its own, and reads it again."""
    with embedded(tmp_path / "registry") as registry:
        cache = f"{registry.host}/cache"
        command: tuple[str | Path, ...] = ("build", context, "--platform", BOTH, *fleet.options)
        done = regkit(*command, "--cache-to", f"type=registry,ref={cache}", "--cache-from", cache)

        output_of(done)
        assert registry.tags("cache") == ["latest-linux-amd64", "latest-linux-arm64-v8"]
        mark = registry.mark()
        output_of(regkit(*command, "--cache-from", cache))
        asked = {logged.path.rpartition("/")[2] for logged in registry.since(mark) if "/manifests/" in logged.path}
        assert asked >= {"latest-linux-amd64", "latest-linux-arm64-v8"}


def test_secrets_reach_a_run_and_nothing_else(fleet: Fleet, context: Path, tmp_path: Path) -> None:
    """A file's, and a variable's that looks like a credential; neither is shown, nor in the image."""
    secrets = {"file": f"of a file {os.urandom(8).hex()}", "TOKEN": f"of a variable {os.urandom(8).hex()}"}
    (tmp_path / "file").write_text(secrets["file"])
    mounts = "--mount=type=secret,id=one --mount=type=secret,id=TOKEN"
    (context / "take").write_text(
        "#!/busybox sh\n/busybox wc -c < /run/secrets/one > /one\n/busybox wc -c < /run/secrets/TOKEN > /two\n"
    )
    (context / "take").chmod(0o755)
    write(context, "COPY take /", f'RUN {mounts} ["/take"]')
    command = ("--debug", "-v", "build", context, "--platform", "linux/amd64", "--output", f"ocidir://{tmp_path}/out")

    done = regkit(
        *command,
        *("--builder", f"*={fleet.amd64.option}"),
        *("--secret", f"id=one,src={tmp_path}/file", "--secret", "id=TOKEN"),
        env={"TOKEN": secrets["TOKEN"]},
    )

    output_of(done)
    blobs = [path.read_bytes() for path in (tmp_path / "out" / "blobs").glob("*/*")]
    layers = b"".join(gzip.decompress(blob) for blob in blobs if blob.startswith(b"\x1f\x8b"))
    for value in secrets.values():
        assert f"{len(value)}\n".encode() in layers
        assert value.encode() not in layers + b"".join(blobs)
    for value in secrets.values():
        assert value not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--secret=id=a,src=/nowhere", "the file /nowhere, which isn't there"),
        ("--secret=id=a,env=NOWHERE", "the variable NOWHERE, which isn't set"),
        ("--secret=src=/etc/passwd", "has no id"),
        ("--secret=my-very-secret", "has a part without '='"),
        ("--cache-from=ref=x", "has no type"),
        ("--cache-to=type=registry", "names no image"),
        ("--cache-to=type=s3,bucket=b,secret_access_key=hush", "secret_access_key would be shown"),
        ("--attest=type=signature", "not an attestation"),
        ("--attest=mode=max", "not an attestation"),
    ],
)
def test_options_that_cannot_be_meant(context: Path, option: str, said: str) -> None:
    """Exit 2 with a sentence before anything is built; a secret that was written as the option isn't repeated."""
    done = regkit("build", context, option)

    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "hush" not in done.stderr
    assert "very-secret" not in done.stderr
