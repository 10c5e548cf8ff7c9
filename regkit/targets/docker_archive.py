"""What `docker save` writes and `docker load` reads: a tar whose `manifest.json` lists configuration and layers.

What is written here is an image layout as well, as what Docker 25 and later save: so the manifests that were pushed
stay as they were, byte for byte. Where an archive holds no manifest, one is made: always the same for the same archive.
"""

from __future__ import annotations

import io
import json
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from regkit.errors import ProtocolError, RegkitError, UsageError
from regkit.oci import layout, mediatype
from regkit.oci.annotation import REF_NAME
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import MAX_SIZE, Manifest, assemble_index, canonical_json
from regkit.oci.reference import Reference
from regkit.protocol.flow import Bytes, Source
from regkit.targets.archive import Archive
from regkit.targets.docker_entry import LIST, SavedImage, diff_ids, holds, make
from regkit.targets.tar import TarReader
from regkit.targets.verified import read_all

IMAGE_NAME = "io.containerd.image.name"
"""The annotation in which Docker writes an entry's whole name."""

_LAYER = "application/vnd.oci.image.layer.v1.tar"
_COMPRESSIONS = ((b"\x1f\x8b", "+gzip"), (b"\x28\xb5\x2f\xfd", "+zstd"))
_HINT = "such an archive is a tar with a manifest.json, as docker save writes it"


