"""What all vendors' APIs have in common, each against its double."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from regkit.errors import AccessDenied, NotFound, ProtocolError, Refused, Unavailable
from regkit.events import RetryScheduled
from regkit.oci.digest import Digest
from regkit.protocol.auth import Login
from regkit.vendors.api import VendorApi
from regkit.vendors.capability import TABLE, Shown
from regkit.vendors.vendor import Description, VendorTag
from tests.support.vendors import dockerhub, ghcr, gitlab, harbor, quay
from tests.support.vendors.double import Answer, Call, Double, serving
from tests.transport.support import Patient
from tests.vendors.support import CANARY, NOW, opened

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ISO = "2026-01-02T03:04:05Z"
TAGS = [f"dev-{number}" for number in range(250)]
FIXED = "1.0"
EVERY = [*TAGS, FIXED]


def digest_of(tag: str) -> Digest:
    """Give each tag a digest of its own."""
    return Digest.of(tag.encode())


DATED = {tag: (str(digest_of(tag)), ISO) for tag in EVERY}


@dataclass
class Case:
    """A vendor's double with a repository of 251 tags, and logins: one that may all, one that may read."""

    double: Double
    name: str
    login: Login
    reader: Login
    tags: Callable[[], list[str]]
    immutable: bool = True
    deletes: bool = True

    def opened(self, login: Login | None = None, name: str = "") -> AbstractContextManager[tuple[VendorApi, Patient]]:
        """Open the API."""
        return opened(self.double, name or self.name, login or self.login, vendor=self.vendor)

    @property
    def vendor(self) -> str:
        """Its name in the table."""
        return type(self.double).__module__.rpartition(".")[2]


def docker_hub() -> Case:
    repository = dockerhub.Repository(tags=dict(DATED), immutable=[r"^\d"])
    accounts = [
        dockerhub.Account("me", CANARY, "personal"),
        dockerhub.Account("me", f"{CANARY}-2", "personal", "write"),
    ]
    double = dockerhub.HubDouble(accounts=accounts, repositories={"acme/app": repository})
    logins = Login("me", CANARY), Login("me", f"{CANARY}-2")
    return Case(double, "docker.io/acme/app", *logins, lambda: list(repository.tags))


def github() -> Case:
    versions = [ghcr.Version(n, str(digest_of(tag)), [tag], ISO) for n, tag in enumerate(EVERY)]
    tokens = {CANARY: {"read:packages", "delete:packages"}, f"{CANARY}-2": {"read:packages"}}
    double = ghcr.GitHubDouble(tokens=tokens, owners={"acme": "users"}, packages={"acme/app/part": versions})
    logins = Login("me", CANARY), Login("me", f"{CANARY}-2")

    def tags() -> list[str]:
        return [tag for version in versions for tag in version.tags]

    return Case(double, "ghcr.io/acme/app/part", *logins, tags, immutable=False, deletes=False)


def git_lab() -> Case:
    repository = gitlab.Repository(7, "group/project/app", dict(DATED))
    others = [gitlab.Repository(number + 100, f"group/project/other{number}") for number in range(150)]
    rules: list[dict[str, Any]] = [
        {"tag_name_pattern": r"^\d", "immutable": True},
        {"tag_name_pattern": ".*", "minimum_access_level_for_delete": "maintainer"},
    ]
    double = gitlab.GitLabDouble(
        tokens={CANARY: {"api"}, f"{CANARY}-2": {"read_api"}},
        projects={"group/project": [*others, repository]},
        rules={"group/project": rules},
    )
    logins = Login("me", CANARY), Login("me", f"{CANARY}-2")
    return Case(double, "registry.gitlab.com/group/project/app", *logins, lambda: list(repository.tags))


def harbor_() -> Case:
    repository = harbor.Repository(tags=dict(DATED), immutable={FIXED})
    users = {"robot$all": (CANARY, {"read", "delete", "update"}), "robot$look": (f"{CANARY}-2", {"read"})}
    double = harbor.HarborDouble(users=users, repositories={"team/app/part": repository})
    logins = Login("robot$all", CANARY), Login("robot$look", f"{CANARY}-2")
    return Case(double, "harbor.test/team/app/part", *logins, lambda: list(repository.tags))


def quay_() -> Case:
    tags = {tag: (str(digest_of(tag)), int(AT.timestamp())) for tag in EVERY}
    repository = quay.Repository(tags=tags, immutable={FIXED})
    tokens = {CANARY: {"repo:read", "repo:write"}, f"{CANARY}-2": {"repo:read"}}
    double = quay.QuayDouble(tokens=tokens, repositories={"me/app": repository})
    logins = Login("$oauthtoken", CANARY), Login("$oauthtoken", f"{CANARY}-2")
    return Case(double, "quay.io/me/app", *logins, lambda: list(repository.tags))


CASES = {"dockerhub": docker_hub, "ghcr": github, "gitlab": git_lab, "harbor": harbor_, "quay": quay_}
DELETING = [name for name in CASES if name != "ghcr"]
SHOWING = [row.name for row in TABLE if row.shown is Shown.API]


