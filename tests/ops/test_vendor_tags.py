"""Tags with their dates, wherever a vendor keeps those."""

from __future__ import annotations

from datetime import UTC, datetime

from regkit.ops.vendor_tags import dated_tags
from regkit.protocol.auth import Login
from tests.support.vendors.dockerhub import HubDouble
from tests.support.vendors.dockerhub import Repository as HubRepository
from tests.support.vendors.double import Answer, serving
from tests.support.vendors.gitlab import GitLabDouble, Repository
from tests.vendors.support import CANARY, opened

TAGS = {f"v{number}": (f"sha256:{number}", f"2026-01-02T03:04:{number:02}Z") for number in range(60)}
DATES = {tag: datetime(2026, 1, 2, 3, 4, number, tzinfo=UTC) for number, tag in enumerate(TAGS)}


def test_a_list_with_dates_is_enough() -> None:
    """One request, in the vendor's order."""
    double = HubDouble(repositories={"acme/app": HubRepository(tags=dict(TAGS))})
    with serving(double), opened(double, "acme/app", None) as (api, _):
        assert [(tag.name, tag.updated) for tag in dated_tags(api)] == list(DATES.items())
    assert len(double.calls) == 1


def test_without_them_each_tag_is_asked() -> None:
    """In the same order; one that went in between is left out."""
    repository = Repository(1, "group/app", dict(TAGS))
    double = GitLabDouble(tokens={CANARY: {"api"}}, projects={"group/app": [repository]})
    with serving(double), opened(double, "registry.gitlab.com/group/app", Login("me", CANARY)) as (api, _):
        double.faults = {2: lambda _: Answer(404)}
        found = dated_tags(api)

    gone = {path.rpartition("/")[2] for path in [double.calls[2].path]}
    assert [(tag.name, tag.updated) for tag in found] == [(n, d) for n, d in DATES.items() if n not in gone]
    assert len(found) == len(TAGS) - 1
