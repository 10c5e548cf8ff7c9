"""Indexes created, extended, cut down and annotated, in layouts and registries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.errors import NotFound, Refused, RegkitError, UsageError, VerificationFailed
from regkit.events import BlobPushed, Note, TagMoved
from regkit.oci import mediatype
from regkit.oci.annotation import parse_levels
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest, assemble_index, canonical_json
from regkit.oci.platform import Platform, parse_platforms
from regkit.ops.index import (
    IndexResult,
    IndexSpec,
    annotate_index,
    append_to_index,
    create_index,
    remove_from_index,
)
from regkit.ops.index_source import IndexSource
from regkit.protocol.flow import Bytes, Request, Response
from regkit.targets.layout import Layout
from regkit.targets.location import Location
from regkit.targets.repository import Repository
from tests.ops.support import Served, add_attestation, add_image, add_index, manifest_name, new_layout, serving


class Place:
    """A layout of parts: an index with its attestation for each of some platforms, under the platform's slug."""

    def __init__(self, root: Path, served: Served) -> None:
        self.root, self.served = root, served
        self.images: dict[str, Descriptor] = {}
        self.attestations: dict[str, Descriptor] = {}

    def ref(self, name: str) -> str:
        return f"ocidir://{self.root}:{name}"

    def add(self, platform: str, content: str = "", annotations: dict[str, str] | None = None) -> str:
        """Add an image as BuildKit exports it for one platform; give its reference."""
        name = platform.replace("/", "-") + content
        with new_layout(self.root) as layout:
            image = add_image(layout, platform, content)
            attestation = add_attestation(layout, image)
            index = assemble_index([image, attestation], annotations or {})
            layout.push(index.descriptor, Bytes(index.raw), name)
        self.images[name], self.attestations[name] = image, attestation
        return self.ref(name)

    def add_image(self, platform: str, name: str, **options: str) -> str:
        """Add a bare image."""
        with new_layout(self.root) as layout:
            image = add_image(layout, platform, name, **options)  # type: ignore[arg-type]
            layout.push(replace(image, platform=None), Bytes(layout.manifest(image.digest).raw), name)
        self.images[name] = image
        return self.ref(name)

    def add_manifest(self, name: str, document: dict[str, object]) -> str:
        """Add a manifest or index of any shape."""
        manifest = Manifest(str(document["mediaType"]), canonical_json(document))
        with new_layout(self.root) as layout:
            layout.push(manifest.descriptor, Bytes(manifest.raw), name)
        return self.ref(name)


@pytest.fixture
def place(tmp_path: Path, served: Served) -> Place:
    return Place(tmp_path / "parts", served)


def spec(target: str, *annotations: str, tags: Sequence[str] = (), kind: str | None = None) -> IndexSpec:
    return IndexSpec(Location.parse(target), tuple(tags), parse_levels(annotations), kind)


def create(
    served: Served, target: str, *sources: str, annotations: Sequence[str] = (), **options: object
) -> IndexResult:
    inherit = bool(options.pop("inherit", True))
    made = spec(target, *annotations, **options)  # type: ignore[arg-type]
    return create_index(served.session, made, [IndexSource.parse(text) for text in sources], inherit=inherit)


def append(served: Served, target: str, *sources: str, replacing: bool = False, kind: str | None = None) -> IndexResult:
    parsed = [IndexSource.parse(text) for text in sources]
    return append_to_index(served.session, spec(target, kind=kind), parsed, replacing=replacing)


def remove(served: Served, target: str, platforms: str = "", *digests: Digest) -> IndexResult:
    wanted = parse_platforms([platforms])
    return remove_from_index(served.session, spec(target), platforms=wanted, digests=digests)


def platforms_of(index: Manifest) -> list[str]:
    return [str(child.platform) for child in index.manifests if not child.attests]


def index_of(served: Served, repository: str, name: str) -> Manifest:
    return Repository(served.session, served.reference(repository)).manifest(name)


# create