@contextmanager
def running(name: str) -> Iterator[Case]:
    case = CASES[name]()
    with serving(case.double):
        yield case


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    with running(request.param) as found:
        yield found


@pytest.fixture(params=DELETING)
def deleting(request: pytest.FixtureRequest) -> Iterator[Case]:
    with running(request.param) as found:
        yield found


@pytest.fixture(params=SHOWING)
def showing(request: pytest.FixtureRequest) -> Iterator[Case]:
    with running(request.param) as found:
        yield found


def test_all_apis_are_tried_here() -> None:
    """A row that has an API has a case."""
    assert {row.name for row in TABLE if row.has_api} == set(CASES)


def test_all_pages_of_tags_with_digests_and_dates(case: Case) -> None:
    """Three pages of a hundred; where the list has no dates, each tag is asked for its own."""
    with case.opened() as (api, _):
        listed = api.run(api.vendor.list_tags(api.repository))
        one = api.run(api.vendor.look_up_tag(api.repository, TAGS[3]))

    assert sorted(tag.name for tag in listed) == sorted(EVERY)
    assert one is not None
    assert (one.digest, one.updated) == (digest_of(TAGS[3]), AT)
    dated = [tag for tag in listed if tag.updated is not None]
    assert {(tag.digest, tag.updated) for tag in dated if tag.name == one.name} <= {(one.digest, one.updated)}
    assert len(dated) == (0 if case.vendor == "gitlab" else len(EVERY))


def test_what_is_not_there(case: Case) -> None:
    """A tag that isn't there is None, a repository has no tags."""
    missing = case.name.replace("/app", "/nothing")
    with case.opened() as (api, _), case.opened(name=missing) as (other, _):
        assert api.run(api.vendor.look_up_tag(api.repository, "absent")) is None
        assert other.run(other.vendor.list_tags(other.repository)) == ()
        assert other.run(other.vendor.look_up_tag(other.repository, "absent")) is None


def test_a_tag_goes_alone(deleting: Case) -> None:
    """The tag is gone, no other; a second time there is nothing to do."""
    with deleting.opened() as (api, _):
        for _ in range(2):
            api.run(api.vendor.delete_tag(api.repository, TAGS[0]))

    assert sorted(deleting.tags()) == sorted(set(EVERY) - {TAGS[0]})


def test_immutable_tags_are_seen_beforehand(case: Case) -> None:
    """Of the tags that are asked for, those that a rule protects."""
    with case.opened() as (api, _):
        found = api.run(api.vendor.immutable_tags(api.repository, [FIXED, TAGS[0]]))
        none = api.run(api.vendor.immutable_tags(api.repository, [TAGS[0]]))

    assert found == ({FIXED} if case.immutable else set())
    assert none == frozenset()


@pytest.mark.parametrize("make", [harbor_, quay_])
def test_an_immutable_tag_that_no_page_has(make: Callable[[], Case]) -> None:
    """A tag goes before the last page is read, which so begins one later: what no page has is asked for by itself."""
    case = make()
    assert isinstance(case.double, harbor.HarborDouble | quay.QuayDouble)
    (repository,) = case.double.repositories.values()
    repository.immutable |= {TAGS[200], TAGS[201]}

    def move(call: Call) -> Answer:
        del repository.tags[TAGS[0]]
        return case.double.handle(call)

    with serving(case.double), case.opened() as (api, _):
        case.double.faults = {2: move}
        found = api.run(api.vendor.immutable_tags(api.repository, [*TAGS[199:203], FIXED]))

    assert found == {TAGS[200], TAGS[201], FIXED}


def test_an_immutable_tag_stays(deleting: Case) -> None:
    """The vendor's refusal is exit 9, whatever its status, and not a question of scopes."""
    with deleting.opened() as (api, _), pytest.raises(Refused, match="immutab"):
        api.run(api.vendor.delete_tag(api.repository, FIXED))

    assert FIXED in deleting.tags()


SCOPES = {
    "dockerhub": "Read, Write, Delete",
    "gitlab": "the scope api",
    "harbor": "Delete Tag",
    "quay": "repo:write",
}


def test_the_missing_scope_is_named(deleting: Case) -> None:
    """Who may read only is told what the token lacks, and who was asking; not the token."""
    with deleting.opened(deleting.reader) as (api, _), pytest.raises(AccessDenied) as caught:
        api.run(api.vendor.delete_tag(api.repository, TAGS[0]))

    assert SCOPES[deleting.vendor] in str(caught.value.hint)
    assert deleting.reader.username in caught.value.message
    assert CANARY not in f"{caught.value} {caught.value.message} {caught.value.hint}"
    assert TAGS[0] in deleting.tags()


def test_texts_are_written_and_read(showing: Case) -> None:
    """The page that was written is the one that is read."""
    with showing.opened() as (api, _):
        api.run(api.vendor.write_description(api.repository, Description("# é")))
        assert api.run(api.vendor.read_description(api.repository)).full == "# é"


