"""Copy, between layouts and registries on sockets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.errors import AccessDenied, NotFound, RegkitError, UsageError, VerificationFailed
from regkit.events import BlobPushed, Note, TagKept, TagMoved
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest, assemble_index, canonical_json
from regkit.oci.platform import Platform, parse_platforms
from regkit.ops.copy import CopyResult, CopySpec, copy
from regkit.protocol.flow import Bytes, Request, Response
from regkit.targets.layout import Layout
from regkit.targets.location import Location
from regkit.targets.repository import Repository
from tests.ops.support import (
    Served,
    add_attestation,
    add_image,
    add_index,
    attested_layout,
    manifest_name,
    new_layout,
    serving,
)
from tests.support.registries import RunningRegistry, debian, distribution

PLATFORMS = ("linux/amd64", "linux/arm64/v8", "linux/arm/v7")


@pytest.fixture
def built(tmp_path: Path) -> Path:
    return attested_layout(tmp_path / "built", *PLATFORMS)


@contextmanager
def two() -> Iterator[tuple[Served, Served]]:
    with serving() as first, serving() as second:
        yield first, second


def run(served: Served, source: str, destination: str, **options: object) -> CopyResult:
    """Copy in a session's registry; names without a scheme are repositories of it."""
    dry_run = bool(options.pop("dry_run", False))
    platforms = parse_platforms(str(options.pop("platforms", "")).split())
    spec = CopySpec(Location.parse(source), Location.parse(destination), platforms, **options)  # type: ignore[arg-type]
    return copy(served.session, spec, dry_run=dry_run)


def digest_of(layout: Path, name: str = "built") -> str:
    found = Layout(layout).resolve(name)
    assert found is not None
    return found.digest


def index_of(served: Served, repository: str, tag: str) -> Manifest:
    return Repository(served.session, served.reference(repository)).manifest(tag)


# What arrives


def test_a_layout_arrives_byte_for_byte(built: Path, served: Served) -> None:
    """All platforms, their attestations and the index have the digests that they had; the name comes last."""
    result = run(served, f"ocidir://{built}:built", f"{served.host}/team/hello:1.0")

    digest = digest_of(built)
    assert result.names == (f"{served.host}/team/hello@{digest}",)
    assert served.tags() == {"1.0": digest}
    assert served.writes[-1] == "PUT /v2/team/hello/manifests/1.0"
    assert len(index_of(served, "team/hello", "1.0").manifests) == 6
    assert served.events[-1] == TagMoved("1.0", Digest(digest))


def test_from_registry_to_registry_to_layout_and_back(built: Path, tmp_path: Path) -> None:
    """A release that went around has the digest that it began with, and is whole."""
    digest = digest_of(built)
    with two() as (here, there):
        run(here, f"oci:{built}:built", f"{here.host}/a:1")
        run(here, f"{here.host}/a:1", f"{there.host}/b/c:2")
        run(here, f"{there.host}/b/c:2", f"ocidir://{tmp_path}/copy:3")
        run(here, f"ocidir://{tmp_path}/copy:3", f"ocidir://{tmp_path}/again")

        assert there.tags("b/c") == {"2": digest}
    for name, tag in (("copy", "3"), ("again", "3")):
        layout = Layout(tmp_path / name)
        assert digest_of(tmp_path / name, tag) == digest
        for child in layout.manifest(tag).manifests:
            assert all(layout.exists(blob) for blob in layout.manifest(child.digest).blobs)


def test_archives_are_places_like_any_other(built: Path, tmp_path: Path, served: Served) -> None:
    """Into a file, from there into a registry, and one image of it into Docker's kind of file; a dry run makes none."""
    digest = digest_of(built)
    file, docker = tmp_path / "hello.tar", tmp_path / "docker.tar"
    run(served, f"oci:{built}:built", f"oci-archive:{file}:1", dry_run=True)
    assert not file.exists()

    into = run(served, f"oci:{built}:built", f"oci-archive:{file}:1")
    run(served, f"oci-archive:{file}:1", f"{served.host}/a:1")
    image = index_of(served, "a", "1").manifests[0].digest
    run(served, f"{served.host}/a@{image}", f"docker-archive:{docker}:example.com/hello:1")
    run(served, f"docker-archive:{docker}:example.com/hello:1", f"{served.host}/b:1")

    assert into.names == (f"oci-archive:{file}@{digest}",)
    assert served.tags("a") == {"1": digest}
    config = index_of(served, "b", "1").config
    assert config is not None
    assert config.digest == layout_config(built, image)


def layout_config(layout: Path, image: str) -> str:
    config = Layout(layout).manifest(image).config
    assert config is not None
    return config.digest


