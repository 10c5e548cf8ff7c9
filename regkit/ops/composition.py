"""What an index is made of, decided purely: entries merged, removed and annotated, then written once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from regkit.errors import NotFound, Refused, UsageError
from regkit.oci import mediatype
from regkit.oci.annotation import Annotation
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest, canonical_json
from regkit.oci.platform import Platform
from regkit.ops.entries import Entry, fits, list_platforms

_DOCKER = frozenset({mediatype.DOCKER_MANIFEST, mediatype.DOCKER_INDEX})


def merge(base: Sequence[Entry], new: Sequence[Entry], *, replacing: bool = False) -> tuple[Entry, ...]:
    """Add `new` entries behind those of `base`; what stands there already, platform and digest, isn't added again.

    With `replacing`, an image takes the place of the one that `base` has for its platform, whose attestations go with
    it. Raise UsageError where a platform would stand there twice.
    """
    entries = list(base)
    added: list[Entry] = []
    for entry in new:
        if any(_key(entry) == _key(there) and entry.descriptor.digest == there.descriptor.digest for there in entries):
            continue
        twin = _twin(entry, entries)
        if twin is None:
            entries.append(entry)
        elif replacing and twin not in added:
            entries = [entry if e is twin else e for e in entries if e is twin or e.owner != twin.descriptor.digest]
        else:
            raise UsageError(
                f"there are two images for {entry.descriptor.platform}: "
                f"{twin.descriptor.digest} and {entry.descriptor.digest}",
                hint="an index can hold one of them" + ("" if twin in added else "; --replace takes the new one"),
            )
        added.append(entry)
    return tuple(entries)


def remove(
    entries: Sequence[Entry], name: str, platforms: Iterable[Platform], digests: Collection[Digest]
) -> tuple[Entry, ...]:
    """Leave out images with all that attests them. Raise NotFound for what isn't there, Refused where nothing stays."""
    gone = set(digests)
    for digest in digests:
        if not any(entry.descriptor.digest == digest for entry in entries):
            raise NotFound(f"{name} has no entry {digest}", hint="regkit inspect shows what it has")
    for platform in platforms:
        found = {e.descriptor.digest for e in entries if fits(platform, e.descriptor.platform)}
        if not found:
            raise NotFound(f"{name} has no image for {platform}", hint=f"it has: {list_platforms(entries)}")
        gone |= found
    left = tuple(entry for entry in entries if not {entry.descriptor.digest, entry.owner} & gone)
    if not left:
        raise Refused(f"nothing would be left in {name}", hint="to be rid of the whole, remove its tag: regkit tag rm")
    return left


def annotate(entries: Sequence[Entry], annotations: Iterable[Annotation]) -> tuple[Entry, ...]:
    """Write what the index says of its images; attestations are left alone. Raise UsageError for what hits nothing."""
    written = [*entries]
    for annotation in annotations:
        if annotation.level != "manifest-descriptor":
            continue
        hit = [n for n, entry in enumerate(written) if _is_meant(annotation, entry)]
        if not hit:
            raise UsageError(
                f"the annotation {annotation.key} is for {annotation.platform or 'images'}, and there is none",
                hint=f"there are: {list_platforms(entries)}",
            )
        for number in hit:
            document = written[number].document
            there = {**(document.get("annotations") or {}), annotation.key: annotation.value}
            written[number] = Entry(written[number].descriptor, {**document, "annotations": there})
    return tuple(written)


def choose_media_type(entries: Iterable[Entry], base: Manifest | None = None) -> str:
    """Inherit: a Docker manifest list where all is Docker's, an OCI index else."""
    kinds = {entry.descriptor.media_type for entry in entries} | ({base.media_type} if base else set())
    return mediatype.DOCKER_INDEX if kinds <= _DOCKER else mediatype.OCI_INDEX


def common_annotations(indexes: Sequence[Manifest]) -> dict[str, str]:
    """Give the annotations that all these indexes have alike."""
    first, *others = (index.annotations for index in indexes)
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}


def write_index(
    entries: Sequence[Entry],
    media_type: str,
    annotations: Mapping[str, str],
    base: Manifest | None = None,
) -> Manifest:
    """Write the index; all else that `base` says stays, and where nothing changes it is `base` itself."""
    document: dict[str, Any] = dict(base.document) if base else {"schemaVersion": 2, "mediaType": media_type}
    if base is None or base.media_type != media_type:
        document["mediaType"] = media_type
    document["manifests"] = [dict(entry.document) for entry in entries]
    if annotations:
        document["annotations"] = dict(sorted({**(document.get("annotations") or {}), **annotations}.items()))
    if base is not None and document == base.document:
        return base
    return Manifest(media_type, canonical_json(document))


def check_docker(annotations: Collection[Annotation], own: Mapping[str, str], entries: Iterable[Entry]) -> None:
    """Raise UsageError where annotations would stand in a Docker manifest list, whose readers know none.

    `annotations` are asked for, `own` are what the index has, and those of `entries` count too.
    """
    keys = [*(annotation.key for annotation in annotations), *own]
    keys += [key for entry in entries for key in entry.document.get("annotations") or {}]
    if keys:
        raise UsageError(
            f"a Docker manifest list has no annotations, so the annotation {keys[0]} would be lost",
            hint="make an OCI index of it: --media-type oci",
        )


def _key(entry: Entry) -> Platform | None:
    """Give the machine, which may stand in an index once; attestations and artifacts have none."""
    platform = entry.descriptor.platform
    return None if platform is None or platform.is_unknown else platform.normalized


def _twin(entry: Entry, entries: Iterable[Entry]) -> Entry | None:
    key = _key(entry)
    return None if key is None else next((there for there in entries if _key(there) == key), None)


def _is_meant(annotation: Annotation, entry: Entry) -> bool:
    if annotation.platform is not None:
        return fits(annotation.platform, entry.descriptor.platform)
    return entry.descriptor.attests is None
