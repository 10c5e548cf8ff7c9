from __future__ import annotations

import gzip
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from regkit.errors import ContentMismatch, NotFound, UsageError
from regkit.oci import mediatype
from regkit.oci.annotation import REF_NAME
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.layout import blob_path
from regkit.oci.manifest import Manifest, assemble_index, canonical_json
from regkit.oci.platform import Platform
from regkit.protocol.flow import Bytes
from regkit.targets.archive import Archive
from regkit.targets.docker_archive import DockerArchive
from regkit.targets.verified import read_all
from tests.targets.test_archive import special, tar

TAR = "application/vnd.oci.image.layer.v1.tar"
LAYERS = (b"one layer", b"another")
ZSTD = b"\x28\xb5\x2f\xfd and so on"


def config_of(*layers: bytes, **fields: object) -> bytes:
    diff_ids = [Digest.of(layer) for layer in layers]
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}, **fields}
    return json.dumps(config).encode()


def entry(layers: Sequence[str], names: object = None, config: str = "config.json") -> Mapping[str, Any]:
    return {"Config": config, "RepoTags": names, "Layers": list(layers)}


def save(path: Path, entries: object, members: Sequence[Any] = (), *, packed: bool = False) -> Path:
    """Write an archive, with the two layers and their configuration."""
    usual = [("config.json", config_of(*LAYERS)), ("a/layer.tar", LAYERS[0]), ("b/layer.tar", LAYERS[1])]
    lists = [("manifest.json", json.dumps(entries).encode()), ("repositories", b"{")]
    there = {member[0] for member in members if isinstance(member, tuple)}
    return tar(path, [*(m for m in usual if m[0] not in there), *members, *lists], packed=packed)


def the_only(archive: DockerArchive) -> Manifest:
    (root,) = archive.roots
    return archive.manifest(root.digest)


@pytest.mark.parametrize("packed", [True, False])
def test_what_docker_saves(tmp_path: Path, packed: bool) -> None:
    """An entry is an image: its configuration and its layers, plain tars, with a manifest that is always the same."""
    entries = [entry(["a/layer.tar", "b/layer.tar"], ["hello:1.2", "example.org/a/b"])]
    archive = DockerArchive(save(tmp_path / "x.tar", entries, packed=packed))
    config = config_of(*LAYERS)

    manifest = archive.manifest("1.2")

    assert archive.tags() == ("1.2", "latest")
    assert [dict(root.annotations) for root in archive.roots] == [{REF_NAME: "1.2"}, {REF_NAME: "latest"}]
    assert manifest == archive.manifest("latest") == archive.manifest(manifest.digest)
    assert archive.resolve("1.2") == manifest.descriptor
    assert manifest.config == Descriptor.of(mediatype.OCI_CONFIG, config)
    assert manifest.layers == tuple(Descriptor.of(TAR, layer) for layer in LAYERS)
    assert [read_all(archive.fetch(blob), 1000) for blob in manifest.blobs] == [config, *LAYERS]
    assert manifest.digest == "sha256:08c7db37448d39b9641e895d53743f55e3efe0ab2e0169fe325879127dfc17b4"


def test_names(tmp_path: Path) -> None:
    """A tag is looked for in the repository that is asked for; without one it must be the only one of its kind."""
    other = ("other.json", config_of(LAYERS[0], x=1))
    entries = [
        entry(["a/layer.tar", "b/layer.tar"], ["hello:1", "hello:2"]),
        entry(["a/layer.tar"], ["docker.io/library/other:1", "<none>:<none>"], "other.json"),
    ]
    path = save(tmp_path / "x.tar", entries, [other])

    hello, others, everything = (DockerArchive(path, name) for name in ("docker.io/library/hello", "x/y", None))

    assert hello.tags() == ("1", "2")
    assert len(hello.manifest("1").layers) == 2
    assert len(DockerArchive(path, "docker.io/library/other").manifest("1").layers) == 1
    assert others.tags() == ()
    assert others.resolve("1") is None
    assert everything.tags() == ("1", "2")
    assert everything.resolve("2") == hello.resolve("2")
    with pytest.raises(UsageError, match="several images with the tag 1") as caught:
        everything.resolve("1")
    assert "docker.io/library/other:1" in str(caught.value.hint)


