"""Builds by a real buildctl on a real buildkitd."""

from __future__ import annotations

import hashlib
import json
import os
import ssl
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from regkit.build.address import Address
from regkit.build.buildctl import ImageDenied, build, failure
from regkit.build.builder import throwaway_builder
from regkit.build.progress import Progress
from regkit.build.spec import build_spec
from regkit.errors import BuildFailed, Unavailable, UsageError
from regkit.events import Event, StepDone, StepLog, StepStarted, ignore
from regkit.oci.platform import parse_platforms
from regkit.protocol.auth import Login
from regkit.transport.credentials_store import lend
from tests.build.conftest import MakeContext, spec_of
from tests.support.servers import Handler, listening

SH = '"/busybox", "sh", "-c"'


def blob(layout: Path, descriptor: dict[str, Any]) -> Any:
    return json.loads((layout / "blobs" / str(descriptor["digest"]).replace(":", "/")).read_bytes())


def images(layout: Path) -> list[dict[str, Any]]:
    """Read the index that a build leaves in a layout: its one entry's children."""
    (top,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    children: list[dict[str, Any]] = blob(layout, top)["manifests"]
    return children


def test_all_platforms_are_built_into_one_layout(
    builder: Address, env: dict[str, str], context: MakeContext, tmp_path: Path, events: list[Event]
) -> None:
    """One index with a plain image for each, no attestations; each step is reported with its platform."""
    made = context(
        "FROM scratch\nARG TARGETPLATFORM TARGETARCH\nCOPY $TARGETARCH /\nCOPY busybox /\n"
        f'RUN [{SH}, "echo $TARGETPLATFORM"]',
        busybox=True,
        amd64="1",
        **{"386": "2"},
    )
    spec = spec_of(made, "linux/amd64,linux/386")
    build(spec, builder, tmp_path / "layout", events.append, env=env)

    platforms = [child["platform"] for child in images(tmp_path / "layout")]
    assert platforms == [{"architecture": "amd64", "os": "linux"}, {"architecture": "386", "os": "linux"}]
    for platform in ("linux/amd64", "linux/386"):
        assert any(isinstance(e, StepStarted) and e.platform == platform and " RUN " in e.name for e in events)
        assert any(isinstance(e, StepDone) and e.platform == platform and " RUN " in e.name for e in events)
        assert any(isinstance(e, StepLog) and e.platform == platform and e.line == platform for e in events)


def test_single_platform_leaves_an_index_too(
    builder: Address, env: dict[str, str], context: MakeContext, tmp_path: Path
) -> None:
    """So that what follows needn't tell one from many."""
    build(spec_of(context("FROM scratch\nCOPY Dockerfile /")), builder, tmp_path / "layout", ignore, env=env)

    assert len(images(tmp_path / "layout")) == 1


def test_dockerfile_outside_the_context_with_target_and_arguments(
    builder: Address, env: dict[str, str], context: MakeContext, tmp_path: Path
) -> None:
    """The Dockerfile's own ignore file counts, not the context's; odd names and values arrive unharmed."""
    made = context(None, kept="1", left="2")
    (made / ".dockerignore").write_text("kept")
    elsewhere = tmp_path / "else, where"
    elsewhere.mkdir()
    (elsewhere / "My, Dockerfile").write_text(
        "FROM scratch AS one\nARG K\nLABEL k=$K\nCOPY kept /\nFROM scratch AS two\nCOPY left /\n"
    )
    (elsewhere / "My, Dockerfile.dockerignore").write_text("left")
    arguments = (("K", "a,b=c d"),)
    spec = build_spec(made, elsewhere / "My, Dockerfile", parse_platforms(["linux/amd64"]), "one", arguments)
    layout = tmp_path / "lay,out"
    build(spec, builder, layout, ignore, env=env)

    (image,) = images(layout)
    assert blob(layout, blob(layout, image)["config"])["config"]["Labels"] == {"k": "a,b=c d"}


def test_failing_run_is_told_with_its_own_lines(
    builder: Address, env: dict[str, str], context: MakeContext, tmp_path: Path
) -> None:
    """The sentence names platform, command and exit code; the log is that step's alone."""
    made = context(
        f'FROM scratch\nCOPY busybox /\nRUN [{SH}, "echo fine"]\nRUN [{SH}, "echo one; echo two >&2; exit 3"]',
        busybox=True,
    )
    with pytest.raises(BuildFailed) as caught:
        build(spec_of(made), builder, tmp_path / "layout", ignore, env=env)

    assert caught.value.message == (
        'the build failed for linux/amd64 at [3/3] RUN ["/busybox", "sh", "-c", "echo one; echo two >&2; exit 3"]: '
        "exit code: 3"
    )
    assert sorted(caught.value.log) == ["one", "two"]


def test_missing_source_of_a_copy_is_told(
    builder: Address, env: dict[str, str], context: MakeContext, tmp_path: Path
) -> None:
    """Not only a RUN can fail."""
    with pytest.raises(BuildFailed, match=r"for linux/amd64 at \[1/1\] COPY gone /: .*not found"):
        build(spec_of(context("FROM scratch\nCOPY gone /")), builder, tmp_path / "layout", ignore, env=env)


@pytest.mark.parametrize("text", ["FROM scratch\nBOGUS x\n", "FROM scratch\nCOPY\n", ""])
def test_dockerfile_that_cannot_be_read_is_told(
    builder: Address, env: dict[str, str], context: MakeContext, tmp_path: Path, text: str
) -> None:
    """The sentence names the file and BuildKit's reason."""
    with pytest.raises(BuildFailed, match=r"the build of .*Dockerfile failed: .*(parse error|cannot be empty)"):
        build(spec_of(context(text)), builder, tmp_path / "layout", ignore, env=env)


def test_unknown_target_is_told(builder: Address, env: dict[str, str], context: MakeContext, tmp_path: Path) -> None:
    """A stage that isn't in the Dockerfile."""
    spec = build_spec(context("FROM scratch AS one\nCOPY . /"), None, parse_platforms(["linux/amd64"]), "two")
    with pytest.raises(BuildFailed, match=r'target stage "?two"? could not be found'):
        build(spec, builder, tmp_path / "layout", ignore, env=env)


def test_nobody_at_the_address_is_unavailable(env: dict[str, str], context: MakeContext, tmp_path: Path) -> None:
    """The sentence names the address and why."""
    with pytest.raises(Unavailable, match=r"can't reach the builder at tcp://127\.0\.0\.1:1: dial tcp .*refused"):
        build(spec_of(context("FROM scratch")), Address("tcp://127.0.0.1:1"), tmp_path / "layout", ignore, env=env)


def test_missing_buildctl_is_a_usage_error(context: MakeContext, tmp_path: Path) -> None:
    """The hint leads to doctor."""
    with pytest.raises(UsageError, match="buildctl isn't on PATH") as caught:
        build(
            spec_of(context("FROM scratch")),
            Address("unix:///s"),
            tmp_path / "layout",
            ignore,
            env={"PATH": str(tmp_path)},
        )
    assert "regkit doctor" in str(caught.value.hint)


def test_failure_without_a_word_is_told() -> None:
    """A buildctl that was killed gives no reason."""
    error = failure(Progress(()), spec_of(Path(__file__).parent, file=Path(__file__)), Address("unix:///s"))

    assert error.message.endswith("failed: buildctl ended without a reason")


class Registry(Handler):
    """A registry that is empty, and asks for a login below /v2/locked/."""

    seen: list[str]

    def do_GET(self) -> None:  # noqa: N802 - http.server's names
        authorization = self.headers.get("Authorization", "")
        self.seen.append(authorization)
        locked = "/locked/" in self.path and not authorization
        if locked:
            self.answer(401, b"", {"WWW-Authenticate": 'Basic realm="here"'})
        else:
            self.answer(404, b"", {})

    do_HEAD = do_GET  # noqa: N815 - http.server's names


@pytest.fixture
def registry() -> Iterator[tuple[str, list[str]]]:
    """Serve an empty registry; give its host and the Authorization headers that it saw."""
    with serve(None) as served:
        yield served


@contextmanager
def serve(tls: ssl.SSLContext | None) -> Iterator[tuple[str, list[str]]]:
    """Run such a registry, in https where there is a context for it."""
    seen: list[str] = []
    with listening(type("Handler", (Registry,), {"seen": seen}), tls) as host:
        yield host, seen


def test_base_image_that_does_not_exist_is_named(
    builder: Address, env: dict[str, str], tmp_path: Path, registry: tuple[str, list[str]]
) -> None:
    """A registry that doesn't have it, and none at all."""
    host, _ = registry
    for image in (f"{host}/no/such:1", "127.0.0.1:1/no/such:1"):
        made = tmp_path / image.replace("/", "_")
        made.mkdir()
        (made / "Dockerfile").write_text(f"FROM {image}\n")
        with pytest.raises(
            BuildFailed, match=f"the base image {image} can't be used for linux/amd64: .*(not found|refused)"
        ):
            build(spec_of(made), builder, tmp_path / "layout" / made.name, ignore, env=env)


def test_base_image_behind_a_login_is_asked_for_with_the_given_credentials(
    builder: Address, env: dict[str, str], context: MakeContext, tmp_path: Path, registry: tuple[str, list[str]]
) -> None:
    """Those in the DOCKER_CONFIG that is passed, and no others; without any, the hint says what is missing."""
    host, seen = registry
    spec = spec_of(context(f"FROM {host}/locked/base:1\n"))
    own = {**env, "DOCKER_USERNAME": "stranger", "DOCKER_PASSWORD": "hub-secret"}
    empty = lend(tmp_path / "empty", {})
    with pytest.raises(BuildFailed, match=r"the base image .*locked/base:1 can't be used") as caught:
        build(spec, builder, tmp_path / "one", ignore, env=own, docker_config=empty)
    assert "credentials" in str(caught.value.hint)
    assert set(seen) == {""}

    config = lend(tmp_path / "docker", {host: Login("me", "pass")})
    with pytest.raises(BuildFailed):
        build(spec, builder, tmp_path / "two", ignore, env=own, docker_config=config)
    assert set(seen) == {"", f"Basic {b64encode(b'me:pass').decode()}"}


def test_registry_of_a_private_authority_is_trusted_where_it_is_named(
    env: dict[str, str], context: MakeContext, tmp_path: Path
) -> None:
    """By the builder, beside the system's authorities; a builder that wasn't told of it refuses.

    Its host is 0.0.0.0, since BuildKit asks a loopback address in plain http.
    """
    authority, tls, pem = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), tmp_path / "ca.pem"
    authority.issue_cert("0.0.0.0").configure_cert(tls)
    authority.cert_pem.write_to_path(str(pem))
    answers: list[str] = []
    with serve(tls) as (host, _):
        spec = spec_of(context(f"FROM 0.0.0.0:{host.rpartition(':')[2]}/no/such:1\n"))
        for ca_file in (None, pem):
            with (
                throwaway_builder(tmp_path / "cache", ignore, env=env, ca_file=ca_file) as address,
                pytest.raises(BuildFailed) as caught,
            ):
                build(spec, address, tmp_path / f"layout{len(answers)}", ignore, env=env, ca_file=ca_file)
            answers.append(caught.value.message)

    assert "certificate signed by unknown authority" in answers[0]
    assert answers[1].endswith("not found")


