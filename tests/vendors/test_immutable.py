"""Which tags are immutable, by rules; what vendors say of each tag is in `test_vendor`."""

from __future__ import annotations

import pytest

from regkit.vendors.immutable import matching


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
