"""What a user asks to publish, completed from the environment, the CI's variables, git and the builder.

What only a build needs is imported where it builds: publishing a layout starts faster without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from regkit.errors import UsageError
from regkit.oci.annotation import Annotation, parse_levels
from regkit.oci.platform import Platform, parse_platforms
from regkit.oci.reference import Reference, check_tag
from regkit.ops.building import native_platform
from regkit.ops.checks import Checks
from regkit.ops.described import EPOCH, describe, epoch
from regkit.ops.entries import fits
from regkit.ops.images import Content, Origin, read_location
from regkit.ops.source import detect, short_commit
from regkit.ops.spec import PublishSpec
from regkit.ops.tasks import each
from regkit.ops.versions import parse_release
from regkit.transport.session import Session

if TYPE_CHECKING:
    from regkit.build.means import Means
    from regkit.build.spec import BuildSpec
    from regkit.oci.digest import Digest
    from regkit.ops.readme_page import Page


def publish_spec(
    image: str | Sequence[str],
    context: Path | str = ".",
    *,
    env: Mapping[str, str],
    session: Session | None = None,
    sources: Sequence[Path | str] = (),
    platforms: Sequence[str] = (),
    version: str | None = None,
    commit: str | None = None,
    tags: Sequence[str] = (),
    file: Path | str | None = None,
    target: str = "",
    build_args: Sequence[str] = (),
    attests: Sequence[str] = (),
    means: Means | None = None,
    annotations: Sequence[str] = (),
    intermediate: str = "digest",
    keep_intermediates: bool = False,
    rebuild: bool = False,
    immutable: bool = True,
    allow_downgrade: bool = False,
    aliases: bool = True,
    zero_major: bool = False,
    own_files: Sequence[Path] = (),
    content: Content | None = None,
    test: str | None = None,
    test_platforms: Sequence[str] = (),
    preflight: bool = True,
    load: str | None = None,
    load_platform: str | None = None,
    strip_attestations: bool = False,
    page: Page | None = None,
) -> PublishSpec:
    """Check and complete what is to be published; raise UsageError for what can't be meant, before anything is done.

    `image` is the repository, or several that receive the same. With `sources` (layouts' directories, archives,
    references; the latter need a `session`) their images are published, with `content` those that were read from there;
    else `context` is built, by the builders, caches and secrets of `means`. Without `version`
    and `commit` the CI's variables tell them, then git; without `platforms`, `DOCKER_PLATFORMS`, then what the builder
    builds natively, or all that the sources hold. `own_files` are written by ourselves: where they lie in the context
    they are no part of the source.

    `test` is a command that has to end well in the image of each of `test_platforms`, or of all; `preflight` asks for
    base images first; `load` hands the image for `load_platform`, or for this machine, to an engine. `page` is the
    README that goes along.

    Raise NotFound where a source or a platform in it is missing.
    """
    images = parse_images([image] if isinstance(image, str) else image)
    asked = parse_platforms(platforms or [env.get("DOCKER_PLATFORMS", "")])
    found = detect(env, Path() if sources or content else Path(context))
    ref, commit = version or found.ref, commit or found.commit
    if ref is None and not tags:
        raise UsageError("no version is known: there is no CI variable and no git tag or branch", hint="give --version")
    release = parse_release(ref, zero_major=zero_major) if ref else None
    names = tuple(check_tag(tag) for tag in dict.fromkeys(tags))
    levels = parse_levels(annotations, images=not sources and content is None)
    given = {key: value for key, _, value in (text.partition("=") for text in build_args)}
    dated = {**env, EPOCH: given.get(EPOCH) or env.get(EPOCH, "")}
    epoch(dated)
    checks = Checks.read(
        test=test,
        test_platforms=test_platforms,
        preflight=preflight,
        load=load,
        load_platform=load_platform,
        means=means,
    )
    if intermediate not in ("digest", "tag"):
        raise UsageError(f"images on the way go by 'digest' or 'tag', not {intermediate!r}")
    if intermediate == "tag":
        short_commit(commit)
    wanted = None
    if sources and content is None:
        content = Content.read(open_sources(session, [str(source) for source in sources]), asked)
    if content is not None and attests:
        raise UsageError(
            "attestations are made by a build, and nothing is built", hint="leave --attest, --provenance and --sbom out"
        )
    if content is not None and strip_attestations:
        content = content.without_attestations
    if content is not None:
        asked = tuple(image.platform for image in content.images)
    else:
        wanted = wanted_build(
            Path(context),
            file=Path(file) if file else None,
            platforms=asked,
            target=target,
            build_args=build_args,
            attests=attests,
            means=means,
            annotations=_at(levels, "manifest"),
            env=env,
        )
        asked = wanted.platforms
    checks.check(asked)
    _check_levels(levels, asked)
    described = describe(dated, Path() if wanted is None else Path(context), commit)
    spec = PublishSpec(
        images=images,
        release=release,
        platforms=asked,
        build=wanted,
        content=content,
        sources=tuple(str(source) for source in sources),
        commit=commit,
        tags=names,
        annotations={annotation.key: annotation.value for annotation in _at(levels, "index")},
        described=page.describe(described) if page else described,
        levels=_at(levels, "manifest-descriptor", "index-descriptor"),
        source_digest=_source_digest(wanted, env, own_files) if wanted else None,
        tag_intermediates=intermediate == "tag",
        keep_intermediates=keep_intermediates,
        rebuild=rebuild,
        immutable=immutable,
        allow_downgrade=allow_downgrade,
        aliases=aliases,
        strip_attestations=strip_attestations,
        checks=checks,
        page=page,
    )
    return _naming(spec)


def parse_images(texts: Sequence[str]) -> tuple[Reference, ...]:
    """Read the repositories to publish to, each once; raise UsageError for none, or for what isn't one."""
    if not texts:
        raise UsageError("no image is named", hint="give --image NAME")
    return tuple(dict.fromkeys(Reference.parse_name(text) for text in texts))


