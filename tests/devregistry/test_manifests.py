from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.devregistry.app import DevRegistry
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import MAX_SIZE, Manifest, assemble_index, canonical_json
from regkit.protocol.flow import Bytes, Request

from .support import ask, code, content, image, push_blob, push_image, put

MANIFEST = mediatype.OCI_MANIFEST


def listed(registry: DevRegistry, query: str = "", repository: str = "a") -> tuple[list[str], str]:
    response = ask(registry, "GET", f"/v2/{repository}/tags/list{query}")
    assert response.status == 200
    return response.json(1 << 20)["tags"], response.headers.get("link", "")


def test_manifest_comes_back(registry: DevRegistry) -> None:
    """A manifest is served under its tag and its digest, with its bytes as they came, its type and its digest."""
    manifest = push_image(registry, "team/app", "1.2", extra="kept \u00e9")

    for name in ("1.2", manifest.digest):
        for method in ("HEAD", "GET"):
            response = ask(registry, method, f"/v2/team/app/manifests/{name}")
            assert response.status == 200
            assert response.headers["content-type"] == MANIFEST
            assert response.headers["content-length"] == str(len(manifest.raw))
            assert response.headers["docker-content-digest"] == manifest.digest
            assert content(response) == (manifest.raw if method == "GET" else b"")


def test_push_says_where(registry: DevRegistry) -> None:
    """A push answers with the digest and a place that serves the manifest, also after its tag has moved on."""
    push_image(registry, "a", "1")
    blobs, second = image("second")
    for blob in blobs:
        push_blob(registry, "a", blob)

    response = put(registry, "a", "1", second)

    assert (response.status, response.headers["docker-content-digest"]) == (201, second.digest)
    assert content(ask(registry, "GET", response.headers["location"])) == second.raw
    assert content(ask(registry, "GET", "/v2/a/manifests/1")) == second.raw


def test_sha512(registry: DevRegistry) -> None:
    """A manifest pushed by its sha512 is found under it, and must have it."""
    blobs, manifest = image("hello")
    for blob in blobs:
        push_blob(registry, "a", blob)
    digest = Digest.of(manifest.raw, "sha512")

    assert put(registry, "a", digest, manifest).headers["docker-content-digest"] == digest
    assert content(ask(registry, "GET", f"/v2/a/manifests/{digest}")) == manifest.raw
    assert code(put(registry, "a", Digest.of(b"x", "sha512"), manifest)) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_tags_in_the_query(registry: DevRegistry, algorithm: str) -> None:
    """A manifest pushed by digest takes the tags that the query gives, and the answer names each of them once."""
    push_image(registry, "a", "latest", "older")
    manifest = push_image(registry, "a", None)
    digest = Digest.of(manifest.raw, algorithm)

    response = put(registry, "a", f"{digest}?tag=1.2&tag=latest&tag=1.2", manifest)

    assert (response.status, response.headers["oci-tag"]) == (201, "1.2, latest")
    assert listed(registry)[0] == ["1.2", "latest"]
    for tag in ("1.2", "latest"):
        assert ask(registry, "HEAD", f"/v2/a/manifests/{tag}").headers["docker-content-digest"] == digest


def test_tags_in_the_query_are_checked(registry: DevRegistry) -> None:
    """One malformed tag of several, and none of them is written; a push by tag names only that one."""
    manifest = push_image(registry, "a", "1")

    assert code(put(registry, "a", f"{manifest.digest}?tag=2&tag=-x", manifest)) == (400, "MANIFEST_INVALID")
    assert "oci-tag" not in put(registry, "a", "1?tag=3", manifest).headers
    assert listed(registry)[0] == ["1"]


@pytest.mark.parametrize("name", ["sha256:baddigeststring", "md5:00"])
def test_name_that_is_no_digest(registry: DevRegistry, name: str) -> None:
    """A malformed digest is refused to everybody."""
    _, manifest = image("hello")

    assert code(put(registry, "a", name, manifest)) == (400, "DIGEST_INVALID")
    assert code(ask(registry, "GET", f"/v2/a/manifests/{name}")) == (400, "DIGEST_INVALID")


def test_name_that_is_no_tag(registry: DevRegistry) -> None:
    """A malformed tag can't be written, and nothing is found under it."""
    _, manifest = image("hello")

    assert code(put(registry, "a", "-x", manifest)) == (400, "MANIFEST_INVALID")
    assert code(ask(registry, "GET", "/v2/a/manifests/-x")) == (404, "MANIFEST_UNKNOWN")


def altered(**fields: Any) -> bytes:
    document = {**image("hello")[1].document, **fields}
    return canonical_json({key: value for key, value in document.items() if value is not None})


EMPTY_INDEX: dict[str, Any] = {"schemaVersion": 2, "manifests": []}


