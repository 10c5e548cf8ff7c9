"""What is asked of a publish, as plain data, and what the release says of itself because of that. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from regkit.oci.annotation import REVISION, SOURCE_DIGEST, VERSION, Annotation
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest, assemble_index
from regkit.oci.platform import Platform
from regkit.oci.reference import Reference
from regkit.ops.checks import Checks
from regkit.ops.described import DESCRIBED
from regkit.ops.entries import fits
from regkit.ops.images import Content
from regkit.ops.source import short_commit
from regkit.ops.versions import Release, version_of

if TYPE_CHECKING:
    from regkit.build.spec import BuildSpec
    from regkit.ops.readme_page import Page


@dataclass(frozen=True, slots=True)
class PublishSpec:
    """What is asked for. Either `build` says how the images come to be, or they are there, as `content`.

    `images` are the repositories that all of it goes to; `sources` say where `content` was found; `tags` replace the
    derived ones; `source_digest` stands for all that a build is made from. `annotations` are the index's own, over what
    it is `described` with; `levels` are those of its descriptor, and of its images' descriptors.

    The platforms' images get tags of their own with `tag_intermediates`, which stay with `keep_intermediates`. Without
    `immutable` an exact version may be replaced; `rebuild` builds what is published already; `allow_downgrade` moves
    aliases back to a lower version; without `aliases` only the exact tag is written. `checks` are made before anything
    is pushed, `page` is shown when all is up.
    """

    images: tuple[Reference, ...]
    release: Release | None
    platforms: tuple[Platform, ...]
    build: BuildSpec | None = None
    content: Content | None = None
    sources: tuple[str, ...] = ()
    commit: str | None = None
    tags: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    described: Mapping[str, str] = field(default_factory=dict)
    levels: tuple[Annotation, ...] = ()
    source_digest: Digest | None = None
    tag_intermediates: bool = False
    keep_intermediates: bool = False
    rebuild: bool = False
    immutable: bool = True
    allow_downgrade: bool = False
    aliases: bool = True
    strip_attestations: bool = False
    checks: Checks = field(default_factory=Checks)
    page: Page | None = None

    @property
    def wanted_tags(self) -> tuple[str, ...]:
        """The tags that this may write, in order."""
        if self.tags or self.release is None:
            return self.tags
        return self.release.tags if self.aliases else (self.release.exact,)

    @property
    def exact_tags(self) -> tuple[str, ...]:
        """Those of them that stand for one version."""
        return tuple(tag for tag in self.wanted_tags if version_of(tag) is not None)

    @property
    def intermediates(self) -> dict[Platform, str]:
        """The tags that name the platforms' images on the way; raise UsageError where they need a commit."""
        if not self.tag_intermediates:
            return {}
        return {platform: intermediate_tag(self.commit, platform) for platform in self.platforms}

    @property
    def settled_release(self) -> Release | None:
        """The release whose aliases are settled among all who publish at the same time; None where it has none."""
        return None if self.tags or self.allow_downgrade else self.release

    @property
    def index_annotations(self) -> dict[str, str]:
        """What the index says of itself: where it is from, version, revision, its source, and what the user adds.

        What is built already keeps what all the indexes that it comes from have alike.
        """
        said = {
            VERSION: str(self.release.version or self.release.exact) if self.release else None,
            REVISION: self.commit,
            SOURCE_DIGEST: self.source_digest,
        }
        carried = self.content.annotations if self.content else {}
        known = {key: value for key, value in said.items() if value}
        return {**self.described, **carried, **known, **self.annotations}

    def index_of(self, content: Content) -> Manifest:
        """Write the index over the images."""
        pieces = (piece.descriptor for image in content.images for piece in image.pieces)
        return assemble_index(map(self.annotated, pieces), self.index_annotations)

    def release_of(self, content: Content, published: Iterable[Manifest]) -> Manifest:
        """Give the index over the images: one of those `published`, where it differs in its description alone."""
        for there in published:
            described = {key: value for key, value in there.annotations.items() if key in DESCRIBED}
            if replace(self, described=described).index_of(content).digest == there.digest:
                return there
        return self.index_of(content)

    def annotated(self, descriptor: Descriptor) -> Descriptor:
        """Add to an image's descriptor what the index is to say of it; an attestation's stays as it is."""
        added = {
            annotation.key: annotation.value
            for annotation in self.levels
            if annotation.level == "manifest-descriptor"
            and descriptor.attests is None
            and (annotation.platform is None or fits(annotation.platform, descriptor.platform))
        }
        return replace(descriptor, annotations={**descriptor.annotations, **added}) if added else descriptor

    @property
    def descriptor_annotations(self) -> dict[str, str]:
        """What is said of the index where it is described."""
        return {
            annotation.key: annotation.value for annotation in self.levels if annotation.level == "index-descriptor"
        }


def intermediate_tag(commit: str | None, platform: Platform) -> str:
    """Name a platform's image on the way: `COMMIT-os-arch[-variant]`; raise UsageError without a commit."""
    return f"{short_commit(commit)}-{platform.slug}"
