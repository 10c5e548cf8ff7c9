"""A repository's tags with their dates, as its vendor tells them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from regkit.oci.reference import Reference
from regkit.ops.tasks import each
from regkit.transport.session import Session
from regkit.vendors.api import VendorApi, configured, connect
from regkit.vendors.vendor import VendorTag


def dated_tags(api: VendorApi, wanted: Collection[str] = ()) -> tuple[VendorTag, ...]:
    """List all tags in the vendor's order; where the list has no dates, each tag is asked for its own, side by side.

    So is each that is `wanted` and not in the list, which comes last: while pages are read they move on with each tag
    that goes. A tag that is gone by then is left out. Raise what keeps the vendor's API from being asked.
    """
    listed = api.run(api.vendor.list_tags(api.repository))
    if listed:
        listed += tuple(map(VendorTag, sorted({*wanted}.difference(tag.name for tag in listed))))
    undated = [tag.name for tag in listed if tag.updated is None]
    found = each(lambda name: api.run(api.vendor.look_up_tag(api.repository, name)), undated)
    looked_up = dict(zip(undated, found, strict=True))
    return tuple(tag for one in listed if (tag := looked_up.get(one.name, one)) is not None)


def tag_dates(session: Session, repository: Reference) -> Mapping[str, datetime]:
    """Ask the vendor that has a repository when each tag was set; one without a date is left out.

    Whose it is, and where its API, is as the session's configuration says. Raise UsageError where that isn't known,
    Refused where the registry has no API, and what keeps it from being asked.
    """
    vendor, address = configured(session.registries, repository.registry)
    api = connect(session, repository, vendor=vendor, api=address)
    return {tag.name: tag.updated for tag in dated_tags(api) if tag.updated is not None}
