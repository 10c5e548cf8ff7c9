"""Tags removed, cleaned and dated on vendors' registries: the strict double of each API over a registry with a release.

Every run is with --debug, and `Hub.run` looks that nothing shows the login.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.command import output_of
from tests.support.hubs import KINDS, SECRET, Hub, hub
from tests.support.place import APP, RELEASE
from tests.support.vendors.dockerhub import HubDouble
from tests.support.vendors.double import Answer, Call

NOW = datetime.now(UTC).replace(microsecond=0)
OLD, NEW = NOW - timedelta(days=40), NOW - timedelta(days=2)
DATES = {**dict.fromkeys((*RELEASE, "arm"), NEW), "part": OLD, "single": OLD}
ALL_BUT_LATEST = ("--match", "1[.]2.*|part|single", "--keep", "0")


@pytest.fixture(params=KINDS, ids=str)
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hub]:
    """Give each vendor's registry; a test narrows that with `only`."""
    with hub(request.param, tmp_path, DATES) as found:
        yield found


def only(*names: str) -> pytest.MarkDecorator:
    chosen = [kind for kind in KINDS if kind.name in names]
    return pytest.mark.parametrize("there", chosen, indirect=True, ids=str)


SEES_IMMUTABLE = only(*(kind.name for kind in KINDS if kind.forbid is not None))


def failed(done: subprocess.CompletedProcess[str], code: int, *said: str) -> None:
    assert done.returncode == code, done.stderr
    for text in said:
        assert text in done.stderr


def cleaned(there: Hub, *rules: str) -> subprocess.CompletedProcess[str]:
    return there.run("cleanup", "apply", "--yes", f"{there.place.host}/{APP}", *rules)


def test_one_of_several_tags_goes(there: Hub) -> None:
    """The others on the same digest stay, and so does all that they lead to."""
    before = there.tags

    output_of(there.remove("1.2"))

    assert there.tags == {tag: digest for tag, digest in before.items() if tag != "1.2"}
    assert there.place.holes() == []


def test_an_images_last_tag_goes_without_a_warning(there: Hub) -> None:
    """Nothing is pushed back that the vendor lets go by its own rules, and nothing else is touched."""
    before = there.tags

    done = there.remove("part")

    output_of(done)
    assert "put back" not in done.stderr
    assert "warning" not in done.stderr
    assert there.tags == {tag: digest for tag, digest in before.items() if tag != "part"}
    assert not any(line.endswith(before["part"]) for line in there.requests if line.startswith("PUT"))


def test_the_vendors_dates_count(there: Hub) -> None:
    """What a tag stands on may be old: what counts is since when it stands there."""
    before = there.tags
    rules = ("--older-than", "30d")
    planned = there.run("cleanup", "plan", f"{there.place.host}/{APP}", *rules, "--format", "json")
    (image,) = json.loads(output_of(planned))["images"]
    assert {each["tag"] for each in image["remove"]} == {tag for tag, date in DATES.items() if date == OLD}
    dated = {each["tag"]: each["created"] for each in image["remove"] + image["keep"] if each["created"]}
    assert {tag: datetime.fromisoformat(date) for tag, date in dated.items()} == DATES
    assert there.tags == before

    output_of(cleaned(there, *rules))

    assert there.tags == {tag: digest for tag, digest in before.items() if DATES.get(tag) != OLD}
    assert there.place.holes() == []


def test_tags_are_listed_with_their_dates(there: Hub) -> None:
    """Each tag with the vendor's date in UTC, in the registry's order; the same as JSON, and line by line."""
    name = f"{there.place.host}/{APP}"
    tags = output_of(there.run("tag", "ls", name)).splitlines()
    wanted = {tag: f"{DATES.get(tag, NEW):%Y-%m-%dT%H:%M:%SZ}" for tag in tags}

    lines = output_of(there.run("tag", "ls", name, "--dates")).splitlines()
    assert [tuple(line.split()) for line in lines] == list(wanted.items())
    document = json.loads(output_of(there.run("tag", "ls", name, "--dates", "--format", "json")))
    assert document == {"schema": 1, "name": name, "tags": tags, "dates": wanted}
    lines = output_of(there.run("tag", "ls", name, "--dates", "--format", "jsonl")).splitlines()
    assert {line["tag"]: line["date"] for line in map(json.loads, lines)} == wanted


