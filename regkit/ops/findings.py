"""What is wrong with an index or an image by itself, or by what was asked for: pure, without looking anything up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from regkit.errors import ProtocolError
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.manifest import Manifest
from regkit.oci.platform import Platform


class Finding(NamedTuple):
    """What is wrong, or (a note) what is odd and still right; `where` is the platform or digest that it's about."""

    where: str
    text: str
    wrong: bool = True

    def __str__(self) -> str:
        """Give it as a line."""
        return f"{'wrong' if self.wrong else 'note'}: {self.where}: {self.text}"

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON object."""
        return {"severity": "wrong" if self.wrong else "note", "where": self.where, "text": self.text}


def name_of(descriptor: Descriptor) -> str:
    """Name a child for people, whatever its annotations hold."""
    if descriptor.annotations.get("vnd.docker.reference.type") == "attestation-manifest":
        return f"attestation {descriptor.digest.short}"
    return f"{descriptor.platform}" if descriptor.platform else descriptor.digest.short


def inconsistent(children: Sequence[Descriptor]) -> Iterator[Finding]:
    """Find what is wrong with an index by itself: a platform twice, an attestation of nothing."""
    digests = {child.digest for child in children}
    seen: dict[Platform, Platform] = {}
    for child in children:
        try:
            attested = child.attests
        except ProtocolError as error:
            yield Finding(name_of(child), error.message)
            continue
        if attested is not None and attested not in digests:
            yield Finding(name_of(child), f"it attests {attested}, which the index doesn't list")
        if child.platform is None or child.platform.is_unknown:
            continue
        twin = seen.setdefault(child.platform.normalized, child.platform)
        if twin is not child.platform:
            same = f" ({twin})" if str(twin) != str(child.platform) else ""
            yield Finding(str(child.platform), f"the platform stands in the index twice{same}: {child.digest.short}")


def mixed(where: str, manifest: Manifest) -> Iterator[Finding]:
    """Find an image whose manifest and configuration follow different specifications."""
    config, is_docker = manifest.config, manifest.media_type == mediatype.DOCKER_MANIFEST
    if config is None or config.media_type not in mediatype.CONFIGS:
        return
    if is_docker != (config.media_type == mediatype.DOCKER_CONFIG):
        text = f"the manifest is {manifest.media_type}, its configuration {config.media_type}: some clients refuse that"
        yield Finding(where, text, wrong=False)


def miscounted(where: str, config: Mapping[str, Any], count: int) -> Iterator[Finding]:
    """Compare an image's layers with the uncompressed ones that its configuration counts, where it does."""
    rootfs = config.get("rootfs")
    contents = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if isinstance(contents, list) and len(contents) != count:
        yield Finding(where, f"the manifest has {count} layers, the configuration {len(contents)}")


def disagreeing(where: str, listed: Platform, configured: Platform) -> Iterator[Finding]:
    """Compare the platform that an index says with that of the image's configuration; variants may mean the same."""
    text = f"the index says {listed}, the configuration {configured}"
    if listed.normalized.machine != configured.normalized.machine:
        yield Finding(where, text)
    elif listed.machine != configured.machine:
        yield Finding(where, f"{text}, which is the same", wrong=False)
    if listed.os_version and configured.os_version and listed.os_version != configured.os_version:
        text = f"the index says os.version {listed.os_version}, the configuration {configured.os_version}"
        yield Finding(where, text)


def unexpected(there: Iterable[Platform], expected: Sequence[Platform]) -> Iterator[Finding]:
    """Compare platforms with those that were asked for: exactly these, where any were."""
    if not expected:
        return
    found = {platform.normalized.machine: platform for platform in there}
    wanted = {platform.normalized.machine: platform for platform in expected}
    for machine, platform in wanted.items():
        if machine not in found:
            yield Finding(str(platform), "there is no image for this platform")
    for machine, platform in found.items():
        if machine not in wanted:
            yield Finding(str(platform), "an image for a platform that isn't expected")
