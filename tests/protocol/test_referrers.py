from __future__ import annotations

from dataclasses import replace

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.errors import AccessDenied, ProtocolError
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest, assemble_index, canonical_json
from regkit.protocol import referrers
from regkit.protocol.flow import Request, Response, drive
from regkit.protocol.manifest import put_manifest
from regkit.protocol.referrers import edit_fallback, fallback_tag, get_fallback, list_referrers, subject_of
from tests.protocol.support import ORIGIN, Script, Wire, finish, path, reply, upload

SUBJECT = assemble_index((), {"this": "is signed"})
LIST = f"{ORIGIN}/v2/a/referrers/{SUBJECT.digest}"


def referrer(number: int = 0, kind: str = "application/x.signature", subject: Manifest = SUBJECT) -> Manifest:
    document = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST,
        "artifactType": kind,
        "config": {"mediaType": mediatype.OCI_EMPTY, "digest": Digest.of(b"{}"), "size": 2},
        "layers": [],
        "subject": subject.descriptor.to_json(),
        "annotations": {"number": str(number), "org.example.kept": "yes"},
    }
    return Manifest(mediatype.OCI_MANIFEST, canonical_json(document))


MANY = tuple(referrer(number, f"application/x.kind-{number}") for number in range(3))


def page(*listed: Descriptor, media_type: str = mediatype.OCI_INDEX, **headers: str) -> Response:
    return reply(200, assemble_index(listed, {}).raw, LIST, content_type=media_type, **headers)


def push(registry: DevRegistry, *manifests: Manifest) -> None:
    upload(registry, "a", b"{}")
    for manifest in manifests:
        drive(put_manifest("a", manifest.digest, manifest), registry.handle)


def without_api(request: Request, registry: DevRegistry) -> Response | None:
    """Let a registry know nothing of referrers."""
    if "/referrers/" in request.url:
        return reply(404)
    response = registry.handle(request)
    return Response(response.status, {k: v for k, v in response.headers.items() if k != "oci-subject"}, response.body)


def test_the_api() -> None:
    """What refers to a manifest is listed with its type and all its annotations, by one request."""
    wire = Wire()
    first, second = referrer(1), referrer(2, "application/x.bom")
    push(wire.registry, first, second, referrer(3, subject=referrer()))

    assert set(drive(list_referrers("a", SUBJECT.digest), wire)) == {first.as_referrer, second.as_referrer}
    assert [dict(request.headers) for request in wire.seen] == [{"Accept": mediatype.OCI_INDEX}]
    assert drive(list_referrers("a", SUBJECT.digest, "application/x.bom"), wire) == (second.as_referrer,)
    assert wire.seen[-1].url == f"/v2/a/referrers/{SUBJECT.digest}?artifactType=application%2Fx.bom"


@pytest.mark.parametrize("headers", [{}, {"oci_filters_applied": "artifactType"}, {"oci_filters_applied": "other"}])
def test_a_registry_need_not_filter(headers: dict[str, str]) -> None:
    """Whether the registry says that it filtered or not, only what was asked for is listed."""
    first, second = referrer(1).as_referrer, referrer(2, "application/x.bom").as_referrer

    assert finish(list_referrers("a", SUBJECT.digest, "application/x.bom"), page(first, second, **headers)) == (second,)


def test_a_type_that_is_none() -> None:
    """A registry that lists the type of an empty configuration for the artifact's: the manifest says which it is."""
    wrong = {each.digest: replace(each.as_referrer, artifact_type=mediatype.OCI_EMPTY) for each in MANY}
    wire = Wire(intercept=lambda request, _: page(*wrong.values()) if "/referrers/" in request.url else None)
    push(wire.registry, MANY[0], MANY[1])

    found = drive(list_referrers("a", SUBJECT.digest), wire)

    assert found == (MANY[0].as_referrer, MANY[1].as_referrer, wrong[MANY[2].digest])  # the third can't be read
    assert drive(list_referrers("a", SUBJECT.digest, MANY[1].artifact_type), wire) == (MANY[1].as_referrer,)


def test_all_pages_are_read() -> None:
    """A list goes on for as long as there is a `Link`; what stands on two pages is listed once."""
    first, second, third = (referrer(n).as_referrer for n in range(3))
    script = Script([page(first, second, link="<?page=2>; rel=next"), page(second, third)])

    assert drive(list_referrers("a", SUBJECT.digest), script) == (first, second, third)
    assert script.urls[1] == f"{LIST}?page=2"


def test_a_page_that_is_missing() -> None:
    """The first page isn't taken for the whole list, and no fallback either."""
    with pytest.raises(AccessDenied, match=f"can't list the referrers of {SUBJECT.digest} in a"):
        finish(list_referrers("a", SUBJECT.digest), page(link="<?page=2>; rel=next"), reply(403))


