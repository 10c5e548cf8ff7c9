"""README pages: sent where they differ, read back, and refused before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from regkit.errors import AccessDenied, NotFound, PartlyDone, Refused, UsageError, VerificationFailed
from regkit.events import Note, ignore
from regkit.oci.reference import Reference
from regkit.ops.readme import MAX_SIZE, Place, Readme, compare, prepare, push, read_readme
from regkit.ops.readme_base import Base, base_at
from regkit.protocol.auth import Login
from regkit.transport.credentials import Credentials
from regkit.vendors.capability import DOCKER_HUB, GHCR, HARBOR, QUAY, TABLE, Shown
from tests.support.vendors import dockerhub, harbor, quay
from tests.support.vendors.double import Answer, Double, serving
from tests.transport.support import Patient
from tests.vendors.support import CANARY

TEXT = "# App\n\nSee [docs](docs/a.md).\n"
BASE = base_at("https://github.com/o/r/blob/HEAD")
ABSOLUTE = TEXT.replace("docs/a.md", "https://github.com/o/r/blob/HEAD/docs/a.md")
README = Readme("README.md", TEXT, base=BASE)


@dataclass
class Hubs:
    """Three hubs with a repository each, and a session that may write to all of them."""

    hub: dockerhub.HubDouble
    quay: quay.QuayDouble
    harbor: harbor.HarborDouble
    session: Patient

    def place(self, vendor: str, name: str = "acme/app") -> Place:
        """Give a repository of one of them."""
        host = {"dockerhub": "docker.io", "quay": "quay.io", "harbor": "harbor.test"}[vendor]
        return Place(Reference.parse_name(f"{host}/{name}"), vendor, self.double(vendor).url)

    def double(self, vendor: str) -> Double:
        """Give one of them."""
        return {"dockerhub": self.hub, "quay": self.quay, "harbor": self.harbor}[vendor]

    def page(self, vendor: str) -> str:
        """Give what is stored there."""
        if vendor == "dockerhub":
            return self.hub.repositories["acme/app"].full
        double = self.quay if vendor == "quay" else self.harbor
        return double.repositories["acme/app"].description

    def writes(self, vendor: str) -> list[str]:
        """Give the requests that would change a page."""
        return [line for line in self.double(vendor).sent() if line.startswith(("PUT", "PATCH"))]

    @property
    def notes(self) -> list[str]:
        """Give what was said."""
        return [event.text for event in self.session.events if isinstance(event, Note)]


@pytest.fixture
def hubs() -> Iterator[Hubs]:
    hub = dockerhub.HubDouble(
        accounts=[dockerhub.Account("acme", CANARY, "organisation")],
        repositories={"acme/app": dockerhub.Repository("old", "short")},
    )
    quays = quay.QuayDouble(
        tokens={CANARY: {"repo:read", "repo:write"}}, repositories={"acme/app": quay.Repository("old")}
    )
    users = {"robot$ci": (CANARY, {"read", "update"})}
    harbors = harbor.HarborDouble(users=users, repositories={"acme/app": harbor.Repository("old")})
    logins = {
        "docker.io": Login("acme", CANARY),
        "quay.io": Login("$oauthtoken", CANARY),
        "harbor.test": Login("robot$ci", CANARY),
    }
    with ExitStack() as stack:
        for double in (hub, quays, harbors):
            stack.enter_context(serving(double))
        session = stack.enter_context(Patient(credentials=Credentials(logins, "nowhere")))
        yield Hubs(hub, quays, harbors, session)


VENDORS = pytest.mark.parametrize("vendor", ["dockerhub", "quay", "harbor"])


@VENDORS
def test_a_page_is_sent_and_read_back(hubs: Hubs, vendor: str) -> None:
    """With its links absolute; a second time nothing is sent."""
    place = hubs.place(vendor)
    assert [each.changed for each in push(hubs.session, README, [place])] == [True]
    assert hubs.page(vendor) == ABSOLUTE
    assert len(hubs.writes(vendor)) == 1
    assert hubs.double(vendor).sent()[-1].startswith("GET")

    assert [each.changed for each in push(hubs.session, README, [place])] == [False]
    assert len(hubs.writes(vendor)) == 1
    assert hubs.notes[-1] == f"{place.repository.name} shows this README already: nothing was sent"


@VENDORS
def test_white_space_at_the_end_is_no_difference(hubs: Hubs, vendor: str) -> None:
    """Nor are line ends: hubs have their own, so it would differ for ever."""
    place = hubs.place(vendor)
    push(hubs.session, README, [place])
    for text in (f"{TEXT}\n\n", TEXT.rstrip()):
        assert not compare(hubs.session, replace(README, text=text), [place])[0].changed
    hubs.double(vendor).shown = lambda document: {  # type: ignore[method-assign]
        key: value.replace("\n", "\r\n") if isinstance(value, str) else value for key, value in document.items()
    }
    assert not compare(hubs.session, README, [place])[0].changed


@VENDORS
def test_a_lagging_hub_is_read_until_it_shows_the_page(hubs: Hubs, vendor: str) -> None:
    hubs.double(vendor).lag = 3
    push(hubs.session, README, [hubs.place(vendor)])

    assert len(hubs.session.waits) == 3
    assert len(hubs.writes(vendor)) == 1


@VENDORS
def test_a_hub_that_never_shows_the_page(hubs: Hubs, vendor: str) -> None:
    """It took it and shows something else: exit 7, and how to look at it."""
    hubs.double(vendor).lag = 1000
    with pytest.raises(VerificationFailed, match="took the README, and shows something else") as caught:
        push(hubs.session, README, [hubs.place(vendor)])
    assert "readme diff" in str(caught.value.hint)


@VENDORS
def test_a_comparison_changes_nothing(hubs: Hubs, vendor: str) -> None:
    """It gives a unified diff, and the same as JSON."""
    (found,) = compare(hubs.session, README, [hubs.place(vendor)])

    lines = list(found.lines())
    assert lines[:2] == [f"--- {found.name}", "+++ README.md"]
    assert {"-old", "+# App"} <= set(lines)
    assert found.to_json() == {"name": found.name, "vendor": vendor, "changed": True, "diff": lines}
    assert hubs.writes(vendor) == []


def test_the_short_text_goes_along(hubs: Hubs) -> None:
    """It is compared and sent with the page; without one, the old one stays."""
    place = hubs.place("dockerhub")
    push(hubs.session, README, [place])
    assert hubs.hub.repositories["acme/app"].short == "short"

    with_short = replace(README, short="A line")
    (found,) = compare(hubs.session, with_short, [place])
    assert list(found.lines())[3:] == ["-short", "+A line"]
    push(hubs.session, with_short, [place])
    assert hubs.hub.repositories["acme/app"].short == "A line"
    assert not compare(hubs.session, with_short, [place])[0].changed


@pytest.mark.parametrize("short", ["é" * 51, "two\nlines"])
def test_a_short_text_that_hub_refuses(hubs: Hubs, short: str) -> None:
    """Bytes count; nothing is sent at all."""
    with pytest.raises(UsageError, match="one line of 100 bytes at most"):
        push(hubs.session, replace(README, short=short), [hubs.place("dockerhub")])
    assert hubs.hub.calls == []


def test_a_short_text_of_100_bytes(hubs: Hubs) -> None:
    push(hubs.session, replace(README, short="é" * 50), [hubs.place("dockerhub")])
    assert hubs.hub.repositories["acme/app"].short == "é" * 50


@pytest.mark.parametrize("vendor", ["quay", "harbor"])
def test_there_is_one_text_only(hubs: Hubs, vendor: str) -> None:
    with pytest.raises(UsageError, match="no short one"):
        push(hubs.session, replace(README, short="A line"), [hubs.place(vendor)])


def test_a_page_that_is_too_long_for_hub(hubs: Hubs) -> None:
    """It is cut to 25,000 bytes, with a link to the rest; the double refuses one more. Others get all of it."""
    text = "".join(f"## Section {number}\n\n{'Größe ' * 50}\n\n" for number in range(200))
    base = Base("https://x.test/blob", "https://x.test/raw", "", "https://x.test/blob/README.md")
    readme = Readme("README.md", text, base=base)
    push(hubs.session, readme, [hubs.place("dockerhub"), hubs.place("quay")])

    page = hubs.page("dockerhub")
    assert 24_000 < len(page.encode()) <= 25_000
    assert page.endswith("*Cut here: [read the rest](https://x.test/blob/README.md).*\n")
    assert hubs.page("quay") == text
    assert any("cut at a section" in note for note in hubs.notes)


def test_links_that_lead_nowhere_known(hubs: Hubs) -> None:
    """They stay, and it is said which, and what to do; whole ones and anchors are none of them."""
    readme = Readme("README.md", f"{TEXT}[a](#a) [b](https://x.test) `[c](c.md)`\n")
    push(hubs.session, readme, [hubs.place("quay")])

    assert hubs.page("quay") == readme.text
    (note,) = [note for note in hubs.notes if "--base" in note]
    assert note.startswith("1 relative link(s) of README.md stay as they are, 'docs/a.md' first")


def test_all_places_are_checked_before_the_first_is_written(hubs: Hubs) -> None:
    """One that takes no README ends it before anything is sent."""
    places = [hubs.place("quay"), Place(Reference.parse_name("ghcr.io/acme/app"))]
    with pytest.raises(Refused, match="takes no README") as caught:
        push(hubs.session, README, places)

    assert hubs.quay.calls == []
    assert "index:org.opencontainers.image.description" in str(caught.value.hint)


@pytest.mark.parametrize("row", [row for row in TABLE if row.shown is not Shown.API], ids=lambda row: row.name)
def test_registries_that_show_nothing(hubs: Hubs, row: object) -> None:
    """All others are refused: exit 9."""
    name = getattr(row, "name")  # noqa: B009 - a row of the table
    with pytest.raises(Refused):
        push(hubs.session, README, [Place(Reference.parse_name("reg.test/me/app"), name)])


def test_the_others_get_it_where_one_fails(hubs: Hubs) -> None:
    """Then it's partly done, and it is said what failed where."""
    places = [hubs.place("quay", "acme/missing"), hubs.place("dockerhub"), hubs.place("harbor")]
    with pytest.raises(PartlyDone, match=r"2 of 3 repositories have the README: .*acme/missing.*404"):
        push(hubs.session, README, places)
    assert (hubs.page("dockerhub"), hubs.page("harbor")) == (ABSOLUTE, ABSOLUTE)


