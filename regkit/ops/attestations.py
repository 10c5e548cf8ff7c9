"""What is said of images: the in-toto statements that an index lists beside them, and those that refer to them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

from regkit.errors import ProtocolError
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.platform import Platform
from regkit.ops.inspect import Inspected
from regkit.ops.resolve import images_meant, read_root
from regkit.ops.tasks import each
from regkit.targets.location import Location
from regkit.targets.target import Target
from regkit.targets.verified import read_all
from regkit.transport.session import Session

IN_TOTO = "application/vnd.in-toto+json"
"""The media type of a statement about an image."""
PREDICATE_TYPE = "in-toto.io/predicate-type"
"""The annotation with which BuildKit says what kind of statement a layer is."""
MAX_STATEMENT = 64 * 1024 * 1024
"""The largest statement that is read, in bytes: an SBOM may have ten million."""


@dataclass(frozen=True, slots=True)
class Attestation:
    """A statement about an image: an SBOM, a provenance. `statement` is None where it wasn't read."""

    image: Digest
    platform: Platform | None
    manifest: Digest
    layer: Descriptor
    statement: Any = None

    @property
    def predicate(self) -> str:
        """What kind of statement it is, as BuildKit annotates it; "" where nobody says."""
        return self.layer.annotations.get(PREDICATE_TYPE, "")

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON object."""
        return {
            "image": self.image,
            "platform": self.platform.to_json() if self.platform else None,
            "manifest": self.manifest,
            "predicateType": self.predicate,
            "digest": self.layer.digest,
            "size": self.layer.size,
            "statement": self.statement,
        }


def read_attestations(
    session: Session, location: Location, platform: Platform | None = None, *, statements: bool = False
) -> tuple[Attestation, ...]:
    """List the in-toto statements about each image that `location` names, from its index and from the referrers.

    With `statements` they are read, those of up to 64 MiB.
    """
    with location.open(session) as target:
        root = read_root(target, location)
        images = {image.digest: image for image in images_meant(str(location), root, platform)}
        listed = [(entry.attested, entry.descriptor) for entry in (Inspected(child, None) for child in root.manifests)]
        beside = each(lambda image: [(image, found) for found in target.referrers(image)], images)
        wanted = dict.fromkeys(
            (image, found.digest) for image, found in [*listed, *chain.from_iterable(beside)] if image in images
        )

        def read(pair: tuple[Digest | None, Digest]) -> list[Attestation]:
            image, digest = images[cast(Digest, pair[0])], pair[1]
            layers = [layer for layer in target.manifest(digest).layers if layer.media_type == IN_TOTO]
            return [
                Attestation(
                    image.digest,
                    image.platform,
                    digest,
                    layer,
                    _statement(target, layer) if statements and layer.size <= MAX_STATEMENT else None,
                )
                for layer in layers
            ]

        return tuple(chain.from_iterable(each(read, wanted)))


def _statement(target: Target, layer: Descriptor) -> Any:
    try:
        return json.loads(read_all(target.fetch(layer), MAX_STATEMENT))
    except (ValueError, RecursionError):
        raise ProtocolError(f"the attestation {layer.digest} isn't valid JSON") from None