def test_per_platform_indexes_become_one_flat_index(place: Place, served: Served) -> None:
    """What BuildKit exports for each platform is opened; each image has its attestation, as it was described."""
    sources = [place.add(platform) for platform in ("linux/amd64", "linux/arm64/v8", "linux/arm/v6")]

    result = create(served, f"{served.host}/a:1", *sources)

    expected = [d for name in place.images for d in (place.images[name], place.attestations[name])]
    assert result.index.manifests == tuple(expected)
    assert index_of(served, "a", "1").raw == result.index.raw
    assert served.tags("a") == {"1": result.index.digest}
    assert str(result) == f"{served.host}/a@{result.index.digest}"
    assert served.writes[-2:] == [f"PUT /v2/a/manifests/{result.index.digest}", "PUT /v2/a/manifests/1"]


def test_children_elsewhere_are_copied_and_those_at_hand_are_not(place: Place, served: Served) -> None:
    """From a layout, another registry and the repository itself; only what is missing is sent."""
    amd64, arm64, arm = (place.add(platform) for platform in ("linux/amd64", "linux/arm64", "linux/arm/v7"))
    with serving() as other:
        create(served, f"{served.host}/a:amd64", amd64)
        create(served, f"{other.host}/b:arm64", arm64)
        served.events.clear()

        result = create(served, f"{served.host}/a:1", f"{served.host}/a:amd64", f"{other.host}/b:arm64", arm)

    assert platforms_of(result.index) == ["linux/amd64", "linux/arm64", "linux/arm/v7"]
    assert len(result.copied) == 4
    assert len([event for event in served.events if isinstance(event, BlobPushed)]) == 6
    assert [child.digest for child in index_of(served, "a", "1").manifests[2:4]] == [
        place.images["linux-arm64"].digest,
        place.attestations["linux-arm64"].digest,
    ]


def test_a_bare_image_has_the_platform_of_its_configuration(place: Place, served: Served) -> None:
    """Where no descriptor tells a platform, os, architecture and variant come from the configuration."""
    result = create(served, f"{served.host}/a:1", place.add_image("linux/arm/v6", "arm"))

    assert [child.platform for child in result.index.manifests] == [Platform("linux", "arm", "v6")]


def test_overrides_are_written_and_the_bytes_stay(place: Place, served: Served) -> None:
    """A platform, an os.version and os.features that are given stand in the index; the image itself doesn't change."""
    windows = place.add_image("windows/amd64", "windows")
    variant = place.add("linux/arm64")

    result = create(
        served,
        f"{served.host}/a:1",
        f"{windows},os.version=10.0.20348.1,os.features=win32k+x",
        f"{variant},platform=linux/arm64/v8",
    )

    first, second, attestation = result.index.manifests
    assert first.platform == Platform("windows", "amd64", "", "10.0.20348.1", ("win32k", "x"))
    assert second.platform == Platform("linux", "arm64", "v8")
    assert (first.digest, second.digest) == (place.images["windows"].digest, place.images["linux-arm64"].digest)
    assert attestation == place.attestations["linux-arm64"]


def test_an_override_is_for_one_image(place: Place, served: Served) -> None:
    """One platform can't be said of several images, nor a version of no platform."""
    both = create(served, f"{served.host}/a:1", place.add("linux/amd64"), place.add("linux/arm64"))
    artifact = place.add_manifest("artifact", _artifact(place))

    with pytest.raises(UsageError, match="brings 2 images"):
        create(served, f"{served.host}/a:2", f"{both},platform=linux/amd64")
    with pytest.raises(UsageError, match="has no platform"):
        create(served, f"{served.host}/a:2", f"{artifact},os.version=1")


def _artifact(place: Place) -> dict[str, object]:
    empty = Descriptor.of(mediatype.OCI_EMPTY, b"{}")
    with new_layout(place.root) as layout:
        layout.push(empty, Bytes(b"{}"))
    return {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST,
        "artifactType": "application/vnd.example",
        "config": empty.to_json(),
        "layers": [empty.to_json()],
    }


