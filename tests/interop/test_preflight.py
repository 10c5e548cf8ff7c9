"""Base images are looked at before a build: what they lack is told in a sentence, and nothing is built or pushed."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import bcrypt
import pytest
import trustme

from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.manifest import assemble_index
from regkit.oci.platform import Platform
from regkit.protocol.flow import Bytes
from regkit.targets.layout import Layout
from tests.support.command import output_of, peer, regkit
from tests.support.layouts import make_layout
from tests.support.registries import RunningRegistry, debian, distribution, embedded
from tests.support.servers import Handler, listening

ASKED = ("--platform", "linux/amd64,linux/arm64", "--version", "v1.0.0")
Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """Give a registry with base images: whole, of one platform less, of one platform, with a child of schema 1."""
    root = tmp_path_factory.mktemp("shelf")
    with distribution(root / "registry") as registry:
        make_layout(root / "whole", ("linux/amd64", "linux/arm64", "linux/arm/v6"))
        make_layout(root / "less", ("linux/amd64", "linux/arm/v7"), seed=1)
        for name in ("whole", "less"):
            output_of(regkit("copy", f"oci:{root / name}:built", f"{registry.host}/base:{name}"))
        digest = output_of(peer("crane", "digest", "--platform", "linux/amd64", f"{registry.host}/base:whole")).strip()
        output_of(peer("crane", "tag", f"{registry.host}/base@{digest}", "single"))
        yield registry


@pytest.fixture
def run(builder: str, registry: RunningRegistry, tmp_path: Path) -> Run:
    """Publish a Dockerfile's text; give the exit code and what was said."""

    def act(dockerfile: str, *options: str, verb: str = "publish") -> tuple[int, str]:
        (tmp_path / "context").mkdir(exist_ok=True)
        (tmp_path / "context" / "Dockerfile").write_text(dockerfile)
        asked = ("--image", f"{registry.host}/team/made", *ASKED, *options)
        done = regkit(verb, tmp_path / "context", *asked, env={"BUILDKIT_HOST": builder}, home=tmp_path)
        return done.returncode, done.stderr

    return act


pytestmark = pytest.mark.parametrize("registry", ["embedded"], indirect=True)


def test_whole_images_are_built_upon(run: Run, shelf: RunningRegistry) -> None:
    """An index is read once an image, whatever the number of platforms; a stage that isn't needed isn't asked for."""
    text = f"FROM missing.invalid/x AS unused\nFROM {shelf.host}/base:whole\nCOPY --from={shelf.host}/base:whole / /2\n"

    code, said = run(text)

    assert code == 0, said
    assert f"==> looking at {shelf.host}/base:whole" in said.splitlines()


def test_a_platform_that_is_missing_is_named(run: Run, registry: RunningRegistry, shelf: RunningRegistry) -> None:
    """The plan tells it, too: nothing is built for it."""
    mark, text = registry.mark(), f"FROM {shelf.host}/base:less\n"

    for verb in ("plan", "publish"):
        code, said = run(text, verb=verb)
        assert code == 6
        assert f"error: the base image {shelf.host}/base:less has no image for linux/arm64" in said
        assert "hint: it has: linux/amd64, linux/arm/v7" in said
        assert "] FROM " not in said
    assert registry.writes(mark) == []


def test_all_that_is_wrong_is_told_at_once(run: Run, shelf: RunningRegistry) -> None:
    text = f"FROM {shelf.host}/base:less\nCOPY --from={shelf.host}/base:gone / /\n"

    code, said = run(text)

    assert code == 6
    assert f"{shelf.host}/base:less has no image for linux/arm64; " in said
    assert f"the base image {shelf.host}/base:gone isn't there" in said


def test_an_image_for_one_other_platform(run: Run, shelf: RunningRegistry) -> None:
    """Nothing stands on it; to take files from it is odd, and said."""
    single = f"{shelf.host}/base:single"

    code, said = run(f"FROM {single}\n")
    assert code == 6
    assert f"the base image {single} has no image for linux/arm64: it is for linux/amd64 alone" in said

    code, said = run(f"FROM --platform=linux/amd64 {single} AS one\nFROM scratch\nCOPY --from=one / /\n")
    assert code == 0, said
    code, said = run(f"FROM scratch\nCOPY --from={single} / /\n", "--rebuild", "--no-immutable")
    assert code == 0, said
    assert (
        f"warning: COPY --from takes files from {single}, which is for linux/amd64 alone, for linux/arm64, too" in said
    )