def test_where_all_fail_it_is_the_first_failure(hubs: Hubs) -> None:
    with pytest.raises(NotFound, match="acme/missing"):
        push(hubs.session, README, [hubs.place("quay", "acme/missing")])


def test_a_token_that_may_not_describe(hubs: Hubs) -> None:
    """The scope is named; what was there stays."""
    hubs.quay.tokens[CANARY] = {"repo:read"}
    with pytest.raises(AccessDenied) as caught:
        push(hubs.session, README, [hubs.place("quay")])
    assert "repo:write" in str(caught.value.hint)
    assert hubs.page("quay") == "old"


def test_a_write_that_failed_for_a_moment(hubs: Hubs) -> None:
    """It is sent again, which does no harm."""
    hubs.quay.scripted = [Answer(200, {"description": "x"}), Answer(503)]
    push(hubs.session, README, [hubs.place("quay")])
    assert [line.rpartition(" ")[2] for line in hubs.writes("quay")] == ["503", "200"]


@pytest.mark.parametrize("row", [DOCKER_HUB, QUAY, HARBOR], ids=lambda row: row.name)
def test_texts_are_made_ready_without_any_request(row: object) -> None:
    found = prepare(README, row, ignore)  # type: ignore[arg-type]
    assert found.full == ABSOLUTE


def test_reading_a_file(tmp_path: Path) -> None:
    """A byte order mark is none of its text."""
    file = tmp_path / "README.md"
    file.write_bytes(b"\xef\xbb\xbf# A\r\n")
    assert read_readme(file, short="s", base="https://x.test") == Readme(
        str(file), "# A\r\n", "s", base_at("https://x.test")
    )
    assert read_readme(file).base is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "can't be read: No such file"),
        (b"\xff", "isn't UTF-8"),
        (b" \n", "is empty"),
        (b"x" * (MAX_SIZE + 1), "is larger than"),
    ],
)
def test_files_that_are_no_readme(tmp_path: Path, data: bytes | None, said: str) -> None:
    file = tmp_path / "README.md"
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(UsageError, match=said):
        read_readme(file)


def test_a_folder_is_no_readme(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Is a directory"):
        read_readme(tmp_path)


def test_githubs_registry_is_known_to_show_the_index(hubs: Hubs) -> None:
    assert GHCR.shown is Shown.INDEX
    with pytest.raises(Refused):
        compare(hubs.session, README, [Place(Reference.parse_name("ghcr.io/acme/app"))])