@pytest.mark.parametrize("text", ["a/b,platform=", "a/b,os.version=1,os.version=2", "a/b,platform=linux/foo", "A,b"])
def test_sources_that_cant_be_meant(text: str) -> None:
    """An override has a value, and comes once; what isn't an override isn't a reference either."""
    with pytest.raises(UsageError):
        IndexSource.parse(text)


def test_what_cant_be_said_of_a_source_is_named(tmp_path: Path) -> None:
    """A key that there isn't is no part of a name; a path may look like one."""
    for name in ("a.test/b", f"a.test/b@{Digest.of(b'')}", "a.test/b:1"):
        with pytest.raises(UsageError, match="says 'arch', which can't be said of an image"):
            IndexSource.parse(f"{name},arch=arm64")
    path = tmp_path / "a,arch=arm64"

    assert IndexSource.parse(f"ocidir://{path},platform=linux/arm64").location.place == path


def test_artifacts_have_no_platform_and_keep_their_type(place: Place, served: Served) -> None:
    """What isn't an image is listed with its artifact type, once however often it's named."""
    artifact = place.add_manifest("artifact", _artifact(place))

    result = create(served, f"{served.host}/a:1", place.add("linux/amd64"), artifact, artifact)

    assert [(c.platform, c.artifact_type) for c in result.index.manifests[2:]] == [(None, "application/vnd.example")]


@pytest.mark.parametrize(("first", "second"), [("linux/arm64", "linux/arm64/v8"), ("linux/arm", "linux/arm/v7")])
def test_a_platform_that_comes_twice_is_refused(place: Place, served: Served, first: str, second: str) -> None:
    """Platforms are compared after normalising; both digests are named, and nothing is written."""
    one, two = place.add(first), place.add(second, "other")

    with pytest.raises(UsageError, match="there are two images") as error:
        create(served, f"{served.host}/a:1", one, two)

    assert all(image.digest in error.value.message for image in place.images.values())
    assert served.writes == []


def test_the_same_image_twice_is_the_same_image(place: Place, served: Served) -> None:
    """A reference that is named twice changes nothing; windows in two versions are two images."""
    amd64, windows = place.add("linux/amd64"), place.add_image("windows/amd64", "windows")
    again = place.add_image("windows/amd64", "newer")

    result = create(
        served, f"{served.host}/a:1", amd64, amd64, f"{windows},os.version=10.0.1", f"{again},os.version=10.0.2"
    )

    assert platforms_of(result.index) == ["linux/amd64", "windows/amd64", "windows/amd64"]
    assert len(result.index.manifests) == 4


def test_nested_indexes_are_opened_and_what_was_said_of_them_stays(place: Place, served: Served) -> None:
    """An index of indexes, as regctl writes it, becomes flat; an annotation of a nested one is its images' now."""
    for platform in ("linux/amd64", "linux/arm64"):
        place.add(platform)
    with new_layout(place.root) as layout:
        inner = [layout.manifest(name).descriptor for name in place.images]
        add_index(layout, [replace(inner[0], annotations={"a": "b"}), inner[1]], "nested")

    result = create(served, f"{served.host}/a:1", place.ref("nested"))

    assert platforms_of(result.index) == ["linux/amd64", "linux/arm64"]
    assert [dict(child.annotations) for child in result.index.manifests if not child.attests] == [{"a": "b"}, {}]
    assert [child.attests for child in result.index.manifests[1::2]] == [i.digest for i in place.images.values()]


