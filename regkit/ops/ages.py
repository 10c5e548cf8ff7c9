"""How old what a tag stands on is: by the vendor's dates, else by what the image says of itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from regkit.errors import RegkitError, Unavailable
from regkit.events import Note, Reporter
from regkit.oci import mediatype
from regkit.oci.annotation import CREATED
from regkit.oci.digest import Digest
from regkit.oci.manifest import MAX_SIZE, Manifest
from regkit.ops.census import Census
from regkit.ops.tasks import outcomes
from regkit.targets.target import Target
from regkit.targets.verified import read_all
from regkit.vendors.answer import date_of

if TYPE_CHECKING:
    from regkit.vendors.api import VendorApi

_FIRST = datetime(1980, 1, 2, tzinfo=UTC)
"""What says that it is older was built reproducibly, with a date that says nothing: 1970, 1980, the year 1."""


def image_ages(target: Target, census: Census, digests: Iterable[Digest]) -> Mapping[Digest, datetime]:
    """Read when images were made: their annotation `org.opencontainers.image.created`, else their configuration.

    Of an index without the annotation the first image tells. What says nothing, nonsense, or can't be read is left out.
    """
    said: dict[Digest, datetime] = {}
    images: dict[Digest, Digest] = {}
    for digest in dict.fromkeys(digests):
        image = digest
        while (known := census.known.get(image)) is not None and known.media_type in mediatype.INDEXES:
            date = _date(known.created)
            if date is not None:
                said[digest] = date
            if date is not None or known.image is None:
                break
            image = known.image
        else:
            images[digest] = image
    wanted = list(dict.fromkeys(images.values()))
    found = dict(zip(wanted, outcomes(lambda image: _made(target, image), wanted), strict=True))
    made = {digest: found[image] for digest, image in images.items()}
    return {**said, **{digest: date for digest, date in made.items() if isinstance(date, datetime)}}


def vendor_ages(connect: Callable[[], VendorApi], tags: Sequence[str], report: Reporter) -> Mapping[str, datetime]:
    """Ask the vendor when each of `tags` was set; a warning where it doesn't tell us.

    Raise Unavailable where it can't be asked now: by the images' own dates tags would go that it keeps a while longer.
    """
    from regkit.ops.vendor_tags import dated_tags

    try:
        dated = {tag.name: tag.updated for tag in dated_tags(connect(), tags) if tag.updated is not None}
    except Unavailable:
        raise
    except RegkitError as error:
        said = f"the vendor's dates can't be read, the images' own count: {error.message}"
        report(Note(said, warning=True))
        return {}
    lacking = [tag for tag in tags if tag not in dated]
    if lacking:
        more = f" and {len(lacking) - 1} more" if lacking[1:] else ""
        report(Note(f"the vendor has no date for {lacking[0]}{more}, the images' own count", warning=True))
    return {tag: dated[tag] for tag in tags if tag in dated}


def _made(target: Target, image: Digest) -> datetime | None:
    manifest = target.manifest(image)
    if manifest.is_index:
        return None
    return _date(manifest.annotations.get(CREATED)) or _configured(target, manifest)


def _configured(target: Target, manifest: Manifest) -> datetime | None:
    config = manifest.config
    if config is None or config.media_type not in mediatype.CONFIGS:
        return None
    try:
        document = json.loads(read_all(target.fetch(config), MAX_SIZE))
    except (ValueError, RecursionError):
        return None
    return _date(document.get("created")) if isinstance(document, dict) else None


def _date(text: object) -> datetime | None:
    """Read a date; None for what isn't one, or says nothing."""
    date = date_of(text) if isinstance(text, str) else None
    return date if date is not None and date > _FIRST else None