def test_no_names(tmp_path: Path) -> None:
    """An image without a name is the archive's entry all the same."""
    for names in (None, [], ["<none>:<none>"]):
        archive = DockerArchive(save(tmp_path / "x.tar", [entry(["a/layer.tar", "b/layer.tar"], names)]))

        assert archive.tags() == ()
        assert len(the_only(archive).layers) == 2


def test_compressed_layers(tmp_path: Path) -> None:
    """Layers stay as they are packed, and their media types say how."""
    packed = gzip.compress(LAYERS[0], mtime=0)
    members = [("a.tar.gz", packed), ("b.tar", ZSTD)]
    archive = DockerArchive(save(tmp_path / "x.tar", [entry(["a.tar.gz", "b.tar"])], members))

    manifest = the_only(archive)

    assert manifest.layers == (
        Descriptor.of(mediatype.OCI_LAYER_GZIP, packed),
        Descriptor.of(f"{TAR}+zstd", ZSTD),
    )
    assert [read_all(archive.fetch(layer), 1000) for layer in manifest.layers] == [packed, ZSTD]


def test_a_layer_that_is_there_twice(tmp_path: Path) -> None:
    """What older Dockers write as a symbolic link to another layer is that layer."""
    members = [
        ("config.json", config_of(LAYERS[0], LAYERS[0])),
        special("b/twin.tar", tarfile.SYMTYPE, "../a/layer.tar"),
    ]
    archive = DockerArchive(save(tmp_path / "x.tar", [entry(["a/layer.tar", "b/twin.tar"])], members))

    assert the_only(archive).layers == (Descriptor.of(TAR, LAYERS[0]),) * 2


def test_no_diff_ids(tmp_path: Path) -> None:
    """Without the layers' digests in the configuration, they are computed."""
    archive = DockerArchive(save(tmp_path / "x.tar", [entry(["a/layer.tar"])], [("config.json", b'{"os": "linux"}')]))

    assert the_only(archive).layers == (Descriptor.of(TAR, LAYERS[0]),)


def test_a_layer_that_is_not_what_the_configuration_says(tmp_path: Path) -> None:
    """A plain layer has the digest in the configuration, or reading it is an error."""
    archive = DockerArchive(
        save(tmp_path / "x.tar", [entry(["a/layer.tar", "b/layer.tar"])], [("b/layer.tar", b"ANOTHER")])
    )

    with pytest.raises(ContentMismatch, match="has the digest"):
        read_all(archive.fetch(the_only(archive).layers[1]), 100)


BROKEN: list[Any] = [
    pytest.param({}, [], "isn't a list", id="no list"),
    pytest.param(["x"], [], "without Config", id="no object"),
    pytest.param([{"Config": 1}], [], "without Config", id="a number"),
    pytest.param([{**entry([]), "Layers": "x"}], [], "without Config", id="no layers"),
    pytest.param([{**entry([]), "RepoTags": [1]}], [], "without Config", id="no names"),
    pytest.param([entry(["none.tar", "b/layer.tar"])], [], "lists 'none.tar', which isn't there", id="missing"),
    pytest.param([entry([], config="../config.json")], [], "which isn't there", id="outside"),
    pytest.param([entry(["a/layer.tar"])], [], "another number of diff_ids", id="too few"),
    pytest.param([entry([])], [("config.json", b"[")], "broken archive", id="no JSON"),
    pytest.param([entry([])], [("config.json", b"[" * 100_000)], "broken archive", id="deep JSON"),
    pytest.param([entry([])], [("config.json", b" " * (5 << 20))], "larger than", id="a huge configuration"),
    pytest.param(
        [entry(["a/layer.tar"])], [("config.json", b'{"rootfs": {"diff_ids": ["x"]}}')], "invalid", id="no digest"
    ),
    pytest.param(
        [entry(["l", "l"])], [special("l", tarfile.SYMTYPE, "/etc/passwd")], "which isn't there", id="a link out"
    ),
    pytest.param(
        [entry(["l", "l"])],
        [special("l", tarfile.SYMTYPE, "m"), special("m", tarfile.SYMTYPE, "a/layer.tar")],
        "which isn't there",
        id="a link to a link",
    ),
]


