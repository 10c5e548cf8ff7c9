"""Resolve: which digest a name stands for, at this moment; which manifest, and which images in it."""

from __future__ import annotations

from regkit.errors import NotFound, UsageError
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from regkit.oci.platform import Platform
from regkit.oci.reference import Reference
from regkit.targets.local import LocalTarget
from regkit.targets.location import Location
from regkit.targets.target import Target
from regkit.transport.session import Session


def resolve(session: Session, location: Location, platform: Platform | None = None) -> Descriptor:
    """Tell what `location` names, or the image for `platform` in it; raise NotFound.

    Asks by HEAD, which costs no pull; only an index of which one platform is wanted is read.
    """
    with location.open(session) as target:
        name = location.identifier or only_entry(target)
        found = target.resolve(name)
        if found is None:
            hint = "check the name, and that this login may see it"
            raise NotFound(
                f"{location} isn't there", hint=target.known_names if isinstance(target, LocalTarget) else hint
            )
        if platform is None or not found.is_index:
            return found
        return choose(str(location), target.manifest(found.digest), platform)


def read_root(target: Target, location: Location) -> Manifest:
    """Read the manifest that a location names, or the only one of a layout; raise NotFound, UsageError."""
    return target.manifest(location.identifier or only_entry(target))


def only_entry(target: Target) -> str:
    """Give the digest of the only thing that a layout lists; raise UsageError where there are more, or none."""
    roots = target.roots if isinstance(target, LocalTarget) else ()
    if len(roots) != 1:
        names = ", ".join(target.tags()) or "no named one"
        raise UsageError(f"the layout has {len(roots)} entries", hint=f"name one of them: {names}")
    return roots[0].digest


def choose(name: str, index: Manifest, platform: Platform) -> Descriptor:
    """Find the image for a platform, compared after normalising; raise NotFound, and name what there is."""
    for child in index.manifests:
        if child.platform is not None and child.platform.normalized == platform.normalized:
            return child
    there = [str(child.platform) for child in index.manifests if child.platform and not child.platform.is_unknown]
    raise NotFound(f"{name} has no image for {platform}", hint=f"it has: {', '.join(there) or 'none with a platform'}")


def images_meant(name: str, manifest: Manifest, platform: Platform | None) -> list[Descriptor]:
    """Give the images that are meant: those of an index, or the one for a platform, or the one that is named."""
    if not manifest.is_index:
        return [manifest.descriptor]
    if platform is not None:
        return [choose(name, manifest, platform)]
    return [
        child
        for child in manifest.manifests
        if child.media_type in mediatype.IMAGES and not (child.platform and child.platform.is_unknown)
    ]


def at_digest(location: Location, digest: Digest) -> str:
    """Give the name by which a digest in the same place is read: `registry/repository@sha256:…`."""
    if isinstance(location.place, Reference):
        return f"{location.place.name}@{digest}"
    return str(location._replace(identifier=digest))
