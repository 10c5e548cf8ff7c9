"""Quirks of deleting and overwriting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from regkit.devregistry.answer import Fault
from regkit.devregistry.app import DevRegistry
from regkit.devregistry.call import parse_digest
from regkit.devregistry.quirks.quirk import Ability, Change, Quirk, Setting, Wrap, before
from regkit.devregistry.route import Route, at, read_body, tags_of
from regkit.devregistry.store import Names
from regkit.oci import mediatype
from regkit.oci.digest import Digest
from regkit.oci.manifest import MAX_SIZE, Manifest
from regkit.protocol.flow import Bytes, Request, Response, Send


def _refuse_untagging(status: int, code: str, message: str) -> Change:
    def change(request: Request, setting: Setting) -> Request:
        del setting
        route = Route.of(request)
        if request.method == "DELETE" and route.chapter == "manifests" and not route.is_digest:
            raise Fault(status, code, message)
        return request

    return change


def _refuse_deleting(request: Request, setting: Setting) -> Request:
    del setting
    if request.method == "DELETE" and Route.of(request).chapter in ("manifests", "blobs"):
        raise Fault(405, "UNSUPPORTED", "deletes are switched off")
    return request


def _refuse_writing(request: Request, setting: Setting) -> Request:
    del setting
    if request.method not in ("GET", "HEAD"):
        raise Fault(405, "UNSUPPORTED", "the registry is read-only")
    return request


def _delete_digest_too(request: Request, setting: Setting) -> Request:
    route = Route.of(request)
    digest = _names(setting.registry, route).tags.get(route.name)
    if request.method != "DELETE" or route.chapter != "manifests" or digest is None:
        return request
    return at(request, f"/v2/{route.repository}/manifests/{digest}")


def _collect(*, children: bool) -> Wrap:
    """Delete what no tag stands on after a tag is gone; `children` of an index too, else they stay."""

    def wrap(handle: Send, setting: Setting) -> Send:
        def answer(request: Request) -> Response:
            route = Route.of(request)
            deletes = request.method == "DELETE" and route.chapter == "manifests"
            digest = _names(setting.registry, route).tags.get(route.name) if deletes else None
            response = handle(request)
            names = _names(setting.registry, route)
            if response.status != 202 or digest is None or digest in names.tags.values():
                return response
            if children or not any(_holders(setting.registry, route.repository, names, digest)):
                handle(at(request, f"/v2/{route.repository}/manifests/{digest}"))
            return response

        return answer

    return wrap


def _protect_children(request: Request, setting: Setting) -> Request:
    route, registry = Route.of(request), setting.registry
    deletes = request.method == "DELETE" and route.chapter == "manifests" and route.is_digest
    if deletes and any(_holders(registry, route.repository, _names(registry, route), parse_digest(route.name))):
        raise Fault(405, "DENIED", "an index refers to this manifest")
    return request


def _protect_tagged(request: Request, setting: Setting) -> Request:
    route = Route.of(request)
    if request.method == "DELETE" and route.chapter == "manifests" and route.is_digest:
        standing = [tag for tag, d in _names(setting.registry, route).tags.items() if d == route.name]
        if standing:
            raise Fault(400, "MANIFEST_INVALID", f"tags stand on it: {', '.join(sorted(standing))}")
    return request


def _keep_tags(status: int, code: str, message: str, *, deletes: bool) -> Change:
    """Refuse to move a tag; to remove one too unless `deletes`. Putting the same there again is no move."""

    def change(request: Request, setting: Setting) -> Request:
        route = Route.of(request)
        if route.chapter != "manifests" or request.method not in (("PUT",) if deletes else ("PUT", "DELETE")):
            return request
        tags, standing = tags_of(request) if route.is_digest else (route.name,), _names(setting.registry, route).tags
        digest = None
        if request.method == "PUT":
            raw = read_body(request, MAX_SIZE)
            request, digest = replace(request, body=Bytes(raw)), Digest.of(raw)
        for tag in tags:
            if tag in standing and standing[tag] not in (digest, route.name):
                raise Fault(status, code, message.format(tag=tag, repository=route.repository))
        return request

    return change


def _names(registry: DevRegistry, route: Route) -> Names:
    return (route.repository and registry.store.names(route.repository)) or Names()


def _holders(registry: DevRegistry, repository: str, names: Names, digest: Digest) -> Iterator[Digest]:
    """Give the indexes that list a manifest."""
    for known in names.manifests.values():
        blob = registry.store.blob(repository, known.digest) if known.media_type in mediatype.INDEXES else None
        if blob is None:
            continue
        with blob.open() as stream:
            index = Manifest(known.media_type, stream.read(known.size))
        if any(child.digest == digest for child in index.manifests):
            yield known.digest


DELETION = (
    Quirk(
        "read-only",
        "takes nothing and deletes nothing: 405",
        "distribution with storage.maintenance.readonly, and mirrors",
        before(_refuse_writing),
        refuses=frozenset({Ability.write, Ability.move_tag, Ability.untag, Ability.delete}),
    ),
    Quirk(
        "deletes-off",
        "deletes nothing: 405",
        "distribution and Debian's docker-registry, unless configured otherwise",
        before(_refuse_deleting),
        refuses=frozenset({Ability.untag, Ability.delete}),
    ),
    Quirk(
        "tag-delete-400",
        "takes the name in a deletion for a digest: 400 for a tag",
        "distribution 2.x",
        before(_refuse_untagging(400, "DIGEST_INVALID", "provided digest did not match uploaded content")),
        refuses=frozenset({Ability.untag}),
    ),
    Quirk(
        "tag-delete-405",
        "deletes no tags: 405",
        "GHCR, Docker Hub",
        before(_refuse_untagging(405, "UNSUPPORTED", "the operation is unsupported")),
        refuses=frozenset({Ability.untag}),
    ),
    Quirk(
        "tag-delete-takes-digest",
        "deletes with a tag what it stands on, and so every other tag on that",
        "Harbor 1.x (harbor#2663)",
        before(_delete_digest_too),
    ),
    Quirk(
        "last-tag-takes-image",
        "deletes an image with its last tag, unless an index lists it",
        "Amazon ECR",
        _collect(children=False),
    ),
    Quirk(
        "children-unprotected",
        "deletes an image with its last tag, also one that an index lists",
        "docker-registry 2.8 whose garbage collector runs with -m; ACR with a retention of untagged manifests",
        _collect(children=True),
    ),
    Quirk(
        "children-protected",
        "deletes nothing that an index lists: 405",
        "zot",
        before(_protect_children),
        refuses=frozenset({Ability.delete_child}),
    ),
    Quirk(
        "tagged-protected",
        "deletes by digest only what no tag stands on: 400",
        "Google Artifact Registry",
        before(_protect_tagged),
        refuses=frozenset({Ability.delete_tagged}),
    ),
    Quirk(
        "immutable-tags",
        "never moves a tag: 400",
        "Amazon ECR with immutable tags",
        before(
            _keep_tags(
                400,
                "TAG_INVALID",
                "the tag {tag} already exists in {repository}, which is immutable",
                deletes=True,
            )
        ),
        refuses=frozenset({Ability.move_tag}),
    ),
    Quirk(
        "immutable-tags-403",
        "neither moves nor removes a tag: 403",
        "Docker Hub with immutable tags",
        before(_keep_tags(403, "DENIED", "the tag {tag} of {repository} is immutable", deletes=False)),
        refuses=frozenset({Ability.move_tag, Ability.untag}),
    ),
)
"""All of them."""