def test_fields_that_nobody_knows_stay_in_an_entry(place: Place, served: Served) -> None:
    """An entry is written as its index had it, Docker's `features` and fields of the future too."""
    place.add("linux/amd64")
    entry = {**place.images["linux-amd64"].to_json(), "future": 1}
    entry["platform"]["features"] = ["sse4"]
    place.add_manifest("odd", {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": [entry]})

    result = create(served, f"{served.host}/a:1", place.ref("odd"))

    assert result.index.document["manifests"] == [entry]


@pytest.mark.parametrize(
    ("target", "tags", "expected"),
    [
        ("a", [], ["latest"]),
        ("a:1", [], ["1"]),
        ("a", ["1.2", "1"], ["1.2", "1"]),
        ("a:1.2.3", ["1.2", "1", "1.2"], ["1.2.3", "1.2", "1"]),
    ],
)
def test_tags_are_written_in_order(
    place: Place, served: Served, target: str, tags: list[str], expected: list[str]
) -> None:
    """First the destination's own, then --tag's in their order; `latest` only where none is given."""
    result = create(served, f"{served.host}/{target}", place.add("linux/amd64"), tags=tags)

    puts = [write.rpartition("/")[2] for write in served.writes if write.startswith("PUT") and "/manifests/" in write]
    assert [name for name in puts if ":" not in name] == list(result.tags) == expected


def test_a_digest_that_is_expected_is_compared(place: Place, served: Served) -> None:
    """DST@sha256:… says what must come out; then nothing is tagged."""
    amd64 = place.add("linux/amd64")
    digest = create(served, f"{served.host}/a:1", amd64).index.digest

    result = create(served, f"{served.host}/b@{digest}", amd64)

    assert (result.index.digest, result.tags, served.tags("b")) == (digest, (), {})
    with pytest.raises(UsageError, match="names a digest"):
        create(served, f"{served.host}/b@{Digest.of(b'')}", amd64)


def test_an_index_in_a_layout(place: Place, served: Served, tmp_path: Path) -> None:
    """A layout is written like a repository, and may be source and target at once."""
    for platform in ("linux/amd64", "linux/arm64"):
        place.add(platform)

    here = create(served, place.ref("all"), *(place.ref(name) for name in place.images))
    there = create(served, f"ocidir://{tmp_path}/new", place.ref("all"))

    assert Layout(place.root).manifest("all").raw == here.index.raw
    assert here.copied == ()
    assert Layout(tmp_path / "new").tags() == ("latest",)
    assert there.index.manifests == here.index.manifests


def test_a_place_that_cannot_hold_it(place: Place, served: Served, tmp_path: Path) -> None:
    """What Docker saves holds one platform: said before anything is copied, also by a dry run, and no file is begun."""
    for platform in ("linux/amd64", "linux/arm64"):
        place.add(platform)
    sources = [IndexSource.parse(place.ref(name)) for name in place.images]

    for dry_run in (True, False):
        wanted = replace(spec(f"docker-archive:{tmp_path}/d.tar:hello:1"), dry_run=dry_run)
        with pytest.raises(UsageError, match="can hold one image, but not the index"):
            create_index(served.session, wanted, sources)
    assert list(tmp_path.glob("*.tar*")) == []


def test_a_dry_run_gives_the_bytes_and_writes_nothing(place: Place, served: Served, tmp_path: Path) -> None:
    """What would be written is what is written."""
    amd64 = place.add("linux/amd64")
    planned = replace(spec(f"{served.host}/a:1"), dry_run=True)
    sources = [IndexSource.parse(amd64)]

    shown = create_index(served.session, planned, sources)
    local = create_index(served.session, replace(planned, target=Location.parse(f"oci:{tmp_path}/new")), sources)

    assert served.writes == []
    assert not (tmp_path / "new").exists()
    assert shown.index.raw == local.index.raw == create(served, f"{served.host}/a:1", amd64).index.raw


# Media types and annotations


def _docker(place: Place, name: str, *platforms: str) -> str:
    """Make a Docker manifest list of images of Docker's type."""
    entries = []
    with new_layout(place.root) as layout:
        for platform in platforms:
            image = layout.manifest(add_image(layout, platform, name).digest)
            docker = Manifest(
                mediatype.DOCKER_MANIFEST, canonical_json({**image.document, "mediaType": mediatype.DOCKER_MANIFEST})
            )
            layout.push(docker.descriptor, Bytes(docker.raw))
            entries.append(replace(docker.descriptor, platform=Platform.parse(platform)))
        index = assemble_index(entries, {}, mediatype.DOCKER_INDEX)
        layout.push(index.descriptor, Bytes(index.raw), name)
    return place.ref(name)


def test_the_media_type_is_inherited_or_chosen(place: Place, served: Served) -> None:
    """All of Docker's make a manifest list; anything else, or being told so, an OCI index."""
    docker, oci = _docker(place, "docker", "linux/amd64"), place.add("linux/arm64")
    bare = place.add_image("linux/arm/v7", "arm")

    kinds = [
        create(served, f"{served.host}/a:1", docker).index.media_type,
        create(served, f"{served.host}/a:2", docker, oci).index.media_type,
        create(served, f"{served.host}/a:3", docker, kind=mediatype.OCI_INDEX).index.media_type,
        create(served, f"{served.host}/a:4", bare, kind=mediatype.DOCKER_INDEX).index.media_type,
    ]

    assert kinds == [mediatype.DOCKER_INDEX, mediatype.OCI_INDEX, mediatype.OCI_INDEX, mediatype.DOCKER_INDEX]
    assert index_of(served, "a", "1").media_type == mediatype.DOCKER_INDEX


def test_annotations_are_never_lost_in_a_manifest_list(place: Place, served: Served) -> None:
    """Where the list would be Docker's, an annotation is refused with the way out; so are attestations."""
    docker, attested = _docker(place, "docker", "linux/amd64"), place.add("linux/arm64")

    for level in ("index", "manifest-descriptor"):
        with pytest.raises(UsageError, match="annotation a would be lost") as error:
            create(served, f"{served.host}/a:1", docker, annotations=[f"{level}:a=b"])
        assert error.value.hint == "make an OCI index of it: --media-type oci"
    with pytest.raises(UsageError, match="would be lost"):
        create(served, f"{served.host}/a:1", attested, kind=mediatype.DOCKER_INDEX)
    annotated = place.add_manifest(
        "annotated", {**Layout(place.root).manifest("docker").document, "annotations": {"a": "b"}}
    )
    with pytest.raises(UsageError, match="would be lost"):
        create(served, f"{served.host}/a:1", annotated, kind=mediatype.DOCKER_INDEX)
    with pytest.raises(UsageError, match="would be lost"):
        annotate_index(served.session, spec(annotated, kind=mediatype.DOCKER_INDEX))
    assert served.writes == []
    made = create(served, f"{served.host}/a:1", docker, annotations=["a=b"], kind=mediatype.OCI_INDEX)
    assert made.index.annotations == {"a": "b"}


def test_annotations_at_every_level_and_per_platform(place: Place, served: Served, tmp_path: Path) -> None:
    """The index's own, its images' by platform (normalised), and in a layout the index's descriptor's."""
    sources = [place.add("linux/amd64"), place.add("linux/arm64/v8")]
    target = f"ocidir://{tmp_path}/new:1"

    result = create(
        served,
        target,
        *sources,
        annotations=[
            "plain=1",
            "index:own=x=y",
            "index-descriptor:outer=2",
            "manifest-descriptor:all=3",
            "manifest-descriptor[linux/arm64]:arm=4",
            "index,manifest-descriptor[linux/amd64]:both=5",
        ],
    )

    assert result.index.annotations == {"both": "5", "own": "x=y", "plain": "1"}
    amd64, first, arm64, second = result.index.manifests
    assert amd64.annotations == {"all": "3", "both": "5"}
    assert arm64.annotations == {"all": "3", "arm": "4"}
    assert (first, second) == tuple(place.attestations.values())
    (root,) = Layout(tmp_path / "new").roots
    assert root.annotations["outer"] == "2"
    annotate_index(served.session, spec(target, "late=6"))
    (root,) = Layout(tmp_path / "new").roots
    assert root.annotations["outer"] == "2"


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        ("manifest-descriptor[linux/s390x]:a=b", "is for linux/s390x, and there is none"),
        ("index-descriptor:a=b", "a registry keeps no descriptor of an index"),
    ],
)
def test_an_annotation_that_hits_nothing_is_an_error(place: Place, served: Served, annotation: str, said: str) -> None:
    """What can't be stored, or is for a platform that isn't there, is refused before anything is written."""
    with pytest.raises(UsageError, match=said):
        create(served, f"{served.host}/a:1", place.add("linux/amd64"), annotations=[annotation])

    assert served.writes == []


