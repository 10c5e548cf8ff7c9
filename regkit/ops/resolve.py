"""Resolve: which digest a name stands for, at this moment."""

from __future__ import annotations

from dataclasses import replace

from regkit.errors import NotFound
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.platform import Platform
from regkit.oci.reference import Reference
from regkit.ops.inspect import choose, only_entry
from regkit.targets.local import LocalTarget
from regkit.targets.location import Location
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


def at_digest(location: Location, digest: Digest) -> str:
    """Give the name by which a digest in the same place is read: `registry/repository@sha256:…`."""
    if isinstance(location.place, Reference):
        return f"{location.place.name}@{digest}"
    return str(replace(location, identifier=digest))
