"""Verify: whether all of a release is there, and is what it says it is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from regkit.errors import ContentMismatch, NotFound, ProtocolError
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import MAX_SIZE, Manifest
from regkit.oci.platform import Platform
from regkit.ops.content import BLOB
from regkit.ops.findings import Finding, disagreeing, inconsistent, miscounted, mixed, name_of, unexpected
from regkit.ops.resolve import read_root
from regkit.ops.tasks import CONCURRENCY, each
from regkit.targets.location import Location
from regkit.targets.target import Target
from regkit.targets.verified import read_all
from regkit.transport.session import Session

_PIECE = 1 << 18
_READERS = 8
"""Blobs that are read at once: enough for any line, and each takes a megabyte."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What was looked at under a name, and what was found."""

    name: str
    digest: Digest
    platforms: tuple[Platform, ...]
    manifests: int
    blobs: int
    findings: tuple[Finding, ...]

    @property
    def good(self) -> bool:
        """Whether nothing is wrong; notes don't count."""
        return not any(finding.wrong for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON document."""
        return {
            "schema": 1,
            "name": self.name,
            "digest": self.digest,
            "good": self.good,
            "platforms": [str(platform) for platform in self.platforms],
            "manifests": self.manifests,
            "blobs": self.blobs,
            "findings": [finding.to_json() for finding in self.findings],
        }


def verify(
    session: Session, location: Location, platforms: Sequence[Platform] = (), *, read_blobs: bool = False
) -> Verification:
    """Look at all that `location` names: every child, configuration and blob, by HEAD or its file's size.

    With `platforms` its images must be for exactly these; with `read_blobs` every blob is read, and its digest
    computed. Raise NotFound where the name itself stands for nothing; all else is a finding.
    """
    with location.open(session, mirrors=False) as target:
        root = read_root(target, location)
        walk = _Walk(target, read_blobs)
        walk.start(root)
        findings = [*walk.findings, *unexpected(walk.images, platforms)]
    return Verification(
        str(location),
        root.digest,
        tuple(walk.images),
        walk.manifests,
        len(walk.blobs),
        tuple(sorted(dict.fromkeys(findings), key=lambda finding: not finding.wrong)),
    )


class _Child(NamedTuple):
    """A manifest, and what the index says of it; the root stands in none."""

    descriptor: Descriptor
    manifest: Manifest
    listed: bool


@dataclass
class _Walk:
    """One verification under way."""

    target: Target
    read_blobs: bool
    findings: list[Finding] = field(default_factory=list)
    images: list[Platform] = field(default_factory=list)
    blobs: dict[tuple[Digest, int], tuple[str, Descriptor]] = field(default_factory=dict)
    read: set[Digest] = field(default_factory=set)
    """The configurations that were read, and so are there, whole."""
    manifests: int = 0

    def start(self, root: Manifest) -> None:
        """Look at the root, then level by level at what it lists, then at the blobs of all."""
        level = [_Child(root.descriptor, root, listed=False)]
        seen = {root.digest}
        subjects: dict[Digest, str] = {}
        while level:
            self.manifests += len(level)
            subjects |= self._subjects(level)
            self._look_at_images([child for child in level if not child.manifest.is_index])
            wanted = []
            for index in (child.manifest for child in level if child.manifest.is_index):
                children = self._listed(index)
                self.findings += inconsistent(children)
                wanted += [child for child in children if child.is_manifest and child.digest not in seen]
                seen |= {child.digest for child in children}
                # An index may list whatever it likes: what is no manifest is kept among the blobs.
                self._want(child for child in children if not child.is_manifest)
            level = []
            for child, findings in each(self._read, wanted):
                self.findings += findings
                level += [child] if child else []
        for findings in each(self._subject, [pair for pair in subjects.items() if pair[0] not in seen]):
            self.findings += findings
        for findings in each(self._blob, self.blobs.values(), _READERS if self.read_blobs else CONCURRENCY):
            self.findings += findings

    def _subjects(self, children: Iterable[_Child]) -> dict[Digest, str]:
        """Give what manifests refer to, and who does."""
        found = {}
        for child in children:
            where = name_of(child.descriptor)
            try:
                if child.manifest.subject is not None:
                    found[child.manifest.subject.digest] = where
            except ProtocolError as error:
                self.findings.append(Finding(where, f"it has a broken subject: {error.message}"))
        return found

    def _subject(self, wanted: tuple[Digest, str]) -> list[Finding]:
        """Ask for what something refers to; it may come later, or never (distribution-spec, Pushing Manifests)."""
        digest, where = wanted
        if self.target.resolve(digest) is not None:
            return []
        return [Finding(where, f"it refers to {digest}, which isn't there", wrong=False)]

    def _want(self, blobs: Iterable[Descriptor], where: str = "") -> None:
        for blob in blobs:
            plain = _only_there(replace(blob, media_type=BLOB))
            self.blobs.setdefault((blob.digest, blob.size), (where or name_of(blob), plain))

    def _listed(self, index: Manifest) -> tuple[Descriptor, ...]:
        try:
            return index.manifests
        except ProtocolError as error:
            self.findings.append(Finding(index.digest.short, error.message))
            return ()

    def _read(self, descriptor: Descriptor) -> tuple[_Child | None, list[Finding]]:
        """Read what an index lists; None where that isn't there, or can't be read."""
        where = name_of(descriptor)
        try:
            manifest = self.target.manifest(descriptor.digest)
            _ = manifest.manifests, manifest.document
        except NotFound:
            return None, [Finding(where, f"the manifest {descriptor.digest} isn't there")]
        except (ContentMismatch, ProtocolError) as error:
            return None, [Finding(where, error.message)]
        findings = []
        if len(manifest.raw) != descriptor.size:
            text = f"the manifest {descriptor.digest} has {len(manifest.raw)} bytes, the index says {descriptor.size}"
            findings.append(Finding(where, text))
        if manifest.media_type != descriptor.media_type:
            text = f"the manifest is {manifest.media_type}, the index says {descriptor.media_type}"
            findings.append(Finding(where, text))
        if manifest.is_index:
            findings.append(Finding(where, "an index in an index: some clients don't look into it", wrong=False))
        return _Child(descriptor, manifest, listed=True), findings

    def _look_at_images(self, children: Iterable[_Child]) -> None:
        whole = []
        for child in children:
            where = name_of(child.descriptor)
            try:
                blobs = child.manifest.blobs
            except ProtocolError as error:
                self.findings.append(Finding(where, error.message))
                continue
            whole.append(child)
            self.findings += mixed(where, child.manifest)
            self._want(blobs, where)
        for platform, findings in each(self._platform, whole):
            self.findings += findings
            if platform is not None and not platform.is_unknown:
                self.images.append(platform)

    def _platform(self, child: _Child) -> tuple[Platform | None, list[Finding]]:
        """Give an image's platform as its index has it, else as its configuration; and where the two disagree."""
        listed, config = child.descriptor.platform, child.manifest.config
        where = name_of(child.descriptor)
        if config is None or config.media_type not in mediatype.CONFIGS or (listed is not None and listed.is_unknown):
            return listed, []
        try:
            document = json.loads(read_all(self.target.fetch(_only_there(config)), MAX_SIZE))
        except NotFound:
            return listed, []  # told with the blobs
        except ContentMismatch as error:
            return listed, [Finding(where, error.message)]
        except (ValueError, RecursionError):
            return listed, [Finding(where, f"the configuration {config.digest} isn't valid JSON")]
        self.read.add(config.digest)
        if not isinstance(document, dict):
            return listed, [Finding(where, f"the configuration {config.digest} isn't a JSON object")]
        findings = list(miscounted(where, document, len(child.manifest.layers)))
        configured = Platform.of_config(document)
        if configured is None:
            findings += [Finding(where, "the configuration names no platform", wrong=False)]
        elif listed is not None:
            findings += disagreeing(where, listed, configured)
        elif child.listed:
            findings += [Finding(where, f"the index doesn't say that this is {configured}", wrong=False)]
        return listed or configured, findings

    def _blob(self, wanted: tuple[str, Descriptor]) -> list[Finding]:
        """Ask for a blob, or read it."""
        where, blob = wanted
        if blob.digest in self.read:
            return []
        if blob.extra.get("urls"):
            return [Finding(where, f"the layer {blob.digest.short} is kept elsewhere by design", wrong=False)]
        try:
            if not self.target.exists(blob):
                return [Finding(where, f"the blob {blob.digest} of {blob.size} bytes isn't there")]
            if self.read_blobs:
                with self.target.fetch(blob).open() as stream:
                    while stream.read(_PIECE):
                        pass
        except (ContentMismatch, NotFound) as error:
            return [Finding(where, error.message)]
        return []


def _only_there(descriptor: Descriptor) -> Descriptor:
    """Leave out the content that a descriptor carries: what counts is whether the target has it."""
    return replace(descriptor, extra={key: value for key, value in descriptor.extra.items() if key != "data"})