def test_an_index_descriptor_needs_a_name(place: Place, served: Served) -> None:
    """What a layout says of an index stands beside its name."""
    amd64 = place.add("linux/amd64")
    digest = create(served, place.ref("made"), amd64).index.digest

    with pytest.raises(UsageError, match="needs a name"):
        create(served, f"ocidir://{place.root}@{digest}", amd64, annotations=["index-descriptor:a=b"])


def test_what_all_sources_say_alike_is_carried(place: Place, served: Served) -> None:
    """Annotations that every source index has are the new one's; what differs stays behind, and is named."""
    amd64 = place.add("linux/amd64", annotations={"version": "1", "built": "today"})
    arm64 = place.add("linux/arm64", annotations={"version": "1", "built": "yesterday"})
    bare = place.add_image("linux/arm/v7", "arm")

    carried = create(served, f"{served.host}/a:1", amd64, arm64)
    notes = [event.text for event in served.events if isinstance(event, Note)]
    overridden = create(served, f"{served.host}/a:2", amd64, arm64, annotations=["version=2"])
    none = create(served, f"{served.host}/a:3", amd64, arm64, inherit=False)
    mixed = create(served, f"{served.host}/a:4", amd64, bare)

    assert carried.index.annotations == {"version": "1"}
    assert [note.rpartition(": ")[2] for note in notes] == ["built"]
    assert overridden.index.annotations == {"version": "2"}
    assert none.index.annotations == mixed.index.annotations == {}


