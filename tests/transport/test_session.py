from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.devregistry.server import running
from regkit.errors import AccessDenied, Interrupted, NotFound, ProtocolError, Unavailable, UsageError
from regkit.events import Event, Note, RequestServed, RetryScheduled
from regkit.oci.descriptor import Descriptor
from regkit.oci.manifest import MAX_SIZE
from regkit.protocol.auth import Login
from regkit.protocol.blob import get_blob, head_blob, push_blob
from regkit.protocol.check import check
from regkit.protocol.flow import Bytes, Flow, Request, Response, Scope
from regkit.protocol.manifest import get_manifest
from regkit.protocol.tag import list_tags
from regkit.protocol.warning import MAX_WARNINGS
from regkit.transport.credentials import Credentials
from regkit.transport.session import Session
from tests.protocol.support import CONFIG, image
from tests.transport.support import HANG, Patient, RawServer, Stalling, get, http, serving

DATA = bytes(range(256)) * 2048
BLOB = Descriptor.of("application/octet-stream", DATA)
OK = http(200, b"{}")


def one(request: Request) -> Flow[Response]:
    """Send one request, and give its answer."""
    return (yield request)


# The embedded registry, over a socket


def test_flows_over_http() -> None:
    """A blob goes to a registry and comes back, a manifest is read, tags are listed; loopback needs no flag."""
    registry = DevRegistry()
    with running(registry) as server, Session() as session:
        session.run(server.host, check())
        assert not session.run(server.host, head_blob("a", BLOB))
        session.run(server.host, push_blob("a", BLOB, Bytes(DATA)))
        assert session.run(server.host, head_blob("a", BLOB))
        with session.run(server.host, get_blob("a", BLOB.digest)) as body:
            assert body.read() == DATA
        manifest = image(registry, "a", "1.0")
        assert session.run(server.host, get_manifest("a", "1.0")) == manifest
        assert session.run(server.host, list_tags("a")) == ("1.0",)


def test_connections_are_kept() -> None:
    """Requests one after the other share a connection, also after a stream that was read or left early."""
    registry = DevRegistry()
    image(registry, "a", "1")
    with running(registry) as server, Session() as session:
        descriptor = Descriptor.of("application/octet-stream", CONFIG)
        for _ in range(3):
            with session.run(server.host, get_blob("a", descriptor.digest)) as body:
                assert body.read() == CONFIG
            assert session.run(server.host, list_tags("a")) == ("1",)


def test_bytes_arrive_one_by_one_as_asked() -> None:
    """A blob's stream gives as much as it's asked for, so that a layer never lies in memory whole."""
    registry = DevRegistry()
    with running(registry) as server, Session() as session:
        session.run(server.host, push_blob("a", BLOB, Bytes(DATA)))
        with session.run(server.host, get_blob("a", BLOB.digest)) as body:
            assert (body.read(1), body.read(3), body.read()) == (DATA[:1], DATA[1:4], DATA[4:])


def test_threads_share_a_session() -> None:
    """Sixteen uploads side by side through one session all arrive."""
    events: list[Event] = []
    blobs = [bytes([number]) * 10_000 for number in range(16)]
    with running(DevRegistry(), report=events.append) as server, Session() as session, ThreadPoolExecutor(16) as pool:

        def push(data: bytes) -> None:
            session.run(server.host, push_blob("a", Descriptor.of("x", data), Bytes(data)))

        list(pool.map(push, blobs))
        assert all(session.run(server.host, head_blob("a", Descriptor.of("x", data))) for data in blobs)
    assert sum(isinstance(event, RequestServed) and event.method == "PUT" for event in events) == 16


# Retries


def test_a_passing_failure_is_survived() -> None:
    """A 503 is asked again after the time that the registry names, and a reporter sees it."""
    answers = [http(503, b"", "Retry-After: 7"), http(429, b"", "Retry-After: 1700000030"), OK]
    with serving(answers) as server, Patient(server.host, now=1_700_000_000) as session:
        session.run(server.host, check())

    assert session.waits == [7.0, 30.0]
    assert session.events == [
        RetryScheduled(f"GET {server.host}/v2/", "answered 503", 2, 7.0),
        RetryScheduled(f"GET {server.host}/v2/", "answered 429", 3, 30.0),
    ]


