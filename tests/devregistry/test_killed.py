"""`regkit registry serve --dir` and SIGKILL, at every stage of a push."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from regkit.devregistry.directory import UPLOADS
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from tests.support.command import output_of, regkit
from tests.support.registries import RunningRegistry, embedded
from tests.support.waiting import until

from .support import image

OLD, NEW = image("old"), image("new")
LAYER = NEW[0][1]
HALF = len(LAYER) // 2
DIGEST = Digest.of(LAYER)


class Push:
    """A push of NEW over the tag of OLD, request by request, which may end in the middle of a body."""

    def __init__(self, registry: RunningRegistry) -> None:
        self.registry = registry
        self.connections: list[http.client.HTTPConnection] = []

    def send(self, method: str, url: str, body: bytes = b"", kind: str = "application/octet-stream") -> str:
        """Send a request whole; give the location that the answer names."""
        connection = http.client.HTTPConnection(self.registry.host, timeout=30)
        connection.request(method, url, body, {"Content-Type": kind})
        response = connection.getresponse()
        assert response.status < 300, response.read()
        response.read()
        connection.close()
        return response.getheader("Location", "")

    def begin(self) -> str:
        return self.send("POST", "/v2/a/blobs/uploads/")

    def hold(self, method: str, url: str, body: bytes, kind: str = "application/octet-stream") -> None:
        """Send a request, and only half of its body."""
        connection = http.client.HTTPConnection(self.registry.host, timeout=30)
        connection.putrequest(method, url)
        connection.putheader("Content-Type", kind)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body[: len(body) // 2])
        self.connections.append(connection)

    def blobs(self, blobs: tuple[bytes, ...]) -> None:
        for blob in blobs:
            self.send("POST", f"/v2/a/blobs/uploads/?digest={Digest.of(blob)}", blob)

    def manifest(self, manifest: Manifest, name: str) -> None:
        self.send("PUT", f"/v2/a/manifests/{name}", manifest.raw, manifest.media_type)

    def arrived(self, size: int) -> None:
        """Wait until what is being uploaded has this many bytes on disk."""
        uploads = self.registry.root / "content" / UPLOADS
        until(lambda: [path for path in uploads.iterdir() if path.stat().st_size == size], f"{size} bytes arrive")


def begun(push: Push) -> None:
    push.begin()


def patching(push: Push) -> None:
    push.hold("PATCH", push.begin(), LAYER)
    push.arrived(HALF)


def patched(push: Push) -> None:
    push.send("PATCH", push.begin(), LAYER)


def closing(push: Push) -> None:
    push.hold("PUT", f"{push.begin()}?digest={DIGEST}", LAYER)
    push.arrived(HALF)


def at_once(push: Push) -> None:
    push.hold("POST", f"/v2/a/blobs/uploads/?digest={DIGEST}", LAYER)
    push.arrived(HALF)


def one_blob(push: Push) -> None:
    push.blobs(NEW[0][:1])


def all_blobs(push: Push) -> None:
    push.blobs(NEW[0])


def half_a_manifest(push: Push) -> None:
    push.blobs(NEW[0])
    push.hold("PUT", "/v2/a/manifests/1", NEW[1].raw, NEW[1].media_type)


def untagged(push: Push) -> None:
    push.blobs(NEW[0])
    push.manifest(NEW[1], NEW[1].digest)


def tagged(push: Push) -> None:
    push.blobs(NEW[0])
    push.manifest(NEW[1], "1")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RunningRegistry]:
    with embedded(tmp_path) as running:
        push = Push(running)
        push.blobs(OLD[0])
        push.manifest(OLD[1], "1")
        yield running


@pytest.mark.parametrize(
    "stage",
    [begun, patching, patched, closing, at_once, one_blob, all_blobs, half_a_manifest, untagged, tagged],
)
def test_kill_in_the_middle_of_a_push(registry: RunningRegistry, stage: Callable[[Push], None]) -> None:
    """The tag stands on a whole image, old or new; all content has its digest; a collection leaves only that image."""
    push, root = Push(registry), registry.root / "content"
    stage(push)
    registry.kill()
    for connection in push.connections:
        connection.close()

    expected = NEW if stage is tagged else OLD
    blobs = {Digest(f"sha256:{path.name}"): path.read_bytes() for path in root.glob("a/blobs/sha256/*")}
    assert all(Digest.of(data) == digest for digest, data in blobs.items())
    assert output_of(regkit("resolve", f"ocidir://{root / 'a'}:1")).split("@")[-1].strip() == expected[1].digest
    output_of(regkit("verify", f"ocidir://{root / 'a'}:1"))

    output_of(regkit("registry", "gc", root, "--untagged", "--yes"))

    left = {path.name for path in root.rglob("*") if path.is_file()}
    kept = {Digest.of(data).hex for data in (*expected[0], expected[1].raw)}
    assert left == {"oci-layout", "index.json", *kept}
    registry.start()
    output_of(regkit("verify", f"{registry.host}/a:1"))
    tagged(Push(registry))
    output_of(regkit("verify", f"{registry.host}/a:1"))
