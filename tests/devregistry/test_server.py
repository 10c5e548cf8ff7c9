from __future__ import annotations

import contextlib
import http.client
import json
import queue
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.devregistry.directory import DirectoryStore
from regkit.devregistry.server import IDLE, THREADS, Server, parse_address, running
from regkit.errors import UsageError
from regkit.events import Event, Note, RequestServed
from regkit.oci.digest import Digest
from regkit.protocol.flow import Request, Response

from .support import image, push_blob, push_image

DATA = bytes(range(256)) * 4096
DIGEST = Digest.of(DATA)


@dataclass
class Served:
    """A registry on a socket, and what it reported."""

    server: Server
    registry: DevRegistry
    events: queue.SimpleQueue[Event] = field(default_factory=queue.SimpleQueue)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.server.host, timeout=30)

    def next(self) -> RequestServed:
        """Wait for the next answered request; anything else that is reported is a failure."""
        event = self.events.get(timeout=30)
        assert isinstance(event, RequestServed)
        return event


@pytest.fixture
def served(registry: DevRegistry) -> Iterator[Served]:
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    with running(registry, report=events.put) as server:
        yield Served(server, registry, events)


def request(
    connection: http.client.HTTPConnection, method: str, url: str, body: bytes | None = None, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection.request(method, url, body, headers)
    response = connection.getresponse()
    return response, response.read()


def begin(connection: http.client.HTTPConnection, repository: str = "a") -> str:
    response, _ = request(connection, "POST", f"/v2/{repository}/blobs/uploads/")
    assert response.status == 202
    location = response.getheader("Location")
    assert location is not None
    return location


def send_half(connection: http.client.HTTPConnection, location: str) -> None:
    """Begin the closing PUT of DATA, and send only half of it."""
    connection.putrequest("PUT", f"{location}?digest={DIGEST}")
    connection.putheader("Content-Length", str(len(DATA)))
    connection.endheaders(DATA[: len(DATA) // 2])


def wait_for_half(connection: http.client.HTTPConnection, location: str) -> None:
    """Ask how far an upload is until half of DATA has arrived."""
    for _ in range(100_000):
        response, _ = request(connection, "GET", location)
        if response.getheader("Range") == f"0-{len(DATA) // 2 - 1}":
            return
    raise AssertionError("the upload's first half never arrived")


def test_importing_the_app_needs_no_server() -> None:
    """Who only calls `handle` pays for no HTTP server."""
    code = "import sys, regkit.devregistry.app, regkit.devregistry.directory; sys.exit('cheroot' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_connection_is_kept(served: Served) -> None:
    """One connection carries many requests: errors, HEAD with a length and no body, and refused uploads too."""
    push_blob(served.registry, "a", DATA)
    connection = served.connect()
    connection.connect()
    first = connection.sock

    location = begin(connection)
    refused, _ = request(connection, "PATCH", location, DATA, **{"Content-Range": "7-9"})
    missing, body = request(connection, "GET", f"/v2/a/blobs/{Digest.of(b'x')}")
    head, nothing = request(connection, "HEAD", f"/v2/a/blobs/{DIGEST}")
    found, data = request(connection, "GET", f"/v2/a/blobs/{DIGEST}")
    part, some = request(connection, "GET", f"/v2/a/blobs/{DIGEST}", Range="bytes=10-19")

    assert (refused.status, missing.status, head.status, found.status, part.status) == (416, 404, 200, 200, 206)
    assert json.loads(body)["errors"][0]["code"] == "BLOB_UNKNOWN"
    assert (head.getheader("Content-Length"), nothing) == (str(len(DATA)), b"")
    assert (data, some) == (DATA, DATA[10:20])
    assert found.getheader("Server") == "regkit"
    assert connection.sock is first
    connection.close()


def test_chunked_upload(served: Served) -> None:
    """A body in chunks, without a Content-Length, is taken; the connection goes on after it."""
    connection = served.connect()
    location = begin(connection)

    connection.request("PATCH", location, iter([DATA[:1000], DATA[1000:]]), encode_chunked=True)
    patched = connection.getresponse()
    patched.read()
    closed, _ = request(connection, "PUT", f"{location}?digest={DIGEST}")

    assert (patched.status, patched.getheader("Range"), closed.status) == (202, f"0-{len(DATA) - 1}", 201)
    connection.close()


def test_requests_are_reported_before_they_are_known(served: Served) -> None:
    """Each answer is reported with method, path, query and status by the time its client has it."""
    connection = served.connect()
    request(connection, "GET", "/v2/a/tags/list?n=5")

    assert served.events.get_nowait() == RequestServed("GET", "/v2/a/tags/list?n=5", 404, 0)
    connection.close()


def test_uploads_are_counted_while_they_are_sent(served: Served) -> None:
    """A report says how many requests were sending content: four uploads that are open at once are four."""
    asking, sending = served.connect(), [served.connect() for _ in range(4)]
    locations = [begin(asking, f"r{number}") for number in range(4)]
    for connection, location in zip(sending, locations, strict=True):
        send_half(connection, location)
    for location in locations:
        wait_for_half(asking, location)

    for connection in sending:
        connection.send(DATA[len(DATA) // 2 :])
        assert connection.getresponse().read() == b""

    events = []
    while not served.events.empty():
        events.append(served.next())
    assert [event.uploads for event in events if event.method == "PUT"] == [4, 3, 2, 1]
    for connection in (asking, *sending):
        connection.close()


def test_reset_leaves_nothing_behind(served: Served, capfd: pytest.CaptureFixture[str]) -> None:
    """A client that resets in the middle of an upload leaves no blob, and not a word on stderr."""
    connection, location = served.connect(), ""
    location = begin(connection)
    send_half(connection, location)
    asking = served.connect()
    wait_for_half(asking, location)
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    while (event := served.next()).method != "PUT":
        pass

    missing, _ = request(asking, "GET", f"/v2/a/blobs/{DIGEST}")
    again, _ = request(asking, "PUT", f"{location}?digest={DIGEST}", DATA)

    assert (event.status, missing.status, again.status) == (400, 404, 201)
    assert capfd.readouterr() == ("", "")
    asking.close()


def test_client_that_stops_reading_is_dropped_quietly(served: Served, capfd: pytest.CaptureFixture[str]) -> None:
    """A client that goes away in the middle of a download disturbs nobody."""
    push_blob(served.registry, "a", DATA * 16)
    connection = served.connect()
    connection.request("GET", f"/v2/a/blobs/{Digest.of(DATA * 16)}")
    connection.getresponse().read(10)
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()

    asking = served.connect()
    assert request(asking, "GET", "/v2/")[0].status == 200
    assert {type(served.next()), type(served.next())} == {RequestServed}
    assert capfd.readouterr() == ("", "")
    asking.close()


def test_what_is_not_http_is_refused(served: Served, capfd: pytest.CaptureFixture[str]) -> None:
    """Garbage is a 400 on its own connection, and a broken chunk ends that connection."""
    with socket.create_connection(served.server.address, timeout=30) as raw:
        raw.sendall(b"what is this?\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 400 ")
    connection = served.connect()
    location = begin(connection)
    connection.putrequest("PATCH", location)
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders(b"zz\r\n")
    response = connection.getresponse()

    assert (response.status, response.getheader("Connection")) == (400, "close")
    assert capfd.readouterr() == ("", "")
    connection.close()


@pytest.mark.parametrize("length", ["-1", "-5"])
def test_a_length_that_is_none(served: Served, length: str) -> None:
    """A negative Content-Length is refused, and nothing else is read from that connection."""
    connection = served.connect()
    response, body = request(
        connection, "POST", f"/v2/a/blobs/uploads/?digest={DIGEST}", b"", **{"Content-Length": length}
    )

    assert (response.status, json.loads(body)["errors"][0]["code"]) == (400, "SIZE_INVALID")
    assert response.getheader("Connection") == "close"
    connection.close()


def test_clients_that_say_nothing_stop_nobody(served: Served) -> None:
    """More silent connections than the server has threads, new ones and such that asked before, keep none of them."""
    silent = [served.connect() for _ in range(2 * THREADS)]
    for number, connection in enumerate(silent):
        connection.connect()
        if number % 2:
            assert request(connection, "GET", "/v2/")[0].status == 200

    connection = http.client.HTTPConnection(served.server.host, timeout=IDLE / 4)
    assert request(connection, "GET", "/v2/")[0].status == 200

    for each in (connection, *silent):
        each.close()


def test_a_body_with_two_lengths_ends_its_connection(served: Served) -> None:
    """What has a length and comes in chunks, too, is read in chunks, and nothing after it from that connection."""
    connection = served.connect()
    response, _ = request(
        connection,
        "POST",
        f"/v2/a/blobs/uploads/?digest={DIGEST}",
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(DATA), DATA),
        **{"Transfer-Encoding": "chunked", "Content-Length": "3"},
    )

    assert (response.status, response.getheader("Connection")) == (201, "close")
    connection.close()


def test_headers_are_bounded(served: Served) -> None:
    """A client that sends headers without an end is refused, and its connection closed."""
    with socket.create_connection(served.server.address, timeout=30) as raw:
        answer = b""
        with contextlib.suppress(BrokenPipeError):
            raw.sendall(b"GET /v2/ HTTP/1.1\r\n" + b"a: b\r\n" * 20_000)
        with contextlib.suppress(ConnectionResetError):  # the rest was never read
            while data := raw.recv(4096):
                answer += data

    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_bug_is_a_500_and_a_note() -> None:
    """An exception nobody foresaw is told to the client as a 500 and to us with its traceback."""

    class Broken(DevRegistry):
        def handle(self, request: Request) -> Response:
            raise ZeroDivisionError(request.method)

    events: list[Event] = []
    with running(Broken(), report=events.append) as server:
        connection = http.client.HTTPConnection(server.host, timeout=30)
        response, body = request(connection, "GET", "/v2/")
        connection.close()

    assert (response.status, json.loads(body)["errors"][0]["code"]) == (500, "UNKNOWN")
    note, answered = events
    assert isinstance(note, Note)
    assert "Traceback" in note.text
    assert answered == RequestServed("GET", "/v2/", 500, 0)


def test_sixty_four_push_at_once(tmp_path: Path) -> None:
    """64 clients that are all in the middle of an upload are served at once, each its own tag of one repository."""
    events: list[Event] = []
    half = 1 << 18
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()

    def all_have_arrived() -> None:
        for _ in range(64):
            location = waiting.get_nowait()
            while registry.handle(Request("GET", location)).headers["range"] != f"0-{half - 1}":
                pass

    barrier = threading.Barrier(64, all_have_arrived, timeout=60)

    def push(number: int) -> int:
        connection = http.client.HTTPConnection(server.host, timeout=60)
        location, data = begin(connection), number.to_bytes() + DATA[1 : 2 * half]
        connection.putrequest("PUT", f"{location}?digest={Digest.of(data)}")
        connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data[:half])
        waiting.put(location)
        barrier.wait()
        connection.send(data[half:])
        assert connection.getresponse().read() == b""
        blobs, manifest = image(f"content {number}")
        for blob in blobs:
            request(connection, "PUT", f"{begin(connection)}?digest={Digest.of(blob)}", blob)
        headers = {"Content-Type": manifest.media_type}
        response, _ = request(connection, "PUT", f"/v2/a/manifests/t{number}", manifest.raw, **headers)
        connection.close()
        return response.status

    with (
        DevRegistry(DirectoryStore(tmp_path)) as registry,
        running(registry, report=events.append) as server,
        ThreadPoolExecutor(64) as pool,
    ):
        assert set(pool.map(push, range(64))) == {201}
        names = registry.store.names("a")

    assert names is not None
    assert set(names.tags) == {f"t{number}" for number in range(64)}
    assert max(event.uploads for event in events if isinstance(event, RequestServed)) == 64


def test_stop_waits_for_nobody() -> None:
    """Leaving the block takes less than half a second, with idle connections and an upload that never ends."""
    with running(DevRegistry()) as server:
        idle = socket.create_connection(server.address, timeout=30)
        connection, asking = (http.client.HTTPConnection(server.host, timeout=30) for _ in range(2))
        location = begin(connection)
        send_half(connection, location)
        wait_for_half(asking, location)
        began = time.monotonic()
    stopped = time.monotonic() - began

    assert stopped < 0.5
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(server.address, timeout=30)
    for each in (idle, connection, asking):
        each.close()


def test_image_is_there_when_the_block_begins() -> None:
    """The registry answers as soon as its URL is known."""
    registry = DevRegistry()
    manifest = push_image(registry, "a", "1")
    with running(registry, "localhost:0") as server:
        connection = http.client.HTTPConnection(server.host, timeout=30)
        assert request(connection, "GET", "/v2/a/manifests/1")[1] == manifest.raw
        connection.close()


def test_address_in_use() -> None:
    """A port that is taken is an error that says which."""
    with (
        running(DevRegistry()) as server,
        pytest.raises(UsageError, match=str(server.address[1])),
        running(DevRegistry(), server.address),
    ):
        pass


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:5000", ("::1", 5000)), (":80", ("0.0.0.0", 80))],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    """HOST:PORT, with brackets around an IPv6 address."""
    assert parse_address(text) == expected


@pytest.mark.parametrize("text", ["", "localhost", "::1:5000", "a:b", "a:65536"])
def test_what_is_no_address(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(UsageError, match="not an address"):
        parse_address(text)