def test_an_index_whose_child_is_of_schema_1(run: Run, tmp_path: Path) -> None:
    """As golang:1.12-alpine had one: image, platform and media type are named."""
    index = make_layout(tmp_path / "layout")
    raw = json.dumps({"schemaVersion": 1, "name": "x", "tag": "1", "architecture": "arm64", "fsLayers": []}).encode()
    old = replace(Descriptor.of(mediatype.DOCKER_SCHEMA1_SIGNED, raw), platform=Platform.parse("linux/arm64"))
    mixed = assemble_index([*index.manifests, old], {})
    with Layout(tmp_path / "layout") as layout:
        layout.push(mixed.descriptor, Bytes(mixed.raw), "mixed")
        layout.push(old, Bytes(raw))
    with embedded(tmp_path / "other") as other:
        output_of(regkit("copy", f"oci:{tmp_path / 'layout'}:mixed", f"{other.host}/golang:1.12"))

        code, said = run(f"FROM {other.host}/golang:1.12\n")

    assert code == 6
    assert (
        f"the base image {other.host}/golang:1.12 can't be used for linux/arm64: its manifest there is of Docker's "
        f"schema 1 ({mediatype.DOCKER_SCHEMA1_SIGNED})"
    ) in said


def test_an_index_that_tells_no_platforms(run: Run, tmp_path: Path) -> None:
    """BuildKit doesn't read the images' configurations for it."""
    index = make_layout(tmp_path / "layout", ("linux/amd64", "linux/arm64"))
    bare = assemble_index([replace(child, platform=None) for child in index.manifests], {})
    with Layout(tmp_path / "layout") as layout:
        layout.push(bare.descriptor, Bytes(bare.raw), "bare")
    with embedded(tmp_path / "other") as other:
        output_of(regkit("copy", f"oci:{tmp_path / 'layout'}:bare", f"{other.host}/a:1"))

        code, said = run(f"FROM {other.host}/a:1\n")
        left = run(f"FROM {other.host}/a:1\n", "--no-preflight")

    assert (code, left[0]) == (6, 6)
    assert f"the base image {other.host}/a:1 has no image for linux/amd64, linux/arm64" in said
    assert "can't be used for" in left[1]


def test_what_is_no_manifest_at_all(run: Run) -> None:
    """A server that is no registry, and sends something else, is named with the image."""
    with listening(Welcoming) as host:
        code, said = run(f"FROM {host}/a:1\n")

    assert code == 6
    assert f"the base image {host}/a:1 can't be read: " in said
    assert "--no-preflight" in said


def test_the_plan_needs_no_builder(run: Run, registry: RunningRegistry, shelf: RunningRegistry, tmp_path: Path) -> None:
    """What only a builder can tell, which machine it is, isn't looked at then; the rest is."""
    (tmp_path / "context").mkdir()
    text = f"# syntax={shelf.host}/base:gone\nFROM {shelf.host}/base:whole\n"
    (tmp_path / "context" / "Dockerfile").write_text(text)
    asked = ("--image", f"{registry.host}/team/made", *ASKED)

    done = regkit("plan", tmp_path / "context", *asked, env={"BUILDKIT_HOST": f"unix://{tmp_path}/none"})

    assert done.returncode == 0, done.stderr
    assert f"==> looking at {shelf.host}/base:whole" in done.stderr.splitlines()
    assert run(text)[0] == 6


def test_an_image_that_is_of_schema_1_itself(run: Run, tmp_path: Path) -> None:
    """A registry of old serves it by its tag."""
    make_layout(tmp_path / "layout")
    with embedded(tmp_path / "other", "--quirk", "schema1") as other:
        source = f"oci:{tmp_path / 'layout'}:built"
        output_of(
            peer("skopeo", "copy", "--format", "v2s2", "--dest-tls-verify=false", source, f"docker://{other.host}/a:1")
        )

        code, said = run(f"FROM {other.host}/a:1\n")

    assert code == 6
    assert f"the base image {other.host}/a:1 can't be used for linux/amd64, linux/arm64" in said
    assert f"schema 1 ({mediatype.DOCKER_SCHEMA1_SIGNED})" in said