def test_a_second_copy_sends_nothing(built: Path, served: Served) -> None:
    """A tag that stands on its digest costs a look, which is no pull, and no write."""
    run(served, f"oci:{built}:built", f"{served.host}/team/hello:1")
    run(served, f"{served.host}/team/hello:1", f"{served.host}/team/copy:1")
    served.access.clear()

    result = run(served, f"{served.host}/team/hello:1", f"{served.host}/team/copy:1")

    assert [each.method for each in served.access] == ["HEAD", "HEAD"]
    assert result.outcomes[0].kept == "it stands there already"
    assert result.names == (f"{served.host}/team/copy@{digest_of(built)}",)


def test_force_brings_back_what_was_lost_below_a_tag(built: Path, served: Served) -> None:
    """A child that somebody deleted is found missing, and copied again, though the tag stands as it should."""
    run(served, f"oci:{built}:built", f"{served.host}/team/hello:1")
    index = index_of(served, "team/hello", "1")
    Repository(served.session, served.reference()).delete(index.manifests[0])

    unforced = run(served, f"oci:{built}:built", f"{served.host}/team/hello:1")
    forced = run(served, f"oci:{built}:built", f"{served.host}/team/hello:1", force=True)

    assert unforced.manifests == ()
    assert [manifest.digest for manifest in forced.manifests] == [index.manifests[0].digest]
    assert Repository(served.session, served.reference()).exists(index.manifests[0])


def test_within_a_registry_no_blob_is_sent(built: Path, served: Served) -> None:
    """Blobs are shared between repositories of one registry."""
    run(served, f"oci:{built}:built", f"{served.host}/team/hello:1")
    served.access.clear()
    served.events.clear()

    result = run(served, f"{served.host}/team/hello:1", f"{served.host}/other/hello:1")

    assert served.tags("other/hello") == {"1": digest_of(built)}
    assert not any(isinstance(event, BlobPushed) for event in served.events)
    assert not any(each.method == "GET" and "/blobs/" in each.path for each in served.access)
    assert result.blobs == ()


class _Mountless(DevRegistry):
    """Answers every mount with an upload."""

    def handle(self, request: Request) -> Response:
        if request.method == "POST":
            return super().handle(replace(request, url=request.url.partition("?")[0]))
        return super().handle(request)


def test_a_registry_that_cant_mount_gets_the_bytes_once(built: Path) -> None:
    """Where a mount is answered with an upload, that upload is used; a blob that is there isn't sent again."""
    with serving(_Mountless()) as served:
        run(served, f"oci:{built}:built", f"{served.host}/a:1")
        first = run(served, f"{served.host}/a:1", f"{served.host}/b:1")
        again = run(served, f"{served.host}/a:1", f"{served.host}/b:2", force=True)

        assert served.tags("b") == {"1": digest_of(built), "2": digest_of(built)}
    assert len(first.blobs) == 10  # three configurations, three layers, three statements, and the one empty object
    assert again.blobs == ()


def test_shared_blobs_are_read_and_sent_once(tmp_path: Path) -> None:
    """Two images over the same layer cost one download and one upload."""
    with new_layout(tmp_path) as layout:
        base = layout.manifest(add_image(layout, "linux/amd64").digest)
        config = Descriptor.of(mediatype.OCI_CONFIG, canonical_json({"architecture": "arm64", "os": "linux"}))
        layout.push(config, Bytes(canonical_json({"architecture": "arm64", "os": "linux"})))
        twin = Manifest(base.media_type, canonical_json({**base.document, "config": config.to_json()}))
        layout.push(twin.descriptor, Bytes(twin.raw))
        children = [replace(m.descriptor, platform=p) for m, p in zip((base, twin), _two_platforms(), strict=True)]
        add_index(layout, children, "both")
    with two() as (here, there):
        run(here, f"oci:{tmp_path}:both", f"{here.host}/a:1")
        here.access.clear()

        run(here, f"{here.host}/a:1", f"{there.host}/a:1")

        blob = f"/v2/a/blobs/{base.layers[0].digest}"
        assert [each.method for each in here.access if each.path == blob] == ["GET"]
        assert len([each for each in there.access if each.method == "PUT" and base.layers[0].digest in each.path]) == 1


def _two_platforms() -> tuple[Platform, Platform]:
    return Platform("linux", "amd64"), Platform("linux", "arm64")


def test_artifacts_and_unknown_types_are_copied_as_they_are(tmp_path: Path, served: Served) -> None:
    """An artifact type, an empty configuration, a layer of a type that nobody knows, fields of the future."""
    with new_layout(tmp_path) as layout:
        empty, layer = Descriptor.of(mediatype.OCI_EMPTY, b"{}"), Descriptor.of("application/vnd.future+wasm", b"wasm")
        for descriptor, data in ((empty, b"{}"), (layer, b"wasm")):
            layout.push(descriptor, Bytes(data))
        document = {
            "schemaVersion": 2,
            "mediaType": mediatype.OCI_MANIFEST,
            "artifactType": "application/vnd.future",
            "config": empty.to_json(),
            "layers": [layer.to_json()],
            "future": {"field": [1, 2]},
        }
        artifact = Manifest(mediatype.OCI_MANIFEST, json.dumps(document, indent=7).encode())
        layout.push(artifact.descriptor, Bytes(artifact.raw), "artifact")

    run(served, f"oci:{tmp_path}:artifact", f"{served.host}/a:1")

    assert index_of(served, "a", "1").raw == artifact.raw


