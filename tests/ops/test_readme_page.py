"""A README that goes along with a release, apart from the release."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from regkit.errors import PartlyDone, Refused, UsageError
from regkit.events import Note
from regkit.oci.annotation import DESCRIPTION
from regkit.oci.reference import Reference
from regkit.ops.readme import Place
from regkit.ops.readme_page import DESCRIPTION_LIMIT, Page
from regkit.ops.result import together
from regkit.protocol.auth import Login
from regkit.transport.credentials import Credentials
from tests.support.vendors.double import serving
from tests.support.vendors.harbor import HarborDouble, Repository
from tests.transport.support import Patient
from tests.vendors.support import CANARY

TEXT = "# App\n\nWhat it does.\n"
GHCR = Place(Reference.parse_name("ghcr.io/acme/app"))
HUB = Place(Reference.parse_name("docker.io/acme/app"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "README.md"
    path.write_text(TEXT)
    return path


@pytest.fixture
def harbor() -> Iterator[tuple[HarborDouble, Patient]]:
    """Give a Harbor that nobody named, and a session that may write to it."""
    users = {"robot$ci": (CANARY, {"read", "update"})}
    repositories = {"acme/app": Repository("old"), "acme/other": Repository("old")}
    with ExitStack() as stack:
        double = stack.enter_context(serving(HarborDouble(users=users, repositories=repositories)))
        credentials = Credentials({double.host: Login("robot$ci", CANARY)}, "nowhere")
        yield double, stack.enter_context(Patient(credentials=credentials))


def places(double: HarborDouble, *names: str) -> list[Place]:
    return [Place(Reference.parse_name(f"{double.host}/{name}")) for name in names]


def test_a_registry_is_known_by_what_it_asks_for(harbor: tuple[HarborDouble, Patient], file: Path) -> None:
    """Only where the release is up the page is shown; in the short line there is no place for it."""
    double, session = harbor
    one, other = places(double, "acme/app", "acme/other")
    page = Page.read(file, [one, other], short="A line")

    (before, _) = page.state(session)
    assert (before.name, before.changed) == (one.repository.name, True)
    pages, failure = page.show(session, [one.repository])

    assert ([each.name for each in pages], failure) == ([one.repository.name], None)
    assert (double.repositories["acme/app"].description, double.repositories["acme/other"].description) == (TEXT, "old")
    assert [each.changed for each in page.state(session)] == [False, True]


def test_what_fails_in_one_is_told_and_the_others_have_it(harbor: tuple[HarborDouble, Patient], file: Path) -> None:
    double, session = harbor
    page = Page.read(file, places(double, "acme/missing", "acme/app"), short="A line")

    pages, failure = page.show(session, [place.repository for place in page.places])

    assert [each.repository.name for each in page.places[1:]] == [each.name for each in pages]
    assert isinstance(failure, PartlyDone)
    assert "acme/missing" in failure.message
    assert f"--image {double.host}/acme/missing --file {file}" in str(failure.hint)
    assert next(event.warning for event in session.events if isinstance(event, Note))
    assert page.state(session)[0].changed  # an image that is published first may bring its page with it


def test_who_may_not_look_is_told_so_and_nothing_ends(harbor: tuple[HarborDouble, Patient], file: Path) -> None:
    double, session = harbor
    double.users["robot$ci"] = ("another", set())

    (state,) = Page.read(file, places(double, "acme/app")).state(session)

    assert state.changed is None
    assert "nobody can tell" in state.reason
    assert CANARY not in state.reason


@pytest.mark.parametrize(
    ("short", "known", "said"),
    [
        ("A line", {DESCRIPTION: "the CI's"}, "A line"),
        (None, {DESCRIPTION: "the CI's"}, "the CI's"),
        (None, {}, "What it does."),
    ],
)
def test_the_index_is_described_for_githubs_registry(
    file: Path, short: str | None, known: dict[str, str], said: str
) -> None:
    """Where it is among the images, and only there; what else is known stays."""
    known = {**known, "a": "b"}
    assert Page.read(file, [HUB, GHCR], short=short).describe(known) == {**known, DESCRIPTION: said}
    assert Page.read(file, [HUB], short=short).describe(known) == known
    assert Page.read(file, [replace(HUB, vendor="ghcr")], short=short).describe({})[DESCRIPTION]


def test_a_readme_without_a_paragraph_describes_nothing(file: Path) -> None:
    file.write_text("# App\n")
    assert Page.read(file, [GHCR]).describe({}) == {}


def test_a_short_text_that_is_too_long_for_githubs_registry(file: Path) -> None:
    fits = "x" * DESCRIPTION_LIMIT
    assert Page.read(file, [GHCR], short=fits).describe({}) == {DESCRIPTION: fits}
    with pytest.raises(UsageError, match="512 characters"):
        Page.read(file, [GHCR], short=f"{fits}x")


def test_what_a_release_lacks_comes_before_its_page() -> None:
    """Its class, so the exit code, and its hint."""
    page = PartlyDone("the page", hint="page")
    assert together(None, page) is page
    assert together(page, None) is page
    both = together(Refused("the release", hint="release"), page)
    assert isinstance(both, Refused)
    assert (both.message, both.hint) == ("the release; and the page", "release")
    assert type(together(PartlyDone("the release"), page)) is PartlyDone