@pytest.mark.parametrize(
    ("raw", "media_type"),
    [
        pytest.param(altered(), "application/json", id="no manifest's type"),
        pytest.param(altered(), "", id="no type"),
        pytest.param(altered(), mediatype.DOCKER_MANIFEST, id="another type than it says"),
        pytest.param(altered(mediaType=None), mediatype.OCI_INDEX, id="an image served as an index"),
        pytest.param(canonical_json(EMPTY_INDEX), MANIFEST, id="an index served as an image"),
        pytest.param(altered(manifests=[]), MANIFEST, id="image and index at once"),
        pytest.param(canonical_json({**EMPTY_INDEX, "layers": []}), mediatype.OCI_INDEX, id="index and image at once"),
        pytest.param(altered(schemaVersion=1), MANIFEST, id="schema 1"),
        pytest.param(altered(layers=None), MANIFEST, id="no layers"),
        pytest.param(altered(layers={}), MANIFEST, id="layers that aren't a list"),
        pytest.param(altered(config=None), MANIFEST, id="no config"),
        pytest.param(altered(layers=[{"mediaType": "x", "digest": "sha256:1", "size": 1}]), MANIFEST, id="bad digest"),
        pytest.param(altered(subject={"mediaType": MANIFEST}), MANIFEST, id="a subject that is no descriptor"),
        pytest.param(b"{", MANIFEST, id="no JSON"),
        pytest.param(b"[]", MANIFEST, id="no object"),
        pytest.param(b"", MANIFEST, id="nothing"),
        pytest.param(altered()[:-1] + b', "layers": []}', MANIFEST, id="a key twice"),
    ],
)
def test_wrong_manifest_is_refused(registry: DevRegistry, raw: bytes, media_type: str) -> None:
    """A manifest that is wrong, or that two parsers may read as two things, is refused; the tag isn't there."""
    for blob in image("hello")[0]:
        push_blob(registry, "a", blob)

    response = ask(registry, "PUT", "/v2/a/manifests/1", raw, {"Content-Type": media_type})

    assert code(response) == (400, "MANIFEST_INVALID")
    assert code(ask(registry, "GET", "/v2/a/manifests/1")) == (404, "MANIFEST_UNKNOWN")


def test_content_type_may_have_parameters(registry: DevRegistry) -> None:
    """Parameters of a Content-Type are ignored, as the specification asks."""
    for blob in image("hello")[0]:
        push_blob(registry, "a", blob)

    response = ask(registry, "PUT", "/v2/a/manifests/1", altered(), {"content-type": f"{MANIFEST}; charset=utf-8"})

    assert response.status == 201
    assert ask(registry, "HEAD", "/v2/a/manifests/1").headers["content-type"] == MANIFEST


def test_missing_blob(registry: DevRegistry) -> None:
    """A manifest whose configuration or layer isn't in this repository is refused, though another has it."""
    push_image(registry, "other", "1")
    (config, layer), manifest = image("hello")

    assert code(put(registry, "a", "1", manifest)) == (404, "MANIFEST_BLOB_UNKNOWN")
    push_blob(registry, "a", config)
    assert code(put(registry, "a", "1", manifest)) == (404, "MANIFEST_BLOB_UNKNOWN")
    push_blob(registry, "a", layer)
    assert put(registry, "a", "1", manifest).status == 201


def test_wrong_size(registry: DevRegistry) -> None:
    """A descriptor that gives a blob another size than it has is refused."""
    (config, layer), manifest = image("hello")
    for blob in (config, layer):
        push_blob(registry, "a", blob)
    wrong = {**manifest.document["layers"][0], "size": len(layer) + 1}

    response = ask(registry, "PUT", "/v2/a/manifests/1", altered(layers=[wrong]), {"Content-Type": MANIFEST})

    assert code(response) == (400, "MANIFEST_INVALID")


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", 201),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", 201),
        (mediatype.OCI_LAYER_GZIP, 404),
    ],
)
def test_layer_that_is_not_distributed(registry: DevRegistry, media_type: str, expected: int) -> None:
    """Only a layer that isn't meant to be pushed may be absent."""
    (config, _), _ = image("hello")
    push_blob(registry, "a", config)
    absent = Descriptor.of(media_type, b"elsewhere").to_json()

    response = ask(registry, "PUT", "/v2/a/manifests/1", altered(layers=[absent]), {"Content-Type": MANIFEST})

    assert response.status == expected