def test_sha512_is_copied_as_it_is(tmp_path: Path, served: Served) -> None:
    """Layers, images and a layout's own entry may be named by sha512; so they are at the destination."""
    with new_layout(tmp_path / "source") as layout:
        layer = Descriptor(mediatype.OCI_LAYER_GZIP, Digest.of(b"layer", "sha512"), 5)
        config = Descriptor.of(mediatype.OCI_CONFIG, b'{"os":"linux","architecture":"amd64"}')
        layout.push(layer, Bytes(b"layer"))
        layout.push(config, Bytes(b'{"os":"linux","architecture":"amd64"}'))
        document = {"schemaVersion": 2, "config": config.to_json(), "layers": [layer.to_json()]}
        raw = canonical_json(document)
        image = Descriptor(mediatype.OCI_MANIFEST, Digest.of(raw, "sha512"), len(raw))
        layout.push(image, Bytes(raw))
        index = assemble_index([image], {})
        named = replace(index.descriptor, digest=Digest.of(index.raw, "sha512"))
        layout.push(named, Bytes(index.raw), "index")

    run(served, f"oci:{tmp_path}/source:index", f"{served.host}/a:1")
    run(served, f"{served.host}/a@{named.digest}", f"oci:{tmp_path}/copy:1")

    found = Layout(tmp_path / "copy")
    assert digest_of(tmp_path / "copy", "1") == named.digest
    assert found.exists(layer)
    assert found.exists(image)


@pytest.mark.parametrize("there", [True, False])
def test_a_layer_with_urls_is_copied_where_the_source_has_it(tmp_path: Path, *, there: bool, served: Served) -> None:
    """What may not be distributed stays where its URLs lead, and that is said; what is there comes along."""
    foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    with new_layout(tmp_path) as layout:
        config = Descriptor.of(mediatype.OCI_CONFIG, b'{"os":"windows","architecture":"amd64"}')
        layout.push(config, Bytes(b'{"os":"windows","architecture":"amd64"}'))
        layer = replace(Descriptor.of(foreign, b"base"), extra={"urls": ["https://example.com/base"]})
        if there:
            layout.push(layer, Bytes(b"base"))
        document = {"schemaVersion": 2, "config": config.to_json(), "layers": [layer.to_json()]}
        image = Manifest(mediatype.OCI_MANIFEST, canonical_json(document))
        layout.push(image.descriptor, Bytes(image.raw), "image")

    result = run(served, f"oci:{tmp_path}:image", f"{served.host}/a:1")

    assert (layer.digest in [blob.digest for blob in result.blobs]) is there
    assert any(isinstance(event, Note) and layer.digest in event.text for event in served.events) is not there


# Platforms


def test_only_the_chosen_platforms_and_what_attests_them(built: Path, served: Served) -> None:
    """The index is written anew over what was chosen, in its order; the new digest is said, the content is whole."""
    result = run(served, f"oci:{built}:built", f"{served.host}/a:1", platforms="linux/arm/v7 linux/amd64")

    whole, index = Layout(built).manifest("built"), index_of(served, "a", "1")
    expected = [child for child in whole.manifests if _about(child, whole) in ("linux/amd64", "linux/arm/v7")]
    assert index.manifests == tuple(expected)
    assert len(expected) == 4
    assert result.names == (f"{served.host}/a@{index.digest}",)
    notes = [event.text for event in served.events if isinstance(event, Note)]
    assert any(index.digest in text and whole.digest in text for text in notes)


def _about(child: Descriptor, index: Manifest) -> str:
    owner = child.attests or child.digest
    return next(str(image.platform) for image in index.manifests if image.digest == owner)


def test_all_platforms_are_the_index_itself(built: Path, served: Served) -> None:
    """Choosing everything changes nothing, `arm64` is `arm64/v8`."""
    result = run(served, f"oci:{built}:built", f"{served.host}/a:1", platforms="linux/arm64,linux/arm/v7,linux/amd64")

    assert result.outcomes[0].digest == digest_of(built)


def test_what_else_the_index_says_stays(tmp_path: Path, served: Served) -> None:
    """Annotations, descriptors' annotations and fields of the future survive the choice of a platform."""
    with new_layout(tmp_path) as layout:
        images = [add_image(layout, platform) for platform in PLATFORMS]
        entries = [replace(image, annotations={"a": "b"}, extra={"future": 1}).to_json() for image in images]
        entries[0]["platform"]["features"] = ["sse4"]
        document = {
            "schemaVersion": 2,
            "mediaType": mediatype.OCI_INDEX,
            "manifests": entries,
            "annotations": {"org.opencontainers.image.version": "1"},
            "future": True,
        }
        index = Manifest(mediatype.OCI_INDEX, canonical_json(document))
        layout.push(index.descriptor, Bytes(index.raw), "index")

    run(served, f"oci:{tmp_path}:index", f"{served.host}/a:1", platforms="linux/amd64")

    assert index_of(served, "a", "1").document == {**document, "manifests": [entries[0]]}


