"""An entry of the `manifest.json` that `docker save` writes, and the manifest that it stands for. Pure."""

from __future__ import annotations

import json
from typing import NamedTuple, Self

from regkit.errors import ProtocolError, UsageError
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest, canonical_json
from regkit.oci.reference import Reference

LIST = "manifest.json"
"""The member that lists the entries."""


class SavedImage(NamedTuple):
    """An entry: the members that are its configuration and its layers, and its names."""

    config: str
    layers: list[str]
    names: list[Reference]

    @classmethod
    def parse(cls, entry: object) -> Self:
        """Read an entry; raise ProtocolError for anything else. What is no name, as `<none>:<none>`, is left out."""
        document = entry if isinstance(entry, dict) else {}
        config, layers, names = document.get("Config"), document.get("Layers") or [], document.get("RepoTags") or []
        lists = isinstance(layers, list) and isinstance(names, list)
        if not isinstance(config, str) or not lists or not all(isinstance(text, str) for text in (*layers, *names)):
            raise ProtocolError(f"{LIST} has an entry without Config, Layers or RepoTags of the right kind")
        return cls(config, layers, [reference for reference in map(_parse_name, names) if reference is not None])


def diff_ids(config: bytes, count: int) -> list[Digest | None]:
    """Give the digests of the layers' contents, as the configuration has them; raise ProtocolError for too few."""
    document = json.loads(config)
    rootfs = document.get("rootfs") if isinstance(document, dict) else None
    listed = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if listed is None:
        return [None] * count
    if not isinstance(listed, list) or len(listed) != count:
        raise ProtocolError(f"an image has {count} layers, but another number of diff_ids in its configuration")
    try:
        return [Digest(str(text)) for text in listed]
    except UsageError as error:
        raise ProtocolError(f"a configuration has a diff_id that is invalid: {error.message}") from None


def holds(manifest: Manifest, config: Descriptor, layers: list[Descriptor]) -> bool:
    """Tell whether a manifest says nothing else than an entry."""
    try:
        same_config = manifest.config is not None and manifest.config.digest == config.digest
        return same_config and [layer.digest for layer in manifest.layers] == [layer.digest for layer in layers]
    except ProtocolError:
        return False


def make(config: Descriptor, layers: list[Descriptor]) -> Manifest:
    """Make the manifest of an entry for which there is none: always the same for the same content."""
    document = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST,
        "config": config.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    return Manifest(mediatype.OCI_MANIFEST, canonical_json(document))


def _parse_name(text: str) -> Reference | None:
    try:
        return Reference.parse(text)
    except UsageError:
        return None
