"""Which tags are immutable, by rules and by lists."""

from __future__ import annotations

import pytest

from regkit.vendors.immutable import marked, matching
from regkit.vendors.vendor import VendorTag


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        (["^v"], {"v1"}),
        (["1"], {"v1", "1.0"}),
        ([".*"], {"v1", "1.0", "dev"}),
        ([], set()),
        (["(?P<bad"], {"v1", "1.0", "dev"}),
        ([7], {"v1", "1.0", "dev"}),
    ],
)
def test_rules_that_match(rules: list[object], found: set[str]) -> None:
    """Anywhere in a tag; what can't be read may protect any tag, so it protects all."""
    assert matching(rules, ["v1", "1.0", "dev"]) == found


def test_what_a_list_says() -> None:
    """Only those that it calls so, among those that are asked about; one of which it says nothing isn't."""
    listed = [
        VendorTag("1", immutable=True),
        VendorTag("2", immutable=False),
        VendorTag("3"),
        VendorTag("4", immutable=True),
    ]
    assert marked(listed, ["1", "2", "3", "5"]) == {"1"}