class DockerArchive(Archive):
    """The archive in `path`, or what it has of one `repository` (`docker.io/library/hello`).

    Tags are those of that repository; without one, all of them, and what is named gets a tag but no repository, which
    `docker load` doesn't show. Only images fit in, and indexes of one image; pushing others, or an artifact, raises
    UsageError, and so does a file that `docker save` wouldn't write.
    """

    scheme = "docker-archive"

    def __init__(self, path: Path, repository: str | None = None, *, create: bool = False) -> None:
        self.repository = repository
        self._made: dict[Digest, bytes] = {}
        super().__init__(path, create=create)

    @property
    def roots(self) -> tuple[Descriptor, ...]:
        """The images, as an image layout would list them; those of other repositories aren't among them."""
        shown = []
        for root in super().roots:
            tag = root.annotations.get(REF_NAME)
            if tag is None or self._has_name(root, tag):
                kept = {key: value for key, value in root.annotations.items() if key != IMAGE_NAME}
                shown.append(replace(root, annotations=kept))
        return tuple(shown)

    def tags(self) -> tuple[str, ...]:
        """List the tags, each once."""
        named = (r for r in self._listed if self._has_name(r, r.annotations.get(REF_NAME, "")))
        return tuple(dict.fromkeys(r.annotations[REF_NAME] for r in named))

    def push(self, descriptor: Descriptor, source: Source, name: str | None = None) -> None:
        """Write content; raise UsageError for a manifest that is neither an image nor an index of one."""
        if descriptor.is_manifest or name is not None:
            raw = read_all(source, MAX_SIZE)
            source = Bytes(raw)
            refusal = self.refuses(Manifest(descriptor.media_type, raw))
            if refusal is not None:
                raise refusal
        super().push(descriptor, source, name)

    def refuses(self, manifest: Manifest) -> RegkitError | None:
        """Refuse an index of several images, and what is no image."""
        if manifest.is_index and len(_images_of(manifest)) != 1:
            what = f"{self.name} can hold one image, but not the index {manifest.digest} of {len(_images_of(manifest))}"
            return UsageError(what, hint="choose one of its images with --platform, or write an oci-archive:")
        if manifest.config is not None and manifest.config.media_type not in mediatype.CONFIGS:
            what = f"{self.name} can hold an image, but not the artifact {manifest.digest}"
            return UsageError(what, hint="write it to an oci-archive:")
        return None

    def _read_index(self, reader: TarReader) -> Manifest:
        """Read `manifest.json`, and make or find a manifest for each of its entries."""
        if LIST not in reader.regions:
            raise UsageError(f"{self.path} isn't an archive of docker save", hint=_HINT)
        roots: list[Descriptor] = []
        try:
            entries = json.loads(reader.read(LIST, MAX_SIZE))
            if not isinstance(entries, list):
                raise ProtocolError(f"{LIST} isn't a list")
            listed = self._read_layout(reader)
            whole = [(root, self._image_at(root.digest)) for root in listed]
            originals = [m for _, m in self._walk([r.digest for r in listed]) if m.media_type in mediatype.IMAGES]
            for entry in entries:
                manifest, names = self._read_entry(reader, entry, originals)
                same = [root for root, image in whole if image is not None and image.digest == manifest.digest]
                roots += _name(manifest.descriptor, names, same)
        except (ValueError, RecursionError, ProtocolError) as error:
            raise UsageError(f"{self.path} is a broken archive of docker save: {error}") from None
        document = {**assemble_index((), {}).document, "manifests": [root.to_json() for root in roots]}
        return Manifest(mediatype.OCI_INDEX, canonical_json(document))

    def _read_layout(self, reader: TarReader) -> tuple[Descriptor, ...]:
        """Give what an image layout in the same archive lists; nothing where there is none, or a broken one."""
        try:
            marker, index = (reader.read(name, MAX_SIZE) for name in (layout.MARKER, layout.INDEX))
            return layout.read_layout(self.path, marker, index).manifests
        except (KeyError, ProtocolError, UsageError):
            return ()

    def _read_entry(
        self, reader: TarReader, entry: object, originals: Iterable[Manifest]
    ) -> tuple[Manifest, list[Reference]]:
        """Find or make an entry's manifest, and read its names."""
        config, layers, names = SavedImage.parse(entry)
        raw = reader.read(_follow(reader, config), MAX_SIZE)
        described = Descriptor.of(mediatype.OCI_CONFIG, raw)
        self._members[described.digest] = _follow(reader, config)
        contents = diff_ids(raw, len(layers))
        described_layers = [
            self._describe(reader, _follow(reader, name), content)
            for name, content in zip(layers, contents, strict=True)
        ]
        same = (m for m in originals if holds(m, described, described_layers))
        manifest = next(same, None) or make(described, described_layers)
        if manifest.digest not in self._members:
            self._made[manifest.digest] = manifest.raw
        return manifest, names

    def _image_at(self, digest: Digest) -> Manifest | None:
        """Read an image, or the only one of an index that is there as a whole; None for anything else."""
        for _, manifest in self._manifests([digest]):
            if not manifest.is_index:
                return manifest
            try:
                images = _images_of(manifest)
                if len(images) == 1 and all(map(self.exists, manifest.manifests)):
                    return next((m for _, m in self._manifests([images[0].digest]) if not m.is_index), None)
            except ProtocolError:
                return None
        return None

    def _describe(self, reader: TarReader, name: str, content: Digest | None) -> Descriptor:
        """Describe a layer; a plain tar's digest stands in the configuration, and is checked when it is read."""
        with reader.open(name) as stream:
            start = stream.read(8)
        compression = next((suffix for magic, suffix in _COMPRESSIONS if start.startswith(magic)), "")
        digest = next((d for d, member in self._members.items() if member == name), None)
        if digest is None:
            if content is None or compression:
                with reader.open(name) as stream:
                    content = Digest.read(stream)
            digest = content
            self._members[digest] = name
        return Descriptor(_LAYER + compression, digest, reader.regions[name].size)

    def _last_members(self) -> Iterable[tuple[str, bytes]]:
        entries: dict[Digest, list[str]] = {}
        for root in self._listed:
            name = root.annotations.get(IMAGE_NAME)
            entries.setdefault(root.digest, []).extend([name] if name else [])
        documents = [self._entry(digest, names) for digest, names in entries.items()]
        yield LIST, json.dumps(documents).encode()
        yield from super()._last_members()

    def _entry(self, digest: Digest, names: list[str]) -> dict[str, Any]:
        manifest = self._image_at(digest)
        if manifest is None or manifest.config is None:
            raise UsageError(f"{self.name} would lack the image of the index {digest}")
        for blob in manifest.blobs:
            if not self.exists(blob):
                raise UsageError(f"{self.name} would lack the blob {blob.digest} of the image {manifest.digest}")
        return {
            "Config": str(layout.blob_path(manifest.config.digest)),
            "RepoTags": names or None,
            "Layers": [str(layout.blob_path(layer.digest)) for layer in manifest.layers],
        }

    def _commit(self) -> None:
        super()._commit()
        self._made.clear()

    def _digests(self) -> Iterable[Digest]:
        there = super()._digests()
        return (*there, *(digest for digest in self._made if digest not in there))

    def _size(self, digest: Digest) -> int | None:
        made = self._made.get(digest)
        return len(made) if made is not None else super()._size(digest)

    def _open(self, digest: Digest) -> BinaryIO:
        made = self._made.get(digest)
        return io.BytesIO(made) if made is not None else super()._open(digest)

    def _remove(self, digest: Digest) -> None:
        self._changed |= self._made.pop(digest, None) is not None
        super()._remove(digest)

    def _annotations_for(self, name: str) -> dict[str, str]:
        return {REF_NAME: name, **({IMAGE_NAME: f"{self.repository}:{name}"} if self.repository else {})}

    def _has_name(self, root: Descriptor, name: str) -> bool:
        whole = self.repository is None or root.annotations.get(IMAGE_NAME) == f"{self.repository}:{name}"
        return whole and root.annotations.get(REF_NAME) == name

    def _replaces(self, name: str, root: Descriptor) -> bool:
        return self._has_name(root, name) and (self.repository is not None or IMAGE_NAME not in root.annotations)

    def _known(self, name: str) -> Descriptor | None:
        found = {r.digest: r.annotations.get(IMAGE_NAME) for r in self._listed if self._has_name(r, name)}
        if len(found) > 1:
            known = ", ".join(filter(None, found.values()))
            raise UsageError(f"{self.name} has several images with the tag {name}", hint=f"say which one: {known}")
        return super()._known(name)


def _images_of(index: Manifest) -> list[Descriptor]:
    """Give an index's children without attestations."""
    return [child for child in index.manifests if child.attests is None]


def _name(image: Descriptor, names: Iterable[Reference], same: Iterable[Descriptor]) -> Iterator[Descriptor]:
    """List an image under its names; as what an image layout lists under that name, if it is the same image."""
    listed = {root.annotations.get(IMAGE_NAME, root.annotations.get(REF_NAME)): root for root in same}
    for reference in names:
        tag = reference.tag or "latest"
        name = f"{reference.name}:{tag}"
        found = listed.get(name) or listed.get(tag) or image
        yield replace(found, annotations={IMAGE_NAME: name, REF_NAME: tag})
    if not names:
        yield from listed.values() or (image,)


def _follow(reader: TarReader, name: str) -> str:
    """Find a member; through one link, as older Dockers write for a layer that is there twice, and no more."""
    name = posixpath.normpath(name)
    if name in reader.links:
        name = posixpath.normpath(posixpath.join(posixpath.dirname(name), reader.links[name]))
    if name not in reader.regions:
        raise ProtocolError(f"{LIST} lists {name!r}, which isn't there")
    return name