def test_an_index_whose_child_is_gone(run: Run, tmp_path: Path) -> None:
    with debian(tmp_path / "other", delete=True) as other:
        index = make_layout(tmp_path / "layout", ("linux/amd64", "linux/arm64"))
        output_of(regkit("copy", f"oci:{tmp_path / 'layout'}:built", f"{other.host}/a:1"))
        lost = index.manifests[1]
        output_of(peer("crane", "delete", f"{other.host}/a@{lost.digest}"))

        code, said = run(f"FROM {other.host}/a:1\n")

    assert code == 6
    assert f"lists an image for linux/arm64 that isn't there: {lost.digest} ({lost.media_type})" in said


class Welcoming(Handler):
    """A server of web pages."""

    def do_GET(self) -> None:  # noqa: N802 - http.server's names
        self.answer(200, b"Welcome!", {"Content-Type": "text/html"})

    do_HEAD = do_GET  # noqa: N815 - http.server's names


@contextmanager
def guarded(root: Path) -> Iterator[RunningRegistry]:
    root.mkdir()
    (root / "users").write_text(f"me:{bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}\n")
    with embedded(root, "--auth", str(root / "users")) as registry:
        yield registry


def test_a_registry_that_lets_nobody_in(run: Run, tmp_path: Path) -> None:
    with guarded(tmp_path / "other") as other:
        code, said = run(f"FROM {other.host}/secret/base:1\n")

    assert code == 4
    assert f"the base image {other.host}/secret/base:1 can't be read" in said
    assert f"hint: log in to {other.host}" in said


def test_a_registry_that_isnt_there(run: Run, tmp_path: Path) -> None:
    """It may be there for the builder: the check can be left out, and then BuildKit has the word."""
    with embedded(tmp_path / "other") as other:
        host = other.host

    code, said = run(f"FROM {host}/base:1\n")
    assert code == 75
    assert f"the base image {host}/base:1 can't be looked at" in said
    assert "--no-preflight" in said
    code, said = run(f"FROM {host}/base:1\n", "--no-preflight")
    assert code == 6
    assert "==> looking at" not in said


def test_a_registry_with_an_authority_of_its_own(run: Run) -> None:
    """Trying again is no use: the hint says what is."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    with listening(Handler, tls) as host:
        code, said = run(f"FROM {host}/base:1\n")

    assert code == 75
    assert f"the base image {host}/base:1 can't be looked at: {host} has a certificate that isn't trusted" in said
    assert "hint: give its authority with --ca-file, or SSL_CERT_FILE; --no-preflight" in said
    assert "try again" not in said


def test_the_image_that_reads_the_dockerfile(run: Run, shelf: RunningRegistry) -> None:
    """It runs on the builder's own platform; what it is called in a heredoc or a late comment isn't one."""
    code, said = run(f"# syntax={shelf.host}/base:gone\nFROM scratch\n")
    assert code == 6
    assert f"the Dockerfile's frontend {shelf.host}/base:gone isn't there" in said

    text = f"FROM scratch\n# syntax={shelf.host}/base:gone\nCOPY <<EOF /a\nFROM {shelf.host}/base:gone\nEOF\n"
    code, said = run(text)
    assert code == 0, said


def test_the_image_that_makes_sboms(run: Run, shelf: RunningRegistry) -> None:
    """BuildKit would miss it when all is built."""
    code, said = run("FROM scratch\nCOPY Dockerfile /\n", "--sbom", f"generator={shelf.host}/base:gone")

    assert code == 6
    assert f"the SBOM generator {shelf.host}/base:gone isn't there" in said
    assert "] COPY " not in said


def test_the_manifest_of_the_whole_is_read_once(run: Run, registry: RunningRegistry, tmp_path: Path) -> None:
    """It costs a pull at a hub; the children are asked for by HEAD, which costs none."""
    del registry
    index = make_layout(tmp_path / "layout", ("linux/amd64", "linux/arm64"))
    with embedded(tmp_path / "other") as other:
        output_of(regkit("copy", f"oci:{tmp_path / 'layout'}:built", f"{other.host}/a:1"))
        mark = other.mark()
        code, said = run(
            f"FROM {other.host}/a:1 AS one\nFROM {other.host}/a:1\nCOPY --from=one /content /2\n", verb="plan"
        )
        asked = [(logged.method, logged.path.rpartition("/")[2]) for logged in other.since(mark)]

    assert code == 0, said
    assert sorted(asked) == sorted([("GET", "1"), *(("HEAD", str(child.digest)) for child in index.manifests)])