def test_a_failure_that_stays() -> None:
    """After four tries the registry's last answer is the error, a temporary one."""
    with (
        serving([http(503)] * 4) as server,
        Patient(server.host) as session,
        pytest.raises(Unavailable, match="answered 503"),
    ):
        session.run(server.host, check())

    assert len(server.requests) == 4
    assert len(session.waits) == 3
    assert session.waits == sorted(session.waits)


def test_a_registry_that_asks_for_an_hour() -> None:
    """Nobody waits for longer than a minute: the command ends at once, and says that it's temporary."""
    with (
        serving([http(429, b"", "Retry-After: 3600")]) as server,
        Patient(server.host) as session,
        pytest.raises(Unavailable, match="429"),
    ):
        session.run(server.host, check())

    assert (session.waits, len(server.requests)) == ([], 1)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(b"", id="no answer"),
        pytest.param(http(200, b"{", length=100), id="half an answer"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", id="half a head"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}", id="half a chunk"),
    ],
)
def test_a_connection_that_breaks(broken: bytes) -> None:
    """A read whose connection breaks, at whatever point, is asked again."""
    with serving([broken, OK]) as server, Patient(server.host) as session:
        assert session.run(server.host, one(get())).status == 200

    assert len(session.waits) == 1
    (event,) = session.events
    assert isinstance(event, RetryScheduled)
    assert event.reason.startswith(f"the connection to {server.host} broke")


def test_a_body_that_is_cut_off() -> None:
    """A blob's stream that ends early is an error while it is read, not a short blob."""
    with (
        serving([http(200, b"half", length=8)]) as server,
        Patient(server.host) as session,
        session.run(server.host, get_blob("a", BLOB.digest)) as body,
        pytest.raises(Unavailable, match="broke"),
    ):
        body.read()


def test_an_upload_is_not_repeated_blindly() -> None:
    """A PUT whose connection broke is not sent again before the registry was asked for the session, and the blob."""
    began = http(202, b"", "Location: /upload")
    with serving([began, b"", http(404), http(404), began, http(201)]) as server, Patient(server.host) as session:
        session.run(server.host, push_blob("a", BLOB, Bytes(DATA)))

    assert [line.split()[0] for line in server.lines] == ["POST", "PUT", "GET", "HEAD", "POST", "PUT"]
    assert session.waits == []
    assert server.requests[5].endswith(DATA)


# Registries that can't be reached


def test_a_refused_port() -> None:
    """Nobody listens: one sentence that names host and port, exit code 75, after a few tries."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        host = f"127.0.0.1:{unused.getsockname()[1]}"
    with Patient() as session, pytest.raises(Unavailable) as caught:
        session.run(host, check())

    assert str(caught.value).startswith(f"{host} can't be reached: ")
    assert caught.value.exit_code == 75
    assert len(session.waits) == 3


def test_a_host_that_no_name_service_can_take() -> None:
    """A host name that is too long for DNS is an error in a sentence, not a traceback."""
    host = "a" * 70 + ".example"
    with Patient(host) as session, pytest.raises(ProtocolError, match=f"{host} can't be asked"):
        session.run(host, check())


# Ctrl-C


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def test_abort_ends_a_wait_for_an_answer(pool: ThreadPoolExecutor) -> None:
    """A registry that accepts and never answers is left at once."""
    with serving([HANG]) as server, Session() as session:
        waiting = pool.submit(session.run, server.host, check())
        assert server.asked.wait(10)
        session.abort()

        assert isinstance(waiting.exception(timeout=5), Interrupted)


def test_abort_ends_an_upload(pool: ThreadPoolExecutor) -> None:
    """A blob that is on its way isn't sent to its end."""
    began, released = threading.Event(), threading.Event()

    class Stuck(Bytes):
        def open(self) -> BinaryIO:
            began.set()
            assert released.wait(30)
            return super().open()

    with running(DevRegistry()) as server, Session() as session:
        uploading = pool.submit(session.run, server.host, push_blob("a", BLOB, Stuck(DATA)))
        assert began.wait(10)
        session.abort()
        released.set()

        assert isinstance(uploading.exception(timeout=5), Interrupted)


