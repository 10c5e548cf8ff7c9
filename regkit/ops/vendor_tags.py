"""A repository's tags with their dates, as its vendor tells them."""

from __future__ import annotations

from regkit.ops.tasks import each
from regkit.vendors.api import VendorApi
from regkit.vendors.vendor import VendorTag


def dated_tags(api: VendorApi) -> tuple[VendorTag, ...]:
    """List all tags in the vendor's order; where the list has no dates, each tag is asked for its own, side by side.

    A tag that is gone by then is left out. Raise what keeps the vendor's API from being asked.
    """
    listed = api.run(api.vendor.list_tags(api.repository))
    undated = [tag.name for tag in listed if tag.updated is None]
    found = each(lambda name: api.run(api.vendor.look_up_tag(api.repository, name)), undated)
    looked_up = dict(zip(undated, found, strict=True))
    return tuple(tag for one in listed if (tag := looked_up.get(one.name, one)) is not None)