@only("dockerhub")
def test_dates_where_no_vendor_is_known(there: Hub) -> None:
    """One sentence, and nothing on stdout."""
    (there.project / "regkit.toml").write_text("schema = 1\n")

    done = there.run("tag", "ls", f"{there.place.host}/{APP}", "--dates")

    failed(done, 2, "it isn't known whose registry")
    assert done.stdout == ""


@only("quay", "harbor", "gitlab", "dockerhub")
def test_what_the_tags_leave_behind_may_go_too(there: Hub) -> None:
    """Also where it is hidden with its last tag."""
    before = there.tags

    output_of(cleaned(there, "--match", "part|single", "--keep", "0", "--untagged"))

    assert there.tags == {tag: digest for tag, digest in before.items() if tag not in ("part", "single")}
    assert there.place.holes() == []


@SEES_IMMUTABLE
def test_an_immutable_tag_is_seen_beforehand(there: Hub) -> None:
    """Of two tags neither is removed; a cleanup keeps it with the reason, and removes the other."""
    before = there.tags
    assert there.kind.forbid is not None
    there.kind.forbid(there.api, "1.2")

    failed(there.remove("part", "1.2"), 9, "immutable is 1.2", "nothing was removed")
    assert there.tags == before
    assert there.deletions == []

    rules = ("--match", "1[.]2|part", "--keep", "0")
    planned = output_of(there.run("cleanup", "plan", f"{there.place.host}/{APP}", *rules))
    assert "it is immutable" in next(line for line in planned.splitlines() if line.split()[1:2] == ["1.2"])
    output_of(cleaned(there, *rules))
    assert there.tags == {tag: digest for tag, digest in before.items() if tag != "part"}


def test_a_missing_scope_is_named(there: Hub) -> None:
    """Exit 4 and nothing removed; where the registry lets the same login remove tags, its way is taken instead."""
    before = there.tags
    there.kind.allow(there.api, False)

    done = there.remove("1.2", "part")

    if there.kind.name in ("gitlab", "quay"):
        output_of(done)
        assert there.tags.keys() == before.keys() - {"1.2", "part"}
        return
    failed(done, 4, there.kind.scope)
    assert {tag: there.tags[tag] for tag in before} == before
    failed(cleaned(there, *ALL_BUT_LATEST), 4, there.kind.scope)
    assert {tag: there.tags[tag] for tag in before} == before


@only("gitlab", "quay")
def test_a_missing_scope_is_named_where_the_registry_removes_none_either(there: Hub) -> None:
    before = there.tags
    there.kind.allow(there.api, False)
    there.place.front.switch_on("tag-delete-405")

    failed(there.remove("1.2", "part"), 4, there.kind.scope)
    failed(cleaned(there, *ALL_BUT_LATEST), 4, there.kind.scope)

    assert there.tags == before


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_rate_limit_is_obeyed(there: Hub, number: int) -> None:
    """In each vendor's dialect, wherever it comes: no request before the time that it gave, and then the rest."""
    before = there.tags
    there.api.faults[number] = there.limit()

    done = there.remove("1.2", "part")

    output_of(done)
    assert len(there.api.calls) > number + 1
    assert there.early == []
    assert there.tags == {tag: digest for tag, digest in before.items() if tag not in ("1.2", "part")}


def test_a_registry_that_lags_behind_its_api(there: Hub) -> None:
    """It lists a tag that is gone once more."""
    before = there.tags
    there.lag = 1

    output_of(there.remove("1.2"))

    assert there.lag == 0
    assert there.tags == {tag: digest for tag, digest in before.items() if tag != "1.2"}