def test_index_needs_its_children_as_manifests(registry: DevRegistry) -> None:
    """An index is refused until each child is in the repository as a manifest: its bytes as a blob don't do."""
    _, child = image("hello")
    index = assemble_index([child.descriptor], {})

    assert code(put(registry, "a", "1", index)) == (404, "MANIFEST_BLOB_UNKNOWN")
    push_blob(registry, "a", child.raw)
    assert code(put(registry, "a", "1", index)) == (404, "MANIFEST_BLOB_UNKNOWN")
    push_image(registry, "a", None)
    assert put(registry, "a", "1", index).status == 201
    assert put(registry, "a", "2", assemble_index([index.descriptor], {})).status == 201


def test_manifest_may_not_be_huge(registry: DevRegistry) -> None:
    """Four megabytes are taken, one byte more is a 413, whether its length is known or not."""
    for blob in image("hello")[0]:
        push_blob(registry, "a", blob)
    plain = altered()
    raw = plain + b" " * (MAX_SIZE - len(plain))

    assert ask(registry, "PUT", "/v2/a/manifests/1", raw, {"Content-Type": MANIFEST}).status == 201
    refused = ask(registry, "PUT", "/v2/a/manifests/2", raw + b" ", {"Content-Type": MANIFEST})
    assert code(refused) == (413, "MANIFEST_INVALID")
    chunked = Request("PUT", "/v2/a/manifests/2", {"Content-Type": MANIFEST}, Unmeasured(raw + b" "))
    assert code(registry.handle(chunked)) == (413, "MANIFEST_INVALID")


class Unmeasured(Bytes):
    """A body whose length nobody knows."""

    @property
    def size(self) -> int:
        return -1


def test_broken_manifest_is_not_written(registry: DevRegistry) -> None:
    """A manifest that arrives only in part is refused for that, whatever the part says."""
    push_image(registry, "a", "1")

    class Short(Bytes):
        @property
        def size(self) -> int:
            return len(self.data) + 1

    response = registry.handle(Request("PUT", "/v2/a/manifests/2", {"Content-Type": MANIFEST}, Short(altered())))

    assert code(response) == (400, "SIZE_INVALID")


def test_delete_tag_leaves_the_rest(registry: DevRegistry) -> None:
    """Deleting a tag takes that tag along and nothing else; the manifest is still there by digest."""
    manifest = push_image(registry, "a", "1")
    put(registry, "a", "latest", manifest)

    assert ask(registry, "DELETE", "/v2/a/manifests/latest").status == 202
    assert code(ask(registry, "DELETE", "/v2/a/manifests/latest")) == (404, "MANIFEST_UNKNOWN")
    assert listed(registry) == (["1"], "")
    assert ask(registry, "DELETE", "/v2/a/manifests/1").status == 202
    assert listed(registry) == ([], "")
    assert content(ask(registry, "GET", f"/v2/a/manifests/{manifest.digest}")) == manifest.raw


def test_delete_digest_takes_its_tags(registry: DevRegistry) -> None:
    """Deleting a manifest by digest removes it and all its tags, not those of others."""
    manifest = push_image(registry, "a", "1")
    put(registry, "a", "latest", manifest)
    push_image(registry, "a", "2", "other")

    assert ask(registry, "DELETE", f"/v2/a/manifests/{manifest.digest}").status == 202
    assert listed(registry) == (["2"], "")
    for name in ("1", manifest.digest):
        assert code(ask(registry, "GET", f"/v2/a/manifests/{name}")) == (404, "MANIFEST_UNKNOWN")
    assert code(ask(registry, "DELETE", f"/v2/a/manifests/{manifest.digest}")) == (404, "MANIFEST_UNKNOWN")


def test_manifest_is_not_deleted_as_a_blob(registry: DevRegistry) -> None:
    """What is a manifest can't be pulled away under its tags by a blob's deletion."""
    manifest = push_image(registry, "a", "1")

    assert code(ask(registry, "DELETE", f"/v2/a/blobs/{manifest.digest}")) == (404, "BLOB_UNKNOWN")
    assert content(ask(registry, "GET", "/v2/a/manifests/1")) == manifest.raw


def test_unknown_repository(registry: DevRegistry) -> None:
    """A repository that nobody pushed to is unknown, and asking for it doesn't make it known."""
    assert code(ask(registry, "GET", "/v2/a/manifests/1")) == (404, "MANIFEST_UNKNOWN")
    assert code(ask(registry, "DELETE", "/v2/a/manifests/1")) == (404, "MANIFEST_UNKNOWN")
    assert code(ask(registry, "GET", "/v2/a/tags/list")) == (404, "NAME_UNKNOWN")
    assert registry.store.repositories() == ()


