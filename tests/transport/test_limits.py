from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from regkit.config.spec import RegistryConfig
from regkit.devregistry.app import DevRegistry
from regkit.devregistry.server import running
from regkit.errors import Interrupted, Unavailable
from regkit.oci.descriptor import Descriptor
from regkit.protocol.blob import get_blob, push_blob
from regkit.protocol.check import check
from regkit.protocol.flow import Bytes, Request, Response
from regkit.transport.limits import Limits
from regkit.transport.session import Session
from tests.support.registries import RunningRegistry
from tests.transport.support import get

OK = Response(200)
DATA = bytes(range(256)) * 4096
BLOB = Descriptor.of("application/octet-stream", DATA)


class Aborted(Limits):
    """Limits of a session that is aborted: whoever waits is told so."""

    def __init__(self, concurrency: int) -> None:
        def sleep(_seconds: float) -> None:
            raise Interrupted("interrupted")

        super().__init__(concurrency, sleep=sleep)


def in_a_thread(limits: Limits) -> list[str]:
    """Send a request from another thread; tell what became of it."""
    seen: list[str] = []

    def send(_request: Request) -> Response:
        seen.append("sent")
        return OK

    def ask() -> None:
        try:
            limits.send(get(), send)
        except Interrupted:
            seen.append("interrupted")

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(timeout=60)
    return seen


# At once


@pytest.mark.parametrize("concurrency", [1, 3])
def test_so_many_are_under_way_and_no_more(concurrency: int) -> None:
    """As many as allowed meet at a barrier, which fewer would never pass; one more never shows."""
    limits, together, lock = Limits(concurrency), threading.Barrier(concurrency, timeout=60), threading.Lock()
    now, most = 0, 0

    def send(_request: Request) -> Response:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        together.wait()
        with lock:
            now -= 1
        return OK

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda _: limits.send(get(), send), range(12)))

    assert most == concurrency


def test_a_stream_is_under_way_until_it_is_closed() -> None:
    """Others wait for it, whoever closes it; an answer at hand counts no longer."""
    limits = Aborted(1)
    streamed = limits.send(get(stream=True), lambda _request: Response(200, body=io.BytesIO(DATA)))
    assert streamed.body.read(10) == DATA[:10]
    assert in_a_thread(limits) == ["interrupted"]

    closing = threading.Thread(target=streamed.body.close)
    closing.start()
    closing.join()
    assert in_a_thread(limits) == ["sent"]
    limits.send(get(), lambda _request: Response(200, body=io.BytesIO(DATA)))
    assert in_a_thread(limits) == ["sent"]
    limits.send(get(stream=True), lambda _request: Response(404, body=io.BytesIO(DATA)))
    assert in_a_thread(limits) == ["sent"]


def test_a_thread_does_not_wait_for_itself() -> None:
    """What reads a blob and sends it on within one registry uses one place for both."""
    limits = Aborted(1)
    with limits.send(get(stream=True), lambda _request: Response(200, body=io.BytesIO(DATA))).body as body:
        assert limits.send(get(), lambda _request: OK) is OK
        assert in_a_thread(limits) == ["interrupted"]
        assert body.read() == DATA
    assert in_a_thread(limits) == ["sent"]


def test_a_failure_gives_its_place_back() -> None:
    limits = Aborted(1)

    def fail(_request: Request) -> Response:
        raise Unavailable("gone")

    with pytest.raises(Unavailable):
        limits.send(get(stream=True), fail)
    assert in_a_thread(limits) == ["sent"]


# In a second


def test_requests_are_begun_one_beat_after_the_other() -> None:
    """Four a second, whatever they take; a pause saves none up."""
    now = 100.0
    begun: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    def send(_request: Request) -> Response:
        begun.append(now)
        return OK

    limits = Limits(per_second=4, sleep=sleep, clock=lambda: now)
    for pause in (0, 0, 0.1, 0, 10, 0):
        now += pause
        limits.send(get(), send)

    assert begun == pytest.approx([100.0, 100.25, 100.5, 100.75, 110.75, 111.0])


# In a session


class Waiting(Session):
    """A session that never really waits, and remembers for how long it would have."""

    def sleep(self, seconds: float) -> None:
        """Don't wait."""
        self.waits = [*getattr(self, "waits", []), seconds]


def test_a_session_keeps_to_the_rate_of_a_host() -> None:
    """A request for a thousand seconds: the second waits for one of them, another host for none."""
    registries: dict[str, RegistryConfig] = {}
    with running(DevRegistry()) as slow, running(DevRegistry()) as other:
        registries[slow.host] = RegistryConfig(slow.host, requests_per_second=0.001)
        with Waiting(registries=registries) as session:
            for _ in range(3):
                session.run(other.host, check())
                session.run(slow.host, check())

            assert [round(seconds, -3) for seconds in session.waits] == [1000, 2000]


class Counting:
    """A registry that knows how many it served at once, at most."""

    def __init__(self) -> None:
        self.registry, self.now, self.most, self.lock = DevRegistry(), 0, 0, threading.Lock()

    def handle(self, request: Request) -> Response:
        """Answer, counted."""
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            return self.registry.handle(request)
        finally:
            with self.lock:
                self.now -= 1


def test_a_session_keeps_to_the_concurrency_of_a_host() -> None:
    """Sixteen threads push and read; the registry never sees two requests at once."""
    counting = Counting()
    with running(counting) as server:
        registries = {server.host: RegistryConfig(server.host, concurrency=1)}
        with Session(registries=registries) as session, ThreadPoolExecutor(16) as pool:

            def push(number: int) -> None:
                data = bytes([number]) * 10_000
                blob = Descriptor.of("x", data)
                session.run(server.host, push_blob("a", blob, Bytes(data)))
                with session.run(server.host, get_blob("a", blob.digest)) as body:
                    assert body.read() == data

            list(pool.map(push, range(16)))

    assert counting.most == 1


def test_a_copy_within_a_registry_that_takes_one_request(registry: RunningRegistry) -> None:
    """A blob streamed from one repository into another needs two connections, and doesn't wait for itself."""

    class Stream:
        size = BLOB.size

        def open(self) -> io.BufferedIOBase:
            return session.run(registry.host, get_blob("a", BLOB.digest))  # type: ignore[return-value]

    registries = {registry.host: RegistryConfig(registry.host, concurrency=1)}
    with Session(registries=registries) as session:
        session.run(registry.host, push_blob("a", BLOB, Bytes(DATA)))
        session.run(registry.host, push_blob("b", BLOB, Stream()))  # type: ignore[arg-type]
        with session.run(registry.host, get_blob("b", BLOB.digest)) as body:
            assert body.read() == DATA


def test_an_aborted_session_lets_nobody_wait() -> None:
    with running(DevRegistry()) as server:
        registries = {server.host: RegistryConfig(server.host, concurrency=1)}
        with Session(registries=registries) as session:
            session.run(server.host, push_blob("a", BLOB, Bytes(DATA)))
            held = session.run(server.host, get_blob("a", BLOB.digest))
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(session.run, server.host, check())
                session.abort()
                with pytest.raises(Interrupted):
                    waiting.result(timeout=60)
            held.close()