@pytest.mark.parametrize(("entries", "members", "said"), BROKEN)
def test_broken_archives(tmp_path: Path, entries: object, members: Sequence[Any], said: str) -> None:
    """A manifest.json that isn't one, or that lists what isn't there, is refused; the file is named."""
    path = save(tmp_path / "x.tar", entries, members)

    with pytest.raises(UsageError, match=said) as caught:
        DockerArchive(path)

    assert str(path) in str(caught.value)


def test_another_tar(tmp_path: Path) -> None:
    """A tar without manifest.json, and one with a broken one, is no such archive."""
    with pytest.raises(UsageError, match="isn't an archive of docker save"):
        DockerArchive(tar(tmp_path / "x.tar", [("a", b"")]))
    with pytest.raises(UsageError, match="broken archive"):
        DockerArchive(tar(tmp_path / "x.tar", [("manifest.json", b"[")]))


def image(*layers: bytes, **fields: object) -> tuple[Manifest, dict[Descriptor, bytes]]:
    config = config_of(*layers)
    blobs = {Descriptor.of(mediatype.OCI_CONFIG, config): config}
    blobs |= {Descriptor.of(TAR, layer): layer for layer in layers}
    described = [descriptor.to_json() for descriptor in blobs]
    document = {"schemaVersion": 2, "config": described[0], "layers": described[1:], **fields}
    return Manifest(mediatype.OCI_MANIFEST, canonical_json(document)), blobs


def push(target: DockerArchive, manifest: Manifest, blobs: Mapping[Descriptor, bytes], name: str | None) -> None:
    for descriptor, data in blobs.items():
        target.push(descriptor, Bytes(data))
    target.push(manifest.descriptor, Bytes(manifest.raw), name)


def read_member(path: Path, name: str) -> Any:
    with tarfile.open(path) as archive:
        member = archive.extractfile(name)
        assert member is not None
        return json.loads(member.read())


def test_what_is_written(tmp_path: Path) -> None:
    """`manifest.json` lists the image with its names; the archive is an image layout too, as Docker's own are."""
    manifest, blobs = image(*LAYERS, annotations={"kept": "byte for byte"})
    path = tmp_path / "x.tar"
    with DockerArchive(path, "example.org/a/b", create=True) as target:
        push(target, manifest, blobs, "1")
        push(target, manifest, blobs, "2")

    config, *layers = (str(blob_path(blob.digest)) for blob in blobs)
    assert read_member(path, "manifest.json") == [
        {"Config": config, "RepoTags": ["example.org/a/b:1", "example.org/a/b:2"], "Layers": layers}
    ]
    assert DockerArchive(path).manifest("2") == Archive(path).manifest("2") == manifest


@pytest.mark.parametrize("repository", ["example.org/a/b", None])
def test_an_index_of_one_image(tmp_path: Path, repository: str | None) -> None:
    """What `--platform` leaves of an index fits in: it keeps its digest, and Docker loads the image below it."""
    manifest, blobs = image(*LAYERS)
    index = assemble_index([replace(manifest.descriptor, platform=Platform("linux", "amd64"))], {"k": "v"})
    with DockerArchive(tmp_path / "x.tar", repository, create=True) as target:
        push(target, manifest, blobs, None)
        target.push(index.descriptor, Bytes(index.raw), "1")

    archive = DockerArchive(tmp_path / "x.tar", repository)
    assert [root.digest for root in archive.roots] == [index.digest]
    assert archive.manifest("1") == index
    assert archive.manifest(manifest.digest) == manifest
    (listed,) = read_member(tmp_path / "x.tar", "manifest.json")
    assert listed["RepoTags"] == (["example.org/a/b:1"] if repository else None)
    assert len(listed["Layers"]) == 2


