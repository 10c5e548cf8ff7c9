"""Quirks of what is read: lists, headers, old kinds of manifests."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from regkit.devregistry.answer import Fault, json_response
from regkit.devregistry.quirks.quirk import Ability, Quirk, Setting
from regkit.devregistry.route import Route, with_query
from regkit.oci import mediatype
from regkit.oci.digest import Digest
from regkit.oci.manifest import MAX_SIZE, Manifest
from regkit.protocol.flow import Request, Response, Send

_NUMBER = re.compile(r"[0-9]{1,9}")


def _without_referrers(handle: Send, setting: Setting) -> Send:
    del setting

    def answer(request: Request) -> Response:
        if Route.of(request).chapter == "referrers":
            raise Fault(404, "UNSUPPORTED", "there is no such path")
        return _without(handle(request), "oci-subject")

    return answer


def _without_digest(handle: Send, setting: Setting) -> Send:
    del setting
    return lambda request: _without(handle(request), "docker-content-digest", "etag")


def _without_head_length(handle: Send, setting: Setting) -> Send:
    del setting

    def answer(request: Request) -> Response:
        response = handle(request)
        return _without(response, "content-length") if request.method == "HEAD" else response

    return answer


def _null_tags(handle: Send, setting: Setting) -> Send:
    del setting

    def answer(request: Request) -> Response:
        response = handle(request)
        if request.method != "GET" or Route.of(request).chapter != "tags" or response.status != 200:
            return response
        listed = _document(response)
        return _like(response, {**listed, "tags": listed["tags"] or None})

    return answer


def _paged(handle: Send, setting: Setting) -> Send:
    def answer(request: Request) -> Response:
        route = Route.of(request)
        if route.chapter not in ("tags", "referrers"):
            return handle(request)
        asked = route.query.get("n", "")
        size = min(int(asked), setting.number) if _NUMBER.fullmatch(asked) else setting.number
        return handle(with_query(request, {**route.query, "n": str(size)}))

    return answer


def _schema1(handle: Send, setting: Setting) -> Send:
    """Serve a tag of a Docker image as distribution 2.x does for old clients (Image Manifest V2, Schema 1)."""

    def answer(request: Request) -> Response:
        route = Route.of(request)
        names = setting.registry.store.names(route.repository) if route.chapter == "manifests" else None
        digest = names.tags.get(route.name) if names and request.method in ("GET", "HEAD") else None
        response = handle(replace(request, method="GET")) if digest else handle(request)
        if digest is None or response.status != 200 or response.headers["content-type"] != mediatype.DOCKER_MANIFEST:
            return response
        image = Manifest(mediatype.DOCKER_MANIFEST, response.read(MAX_SIZE))
        raw = json.dumps(_old_document(route, image), indent=3).encode()
        headers = {
            "content-type": mediatype.DOCKER_SCHEMA1_SIGNED,
            "content-length": str(len(raw)),
            "docker-content-digest": str(Digest.of(raw)),
        }
        return replace(response, headers=headers, body=io.BytesIO(b"" if request.method == "HEAD" else raw))

    return answer


def _old_document(route: Route, image: Manifest) -> dict[str, Any]:
    layers = [str(layer.digest) for layer in reversed(image.layers)]
    return {
        "schemaVersion": 1,
        "name": route.repository,
        "tag": route.name,
        "architecture": "amd64",
        "fsLayers": [{"blobSum": digest} for digest in layers],
        "history": [{"v1Compatibility": entry} for entry in _history(layers)],
        "signatures": [],
    }


def _history(layers: list[str]) -> Iterator[str]:
    for position, digest in enumerate(layers, 1):
        parent = {"parent": layers[position].partition(":")[2]} if position < len(layers) else {}
        yield json.dumps({"id": digest.partition(":")[2], **parent, "os": "linux"})


def _without(response: Response, *names: str) -> Response:
    return replace(response, headers={k: v for k, v in response.headers.items() if k not in names})


def _document(response: Response) -> Any:
    """Read a list of our own: it is as long as it is."""
    with response.body as body:
        return json.load(body)


def _like(response: Response, document: dict[str, Any]) -> Response:
    """Give an answer with another document, and all its headers else."""
    made = json_response(document)
    headers = {**response.headers, "content-length": made.headers["content-length"]}
    return replace(response, headers=headers, body=made.body)


READING = (
    Quirk(
        "no-referrers-api",
        "keeps no list of referrers: 404, and no OCI-Subject",
        "GHCR, distribution",
        _without_referrers,
    ),
    Quirk(
        "no-digest-header",
        "leaves Docker-Content-Digest out",
        "old versions of Nexus and Artifactory; the specification demands it of few answers",
        _without_digest,
    ),
    Quirk(
        "no-head-length",
        "leaves Content-Length out of the answers to HEAD",
        "Artifactory, Nexus",
        _without_head_length,
    ),
    Quirk(
        "tags-null",
        "lists the tags of a repository without any as null",
        "distribution 2.x",
        _null_tags,
    ),
    Quirk(
        "small-pages",
        "lists at most N tags or referrers at a time, whatever was asked for",
        "Docker Hub and GHCR (100), Amazon ECR (1000)",
        _paged,
        number=2,
    ),
    Quirk(
        "schema1",
        "serves a Docker image, not an OCI one, by its tag as a schema 1 manifest",
        "distribution 2.x and Docker Hub, for what was pushed before 2016",
        _schema1,
        refuses=frozenset({Ability.serve_image}),
    ),
)
"""All of them."""