def test_a_list_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that lists more than anybody can have meant is refused."""
    monkeypatch.setattr(referrers, "MAX_REFERRERS", 1)

    with pytest.raises(ProtocolError, match="lists more than 1 referrers"):
        finish(list_referrers("a", SUBJECT.digest), page(referrer(1).as_referrer, referrer(2).as_referrer))


@pytest.mark.parametrize(
    "answer",
    [
        *(reply(status) for status in (400, 404, 405, 406, 501)),
        reply(200, b"<html>", content_type="text/html"),
        reply(200, b"{}", content_type="application/json"),
        reply(200, b"{}"),
    ],
)
def test_a_registry_without_the_api(answer: Response) -> None:
    """Each of these answers says that there is no API: the fallback tag is read then."""
    listed = assemble_index([referrer(1).as_referrer, referrer(2, "other").as_referrer], {})
    script = Script([answer, reply(200, listed.raw, content_type=f"{mediatype.OCI_INDEX}; charset=utf-8")])

    assert drive(list_referrers("a", SUBJECT.digest, "other"), script) == (listed.manifests[1],)
    assert path(script.seen[1]) == f"/v2/a/manifests/sha256-{SUBJECT.digest.hex}"


def test_neither() -> None:
    """With neither API nor tag nothing refers to it."""
    assert drive(list_referrers("a", SUBJECT.digest), Wire(intercept=without_api)) == ()


def test_a_fallback_tag_that_is_something_else() -> None:
    """What isn't an index at that tag is a failure, not an empty list."""
    with pytest.raises(ProtocolError, match=r"isn't a list of referrers, but application/vnd\.oci\.image\.manifest"):
        finish(
            list_referrers("a", SUBJECT.digest),
            reply(404),
            reply(200, referrer().raw, content_type=mediatype.OCI_MANIFEST),
        )


def test_a_closed_door_is_no_absence() -> None:
    """Who isn't let in learns so."""
    with pytest.raises(AccessDenied, match="can't list the referrers"):
        finish(list_referrers("a", SUBJECT.digest), reply(401))


def test_the_fallback_tags_name() -> None:
    """Algorithm, a dash, hex: cut to 64 characters, which a sha512 needs."""
    assert fallback_tag(Digest(f"sha256:{'a' * 64}")) == f"sha256-{'a' * 64}"
    assert fallback_tag(Digest(f"sha512:{'b' * 128}")) == f"sha512-{'b' * 64}"


# The list at the fallback tag


def listed(wire: Wire) -> tuple[Descriptor, ...]:
    index = drive(get_fallback("a", SUBJECT.digest), wire)
    return index.manifests if index else ()


def test_a_list_is_begun_and_added_to() -> None:
    """Each referrer is added behind the others, with type and annotations; where it stands, nothing is written."""
    wire = Wire(intercept=without_api)
    push(wire.registry, *(many := [referrer(number) for number in range(3)]))

    for manifest in many:
        assert not drive(edit_fallback("a", SUBJECT.digest, add=manifest.as_referrer), wire)
        assert drive(edit_fallback("a", SUBJECT.digest, add=manifest.as_referrer), wire)

    assert listed(wire) == tuple(manifest.as_referrer for manifest in many)
    assert wire.methods.count("PUT") == len(many)


def test_a_referrer_is_listed_once() -> None:
    """One that another client listed without annotations is listed anew, not twice."""
    wire = Wire(intercept=without_api)
    push(wire.registry, manifest := referrer())
    drive(edit_fallback("a", SUBJECT.digest, add=manifest.descriptor), wire)

    drive(edit_fallback("a", SUBJECT.digest, add=manifest.as_referrer), wire)

    assert listed(wire) == (manifest.as_referrer,)


def test_a_referrer_is_taken_from_the_list() -> None:
    """Only that one goes; one that isn't listed is gone already, and no list is written for that."""
    wire = Wire(intercept=without_api)
    push(wire.registry, first := referrer(1), second := referrer(2))
    assert drive(edit_fallback("a", SUBJECT.digest, remove=first.digest), wire)
    for manifest in (first, second):
        drive(edit_fallback("a", SUBJECT.digest, add=manifest.as_referrer), wire)

    assert not drive(edit_fallback("a", SUBJECT.digest, remove=first.digest), wire)

    assert listed(wire) == (second.as_referrer,)


def test_what_else_the_list_says_is_kept() -> None:
    """Fields and annotations that another client wrote into the index survive."""
    wire = Wire(intercept=without_api)
    push(wire.registry, manifest := referrer())
    theirs = Manifest(mediatype.OCI_INDEX, canonical_json({**SUBJECT.document, "x-field": [1]}))
    drive(put_manifest("a", fallback_tag(SUBJECT.digest), theirs), wire)

    drive(edit_fallback("a", SUBJECT.digest, add=manifest.as_referrer), wire)

    index = drive(get_fallback("a", SUBJECT.digest), wire)
    assert index is not None
    assert index.document == {**theirs.document, "manifests": [manifest.as_referrer.to_json()]}


def test_a_list_that_is_none_is_not_overwritten() -> None:
    """Somebody else's manifest at that tag stays, and the failure says so."""
    wire = Wire(intercept=without_api)
    push(wire.registry, manifest := referrer())
    drive(put_manifest("a", fallback_tag(SUBJECT.digest), manifest), wire)

    with pytest.raises(ProtocolError, match="isn't a list of referrers"):
        drive(edit_fallback("a", SUBJECT.digest, add=manifest.as_referrer), wire)
    assert wire.methods == ["PUT", "GET"]


def test_a_list_that_the_registry_keeps_without_saying_so() -> None:
    """Where the API names the referrer, the tag isn't written, whatever the answer to the PUT left out."""
    wire = Wire()
    push(wire.registry, manifest := referrer())

    assert drive(edit_fallback("a", SUBJECT.digest, add=manifest.as_referrer), wire)

    assert listed(wire) == ()
    assert "PUT" not in wire.methods


def test_what_a_manifest_refers_to() -> None:
    """Known before it is deleted; what can't be read refers to nothing."""
    wire = Wire()
    push(wire.registry, manifest := referrer(), SUBJECT)

    assert drive(subject_of("a", manifest.digest), wire) == SUBJECT.digest
    assert drive(subject_of("a", SUBJECT.digest), wire) is None
    assert drive(subject_of("a", Digest.of(b"gone")), wire) is None
    assert finish(subject_of("a", manifest.digest), reply(200, b"other bytes")) is None