@only("dockerhub")
def test_expired_tokens_are_renewed(there: Hub) -> None:
    """A token that lasts for a single request is gained anew for each."""
    assert isinstance(there.api, HubDouble)
    there.api.uses = 1
    before = there.tags

    output_of(there.remove("1.2", "part"))
    output_of(cleaned(there, "--older-than", "30d"))

    assert there.tags == {tag: digest for tag, digest in before.items() if tag not in ("1.2", "part", "single")}
    paths = [call.path for call in there.api.calls]
    assert 401 in there.api.statuses
    assert paths.count("/v2/auth/token") > there.api.statuses.count(401)


@pytest.mark.parametrize("verb", ["rm", "by rules", "by age"])
def test_where_the_api_is_down_nothing_is_done(there: Hub, verb: str) -> None:
    """Exit 75, soon, however many tags there are; no tag of ours is left, and a rerun does it."""
    before = there.tags
    there.api.faults = dict.fromkeys(range(100), _down)
    there.requests.clear()
    rules = ("--older-than", "30d") if verb == "by age" else ALL_BUT_LATEST

    def run() -> subprocess.CompletedProcess[str]:
        return there.remove("1.2", "part", "single") if verb == "rm" else cleaned(there, *rules)

    failed(run(), 75, "503")
    assert there.tags == before
    assert not any(line.startswith(("PUT", "DELETE")) for line in there.requests)
    assert len(there.api.calls) <= 2

    there.api.faults.clear()
    output_of(run())
    assert there.tags.keys() < before.keys()


def _down(call: Call) -> Answer:
    del call
    return Answer(503, {"message": "down"}, Retry_After="3600")


@pytest.mark.parametrize("after", [1, 2, 3])
def test_the_api_goes_down_halfway(there: Hub, after: int) -> None:
    """Each tag is gone, and said to be, or stands where it stood; the same command again does the rest."""
    before, wanted = there.tags, ("1.2", "part", "single")
    _down_after(there, after)

    done = there.remove(*wanted)

    left = [tag for tag in wanted if tag in there.tags]
    assert done.returncode == (0 if not left else 8 if len(left) < len(wanted) else 75), done.stderr
    assert there.tags == {tag: digest for tag, digest in before.items() if tag in left or tag not in wanted}
    assert there.place.holes() == []
    assert {tag for tag in wanted if f"removed {there.place.host}/{APP}:{tag}\n" in done.stderr} == {*wanted} - {*left}
    there.api.faults.clear()
    output_of(there.remove(*wanted))
    assert there.tags == {tag: digest for tag, digest in before.items() if tag not in wanted}
    assert there.place.holes() == []


def _down_after(there: Hub, deletions: int) -> None:
    """Let the API answer nothing any more once it has answered so many deletions."""

    def handle(call: Call) -> Answer:
        answered = zip(there.api.calls, there.api.statuses, strict=False)
        if sum(each.method == "DELETE" and status < 300 for each, status in answered) >= deletions:
            return _down(call)
        return there.api.handle(call)

    there.api.faults = dict.fromkeys(range(1000), handle)


def test_deletions_that_are_done_and_said_to_have_failed(there: Hub) -> None:
    """A gateway's 502 comes for each; sent again, it finds nothing left to delete, and that is what was wanted."""
    before = there.tags
    said: set[str] = set()

    def handle(call: Call) -> Answer:
        answer = there.api.handle(call)
        if call.method != "DELETE" or call.path in said:
            return answer
        said.add(call.path)
        return Answer(502)

    there.api.faults = dict.fromkeys(range(1000), handle)

    output_of(there.remove("1.2", "part"))

    assert there.tags == {tag: digest for tag, digest in before.items() if tag not in ("1.2", "part")}
    assert there.place.holes() == []
    assert len(there.deletions) == 2 * len(said)