def test_no_page_without_a_repository(showing: Case) -> None:
    missing = showing.name.replace("/app", "/nothing")
    with showing.opened(name=missing) as (api, _):
        for flow in (
            api.vendor.read_description(api.repository),
            api.vendor.write_description(api.repository, Description("x")),
        ):
            with pytest.raises(NotFound):
                api.run(flow)


LIMITS: dict[str, tuple[int, dict[str, str]]] = {
    "dockerhub": (429, {"X_Retry_After": f"{NOW + 7:.0f}"}),
    "ghcr": (403, {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": f"{NOW + 7:.0f}"}),
    "gitlab": (429, {"RateLimit_Remaining": "0", "RateLimit_Reset": f"{NOW + 7:.0f}"}),
    "harbor": (429, {"Retry_After": "7"}),
    "quay": (429, {"Retry_After": f"{NOW + 7:.0f}"}),
}


def limit(case: Case, seconds: int = 7) -> Answer:
    """Say in a vendor's own dialect to come back in so many seconds."""
    status, headers = LIMITS[case.vendor]
    shift = {"7": str(seconds), f"{NOW + 7:.0f}": f"{NOW + seconds:.0f}"}
    return Answer(status, {"message": "API rate limit exceeded"}, **{k: shift.get(v, v) for k, v in headers.items()})


def test_rate_limits_are_obeyed(case: Case) -> None:
    """The wait is the one that was asked for, in each dialect, and the answer after it counts."""
    with case.opened() as (api, session):
        assert api.run(api.vendor.look_up_tag(api.repository, TAGS[0])) is not None
        session.waits.clear()
        case.double.scripted = [limit(case)]
        assert api.run(api.vendor.look_up_tag(api.repository, TAGS[0])) is not None

    assert session.waits[0] == pytest.approx(7)
    assert [event.attempt for event in session.events if isinstance(event, RetryScheduled)] == [2]


def test_a_limit_that_lasts_too_long(case: Case) -> None:
    """No further request is sent, and it says when there may be one: exit 75."""
    with case.opened() as (api, session):
        assert api.run(api.vendor.look_up_tag(api.repository, TAGS[0])) is not None
        case.double.scripted = [limit(case, 3600)]
        sent = len(case.double.calls)
        session.waits.clear()
        with pytest.raises(Unavailable) as caught:
            api.run(api.vendor.look_up_tag(api.repository, TAGS[0]))

    assert (len(case.double.calls), session.waits) == (sent + 1, [])
    assert "3600" in str(caught.value.hint) or "UTC" in str(caught.value.hint)


def test_an_echoed_secret_is_not_shown(case: Case) -> None:
    """A vendor that repeats what it got in its error doesn't get it printed."""
    with case.opened() as (api, _):
        api.run(api.vendor.look_up_tag(api.repository, TAGS[0]))
        secret = case.double.calls[-1].headers
        said = " ".join(secret.get(name, "") for name in ("authorization", "private-token"))
        case.double.scripted = [Answer(418, {"message": f"no {said} {CANARY}"})]
        with pytest.raises(Exception, match=r"418.*\*\*\*") as caught:
            api.run(api.vendor.look_up_tag(api.repository, TAGS[0]))

    for word in [*said.split()[-1:], CANARY]:
        assert word not in f"{caught.value}{caught.value.args}{vars(caught.value)}"


@pytest.mark.parametrize("body", [[], {"results": 1}, {"results": [1]}, "text", None])
def test_a_list_that_is_none(case: Case, body: Any) -> None:
    """What isn't what the vendor documents is an error of one sentence, never a crash or an empty list of tags."""
    with case.opened() as (api, _):
        api.run(api.vendor.look_up_tag(api.repository, TAGS[0]))
        case.double.scripted = [Answer(200, body) for _ in range(1)]
        if isinstance(body, list) and case.vendor in ("ghcr", "harbor", "gitlab"):
            assert api.run(api.vendor.list_tags(api.repository)) == ()
            return
        with pytest.raises(ProtocolError, match=r"isn't (a JSON object|valid JSON)|holds no list"):
            api.run(api.vendor.list_tags(api.repository))


def test_nobody_is_asked_with_nothing(case: Case) -> None:
    """Without a login no authorization is sent; where one is needed, the hint is to log in."""
    with opened(case.double, case.name, None, vendor=case.vendor) as (api, _):
        if case.vendor == "dockerhub":
            assert isinstance(api.run(api.vendor.look_up_tag(api.repository, TAGS[0])), VendorTag)
        else:
            with pytest.raises(AccessDenied, match="anonymous") as caught:
                api.run(api.vendor.look_up_tag(api.repository, TAGS[0]))
            assert "log in to" in str(caught.value.hint)

    assert not [call for call in case.double.calls if {"authorization", "private-token"} & call.headers.keys()]