def test_windows_is_chosen_in_every_version(tmp_path: Path, served: Served) -> None:
    """A platform without an `os.version` means all of them."""
    with new_layout(tmp_path) as layout:
        windows = [
            replace(add_image(layout, "windows/amd64", version), platform=Platform("windows", "amd64", "", version))
            for version in ("10.0.17763.1", "10.0.20348.1")
        ]
        add_index(layout, [add_image(layout, "linux/amd64"), *windows], "index")

    run(served, f"oci:{tmp_path}:index", f"{served.host}/a:1", platforms="windows/amd64")

    assert index_of(served, "a", "1").manifests == tuple(windows)


def test_nested_indexes_are_opened_where_platforms_are_chosen(tmp_path: Path, served: Served) -> None:
    """What an index in an index holds is found, with its attestation."""
    with new_layout(tmp_path) as layout:
        inner = []
        for platform in ("linux/amd64", "linux/arm64"):
            image = add_image(layout, platform)
            inner.append(add_index(layout, [image, add_attestation(layout, image)]).descriptor)
        add_index(layout, inner, "nested")

    run(served, f"oci:{tmp_path}:nested", f"{served.host}/a:1", platforms="linux/arm64")

    image, attestation = index_of(served, "a", "1").manifests
    assert image.platform == Platform("linux", "arm64")
    assert attestation.attests == image.digest


def test_an_image_for_the_platform_is_copied_as_it_is(tmp_path: Path, served: Served) -> None:
    """A single image's configuration tells whether it's the one; where it is, nothing is rewritten."""
    with new_layout(tmp_path) as layout:
        image = add_image(layout, "linux/arm64")
        layout.push(image, Bytes(layout.manifest(image.digest).raw), "image")

    run(served, f"oci:{tmp_path}:image", f"{served.host}/a:1", platforms="linux/arm64/v8")

    assert served.tags("a") == {"1": image.digest}
    with pytest.raises(NotFound, match="has no image for linux/amd64"):
        run(served, f"oci:{tmp_path}:image", f"{served.host}/a:2", platforms="linux/amd64")


def test_a_platform_that_isnt_there_copies_nothing(built: Path, served: Served) -> None:
    """One missing platform fails the whole, before anything is sent."""
    with pytest.raises(NotFound, match="no image for linux/s390x") as error:
        run(served, f"oci:{built}:built", f"{served.host}/a:1", platforms="linux/amd64,linux/s390x")

    assert error.value.hint == "it has: linux/amd64, linux/arm64/v8, linux/arm/v7"
    assert served.writes == []


# Referrers


def test_referrers_come_along_when_asked_for(built: Path) -> None:
    """Signatures of the index, of a child, and of a signature; without --referrers none."""
    with two() as (here, there):
        run(here, f"oci:{built}:built", f"{here.host}/a:1")
        repository = Repository(here.session, here.reference("a"))
        index = repository.manifest("1")
        signatures = [_sign(repository, index.descriptor), _sign(repository, index.manifests[0])]
        signatures.append(_sign(repository, signatures[0]))

        run(here, f"{here.host}/a:1", f"{there.host}/without:1")
        run(here, f"{here.host}/a:1", f"{there.host}/with:1", referrers=True)
        late = _sign(repository, index.descriptor, "late")
        run(here, f"{here.host}/a:1", f"{there.host}/with:1", referrers=True)

        without, with_them = (Repository(here.session, there.reference(name)) for name in ("without", "with"))
        assert not any(map(without.exists, signatures))
        assert all(map(with_them.exists, signatures))
        assert {each.digest for each in with_them.referrers(index.digest)} == {signatures[0].digest, late.digest}
        assert there.tags("with") == {"1": index.digest}


def _sign(repository: Repository, subject: Descriptor, text: str = "signature") -> Descriptor:
    layer, empty = f"{text} of {subject.digest}".encode(), Descriptor.of(mediatype.OCI_EMPTY, b"{}")
    described = Descriptor.of("application/vnd.example.signature", layer)
    repository.push(empty, Bytes(b"{}"))
    repository.push(described, Bytes(layer))
    document = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST,
        "artifactType": "application/vnd.example.signature",
        "config": empty.to_json(),
        "layers": [described.to_json()],
        "subject": Descriptor(subject.media_type, subject.digest, subject.size).to_json(),
    }
    manifest = Manifest(mediatype.OCI_MANIFEST, canonical_json(document))
    repository.push(manifest.descriptor, Bytes(manifest.raw))
    return manifest.descriptor


