from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.errors import NotFound
from regkit.oci import mediatype
from regkit.oci.manifest import Manifest
from regkit.oci.reference import parse_place
from regkit.ops.caps import Capabilities, caps
from regkit.protocol.auth import Login
from regkit.protocol.flow import Request, Response, drive
from regkit.protocol.manifest import put_manifest
from regkit.transport.credentials import Credentials
from regkit.transport.session import Session
from tests.ops.support import Served, attested_layout, release, serving


def asked(served: Served, text: str = "/team/hello") -> Capabilities:
    """Ask a served registry."""
    return caps(served.session, *parse_place(f"{served.host}{text}"))


def test_a_whole_registry(tmp_path: Path) -> None:
    """All that reading shows is known, what only a write shows is unknown; and nothing is written."""
    with serving() as served:
        release(served, attested_layout(tmp_path, "linux/amd64"))
        served.access.clear()

        found = asked(served)

        assert served.writes == []
    assert {each.name: each.answer for each in found.found} == {
        "api": "v2",
        "tls": "no",
        "authentication": "none",
        "access": "yes",
        "tag-paging": "yes",
        "manifest-head": "yes",
        "manifest-head-digest": "yes",
        "manifest-head-length": "yes",
        "blob-head-length": "yes",
        "blob-range": "yes",
        "referrers-api": "yes",
        "referrers-filter": "yes",
        "rate-limit": "no",
        "tag-delete": "unknown",
        "manifest-delete": "unknown",
        "mount": "unknown",
        "chunked-upload": "unknown",
        "referrers-write": "unknown",
    }
    document = found.to_json()
    assert (document["schema"], document["repository"]) == (1, f"{served.host}/team/hello")
    assert document["capabilities"]["tls"] == {"answer": "no", "detail": ""}


def test_a_host_alone() -> None:
    """What only a repository shows is unknown, and it's said how to find out."""
    with serving() as served:
        found = asked(served, "")

    assert (found["api"], found["blob-range"], found.repository) == ("v2", "unknown", None)
    assert {each.detail for each in found.found if each.name == "blob-range"} == {"name a repository to find out"}


def test_an_empty_repository() -> None:
    """What isn't there shows nothing; the referrers API answers all the same, where there is one."""
    with serving() as served:
        found = asked(served)

    assert (found["tag-paging"], found["manifest-head"], found["blob-range"]) == ("unknown", "unknown", "unknown")