# append


def test_append_keeps_the_index_and_moves_its_tag(place: Place, served: Served) -> None:
    """Entries, annotations and fields of the future stay as they were; what is new comes behind."""
    place.add("linux/amd64")
    entry = {**place.images["linux-amd64"].to_json(), "future": 1}
    document = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_INDEX,
        "artifactType": "application/vnd.example",
        "manifests": [entry],
        "annotations": {"a": "b"},
        "future": [1],
    }
    target = place.add_manifest("base", document)
    arm64 = place.add("linux/arm64", annotations={"not": "carried"})

    result = append(served, target, arm64)

    added = [place.images["linux-arm64"].to_json(), place.attestations["linux-arm64"].to_json()]
    assert result.index.document == {**document, "manifests": [entry, *added]}
    assert Layout(place.root).manifest("base").raw == result.index.raw


def test_append_refuses_a_platform_that_is_there_or_replaces_it(place: Place, served: Served) -> None:
    """--replace puts the new image in the old one's place, and takes the old one's attestation out."""
    create(served, f"{served.host}/a:1", place.add("linux/arm64"), place.add("linux/amd64"))
    before = index_of(served, "a", "1")
    newer = place.add("linux/arm64/v8", "newer")

    with pytest.raises(UsageError, match="two images for linux/arm64/v8") as error:
        append(served, f"{served.host}/a:1", newer)
    result = append(served, f"{served.host}/a:1", newer, replacing=True)

    assert error.value.hint is not None
    assert "--replace" in error.value.hint
    image, attestation = place.images["linux-arm64-v8newer"], place.attestations["linux-arm64-v8newer"]
    assert result.index.manifests == (image, *before.manifests[2:], attestation)
    assert served.events[-1] == TagMoved("1", result.index.digest, before.digest)


def test_append_again_changes_nothing(place: Place, served: Served) -> None:
    """What is there already isn't added, and the index keeps its digest, whatever its bytes look like."""
    amd64, arm64 = place.add("linux/amd64"), place.add("linux/arm64")
    create(served, f"{served.host}/a:1", amd64)
    first = append(served, f"{served.host}/a:1", arm64)
    served.access.clear()

    again = append(served, f"{served.host}/a:1", arm64, replacing=True)

    assert again.index.raw == first.index.raw
    assert served.writes == []