def open_sources(session: Session | None, sources: Sequence[str]) -> list[Origin]:
    """Open what is to be published, each once."""
    locations = list(dict.fromkeys(read_location(source) for source in sources))
    if session is None:
        if any(isinstance(location.place, Reference) for location in locations):
            raise UsageError("to read an image in a registry, a session is needed", hint="publish_spec(…, session=…)")
        with Session() as local:
            return each(lambda location: Origin.open(local, location), locations)
    return each(lambda location: Origin.open(session, location), locations)


def wanted_build(
    context: Path,
    *,
    env: Mapping[str, str],
    file: Path | None = None,
    platforms: tuple[Platform, ...] = (),
    target: str = "",
    build_args: Sequence[str] = (),
    attests: Sequence[str] = (),
    means: Means | None = None,
    annotations: tuple[Annotation, ...] = (),
) -> BuildSpec:
    """Check and complete what is to be built: without `platforms`, for what the builder is itself.

    `build_args` are `KEY=VALUE`, or `KEY` alone for what `env` has; `attests` as buildx spells them,
    `type=provenance,mode=max`. Raise UsageError for what can't be meant, before anything is done.
    """
    from regkit.build.means import parse_attests
    from regkit.build.spec import build_spec, parse_build_args

    arguments, attesting = parse_build_args(build_args, env), parse_attests(attests)
    spec = build_spec(
        context, file, platforms, target, arguments, attests=attesting, means=means, annotations=annotations
    )
    return spec if platforms else replace(spec, platforms=(native_platform(env, spec.means),))


def _naming(spec: PublishSpec) -> PublishSpec:
    """Tell the build what the images are called: by the version, in each repository."""
    if spec.build is None:
        return spec
    tag = (*spec.exact_tags, *spec.wanted_tags)[0]
    return replace(spec, build=replace(spec.build, names=tuple(f"{image.name}:{tag}" for image in spec.images)))


def _at(annotations: Sequence[Annotation], *levels: str) -> tuple[Annotation, ...]:
    return tuple(annotation for annotation in annotations if annotation.level in levels)


def _check_levels(annotations: Sequence[Annotation], platforms: Sequence[Platform]) -> None:
    """Raise UsageError for an annotation of an image that there isn't."""
    for annotation in annotations:
        if annotation.platform and not any(fits(annotation.platform, platform) for platform in platforms):
            names = ", ".join(map(str, platforms))
            raise UsageError(f"there is no image for {annotation}", hint=f"there are: {names}")


def _source_digest(spec: BuildSpec, env: Mapping[str, str], own_files: Sequence[Path]) -> Digest:
    from regkit.build.context import source_digest

    return source_digest(spec, env, own_files)