@given(
    names=st.sets(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,6}", fullmatch=True), min_size=1, max_size=12),
    n=st.integers(1, 14),
)
def test_pages_are_the_list(names: set[str], n: int) -> None:
    """Following Link gives every tag once, sorted, `n` at a time; the last page has none."""
    registry = DevRegistry()
    manifest = push_image(registry, "a", None)
    for name in names:
        put(registry, "a", name, manifest)

    pages, query = [], f"?n={n}"
    while query:
        tags, link = listed(registry, query)
        pages.append(tags)
        query = link.removeprefix("</v2/a/tags/list").removesuffix('>; rel="next"')

    assert [tag for page in pages for tag in page] == sorted(names) == listed(registry)[0]
    assert all(len(page) == n for page in pages[:-1])


def test_page_of_none_and_after_the_end(registry: DevRegistry) -> None:
    """`n=0` is an empty page without a Link; `last` need not be a tag; a number that isn't one is refused."""
    push_image(registry, "a", "m")

    assert listed(registry, "?n=0") == ([], "")
    assert listed(registry, "?last=a") == (["m"], "")
    assert listed(registry, "?last=m&n=1") == ([], "")
    for wrong in ("-1", "x", "1" * 10):
        refused = ask(registry, "GET", f"/v2/a/tags/list?n={wrong}")
        assert code(refused) == (400, "PAGINATION_NUMBER_INVALID")


def test_referrers(registry: DevRegistry) -> None:
    """What refers to a digest is listed, with its type and annotations, filtered where that is asked for."""
    subject = push_image(registry, "a", "1")
    about: dict[str, Any] = {"subject": subject.descriptor.to_json()}
    typed = push_image(registry, "a", None, artifactType="text/x", annotations={"k": "v"}, **about)
    untyped = push_image(registry, "a", "2", **about)

    response = ask(registry, "GET", f"/v2/a/referrers/{subject.digest}")
    filtered = ask(registry, "GET", f"/v2/a/referrers/{subject.digest}?artifactType=text/x")

    assert response.headers["content-type"] == mediatype.OCI_INDEX
    entries = response.json(1 << 20)["manifests"]
    assert {(e["digest"], e["artifactType"]) for e in entries} == {
        (typed.digest, "text/x"),
        (untyped.digest, mediatype.OCI_CONFIG),
    }
    assert filtered.headers["oci-filters-applied"] == "artifactType"
    assert filtered.json(1 << 20)["manifests"] == [
        {**typed.descriptor.to_json(), "artifactType": "text/x", "annotations": {"k": "v"}}
    ]


def test_referrer_comes_before_its_subject(registry: DevRegistry) -> None:
    """A subject needs not exist; the push says that it was understood; a deleted referrer isn't listed."""
    _, subject = image("later")
    about: dict[str, Any] = {"subject": subject.descriptor.to_json()}
    for blob in image("hello")[0]:
        push_blob(registry, "a", blob)
    referrer = Manifest(MANIFEST, altered(**about))

    assert put(registry, "a", referrer.digest, referrer).headers["oci-subject"] == subject.digest
    ask(registry, "DELETE", f"/v2/a/manifests/{referrer.digest}")
    assert ask(registry, "GET", f"/v2/a/referrers/{subject.digest}").json(1 << 20)["manifests"] == []


@pytest.mark.parametrize("name", ["A", "a//b", "a/", "-a", "a/..", "a%2F..%2Fb", "a:b", "a" * 256])
def test_what_is_no_repository_reaches_no_store(registry: DevRegistry, name: str) -> None:
    """A name outside the grammar is refused before it becomes a path."""
    assert code(ask(registry, "GET", f"/v2/{name}/tags/list")) == (400, "NAME_INVALID")
    assert code(ask(registry, "POST", f"/v2/{name}/blobs/uploads/")) == (400, "NAME_INVALID")


def test_paths_and_methods(registry: DevRegistry) -> None:
    """`/v2/` answers; a path or method that the specification doesn't name is refused as UNSUPPORTED."""
    for url in ("/v2/", "/v2", "http://registry.example/v2/"):
        assert ask(registry, "GET", url).status == 200
    for url in ("/", "/v1/", "/v2/a"):
        assert code(ask(registry, "GET", url)) == (404, "UNSUPPORTED")
    refused = ask(registry, "POST", "/v2/a/manifests/1")
    assert (refused.headers["allow"], *code(refused)) == ("GET, HEAD, PUT, DELETE", 405, "UNSUPPORTED")


def test_repository_named_like_a_path(registry: DevRegistry) -> None:
    """Repositories whose names look like parts of the API or of a layout keep apart."""
    names = ["a", "a/blobs", "a/blobs/sha256", "a/index.json", "a/oci-layout", "blobs/uploads", "a/manifests/b"]
    pushed = {name: push_image(registry, name, "1", name) for name in names}

    for name, manifest in pushed.items():
        assert content(ask(registry, "GET", f"/v2/{name}/manifests/1")) == manifest.raw
        assert listed(registry, repository=name) == (["1"], "")
    assert registry.store.repositories() == tuple(sorted(names))