def test_replacing_two_by_two_is_still_refused(place: Place, served: Served) -> None:
    """--replace is for what the index has, not for two new images of one platform."""
    create(served, f"{served.host}/a:1", place.add("linux/amd64"))

    with pytest.raises(UsageError, match="two images for linux/amd64"):
        append(
            served, f"{served.host}/a:1", place.add("linux/amd64", "x"), place.add("linux/amd64", "y"), replacing=True
        )


def test_a_manifest_list_becomes_an_oci_index_with_its_first_oci_image(place: Place, served: Served) -> None:
    """Docker's list stays one with Docker's images, and changes its type, field too, for others."""
    target = _docker(place, "base", "linux/amd64")

    same = append(served, target, _docker(place, "more", "linux/arm64"))
    other = append(served, target, place.add("linux/arm/v7"))

    assert same.index.media_type == mediatype.DOCKER_INDEX
    assert other.index.media_type == other.index.document["mediaType"] == mediatype.OCI_INDEX


@pytest.mark.parametrize("verb", ["append", "remove", "annotate"])
def test_an_image_is_no_index(place: Place, served: Served, verb: str) -> None:
    """What isn't an index can't be changed as one; the way to make one is told."""
    target = place.add_image("linux/amd64", "image")
    verbs = {
        "append": lambda: append(served, target, target),
        "remove": lambda: remove(served, target, "linux/amd64"),
        "annotate": lambda: annotate_index(served.session, spec(target, "a=b")),
    }

    with pytest.raises(UsageError, match="is an image") as error:
        verbs[verb]()

    assert error.value.hint == "make one of it: regkit index create"


# remove


def test_remove_takes_an_image_with_its_attestations(place: Place, served: Served) -> None:
    """By platform, compared after normalising, or by digest; the images stay where they are."""
    sources = [place.add(platform) for platform in ("linux/amd64", "linux/arm64/v8", "linux/arm/v7")]
    create(served, f"{served.host}/a:1", *sources)

    result = remove(served, f"{served.host}/a:1", "linux/arm64", place.images["linux-arm-v7"].digest)

    assert result.index.manifests == (place.images["linux-amd64"], place.attestations["linux-amd64"])
    assert served.tags("a") == {"1": result.index.digest}
    assert Repository(served.session, served.reference("a")).exists(place.images["linux-arm64-v8"])


def test_remove_an_attestation_alone(place: Place, served: Served) -> None:
    """A digest that names an attestation takes only that."""
    create(served, f"{served.host}/a:1", place.add("linux/amd64"))

    result = remove(served, f"{served.host}/a:1", "", place.attestations["linux-amd64"].digest)

    assert result.index.manifests == (place.images["linux-amd64"],)


def test_remove_fails_where_it_finds_nothing_or_leaves_nothing(place: Place, served: Served) -> None:
    """A platform or digest that isn't there: 5; the last image: 9; nothing named: 2. The tag stays."""
    made = create(served, f"{served.host}/a:1", place.add("linux/amd64"))
    target = f"{served.host}/a:1"

    codes = []
    for platforms, *digests in (("linux/s390x",), ("", Digest.of(b"")), ("linux/amd64",), ("",)):
        with pytest.raises(RegkitError) as error:
            remove(served, target, platforms, *digests)
        codes.append(error.value.exit_code)

    assert codes == [5, 5, 9, 2]
    assert served.tags("a") == {"1": made.index.digest}


def test_remove_mends_an_index_with_a_lost_child(place: Place, served: Served) -> None:
    """An entry whose image is gone can be taken out; anything else says what is missing, and how to go on."""
    create(served, f"{served.host}/a:1", place.add("linux/amd64"), place.add("linux/arm64"))
    Repository(served.session, served.reference("a")).delete(place.images["linux-arm64"])

    with pytest.raises(NotFound, match=place.images["linux-arm64"].digest) as error:
        annotate_index(served.session, spec(f"{served.host}/a:1", "a=b"))
    mended = remove(served, f"{served.host}/a:1", "linux/arm64")

    assert error.value.hint is not None
    assert "regkit index remove --digest" in error.value.hint
    assert platforms_of(mended.index) == ["linux/amd64"]


# annotate


