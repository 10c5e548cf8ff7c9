"""Quirks of pushing."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from threading import Lock
from urllib.parse import urljoin, urlsplit

from regkit.devregistry.answer import Fault
from regkit.devregistry.quirks.quirk import Change, Quirk, Setting, before
from regkit.devregistry.route import Route, origin, with_query
from regkit.protocol.flow import Bytes, Request, Response, Send

_REMEMBERED = 1000


def _without_mount(request: Request, setting: Setting) -> Request:
    del setting
    route = Route.of(request)
    if request.method != "POST" or route.chapter != "uploads" or "mount" not in route.query:
        return request
    return with_query(request, {k: v for k, v in route.query.items() if k not in ("mount", "from")})


def _refuse_anonymous_mount(request: Request, setting: Setting) -> Request:
    del setting
    route = Route.of(request)
    if route.chapter == "uploads" and "mount" in route.query and not route.query.get("from"):
        raise Fault(400, "NAME_INVALID", "a mount needs the repository that it is from")
    return request


def _without_single_post(request: Request, setting: Setting) -> Request:
    """Open a session instead, and forget the bytes."""
    del setting
    route = Route.of(request)
    if request.method != "POST" or route.chapter != "uploads" or "digest" not in route.query:
        return request
    query = {k: v for k, v in route.query.items() if k != "digest"}
    return replace(with_query(request, query), headers={}, body=Bytes(b""))


def _without_tags(request: Request, setting: Setting) -> Request:
    del setting
    route = Route.of(request)
    if request.method != "PUT" or route.chapter != "manifests" or "tag" not in route.query:
        return request
    return with_query(request, {k: v for k, v in route.query.items() if k != "tag"})


def _cap(method: str, status: int, message: str) -> Change:
    def change(request: Request, setting: Setting) -> Request:
        upload = request.method == method and Route.of(request).chapter == "uploads"
        if upload and request.body.size > setting.number:
            raise Fault(status, "SIZE_INVALID", message.format(limit=setting.number))
        return request

    return change


def _sticking(handle: Send, setting: Setting) -> Send:
    del setting
    first: OrderedDict[str, str] = OrderedDict()
    lock = Lock()

    def answer(request: Request) -> Response:
        response = handle(request)
        if request.method != "PATCH" or response.status != 202:
            return response
        with lock:
            stuck = first.setdefault(Route.of(request).name, response.headers.get("range", ""))
            while len(first) > _REMEMBERED:
                first.popitem(last=False)
        return replace(response, headers={**response.headers, "range": stuck})

    return answer


def _absolute(handle: Send, setting: Setting) -> Send:
    def answer(request: Request) -> Response:
        response = handle(request)
        location = response.headers.get("location")
        if location is None:
            return response
        absolute = urljoin(origin(request, setting.scheme), location)
        if response.status == 202 and "?" not in absolute:
            absolute = f"{absolute}?_state=a%2Bb%3D&empty="
        return replace(response, headers={**response.headers, "location": absolute})

    return answer


def _foreign(handle: Send, setting: Setting) -> Send:
    def answer(request: Request) -> Response:
        response = handle(request)
        location = response.headers.get("location")
        if location is None or response.status != 202:
            return response
        moved = urljoin(_other_origin(origin(request, setting.scheme)), urlsplit(location)._replace(netloc="").path)
        return replace(response, headers={**response.headers, "location": moved})

    return answer


def _other_origin(here: str) -> str:
    """Give the same server by another name: this machine's, or a host below the registry's."""
    parts = urlsplit(here)
    port = f":{parts.port}" if parts.port else ""
    name = {"localhost": "127.0.0.1", "127.0.0.1": "localhost", "::1": "localhost"}.get(parts.hostname or "")
    return f"{parts.scheme}://{name or f'uploads.{parts.hostname}'}{port}"


UPLOADS = (
    Quirk(
        "no-mount",
        "takes no blob over from another repository, but opens an upload: 202",
        "registries that keep each repository by itself; the specification allows it",
        before(_without_mount),
    ),
    Quirk(
        "anonymous-mount-refused",
        "refuses a mount that doesn't say where from: 400",
        "Quay (regclient#398)",
        before(_refuse_anonymous_mount),
    ),
    Quirk(
        "no-single-post",
        "answers a blob in one POST with 202, and forgets its bytes",
        "distribution, Docker Hub",
        before(_without_single_post),
    ),
    Quirk(
        "no-tags-by-digest",
        "sets no tags that are named in the push of a manifest by its digest",
        "registries of distribution-spec 1.1 and before, so most of them",
        before(_without_tags),
    ),
    Quirk(
        "patch-cap",
        "takes at most N bytes in a PATCH: 416",
        "GHCR",
        before(_cap("PATCH", 416, "body exceeds {limit} bytes")),
        number=4 * 1024 * 1024,
    ),
    Quirk(
        "put-cap",
        "takes at most N bytes in a PUT: 413, as somebody between client and registry does",
        "nginx as it comes (1 MiB), Cloudflare (100 MB)",
        before(_cap("PUT", 413, "the body has more than {limit} bytes")),
        number=1024 * 1024,
    ),
    Quirk(
        "range-sticks",
        "answers every PATCH of an upload with the Range of the first",
        "Amazon ECR",
        _sticking,
    ),
    Quirk(
        "absolute-location",
        "gives absolute URLs in Location, those of uploads with a query",
        "distribution, unless configured otherwise",
        _absolute,
    ),
    Quirk(
        "foreign-location",
        "takes uploads at another host name, which gets no login",
        "registries that let object storage take the bytes",
        _foreign,
    ),
)
"""All of them; the last two say where an upload goes on."""
