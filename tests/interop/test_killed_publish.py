"""A publish that is killed before each of its requests, while another process looks at the tags all the time."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from tests.support.onlooker import Repository, onlooker
from tests.support.proxy import proxy
from tests.support.registries import RunningRegistry
from tests.support.swift import swiftly
from tests.support.waiting import until

PLATFORMS = "linux/amd64,linux/arm64/v8"
TAGS = ["1", "1.2", "1.2.3", "latest"]
SAMPLE = 6
"""Where not every request is tried, every so many of them is."""


@dataclass(frozen=True)
class Publisher:
    """Publishes one build context, with provenance, to repositories of one registry."""

    registry: RunningRegistry
    context: Path
    home: Path
    builder: str

    def killed_before(self, request: int, name: str) -> int:
        """Publish, and kill that with SIGKILL before its n-th request; give the number of those that came by."""
        with proxy(self.registry.host) as between:
            held = between.hold("[A-Z]+", f"/v2/{name}/", passing=request)
            with swiftly(*self._command(f"{between.host}/{name}"), **self._how) as process:  # type: ignore[arg-type]
                until(lambda: held.held.is_set() or not process.is_alive(), "a request is held", 60)
                process.kill()
                process.join()
            held.release(drop=True)
            assert held.held.is_set() or process.exitcode == 0, self.said
            return request if held.held.is_set() else len(between.requests("[A-Z]+", f"/v2/{name}/"))

    def publish(self, name: str) -> Digest:
        """Publish; give the index's digest."""
        with swiftly(*self._command(f"{self.registry.host}/{name}"), **self._how) as process:  # type: ignore[arg-type]
            process.join(60)
        assert process.exitcode == 0, self.said
        return Digest((self.home / "digest").read_text().strip())

    @property
    def said(self) -> str:
        """What the last command said."""
        return (self.home / "said").read_text()

    def _command(self, image: str) -> tuple[str | Path, ...]:
        asked = ("--image", image, "--version", "v1.2.3", "--platform", PLATFORMS, "--attest", "type=provenance")
        return ("publish", self.context, *asked, "--digest-file", self.home / "digest")

    @property
    def _how(self) -> Mapping[str, object]:
        return {"home": self.home, "said": self.home / "said", "env": {"BUILDKIT_HOST": self.builder}}


@pytest.fixture
def publisher(registry: RunningRegistry, builder: str, tmp_path: Path) -> Publisher:
    """Give a publisher of something that no other test has built."""
    context, home = tmp_path / "context", tmp_path / "home"
    context.mkdir()
    home.mkdir()
    for architecture in ("amd64", "arm64"):
        (context / architecture).write_text(f"{architecture} {tmp_path}")
    (context / "Dockerfile").write_text("FROM scratch\nARG TARGETARCH\nCOPY ${TARGETARCH} /program\n")
    return Publisher(registry, context, home, builder)


@pytest.mark.parametrize(
    ("registry", "step"), [("distribution", 1), ("debian", SAMPLE), ("embedded", SAMPLE)], indirect=["registry"]
)
def test_killed_before_a_request(registry: RunningRegistry, publisher: Publisher, step: int) -> None:
    """SIGKILL before each request, the list of tags first, the looks at the written tags last.

    Whoever pulls by a tag at any moment, be it alias or version, gets an index whose images and blobs can all be read.
    The same command again ends with the images that a publish has which nobody stops, under all four tags; where the
    version stood already, with the very index and attestations that were published. On distribution this is tried for
    every request, on the other two for every sixth.
    """
    with onlooker(registry.host) as others, Repository(registry.host, "killed/never") as whole:
        publisher.publish(whole.name)
        expected = images_under(whole, "latest")
        reused, built = 0, 0

        for request in itertools.count(0, step):
            with Repository(registry.host, f"killed/before{request}") as repository:
                others.watch(repository.name)
                if publisher.killed_before(request, repository.name) != request:
                    break
                stood = repository.tags()
                assert sorted(stood) == TAGS[: len(stood)]

                digest = publisher.publish(repository.name)

                assert repository.tags() == dict.fromkeys(TAGS, digest)
                assert images_under(repository, "latest") == expected
                if "1.2.3" in stood:
                    assert digest == stood["1.2.3"]
                    reused += 1
                else:
                    built += 1
                assert others.seen().faults == []
        seen = others.seen()

    assert built >= 3
    assert reused >= (1 if step == 1 else 0)
    assert seen.indexes > 4 * built
    assert seen.faults == []
    assert list((publisher.home / ".cache/regkit/run").iterdir()) == []


def images_under(repository: Repository, tag: str) -> list[Digest]:
    """Give the images of a release; assert that each has its provenance beside it."""
    index = repository.manifest(tag)
    assert isinstance(index, Manifest)
    images = [child.digest for child in index.manifests if child.attests is None]
    assert [child.attests for child in index.manifests if child.attests] == images
    return images