def test_annotate_adds_and_overwrites(place: Place, served: Served) -> None:
    """What isn't named stays; the same annotation again changes nothing."""
    create(served, f"{served.host}/a:1", place.add("linux/amd64", annotations={"a": "1", "b": "1"}))
    target = f"{served.host}/a:1"

    first = annotate_index(served.session, spec(target, "b=2", "c=3", "manifest-descriptor[amd64]:d=4"))
    again = annotate_index(served.session, spec(target, "b=2", "c=3", "manifest-descriptor[amd64]:d=4"))

    assert first.index.annotations == {"a": "1", "b": "2", "c": "3"}
    assert dict(first.index.manifests[0].annotations) == {"d": "4"}
    assert again.index.raw == first.index.raw


def test_annotate_makes_an_oci_index_of_a_manifest_list_when_told(place: Place, served: Served) -> None:
    """Docker's list can't be annotated; with --media-type oci it can, and that alone is a change too."""
    target = _docker(place, "docker", "linux/amd64")

    with pytest.raises(UsageError, match="would be lost"):
        annotate_index(served.session, spec(target, "a=b"))
    with pytest.raises(UsageError, match="no annotation is given"):
        annotate_index(served.session, spec(target))
    turned = annotate_index(served.session, spec(target, kind=mediatype.OCI_INDEX))
    annotated = annotate_index(served.session, spec(target, "a=b"))

    assert turned.index.media_type == mediatype.OCI_INDEX
    assert annotated.index.annotations == {"a": "b"}


# What goes wrong


class _Meddled(DevRegistry):
    """Somebody else moves the tag when the new index has been pushed by digest."""

    def __init__(self) -> None:
        super().__init__()
        self.other: Manifest | None = None

    def handle(self, request: Request) -> Response:
        answer = super().handle(request)
        name = manifest_name(request)
        if self.other and request.method == "PUT" and ":" in name:
            other, self.other = self.other, None
            url = request.url.removesuffix(name) + "1"
            headers = {"Content-Type": other.media_type}
            assert super().handle(Request("PUT", url, headers, Bytes(other.raw))).status == 201
        return answer


def test_a_tag_that_moved_meanwhile_is_left_as_it_is(tmp_path: Path) -> None:
    """Two that extend one index at once: the second doesn't undo the first, but says so, exit code 9."""
    registry = _Meddled()
    with serving(registry) as served:
        place = Place(tmp_path / "parts", served)
        amd64, arm64 = place.add("linux/amd64"), place.add("linux/arm64")
        other = create(served, f"{served.host}/a:other", amd64, annotations=["a=b"])
        create(served, f"{served.host}/a:1", amd64)
        create(served, f"{served.host}/a:2", arm64)
        registry.other = other.index

        with pytest.raises(Refused, match="has moved meanwhile") as error:
            append(served, f"{served.host}/a:1", f"{served.host}/a:2")

        assert error.value.hint == "run it again"
        assert served.tags("a")["1"] == other.index.digest


class _Losing(DevRegistry):
    """Takes an image, and doesn't have it."""

    lost = ""

    def handle(self, request: Request) -> Response:
        if request.method == "HEAD" and manifest_name(request) == self.lost:
            return Response(404)
        return super().handle(request)


def test_an_index_whose_child_isnt_there_is_not_tagged(tmp_path: Path) -> None:
    """Every child is asked for when the index is there, before it has a name."""
    registry = _Losing()
    with serving(registry) as served:
        place = Place(tmp_path / "parts", served)
        amd64 = place.add("linux/amd64")
        registry.lost = place.images["linux-amd64"].digest

        with pytest.raises(VerificationFailed, match=registry.lost):
            create(served, f"{served.host}/a:1", amd64)

        assert served.tags("a") == {}


def test_a_wrong_tag_is_found_before_anything_is_written(place: Place, served: Served) -> None:
    """A tag is checked before the work begins."""
    with pytest.raises(UsageError, match="not a tag"):
        create(served, f"{served.host}/a:1", place.add("linux/amd64"), tags=["not a tag"])

    assert served.access == []
