"""Preflight: has every image that a build reads what the build needs of it? Asked before a build starts.

Asked are the registries, for manifests only. What is found wrong is told at once, for all images and platforms.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from regkit.build.baseimages import Need, suits
from regkit.errors import AccessDenied, BuildFailed, NotFound, ProtocolError, RegkitError, Unavailable
from regkit.events import Note, StageStarted
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.manifest import Manifest
from regkit.oci.platform import Platform
from regkit.oci.reference import Reference
from regkit.ops.entries import read_platform
from regkit.ops.tasks import each
from regkit.targets.repository import Repository
from regkit.transport.session import Session

SKIP = "--no-preflight leaves this to the builder"
_KINDS = (BuildFailed, AccessDenied, Unavailable)
"""What is told, the most certain first."""

Failure = TypeVar("Failure", bound=RegkitError)


def preflight(session: Session, needs: Sequence[Need]) -> None:
    """Ask for every image, side by side, and for its child for each platform.

    Raise BuildFailed where an image, or its child for a platform, is missing or of a kind that BuildKit can't read;
    AccessDenied where a registry doesn't let us read one; Unavailable where one can't be reached. An image for a single
    other platform that files are only taken from is warned of: BuildKit takes it.
    """
    images = tuple(dict.fromkeys(need.image for need in needs))
    if not images:
        return
    session.report(StageStarted("preflight", f"looking at {', '.join(map(str, images))}"))
    found = each(lambda image: _look(session, image, [n for n in needs if n.image == image]), images)
    failures = [failure for failures in found for failure in failures]
    for kind in _KINDS:
        alike = [failure for failure in failures if isinstance(failure, kind)]
        if alike:
            raise _joined(alike)


def _joined(failures: Sequence[Failure]) -> Failure:
    """Make one error of many of a kind."""
    if len(failures) == 1:
        return failures[0]
    hints = dict.fromkeys(failure.hint for failure in failures if failure.hint)
    return type(failures[0])("; ".join(failure.message for failure in failures), hint="; ".join(hints) or None)


def _look(session: Session, image: Reference, needs: Sequence[Need]) -> list[RegkitError]:
    """Give what is wrong with one image."""
    where = Repository(session, image, pull=True)
    name = needs[0].what
    try:
        manifest = where.manifest(image.identifier)
        if manifest.media_type in mediatype.SCHEMA1:
            return [_old(name, [need.platform for need in needs], manifest.media_type)]
        if not manifest.is_index:
            return [*_single(session, where, manifest, needs)]
        return [*_children(where, name, manifest, dict.fromkeys(need.platform for need in needs))]
    except NotFound as error:
        return [BuildFailed(f"{name} isn't there: {error.message}", hint=f"is its name right? {SKIP}")]
    except AccessDenied as error:
        hint = error.hint or f"is there a login for {image.registry}? regkit login {image.registry}"
        return [AccessDenied(f"{name} can't be read: {error.message}", hint=f"{hint}; {SKIP}")]
    except ProtocolError as error:
        return [BuildFailed(f"{name} can't be read: {error.message}", hint=SKIP)]
    except Unavailable as error:
        return [Unavailable(f"{name} can't be looked at: {error.message}", hint=f"{error.hint or 'try again'}; {SKIP}")]


def _children(where: Repository, name: str, index: Manifest, platforms: Iterable[Platform]) -> Iterator[RegkitError]:
    """Look at an index: what it lists for each platform, and whether that is there."""
    # BuildKit doesn't look into images that an index tells no platform of, either.
    images = [child for child in index.manifests if child.platform is not None and not child.platform.is_unknown]
    missing, old, wanted = [], dict[str, list[Platform]](), dict[Descriptor, list[Platform]]()
    for platform in platforms:
        fitting = [child for child in images if child.platform and suits(platform, child.platform)]
        if not fitting:
            missing.append(platform)
            continue
        # As BuildKit does it: the nearest variant, and of its kind the first.
        child = max(fitting, key=lambda child: child.platform.normalized.variant if child.platform else "")
        if child.media_type in mediatype.SCHEMA1:
            old.setdefault(child.media_type, []).append(platform)
        else:
            wanted.setdefault(child, []).append(platform)
    if missing:
        there = ", ".join(dict.fromkeys(str(child.platform) for child in images))
        yield BuildFailed(f"{name} has no image for {_list(missing)}", hint=f"it has: {there or 'none'}")
    for media_type, affected in old.items():
        yield _old(name, affected, media_type)
    children = list(wanted)
    for child, exists in zip(children, each(where.exists, children), strict=True):
        if not exists:
            text = f"{name} lists an image for {_list(wanted[child])} that isn't there: {child.digest}"
            yield BuildFailed(f"{text} ({child.media_type})", hint="whoever publishes it has to push it again")


def _single(session: Session, where: Repository, manifest: Manifest, needs: Sequence[Need]) -> Iterator[RegkitError]:
    """Look at an image that is for one platform, and tells in its configuration for which."""
    there = read_platform(where, manifest)
    if there is None:
        return
    other = [need for need in needs if not suits(need.platform, there)]
    platforms = dict.fromkeys(need.platform for need in other if need.is_base)
    if platforms:
        yield BuildFailed(
            f"{needs[0].what} has no image for {_list(platforms)}: it is for {there} alone",
            hint=f"FROM --platform={there} says that it is meant",
        )
    for need in other:
        if not need.is_base:
            text = f"{need.where} takes files from {need.image}, which is for {there} alone, for {need.platform}, too"
            session.report(Note(text, warning=True))


def _old(name: str, platforms: Iterable[Platform], media_type: str) -> BuildFailed:
    return BuildFailed(
        f"{name} can't be used for {_list(platforms)}: its manifest there is of Docker's schema 1 ({media_type}), "
        "which BuildKit doesn't read",
        hint="take a newer tag of it, or push it anew with a client of this decade",
    )


def _list(platforms: Iterable[Platform]) -> str:
    return ", ".join(map(str, platforms))