# Tags


def test_all_tags_ask_for_each_thing_once(tmp_path: Path) -> None:
    """Tags that share images cost each manifest and blob once; all content is there before the first name."""
    with new_layout(tmp_path) as layout:
        images = [add_image(layout, platform) for platform in PLATFORMS]
        for number in range(5):
            index = assemble_index(images, {"number": str(number)})
            layout.push(index.descriptor, Bytes(index.raw), f"1.{number}")
    with two() as (here, there):
        run(here, f"oci:{tmp_path}", f"{here.host}/a", all_tags=True)
        here.access.clear()

        result = run(here, f"{here.host}/a", f"{there.host}/b", all_tags=True)

        assert there.tags("b") == here.tags("a")
        assert len(result.names) == 5
        assert result.names[0].startswith(f"{there.host}/b:1.0@sha256:")
        asked = [each.path for each in here.access if each.method == "GET"]
        assert len(asked) == len(set(asked)) == 1 + 5 + 3 + 6
        puts = [path.rpartition("/")[2] for path in there.writes if path.startswith("PUT") and "/manifests/" in path]
        assert sorted(puts[:3]) == sorted(image.digest for image in images)
        assert sorted(puts[3:]) == [f"1.{number}" for number in range(5)]


def test_many_tags_on_one_manifest_take_one_request(built: Path, served: Served) -> None:
    """The registry sets them all with the manifest; each is read back all the same."""
    tags = [f"1.{number}" for number in range(5)]
    with Layout(built) as layout:
        for tag in tags:
            index = layout.manifest("built")
            layout.push(index.descriptor, Bytes(index.raw), tag)
        other = add_image(layout, "linux/s390x")
        layout.push(other, layout.fetch(other), "other")

    result = run(served, f"oci:{built}", f"{served.host}/a", all_tags=True)

    digest = digest_of(built)
    assert served.tags("a") == dict.fromkeys(("built", *tags), digest) | {"other": other.digest}
    puts = [access.path for access in served.access if access.method == "PUT" and "/manifests/" in access.path]
    assert [path for path in puts if "?tag=" in path] == [
        f"/v2/a/manifests/{digest}?" + "&".join(f"tag={tag}" for tag in ("built", *tags))
    ]
    assert len(puts) == len(index.manifests) + 2
    assert sum(isinstance(event, TagMoved) for event in served.events) == len(result.outcomes) == 7


@pytest.mark.parametrize("kind", [distribution, debian])
def test_where_tags_do_not_come_together_they_come_one_by_one(
    tmp_path: Path, built: Path, kind: Callable[[Path], AbstractContextManager[RunningRegistry]]
) -> None:
    """A registry that knows nothing of it gets each; one request was in vain."""
    with Layout(built) as layout:
        for tag in ("1", "1.2", "latest"):
            index = layout.manifest("built")
            layout.push(index.descriptor, Bytes(index.raw), tag)
    with kind(tmp_path / "registry") as registry, serving() as client:
        run(client, f"oci:{built}", f"{registry.host}/a", all_tags=True)

        assert registry.tags("a") == ["1", "1.2", "built", "latest"]
        puts = [path for method, path, _ in registry.writes() if method == "PUT" and "/manifests/" in path]
        assert len(puts) == len(index.manifests) + 1 + 4


def test_names_that_are_no_tags(tmp_path: Path, built: Path, served: Served) -> None:
    """A layout's name may have slashes and a colon; an archive takes it, and a registry says that it can't."""
    archive = f"oci-archive:{tmp_path}/a.tar"
    run(served, f"oci:{built}:built", f"oci:{tmp_path}/out:example.org/x/y:1")
    run(served, f"oci:{tmp_path}/out:example.org/x/y:1", archive)
    run(served, f"{archive}:example.org/x/y:1", f"{archive}:second")
    assert Location.parse(archive).open(served.session).tags() == ("example.org/x/y:1", "second")
    assert run(served, f"{archive}:example.org/x/y:1", f"{served.host}/a:1").outcomes[0].digest == digest_of(built)
    served.access.clear()

    for destination in (f"{served.host}/b", f"docker-archive:{tmp_path}/d.tar:hello"):
        with pytest.raises(UsageError, match=r"takes only tags, and 'example\.org/x/y:1' is none"):
            run(served, archive, destination.removesuffix(":hello"), all_tags=True)
    assert served.writes == []
    with pytest.raises(NotFound):
        run(served, f"{archive}:example.org/x/y:2", f"{served.host}/a:1")