def test_abort_ends_the_reading_of_a_blob(pool: ThreadPoolExecutor) -> None:
    """A blob whose bytes stop coming is left at once."""
    with (
        serving([Stalling(http(200, b"half", length=8))]) as server,
        Session() as session,
        session.run(server.host, get_blob("a", BLOB.digest)) as body,
    ):
        reading = pool.submit(body.read)
        session.abort()

        assert isinstance(reading.exception(timeout=5), Interrupted)


def test_abort_ends_a_pause_between_tries(pool: ThreadPoolExecutor) -> None:
    """A session that waits for its next try doesn't sleep it out."""
    scheduled = threading.Event()
    with (
        serving([http(503, b"", "Retry-After: 59")]) as server,
        Session(report=lambda _: scheduled.set()) as session,
    ):
        waiting = pool.submit(session.run, server.host, check())
        assert scheduled.wait(10)
        session.abort()

        assert isinstance(waiting.exception(timeout=5), Interrupted)


def test_abort_is_final() -> None:
    """What begins after an abort is interrupted as well."""
    with serving([OK]) as server, Session() as session:
        session.abort()
        with pytest.raises(Interrupted):
            session.run(server.host, check())


def test_leaving_by_ctrl_c_aborts(pool: ThreadPoolExecutor) -> None:
    """A KeyboardInterrupt that leaves the session's block ends what other threads still wait for."""
    session = Session()

    def interrupted(server: RawServer) -> None:
        with session:
            waiting.append(pool.submit(session.run, server.host, check()))
            assert server.asked.wait(10)
            raise KeyboardInterrupt

    waiting: list[object] = []
    with serving([HANG]) as server:
        with pytest.raises(KeyboardInterrupt):
            interrupted(server)
        (future,) = waiting
        assert isinstance(future.exception(timeout=5), Interrupted)  # type: ignore[attr-defined]


# Answers that aren't to be trusted


def test_an_answer_that_is_too_large() -> None:
    """No more than 4 MiB of an answer are ever held, whatever length it says, or none."""
    endless = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * (MAX_SIZE + 1)
    with serving([http(200, b"x" * (MAX_SIZE + 1)), endless]) as server, Patient(server.host) as session:
        for _ in range(2):
            with pytest.raises(ProtocolError, match=f"the answer from {server.host} is larger than 4194304 bytes"):
                session.run(server.host, one(get()))

    assert session.waits == []


def test_an_answer_of_exactly_the_limit() -> None:
    """4 MiB are read."""
    with serving([http(200, b"x" * MAX_SIZE)]) as server, Patient(server.host) as session:
        assert len(session.run(server.host, one(get())).body.read()) == MAX_SIZE


@pytest.mark.parametrize("stream", [True, False])
def test_an_encoded_answer_is_refused(stream: bool) -> None:
    """A few bytes that unpack to gigabytes aren't unpacked; encoded content would have another digest anyway."""
    with (
        serving([http(200, b"\x1f\x8b", "Content-Encoding: gzip, gzip")]) as server,
        Patient(server.host) as session,
        pytest.raises(ProtocolError, match="sent an encoded answer"),
    ):
        session.run(server.host, one(get(stream=stream)))

    assert server.header(0, "accept-encoding") == "identity"


