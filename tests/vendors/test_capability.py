"""The capability table: whole, without contradictions, and what its page says."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from regkit.config.spec import PROVIDERS, VENDORS
from regkit.vendors.capability import TABLE, ByDigest, ByTag, Children, Shown, Traits, Untag
from regkit.vendors.find import by_host

ROOT = Path(__file__).parent.parent.parent
ROWS = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)


def test_names_are_unique() -> None:
    assert len({row.name for row in TABLE}) == len({row.title for row in TABLE}) == len(TABLE)


def test_what_a_configuration_may_say() -> None:
    """Its vendors are the table's, its providers those that show a README."""
    assert set(VENDORS) == {row.name for row in TABLE}
    assert set(PROVIDERS) == {row.name for row in TABLE if row.shown is Shown.API}


@ROWS
def test_a_host_is_found_in_its_own_row(row: Traits) -> None:
    """No pattern of one takes another's host."""
    for pattern in row.hosts:
        assert by_host(pattern.replace("*", "x")) is row


@ROWS
def test_ways_are_possible(row: Traits) -> None:
    """No way rests on what the registry refuses; what isn't done there has a reason and something else to do."""
    if Untag.SPEC in row.untag:
        assert row.by_tag is not ByTag.REFUSED
    if Untag.STAND_IN in row.untag:
        assert row.by_digest is ByDigest.ALL_TAGS
    if {Untag.API, Untag.VERSION} & set(row.untag):
        assert row.has_api
    if row.by_tag is ByTag.LAST_TAKES_IMAGE or not row.untag:
        assert row.unsafe
    assert bool(row.unsafe) == bool(row.instead)


@ROWS
def test_limits_belong_to_those_who_show_something(row: Traits) -> None:
    if row.shown is not Shown.API:
        assert (row.full_limit, row.short, row.short_limit) == (None, False, None)
    assert row.short or row.short_limit is None


@ROWS
def test_addresses_are_https(row: Traits) -> None:
    assert row.api.startswith("https://") or not row.api
    assert row.has_api or not row.api


def test_where_tags_are_what_protects_a_release() -> None:
    """The old distribution's garbage collector takes children without tags; nobody else's row says so."""
    assert [row.name for row in TABLE if row.children is Children.TAG_PROTECTED] == ["distribution2"]


def test_the_page_is_what_the_table_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`make docs` has been run since the last change of the table."""
    generator = runpy.run_path(str(ROOT / "docs/registries.py"))
    fresh = tmp_path / "registries.md"
    monkeypatch.setitem(generator["main"].__globals__, "TARGET", fresh)
    generator["main"]()

    assert (ROOT / "docs/reference/registries.md").read_text() == fresh.read_text()