def test_an_index_whose_image_is_missing(tmp_path: Path) -> None:
    """An index without its image isn't written: nothing could load it."""
    index = assemble_index([image(*LAYERS)[0].descriptor], {})

    def write() -> None:
        with DockerArchive(tmp_path / "x.tar", create=True) as target:
            target.push(index.descriptor, Bytes(index.raw), "1")

    with pytest.raises(UsageError, match=f"would lack the image of the index {index.digest}"):
        write()


def test_a_name_without_a_repository(tmp_path: Path) -> None:
    """Docker loads what has no repository as an image without a name; the tag is kept for who asks for it."""
    manifest, blobs = image(*LAYERS)
    with DockerArchive(tmp_path / "x.tar", create=True) as target:
        push(target, manifest, blobs, "1")

    assert read_member(tmp_path / "x.tar", "manifest.json")[0]["RepoTags"] is None
    assert DockerArchive(tmp_path / "x.tar").manifest("1") == manifest
    assert DockerArchive(tmp_path / "x.tar", "x/y").tags() == ()


def test_adding_to_what_docker_saved(tmp_path: Path) -> None:
    """A second image comes to the first, whose layers and names stay, in their new place."""
    path = save(tmp_path / "x.tar", [entry(["a/layer.tar", "b/layer.tar"], ["hello:1"])])
    first = DockerArchive(path).manifest("1")
    manifest, blobs = image(b"new")

    with DockerArchive(path, "example.org/a/b", create=True) as target:
        push(target, manifest, blobs, "1")

    assert DockerArchive(path, "docker.io/library/hello").manifest("1") == first
    assert DockerArchive(path, "example.org/a/b").manifest("1") == manifest
    archive = DockerArchive(path)
    assert [read_all(archive.fetch(layer), 100) for layer in first.layers] == list(LAYERS)
    assert [len(item["Layers"]) for item in read_member(path, "manifest.json")] == [2, 1]


def test_moving_a_name(tmp_path: Path) -> None:
    """A name that moves leaves names of other repositories alone."""
    path = save(tmp_path / "x.tar", [entry(["a/layer.tar", "b/layer.tar"], ["hello:1", "other:1"])])
    manifest, blobs = image(b"new")

    with DockerArchive(path, "docker.io/library/hello") as target:
        push(target, manifest, blobs, "1")

    assert DockerArchive(path, "docker.io/library/hello").manifest("1") == manifest
    assert len(DockerArchive(path, "docker.io/library/other").manifest("1").layers) == 2


def test_deleting_an_image_that_was_made(tmp_path: Path) -> None:
    """An image whose manifest the archive hasn't got can be deleted like any other."""
    path = save(tmp_path / "x.tar", [entry(["a/layer.tar", "b/layer.tar"], ["hello:1"])])
    with DockerArchive(path) as target:
        found = target.resolve("1")
        assert found is not None
        target.delete(found)

    assert read_member(path, "manifest.json") == []
    with pytest.raises(NotFound):
        DockerArchive(path).manifest(found.digest)


def test_an_image_that_lacks_a_layer(tmp_path: Path) -> None:
    """An archive that nothing could load isn't written."""
    manifest, blobs = image(*LAYERS)
    lacking = dict(list(blobs.items())[:-1])

    def write() -> None:
        with DockerArchive(tmp_path / "x.tar", create=True) as target:
            push(target, manifest, lacking, "1")

    with pytest.raises(UsageError, match=f"would lack the blob {manifest.layers[-1].digest}"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_layout_that_says_something_else(tmp_path: Path) -> None:
    """Where an archive's image layout has another image than manifest.json, the latter counts: it is what is loaded."""
    other, blobs = image(b"evil")
    index = {"manifests": [other.descriptor.to_json()]}
    members = [
        ("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'),
        ("index.json", json.dumps(index).encode()),
        *[(str(blob_path(d.digest)), data) for d, data in blobs.items()],
        (str(blob_path(other.digest)), other.raw),
    ]
    archive = DockerArchive(save(tmp_path / "x.tar", [entry(["a/layer.tar", "b/layer.tar"], ["hello:1"])], members))

    assert [layer.digest for layer in archive.manifest("1").layers] == [Digest.of(layer) for layer in LAYERS]