def test_a_place_that_cannot_hold_it_is_told_before_anything_is_read(
    tmp_path: Path, built: Path, served: Served
) -> None:
    """An index of several platforms doesn't fit into what Docker saves: no blob is asked for, and no file begun."""
    run(served, f"oci:{built}:built", f"{served.host}/a:1")
    served.access.clear()

    for dry_run in (True, False):
        with pytest.raises(UsageError, match="can hold one image, but not the index") as caught:
            run(served, f"{served.host}/a:1", f"docker-archive:{tmp_path}/d.tar:hello:1", dry_run=dry_run)
        assert "--platform" in str(caught.value.hint)
    assert not [access for access in served.access if "/blobs/" in access.path]
    assert list(tmp_path.glob("d.tar*")) == []


def test_all_tags_again_read_only_what_is_new(tmp_path: Path, served: Served) -> None:
    """A mirror costs a look for each tag, and a pull only for those that changed; tags of its own stay."""
    with new_layout(tmp_path) as layout:
        for tag in ("a", "b"):
            add_index(layout, [add_image(layout, "linux/amd64", tag)], tag)
        add_index(layout, [add_image(layout, "linux/amd64", "own")], "own")
    for tag in ("a", "b"):
        run(served, f"oci:{tmp_path}:{tag}", f"{served.host}/source:{tag}")
    run(served, f"{served.host}/source", f"{served.host}/mirror", all_tags=True)
    run(served, f"oci:{tmp_path}:own", f"{served.host}/mirror:own")
    run(served, f"oci:{tmp_path}:own", f"{served.host}/source:b")
    served.access.clear()

    run(served, f"{served.host}/source", f"{served.host}/mirror", all_tags=True)

    read = {
        manifest_name(Request("GET", e.path)) for e in served.access if e.method == "GET" and "/manifests/" in e.path
    }
    assert "b" in read
    assert "a" not in read
    assert served.tags("mirror") == {**served.tags("source"), "own": digest_of(tmp_path, "own")}


def test_no_clobber_keeps_what_stands_and_says_so(tmp_path: Path, built: Path, served: Served) -> None:
    """A tag on another digest stays; on the same digest that's success; a new one is written."""
    other = attested_layout(tmp_path / "other", "linux/amd64", content="other")
    run(served, f"oci:{other}:built", f"{served.host}/a:1")
    served.access.clear()

    kept = run(served, f"oci:{built}:built", f"{served.host}/a:1", no_clobber=True)
    same = run(served, f"oci:{other}:built", f"{served.host}/a:1", no_clobber=True)
    assert served.writes == []
    new = run(served, f"oci:{built}:built", f"{served.host}/a:2", no_clobber=True)

    assert kept.names == same.names == (f"{served.host}/a@{digest_of(other)}",)
    reasons = [event.reason for event in served.events if isinstance(event, TagKept)]
    assert reasons == [
        f"it stands on {digest_of(other)}, and nothing is to be replaced",
        "it stands there already",
    ]
    assert new.outcomes[0].kept == ""
    assert served.tags("a") == {"1": digest_of(other), "2": digest_of(built)}


class _Overtaken(DevRegistry):
    """Somebody else writes the tag `1` while the index's children are on their way."""

    def __init__(self, digest: str) -> None:
        super().__init__()
        self.digest = digest

    def handle(self, request: Request) -> Response:
        answer = super().handle(request)
        names = self.store.names("a")
        if request.method == "PUT" and "/manifests/" in request.url and names and "1" not in names.tags:
            there = names.manifests.get(Digest(self.digest))
            if there is not None:
                self.store.write_names("a", names.with_manifest(there, ("1",)))
        return answer


def test_no_clobber_looks_again_right_before_it_writes(built: Path) -> None:
    """A tag that somebody set meanwhile stays theirs, and it's said; the others are written."""
    theirs = Layout(built).manifest(digest_of(built)).manifests[0].digest
    with serving(_Overtaken(theirs)) as served:
        result = run(served, f"oci:{built}:built", f"{served.host}/a:1", no_clobber=True)

        assert served.tags("a") == {"1": theirs}
        assert [(outcome.digest, outcome.previous) for outcome in result.outcomes] == [(theirs, theirs)]
        assert result.names == (f"{served.host}/a@{theirs}",)
        reasons = [event.reason for event in served.events if isinstance(event, TagKept)]
        assert reasons == [f"it stands on {theirs}, and nothing is to be replaced"]
        assert not any(isinstance(event, TagMoved) for event in served.events)


def test_a_replaced_tag_tells_what_it_stood_on(tmp_path: Path, built: Path, served: Served) -> None:
    """Without --no-clobber a tag moves, and the event says from where."""
    other = attested_layout(tmp_path / "other", "linux/amd64", content="other")
    run(served, f"oci:{other}:built", f"{served.host}/a:1")

    result = run(served, f"oci:{built}:built", f"{served.host}/a:1")

    assert served.events[-1] == TagMoved("1", Digest(digest_of(built)), Digest(digest_of(other)))
    assert result.to_json()["tags"] == [
        {"tag": "1", "digest": digest_of(built), "previous": digest_of(other), "kept": None}
    ]