@pytest.mark.parametrize("garbage", [b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n", b"\0" * 100])
def test_a_server_that_speaks_something_else(garbage: bytes) -> None:
    """What isn't HTTP is an error in a sentence."""
    with (
        serving([garbage] * 4) as server,
        Patient(server.host) as session,
        pytest.raises(Unavailable, match=f"the connection to {server.host} broke"),
    ):
        session.run(server.host, check())


def test_a_local_file_that_is_gone_is_no_network_trouble() -> None:
    """A layer that vanishes while it is sent is an error in a sentence, not retried as a broken connection."""

    class Gone(Bytes):
        def open(self) -> BinaryIO:
            return Path("/nonexistent/layer").open("rb")

    with (
        running(DevRegistry()) as server,
        Patient() as session,
        pytest.raises(NotFound, match="/nonexistent/layer is gone: it was there when sending began"),
    ):
        session.run(server.host, push_blob("a", BLOB, Gone(DATA)))

    assert session.waits == []


# Credentials and where they go


def logins(host: str) -> Credentials:
    return Credentials({host: Login("user", "canary", "the test")})


CANARY = Login("user", "canary").header


def test_basic_credentials_go_to_their_host_alone() -> None:
    """A blob that lies on another origin is read there without our credentials and without the registry's cookie."""
    blob = http(200, b"elsewhere")
    with serving([blob, OK]) as store:
        answers = [
            http(401, b"", 'WWW-Authenticate: Basic realm="x"', "Set-Cookie: session=canary"),
            http(307, b"", f"Location: http://{store.host}/blob", "Set-Cookie: session=canary; Path=/"),
        ]
        with (
            serving(answers) as registry,
            Patient(registry.host, credentials=logins(registry.host)) as session,
            session.run(registry.host, get_blob("a", BLOB.digest)) as body,
        ):
            assert body.read() == b"elsewhere"

    assert [registry.header(number, "authorization") for number in range(2)] == [None, CANARY]
    assert b"canary" not in store.requests[0]
    assert store.header(0, "authorization") is None
    assert store.header(0, "cookie") is None
    assert registry.header(1, "cookie") is None


def test_an_upload_elsewhere_gets_no_credentials() -> None:
    """An upload session on another origin gets the content, and not our credentials."""
    with serving([http(201)]) as store:
        began = http(202, b"", f"Location: http://{store.host}/upload?sig=1")
        with (
            serving([http(401, b"", "WWW-Authenticate: Basic"), began]) as registry,
            Patient(registry.host, credentials=logins(registry.host)) as session,
        ):
            session.run(registry.host, push_blob("a", BLOB, Bytes(DATA)))

    assert store.lines == [f"PUT /upload?sig=1&digest={BLOB.digest} HTTP/1.1"]
    assert store.header(0, "authorization") is None
    assert store.requests[0].endswith(DATA)


@pytest.mark.parametrize("status", [307, 202])
def test_a_registry_leads_nobody_to_where_machines_keep_secrets(status: int) -> None:
    """Neither a redirect nor an upload's Location; nothing is sent there."""
    answer = http(status, b"", "Location: http://169.254.169.254/latest/meta-data")
    with (
        serving([answer]) as registry,
        Patient(registry.host) as session,
        pytest.raises(ProtocolError, match="leads to a link-local address"),
    ):
        session.run(registry.host, push_blob("a", BLOB, Bytes(DATA)))


def test_an_address_with_a_login_is_not_asked() -> None:
    """A redirect to `registry@elsewhere` begins like the registry: nobody is asked, and no login is shown."""
    answers = [http(401, b"", "WWW-Authenticate: Basic")]
    with (
        serving([OK]) as store,
        serving(answers) as registry,
        Patient(registry.host, credentials=logins(registry.host)) as session,
    ):
        answers.append(http(302, b"", f"Location: http://{registry.host}:canary@{store.host}/x"))
        with pytest.raises(ProtocolError, match=f"^{store.host} can't be asked: its address holds a login$"):
            session.run(registry.host, one(get()))

    assert registry.header(1, "authorization") == CANARY
    assert store.requests == []


def test_a_port_that_the_scheme_implies_makes_no_other_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Location that names port 80, which the registry's own address leaves out, leads to the registry."""
    answers = [
        http(401, b"", "WWW-Authenticate: Basic"),
        http(202, b"", "Location: http://registry.test:80/upload"),
        http(201),
    ]
    with serving(answers) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.host}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        with Patient("registry.test", credentials=logins("registry.test")) as session:
            session.run("registry.test", push_blob("a", BLOB, Bytes(DATA)))

    assert [proxy.header(number, "authorization") for number in range(3)] == [None, CANARY, CANARY]


def test_another_registry_gets_nothing() -> None:
    """Credentials of one registry aren't offered to the next, even when it asks for them."""
    with (
        serving([http(401, b"", "WWW-Authenticate: Basic")]) as other,
        Patient(other.host, credentials=logins("registry.test")) as session,
        pytest.raises(AccessDenied),
    ):
        session.run(other.host, check())

    assert len(other.requests) == 1


def test_a_token_is_fetched_and_used() -> None:
    """A token service on another port gets the login, the registry its token and never the login."""
    with serving([http(200, b'{"token": "t1"}')]) as service:
        challenge = f'WWW-Authenticate: Bearer realm="http://{service.host}/token",service="x"'
        with (
            serving([http(401, b"", challenge), OK]) as registry,
            Patient(registry.host, credentials=logins(registry.host)) as session,
        ):
            session.run(registry.host, check(Scope("a", "pull")))

    assert service.lines == ["GET /token?service=x&scope=repository%3Aa%3Apull HTTP/1.1"]
    assert service.header(0, "authorization") == CANARY
    assert registry.header(1, "authorization") == "Bearer t1"


def test_a_redirect_of_a_write_is_refused() -> None:
    """A 302 to a PUT would lose its body; it's an error, and nothing is asked elsewhere."""
    with (
        serving([http(302, b"", "Location: /x")]) as server,
        Patient(server.host) as session,
        pytest.raises(ProtocolError, match="answered PUT with 302"),
    ):
        session.run(server.host, one(Request("PUT", "/v2/a", body=Bytes(b"x"))))


# Proxies, and hosts without TLS


def test_a_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY is honoured for a host that is asked in plain http because a flag says so."""
    with serving([OK]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.host)  # as curl takes it, too
        monkeypatch.delenv("NO_PROXY", raising=False)
        with Patient("registry.test") as session:
            session.run("registry.test", check())

    assert proxy.lines == ["GET http://registry.test/v2/ HTTP/1.1"]


@pytest.mark.parametrize(
    "proxy",
    [
        "socks5://me:{}@127.0.0.1:1",
        "foo://me:{}@127.0.0.1:1",
        "http://me:{}/x@127.0.0.1:1",
        "http://me:{}@[127.0.0.1:1",
        "http://me:{}@127.0.0.1:0",
        "http://",
    ],
)
def test_a_proxy_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """It is said without its login, wherever that stands in what is no address."""
    monkeypatch.setenv("HTTP_PROXY", proxy.format("c4n4ry"))
    monkeypatch.delenv("NO_PROXY", raising=False)
    with Session(plain_http=["registry.test"]) as session, pytest.raises(UsageError, match="proxy for http") as caught:
        session.run("registry.test", check())
    assert "c4n4ry" not in f"{caught.value!r} {caught.value.hint}"


def test_other_hosts_are_asked_in_https_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the flag, a host that isn't this machine is never asked in plain http: a proxy is to open a tunnel."""
    with serving([http(502)] * 4) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.host}")
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.host}")
        with Patient("other.test") as session, pytest.raises(Unavailable):
            session.run("registry.test", check())

    assert set(proxy.lines) == {"CONNECT registry.test:443 HTTP/1.1"}


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
def test_this_machine_is_never_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A company's proxy doesn't stand between a user and the registry on the same machine."""
    with serving([]) as proxy, running(DevRegistry()) as server:
        monkeypatch.setenv(name, f"http://{proxy.host}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        with Session() as session:
            session.run(server.host, check())

    assert proxy.requests == []


def test_docker_hub_is_asked_where_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """`docker.io` is the name in references; the API is elsewhere."""
    with serving([http(502)] * 4) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.host}")
        with Patient() as session, pytest.raises(Unavailable):
            session.run("docker.io", check())

    assert set(proxy.lines) == {"CONNECT registry-1.docker.io:443 HTTP/1.1"}


def test_a_flows_own_errors_pass() -> None:
    """NotFound and the like reach the caller as the flow raised them."""
    with running(DevRegistry()) as server, Session() as session, pytest.raises(NotFound, match="can't read 1 in a"):
        session.run(server.host, get_manifest("a", "1"))


# Warnings


def test_a_warning_is_reported_once() -> None:
    """Each text comes once, whichever answer brings it, without what could steer a terminal; nothing else changes."""
    one, two = 'Warning: 299 - "moves \u009b[1mto new.test"', 'Warning: 299 - "other"'
    answers = [http(200, b"{}", one), http(404, b"", one, two), http(200, b"{}")]
    with serving(answers) as server, Patient(server.host) as session:
        session.run(server.host, check())
        assert not session.run(server.host, head_blob("a", BLOB))
        session.run(server.host, check())

    assert session.events == [
        Note(f"{server.host} says: moves Â [1mto new.test", warning=True),
        Note(f"{server.host} says: other", warning=True),
    ]


def test_warnings_are_bounded() -> None:
    """A registry that always warns of something else is heard for a while."""
    answers = [http(200, b"{}", f'Warning: 299 - "number {n}"') for n in range(MAX_WARNINGS + 5)]
    with serving(answers) as server, Patient(server.host) as session:
        for _ in answers:
            session.run(server.host, check())

    assert len(session.events) == MAX_WARNINGS