class Poor(DevRegistry):
    """An old registry: no header that is a SHOULD, no range, no referrers, all tags at once, pulls that count."""

    def handle(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return super().handle(request)
        if "/referrers/" in request.url:
            return Response(404, {"content-length": "0"})
        if "/tags/list" in request.url:
            request = Request(request.method, request.url.partition("?")[0])
        plain = Request(request.method, request.url, {k: v for k, v in request.headers.items() if k.lower() != "range"})
        answer = super().handle(plain)
        gone = {"docker-content-digest", "link"} | ({"content-length"} if request.method == "HEAD" else set())
        headers = {key: value for key, value in answer.headers.items() if key not in gone}
        headers |= {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "9\x1b"}
        return Response(answer.status, headers, answer.body, answer.url)


def test_a_poor_registry(tmp_path: Path) -> None:
    """Each lack is told, with what it said instead."""
    registry = Poor()
    with serving(registry) as served:
        release(served, attested_layout(tmp_path, "linux/amd64"))
        found = asked(served)

    answers = {each.name: (each.answer, each.detail) for each in found.found}
    assert answers["tag-paging"] == ("no", "4 tags where one was asked for")
    assert answers["manifest-head"] == ("yes", "")
    assert answers["manifest-head-digest"] == ("no", "")
    assert answers["blob-range"] == ("no", "answered 200")
    assert answers["referrers-api"] == ("no", "answered 404; the fallback tag is used")
    assert answers["referrers-filter"][0] == "no"
    assert answers["rate-limit"][0] == "yes"
    assert "\x1b" not in answers["rate-limit"][1]


class Answering(DevRegistry):
    """Answers some requests by a script: what their URL holds, and the answer."""

    def __init__(self, script: Mapping[str, tuple[int, dict[str, str], bytes]]) -> None:
        super().__init__()
        self.script = script

    def handle(self, request: Request) -> Response:
        for part, (status, headers, body) in self.script.items():
            if part in f"{request.method} {request.url}":
                return Response(status, {"content-length": str(len(body)), **headers}, io.BytesIO(body))
        return super().handle(request)


@pytest.mark.parametrize(
    ("part", "answer", "name", "expected"),
    [
        ("GET /v2/team/hello/tags", (200, {}, b"{"), "tag-paging", "the list of tags isn't one"),
        ("GET /v2/team/hello/tags", (200, {}, b"[]"), "tag-paging", "the list of tags isn't one"),
        ("GET /v2/team/hello/tags", (200, {}, b'{"tags": null}'), "tag-paging", "the repository has 0 tags"),
        ("GET /v2/team/hello/tags", (403, {}, b""), "tag-paging", "answered 403"),
        ("HEAD /v2/team/hello/manifests", (405, {}, b""), "manifest-head", ""),
        ("HEAD /v2/team/hello/manifests", (403, {}, b""), "manifest-head", "answered 403"),
        (
            "GET /v2/team/hello/manifests",
            (200, {}, b"{"),
            "blob-range",
            "the repository has nothing that would show it",
        ),
        ("GET /v2/team/hello/manifests", (403, {}, b""), "blob-range", "the repository has nothing that would show it"),
        ("GET /v2/team/hello/blobs", (403, {}, b""), "blob-range", "answered 403"),
        (
            "HEAD /v2/team/hello/blobs",
            (403, {}, b""),
            "blob-head-length",
            "the repository has nothing that would show it",
        ),
        ("referrers", (403, {}, b""), "referrers-api", "answered 403"),
        (
            "referrers",
            (200, {"content-type": "text/html"}, b""),
            "referrers-api",
            "answered 200; the fallback tag is used",
        ),
        ("GET /v2/", (401, {}, b""), "authentication", "401 without a challenge"),
        ("GET /v2/", (401, {"www-authenticate": "Negotiate"}, b""), "authentication", ""),
        ("GET /v2/", (401, {"www-authenticate": 'Basic realm="x"'}, b""), "authentication", "x"),
    ],
)
def test_odd_answers(
    tmp_path: Path, part: str, answer: tuple[int, dict[str, str], bytes], name: str, expected: str
) -> None:
    """None of them ends the look; what isn't known is unknown, with the reason."""
    layout = attested_layout(tmp_path, "linux/amd64")
    registry = Answering({})
    with serving(registry) as served:
        release(served, layout)
        registry.script = {part: answer}
        found = asked(served, "/team/hello:1" if "tags" not in part else "/team/hello")

    assert {each.name: each.detail for each in found.found}[name] == expected


def test_no_registry_at_all() -> None:
    """What doesn't speak the protocol is no registry."""
    with serving(Answering({"GET /v2/": (404, {}, b"")})) as served, pytest.raises(NotFound, match="can't speak to"):
        asked(served, "")


def test_a_token_service_that_refuses() -> None:
    """Where there is no token, the repository's answers are unknown; the challenge is told."""
    registry = Answering({"GET /token": (403, {}, b"")})
    with serving(registry) as served:
        challenge = f'Bearer realm="http://{served.host}/token",service="x"'
        registry.script = {**registry.script, "/v2/team": (401, {"www-authenticate": challenge}, b"")}
        found = asked(served)

    answers = {each.name: (each.answer, each.detail) for each in found.found}
    assert answers["tag-paging"] == ("unknown", "these credentials get no token for it")
    assert answers["referrers-api"] == ("unknown", "these credentials get no token for it")


def test_who_asks() -> None:
    """It's told whose answers these are."""
    with serving() as served:
        login = Credentials({served.host: Login("me", "secret", "a file")})
        with Session(login) as session:
            found = caps(session, served.host)

    assert {each.detail for each in found.found if each.name == "access"} == {"as me from a file"}


def test_a_manifest_without_blobs() -> None:
    """An empty index has no image to look at."""
    registry = DevRegistry()
    empty = Manifest(mediatype.OCI_INDEX, b'{"schemaVersion": 2, "manifests": []}')
    drive(put_manifest("team/hello", "1", empty), registry.handle)
    with serving(registry) as served:
        found = asked(served)

    assert (found["tag-paging"], found["manifest-head"], found["blob-range"]) == ("unknown", "yes", "unknown")