@pytest.mark.parametrize(
    ("destination", "tags"),
    [("a", {"latest"}), ("a:1", {"1"}), ("a@{digest}", set()), ("a:1@{digest}", {"1"})],
)
def test_which_tag_a_destination_means(built: Path, served: Served, destination: str, tags: set[str]) -> None:
    """A repository alone is its `latest`; a digest alone gets no tag, and must be the content's."""
    digest = digest_of(built)

    run(served, f"oci:{built}", f"{served.host}/{destination.format(digest=digest)}")

    assert set(served.tags("a")) == tags
    assert Repository(served.session, served.reference("a")).resolve(digest) is not None


def test_another_digest_than_expected_is_refused(built: Path, served: Served) -> None:
    """A destination with a digest says what is expected; nothing is sent where that isn't what comes."""
    with pytest.raises(UsageError, match="what is to be copied is"):
        run(served, f"oci:{built}", f"{served.host}/a:1@{Digest.of(b'else')}")

    assert served.writes == []


def test_a_layouts_only_entry_keeps_its_name(built: Path, tmp_path: Path, served: Served) -> None:
    """Between layouts the name goes along; which of several is meant has to be said."""
    run(served, f"oci:{built}", f"oci:{tmp_path}/copy")
    run(served, f"oci:{built}", f"oci:{tmp_path}/copy:second")

    assert Layout(tmp_path / "copy").tags() == ("built", "second")
    with pytest.raises(UsageError, match="has 2 entries") as error:
        run(served, f"oci:{tmp_path}/copy", f"{served.host}/a:1")
    assert error.value.hint == "name one of them: built, second"


@pytest.mark.parametrize(("source", "destination"), [("a:1", "b"), ("a", "b:1"), ("a", "b@sha256:" + "0" * 64)])
def test_all_tags_take_no_tag(served: Served, source: str, destination: str) -> None:
    """One tag and all of them can't both be meant."""
    with pytest.raises(UsageError, match="all tags are to be copied"):
        run(served, f"{served.host}/{source}", f"{served.host}/{destination}", all_tags=True)


@pytest.mark.parametrize("kind", [distribution, debian])
def test_only_tags_that_match_are_copied(
    tmp_path: Path, built: Path, kind: Callable[[Path], AbstractContextManager[RunningRegistry]]
) -> None:
    """The expression has to match all of a tag; of the others nothing is asked, and what they stand on stays behind."""
    with Layout(built) as layout:
        index = layout.manifest("built")
        for tag in ("1.2", "1.3", "v1.2", "1.2-rc.1"):
            layout.push(index.descriptor, Bytes(index.raw), tag)
        other = add_image(layout, "linux/s390x")
        layout.push(other, layout.fetch(other), "other")
    chosen = [tag for tag in Layout(built).tags() if re.fullmatch(r"1\.[0-9]", tag)]
    with kind(tmp_path / "registry") as registry, serving() as client:
        run(client, f"oci:{built}", f"{registry.host}/a", all_tags=True)
        mark = registry.mark()

        result = run(client, f"{registry.host}/a", f"{registry.host}/b", all_tags=True, match=r"1\.[0-9]")

        assert sorted(str(outcome.tag) for outcome in result.outcomes) == registry.tags("b") == chosen
        assert {outcome.digest for outcome in result.outcomes} == {digest_of(built)}
        asked = [each.path for each in registry.since(mark)]
        assert not [path for path in asked if path.endswith(("/other", "/v1.2", "/1.2-rc.1", other.digest))]


def test_names_that_do_not_match_may_be_no_tags(tmp_path: Path, built: Path, served: Served) -> None:
    """What isn't copied needn't be a name that the destination takes."""
    run(served, f"oci:{built}:built", f"oci:{tmp_path}/out:example.org/x/y:1")
    run(served, f"oci:{built}:built", f"oci:{tmp_path}/out:1")

    run(served, f"oci:{tmp_path}/out", f"{served.host}/a", all_tags=True, match="[0-9]+")

    assert served.tags("a") == {"1": digest_of(built)}


def test_no_tag_that_matches_is_not_found(built: Path, served: Served) -> None:
    """As a repository without tags is; nothing is written, and one of its tags is shown."""
    run(served, f"oci:{built}", f"{served.host}/a:1.2.3")
    served.access.clear()

    with pytest.raises(NotFound, match="has no tag that matches '1'") as caught:
        run(served, f"{served.host}/a", f"{served.host}/b", all_tags=True, match="1")

    assert caught.value.hint == "the expression has to match a whole tag, as '1.2.3'"
    assert served.writes == []


@pytest.mark.parametrize(
    ("options", "said"),
    [({"match": "1"}, "chooses among all tags"), ({"match": "(", "all_tags": True}, "not a regular expression: ")],
)
def test_a_match_that_cannot_be_meant(served: Served, options: dict[str, object], said: str) -> None:
    """It is told before anybody is asked."""
    with pytest.raises(UsageError, match=said):
        run(served, f"{served.host}/a", f"{served.host}/b", **options)
    assert served.access == []