def test_buildctl_has_no_credential_in_its_arguments_or_environment(
    builder: Address, env: dict[str, str], context: MakeContext, tmp_path: Path
) -> None:
    """Looked at while it runs, as any user of the machine could."""
    made = context(f'FROM scratch\nCOPY busybox /\nRUN [{SH}, "echo {tmp_path.name}"]', busybox=True)
    own = {**env, "DOCKER_PASSWORD": "hub-secret", "REGKIT_PASSWORD": "other-secret", "KEPT": "yes"}
    config = lend(tmp_path / "docker", {"ghcr.io": Login("me", "pass-secret")})
    looks: list[bytes] = []

    def look(event: Event) -> None:
        if isinstance(event, StepStarted) and " RUN " in event.name:
            looks.extend(_process(str(tmp_path / "layout").encode()))

    build(spec_of(made), builder, tmp_path / "layout", look, env=own, docker_config=config)

    assert any(b"KEPT=yes" in look for look in looks)
    assert not any(b"secret" in look for look in looks)


def _process(mark: bytes) -> list[bytes]:
    """Read arguments and environment of every process whose arguments contain `mark`."""
    found = []
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit() and int(directory.name) != os.getpid():
            try:
                arguments, environment = (directory / "cmdline").read_bytes(), (directory / "environ").read_bytes()
            except OSError:
                continue
            if mark in arguments:
                found.append(arguments + environment)
    return found