def test_pages_that_move_on_while_they_are_read(there: Hub) -> None:
    """A tag goes while the list is read, and the next page begins one later: what no page has keeps its date."""
    more = [f"more-{number:03}" for number in range(120)]
    there.fill(more)
    before = there.tags
    moved: list[str] = []

    def handle(call: Call) -> Answer:
        if call.query.get("page") == "2" and not moved:
            first = next(tag for tag in there.tags if tag in more)
            moved.append(first)
            there.drop(first)
        return there.api.handle(call)

    there.api.faults = dict.fromkeys(range(1000), handle)

    done = cleaned(there, "--older-than", "30d")

    if there.kind.hides_untagged:  # and so what was to stay isn't found any more
        failed(done, 7, f"which {moved[0]} needs")
    else:
        output_of(done)
    gone = {tag for tag, date in DATES.items() if date == OLD}
    assert there.tags == {tag: digest for tag, digest in before.items() if tag not in gone | {*moved}}
    assert len(moved) == 1


def test_an_api_that_cannot_be_reached(there: Hub) -> None:
    before = there.tags
    there.configure(api="http://127.0.0.1:1")

    failed(there.remove("1.2", "part"), 75, "127.0.0.1:1")

    assert there.tags == before


def test_an_answer_that_repeats_the_login_shows_none(there: Hub) -> None:
    """`Hub.run` looks; what the vendor says is shown without it."""

    def echo(call: Call) -> Answer:
        sent = " ".join(call.headers.get(name, "") for name in ("authorization", "private-token"))
        return Answer(403, {"message": f"not with {SECRET}, {sent}", "errors": [{"message": f"{SECRET} {sent}"}]})

    there.api.faults = dict.fromkeys(range(100), echo)
    there.place.front.switch_on("tag-delete-405")

    failed(there.remove("1.2"), 4, "***")
    failed(cleaned(there, *ALL_BUT_LATEST), 4, "***")


def test_intermediate_tags_are_gone_once_the_release_stands(there: Hub) -> None:
    """Each platform's image had a tag on the way; the vendor's API removes it where the specification's way doesn't."""
    done = published(there)

    release = output_of(done).strip().partition("@")[2]
    assert {there.tags[tag] for tag in ("2", "2.0", "2.0.0", "latest")} == {release}
    assert not any(tag.startswith("abcdef0-") for tag in there.tags)
    assert {f"PUT manifests abcdef0-{platform}" for platform in ("linux-amd64", "linux-arm64")} <= set(there.requests)
    assert there.place.holes() == []


@only("dockerhub", "harbor", "ghcr")
def test_where_they_cannot_be_removed_the_release_is_up_all_the_same(there: Hub) -> None:
    """Exit 8 with the scope that is missing; with it the same command again removes them, and pushes nothing."""
    there.kind.allow(there.api, False)

    done = published(there)
    failed(done, 8, "the release is up", "abcdef0-linux-amd64", there.kind.scope)
    assert done.stdout == f"{there.place.host}/{APP}@{there.tags['latest']}\n"

    there.kind.allow(there.api, True)
    assert output_of(published(there)) == done.stdout
    assert not any(tag.startswith("abcdef0-") for tag in there.tags)
    assert there.place.holes() == []


def test_the_api_may_remove_what_the_registrys_token_may_not(there: Hub) -> None:
    """Intermediates and single tags alike."""
    there.denies = True
    before = there.tags

    output_of(published(there))
    assert not any(tag.startswith("abcdef0-") for tag in there.tags)
    output_of(there.remove("part"))

    assert there.tags.keys() >= before.keys() - {"part"}
    assert "part" not in there.tags
    assert there.place.holes() == []


@only("dockerhub")
def test_a_login_that_may_remove_nothing_costs_no_release(there: Hub) -> None:
    """Where no vendor's API helps: exit 8, for the release is up."""
    there.denies = True
    (there.project / "regkit.toml").write_text("schema = 1\n")

    failed(published(there), 8, "the release is up", "abcdef0-linux-arm64", "no access")


def published(there: Hub) -> subprocess.CompletedProcess[str]:
    layout = there.project.parent / "place" / "new"
    named = ("--image", f"{there.place.host}/{APP}", "--version", "2.0.0", "--commit", "abcdef0123")
    return there.run("publish", "--from", layout, *named, "--intermediate", "tag")