def test_what_isnt_there_is_not_found(tmp_path: Path, served: Served) -> None:
    """A missing tag, and a repository without any."""
    with pytest.raises(NotFound):
        run(served, f"{served.host}/a:1", f"oci:{tmp_path}/copy:1")
    with pytest.raises(NotFound, match="has no tags"):
        run(served, f"{served.host}/a", f"oci:{tmp_path}/copy", all_tags=True)
    assert not (tmp_path / "copy" / "index.json").exists()


# Only looking


def test_a_dry_run_says_what_is_missing_and_writes_nothing(built: Path, tmp_path: Path, served: Served) -> None:
    """What would be sent is what isn't there; no upload is begun, no directory made."""
    run(served, f"oci:{built}:built", f"{served.host}/a:1", platforms="linux/amd64")
    served.access.clear()

    planned = run(served, f"oci:{built}:built", f"{served.host}/a:1", dry_run=True)
    local = run(served, f"oci:{built}:built", f"oci:{tmp_path}/copy", dry_run=True)

    assert served.writes == []
    assert len(planned.manifests) == 5
    assert len(planned.blobs) == 6
    assert (len(local.manifests), len(local.blobs)) == (7, 10)
    assert planned.outcomes[0].digest == digest_of(built)
    assert not (tmp_path / "copy").exists()


# What goes wrong


class _Vanishing(DevRegistry):
    """Loses its blobs as soon as somebody reads one."""

    def handle(self, request: Request) -> Response:
        return Response(404) if request.method == "GET" and "/blobs/" in request.url else super().handle(request)


class _Refusing(DevRegistry):
    """Takes blobs, and no manifest, until it's told to."""

    refuses = True

    def handle(self, request: Request) -> Response:
        refused = self.refuses and request.method == "PUT" and "/manifests/" in request.url
        return Response(403) if refused else super().handle(request)


class _Forgetful(DevRegistry):
    """Says that it wrote a tag, and doesn't."""

    def handle(self, request: Request) -> Response:
        name = manifest_name(request)
        if request.method == "PUT" and name and ":" not in name:
            return Response(201)
        return super().handle(request)


def test_a_source_that_vanishes_leaves_no_name(built: Path) -> None:
    """Blobs that are gone when they are read end the copy with exit code 5."""
    with serving(_Vanishing()) as here, serving() as there:
        run(here, f"oci:{built}:built", f"{here.host}/a:1")

        error = _failure(here, f"{here.host}/a:1", f"{there.host}/a:1", NotFound)

        assert error.exit_code == 5
        assert there.tags("a") == {}


def test_a_source_that_ends_leaves_no_name(built: Path) -> None:
    """A registry that is gone is unreachable: exit code 75."""
    with serving() as there:
        with serving() as here:
            source = f"{here.host}/a:1"
            run(here, f"oci:{built}:built", source)

        error = _failure(there, source, f"{there.host}/a:1", RegkitError)

        assert error.exit_code == 75
        assert there.tags("a") == {}


def test_a_destination_that_refuses_gets_no_name(built: Path) -> None:
    """A manifest that may not be written is access denied, exit code 4; later the copy goes on where it stopped."""
    registry = _Refusing()
    with serving(registry) as served:
        error = _failure(served, f"oci:{built}:built", f"{served.host}/a:1", AccessDenied)

        assert error.exit_code == 4
        assert served.tags("a") == {}
        registry.refuses = False
        assert run(served, f"oci:{built}:built", f"{served.host}/a:1").blobs == ()
        assert served.tags("a") == {"1": digest_of(built)}


def test_a_tag_that_doesnt_show_fails(built: Path) -> None:
    """Each tag is read back: what was written and doesn't show is exit code 7."""
    with serving(_Forgetful()) as served:
        error = _failure(served, f"oci:{built}:built", f"{served.host}/a:1", VerificationFailed)

        assert error.exit_code == 7
        assert "written, but shows nothing" in error.message
        assert len(served.waits) == 6


def test_bytes_that_arent_the_sources_are_never_named(tmp_path: Path, built: Path, served: Served) -> None:
    """A source whose blob has changed is found out while it is read."""
    for path in (built / "blobs" / "sha256").iterdir():
        if path.read_bytes().startswith(b"linux/arm64"):
            path.write_bytes(path.read_bytes()[::-1])

    _failure(served, f"oci:{built}:built", f"{served.host}/a:1", VerificationFailed)
    _failure(served, f"oci:{built}:built", f"oci:{tmp_path}/copy", VerificationFailed)

    assert served.tags("a") == {}
    assert not (tmp_path / "copy" / "index.json").exists()


def _failure(served: Served, source: str, destination: str, kind: type[RegkitError]) -> RegkitError:
    with pytest.raises(kind) as caught:
        run(served, source, destination)
    return caught.value