def message(*fields: tuple[int, bytes]) -> bytes:
    """Write a message of Protocol Buffers that has only texts and messages, shorter than 128 bytes."""
    return b"".join(bytes([number << 3 | 2, len(value)]) + value for number, value in fields)


def test_an_image_that_a_frontend_of_ones_own_reads_is_told_as_others_are(
    builder: Address, env: dict[str, str], registry: tuple[str, list[str]]
) -> None:
    """Such a frontend need not ask for an image's metadata first; BuildKit then fails with a step of another name."""
    host, _ = registry
    # BuildKit's solver/pb/ops.proto: a Definition of two Ops, the source and what is wanted, which is it.
    source = message((3, message((1, f"docker-image://{host}/locked/x:1".encode()))))
    digest = f"sha256:{hashlib.sha256(source).hexdigest()}".encode()
    graph = message((1, source), (1, message((1, message((1, digest))))))
    done = subprocess.run(
        ["buildctl", "--addr", builder.url, "build", "--progress", "rawjson"],
        input=graph,
        capture_output=True,
        env=env,
        check=False,
    )
    progress = Progress(())
    for line in (*done.stdout.splitlines(), *done.stderr.splitlines()):
        list(progress.feed(line + b"\n"))
    list(progress.finish())

    error = failure(progress, spec_of(Path(__file__).parent, file=Path(__file__)), builder)

    assert isinstance(error, ImageDenied), progress.plain
    assert error.image == f"{host}/locked/x:1"
