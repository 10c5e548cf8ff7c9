"""A README that goes along with a release: on strict doubles of the hubs, beside real registries."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from regkit.oci.annotation import DESCRIPTION
from tests.ops.support import attested_layout
from tests.support.command import output_of, peer, regkit
from tests.support.registries import RunningRegistry, distribution
from tests.support.vendors.dockerhub import Account, HubDouble
from tests.support.vendors.dockerhub import Repository as HubRepository
from tests.support.vendors.double import serving
from tests.support.vendors.quay import QuayDouble
from tests.support.vendors.quay import Repository as QuayRepository
from tests.vendors.support import CANARY

TEXT = "# App\n\n[![badge](https://x.test/b.svg)](https://x.test)\n\nIt says *hello*, on\nevery platform.\n\nMore.\n"
PARAGRAPH = "It says hello, on every platform."
NAME = "acme/app"
ORDER = ["1", "1.2", "1.2.3", "latest"]


@dataclass
class Place:
    """A project with a README and a layout, a registry, and a double of the hub that shows its pages."""

    project: Path
    registry: RunningRegistry
    hub: HubDouble
    layout: Path

    @property
    def name(self) -> str:
        return f"{self.registry.host}/{NAME}"

    @property
    def page(self) -> str:
        return self.hub.repositories[NAME].full

    def configure(self, more: str = "", vendor: str = "dockerhub") -> None:
        """Say whose the registry is, and what else the configuration has."""
        api = f'api = "{self.hub.url}"\n' if vendor == "dockerhub" else ""
        section = f'[registry."{self.registry.host}"]\nvendor = "{vendor}"\n{api}'
        (self.project / "regkit.toml").write_text(f"schema = 1\n{section}{more}")

    def run(self, *command: str | Path, secret: str = CANARY) -> subprocess.CompletedProcess[str]:
        return regkit(*command, cwd=self.project, env=logins({self.registry.host: ("me", secret)}))

    def publish(self, *options: str | Path, secret: str = CANARY) -> subprocess.CompletedProcess[str]:
        """Publish the layout, with a README unless others are given."""
        asked = options or ("--readme", "README.md")
        return self.run("publish", *self.what, *asked, secret=secret)

    @property
    def what(self) -> tuple[str | Path, ...]:
        return ("--from", self.layout, "--image", self.name, "--version", "1.2.3")

    def writes(self) -> list[str]:
        return [line for line in self.hub.sent() if line.startswith("PATCH")]


def logins(secrets: dict[str, tuple[str, str]]) -> dict[str, str]:
    """Make DOCKER_AUTH_CONFIG."""
    auths = {host: {"auth": base64.b64encode(":".join(login).encode()).decode()} for host, login in secrets.items()}
    return {"DOCKER_AUTH_CONFIG": json.dumps({"auths": auths})}


@pytest.fixture
def place(registry: RunningRegistry, tmp_path: Path) -> Iterator[Place]:
    accounts = [Account("me", CANARY, "personal"), Account("me", "pusher", "personal", "write")]
    project = tmp_path / "project"
    project.mkdir()
    (project / "README.md").write_text(TEXT)
    layout = project / "layout"
    attested_layout(layout, "linux/amd64", "linux/arm64")
    with serving(HubDouble(accounts=accounts, repositories={NAME: HubRepository("old", "short")})) as hub:
        place = Place(project, registry, hub, layout)
        place.configure()
        yield place


def failed(done: subprocess.CompletedProcess[str], code: int, *said: str) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert CANARY not in done.stdout + done.stderr
    for text in said:
        assert text in done.stderr


def said_of(place: Place, tag: str = "1.2.3") -> dict[str, str]:
    """Give what the published index says of itself, as crane reads it."""
    found: dict[str, str] = json.loads(output_of(peer("crane", "manifest", f"{place.name}:{tag}")))["annotations"]
    return found


ONE = pytest.mark.parametrize("registry", ["distribution"], indirect=True)


def test_the_readme_follows_the_release(place: Place) -> None:
    """A rerun sends nothing; a README that changed is sent by a rerun that pushes nothing."""
    output_of(place.publish())
    assert place.registry.tags(NAME) == ORDER
    assert (place.page, place.hub.repositories[NAME].short) == (TEXT, "short")

    mark = place.registry.mark()
    document = json.loads(output_of(place.publish("--readme", "README.md", "--format", "json")))
    assert document["readme"] == [{"name": place.name, "changed": False}]
    assert len(place.writes()) == 1

    (place.project / "README.md").write_text(f"{TEXT}\nNews.\n")
    again = place.publish("--readme", "README.md", "--short", "A line", "--format", "json")
    assert json.loads(output_of(again))["readme"] == [{"name": place.name, "changed": True}]
    assert (place.page, place.hub.repositories[NAME].short) == (f"{TEXT}\nNews.\n", "A line")
    assert place.registry.writes(mark) == []


@ONE
def test_the_readme_follows_a_merge(place: Place) -> None:
    """As it follows a publish: by the option, or by the configuration; --no-readme leaves it out."""
    place.configure('[readme]\nfile = "README.md"\n')
    merge = ("merge", place.layout, "--image", place.name, "--version", "1.2.3")

    output_of(place.run(*merge, "--no-readme"))
    assert (place.page, place.registry.tags(NAME)) == ("old", ORDER)
    output_of(place.run(*merge))
    assert place.page == TEXT

    (place.project / "other.md").write_text("# Another\n")
    done = json.loads(output_of(place.run(*merge, "--readme", "other.md", "--short", "A line", "--format", "json")))
    assert done["readme"] == [{"name": place.name, "changed": True}]
    assert (place.page, place.hub.repositories[NAME].short) == ("# Another\n", "A line")


def test_a_readme_that_fails_costs_no_release(place: Place) -> None:
    """Exit 8 with the scope that is missing; the release is whole, and a rerun with the right token sends the page."""
    done = place.publish(secret="pusher")

    failed(done, 8, "the release is up, but the README isn't shown", "insufficient scope", "Read, Write, Delete")
    assert f"regkit readme push --image {place.name} --file README.md" in done.stderr
    digest = output_of(peer("crane", "digest", f"{place.name}:latest")).strip()
    assert done.stdout == f"{place.name}@{digest}\n"
    assert place.registry.tags(NAME) == ORDER
    assert place.page == "old"

    mark = place.registry.mark()
    output_of(place.publish())
    assert place.page == TEXT
    assert place.registry.writes(mark) == []


@ONE
def test_a_hub_that_is_down_costs_no_release(place: Place) -> None:
    (place.project / "regkit.toml").write_text(
        f'schema = 1\n[registry."{place.registry.host}"]\nvendor = "dockerhub"\napi = "http://127.0.0.1:1"\n'
    )
    failed(place.publish(), 8, "the release is up, but the README isn't shown", "the same command again sends it")
    assert place.registry.tags(NAME) == ORDER


@ONE
@pytest.mark.parametrize(
    ("data", "said"), [(None, "can't be read"), (b"\xff", "isn't UTF-8"), (b"\n", "is empty")], ids=str
)
def test_a_wrong_file_ends_it_before_anything_is_done(place: Place, data: bytes | None, said: str) -> None:
    file = place.project / "README.md"
    file.unlink() if data is None else file.write_bytes(data)

    failed(place.publish(), 2, said)
    failed(place.run("plan", *place.what, "--readme", "README.md"), 2, said)
    assert place.registry.writes() == []
    assert place.hub.calls == []


@ONE
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--readme", "README.md", "--short", "x" * 101), "one line of 100 bytes"),
        (("--short", "A line"), "a short text goes along with a README"),
        (("--readme", "README.md", "--no-readme"), "were both given"),
    ],
    ids=["short", "no readme", "both"],
)
def test_wrong_options(place: Place, options: tuple[str, ...], said: str) -> None:
    failed(place.publish(*options), 2, said)
    assert place.registry.writes() == []


@ONE
def test_a_plan_shows_what_becomes_of_the_page(place: Place) -> None:
    """It sends nothing; a page that differs is a change, one that doesn't is none."""
    plan = ("plan", *place.what, "--readme", "README.md")
    assert f"readme     {place.name} shows something else, and gets README.md" in output_of(place.run(*plan))
    assert place.publish("--readme", "README.md", "--dry-run").stdout == place.run(*plan).stdout
    assert place.writes() == []

    output_of(place.publish("--no-readme"))
    assert place.page == "old"
    assert place.run(*plan, "--detailed-exitcode").returncode == 3
    del place.hub.repositories[NAME]
    assert f"{place.name} has no page yet, and gets README.md" in output_of(place.run(*plan))
    place.hub.repositories[NAME] = HubRepository("old")

    output_of(place.publish())
    done = place.run(*plan, "--detailed-exitcode", "--format", "json")
    (page,) = json.loads(output_of(done))["readme"]
    assert page == {"name": place.name, "changed": False, "reason": f"{place.name} shows README.md already"}


@ONE
def test_a_saved_plan_shows_its_readme(place: Place) -> None:
    """Another text by now is refused, before anything is sent; where the page is shown isn't for the plan to say."""
    output_of(place.run("plan", *place.what, "--readme", "README.md", "--short", "A line", "--out", "plan.json"))
    assert place.hub.host not in (place.project / "plan.json").read_text()

    (place.project / "README.md").write_text(f"{TEXT}\nNews.\n")
    failed(place.run("publish", "--plan", "plan.json"), 9, "README.md isn't that of the plan plan.json")
    assert place.registry.writes() == []

    (place.project / "README.md").write_text(TEXT)
    output_of(place.run("publish", "--plan", "plan.json"))
    assert (place.page, place.hub.repositories[NAME].short) == (TEXT, "A line")


@ONE
def test_the_configuration_names_the_readme(place: Place) -> None:
    """`readme` in [publish.NAME]; its path is the file's."""
    (place.project / "docs").mkdir()
    (place.project / "docs" / "page.md").write_text("# Page\n")
    place.configure(
        f'[publish.app]\nimage = "{place.name}"\nfrom = "{place.layout}"\nversion = "1.2.3"\n'
        'readme = "docs/page.md"\nshort = "A line"\n'
    )
    output_of(place.run("publish"))
    assert (place.page, place.hub.repositories[NAME].short) == ("# Page\n", "A line")


@ONE
def test_the_readme_section_is_for_its_images(place: Place) -> None:
    """Another repository gets none; `--no-readme` leaves it out."""
    place.hub.repositories["acme/other"] = HubRepository("other")
    place.configure(f'[readme]\nimage = "{place.name}"\nfile = "README.md"\n')
    output_of(place.publish("--no-readme"))
    assert place.hub.calls == []

    output_of(place.publish("--image", f"{place.registry.host}/acme/other"))
    assert place.page == TEXT
    assert place.hub.repositories["acme/other"].full == "other"


@ONE
def test_one_readme_for_several_entries(place: Place) -> None:
    """A file that the command line names is for one image alone, but not a project's README."""
    place.hub.repositories["acme/two"] = HubRepository("old")
    place.configure(
        "".join(
            f'[publish.{name}]\nimage = "{place.registry.host}/acme/{name}"\nfrom = "{place.layout}"\n'
            for name in ("app", "two")
        )
    )
    output_of(place.run("publish", "--version", "1.2.3", "--readme", "README.md"))
    assert (place.page, place.hub.repositories["acme/two"].full) == (TEXT, TEXT)


@ONE
def test_githubs_registry_gets_a_description(place: Place) -> None:
    """The short text, else the first paragraph, on the index; nobody is asked to show a page."""
    place.configure(vendor="ghcr")
    planned = output_of(place.run("plan", *place.what, "--readme", "README.md"))
    assert f"annotate   {DESCRIPTION}={PARAGRAPH}" in planned
    assert f"readme     {place.name} shows the index's description, and no README" in planned

    output_of(place.publish())
    assert said_of(place)[DESCRIPTION] == PARAGRAPH
    short = ("--readme", "README.md", "--short", "A line")
    output_of(place.publish(*short, "--no-immutable"))
    assert said_of(place)[DESCRIPTION] == PARAGRAPH  # the same release: another description waits for the next one
    output_of(place.publish(*short, "--version", "1.2.4"))
    assert said_of(place, "1.2.4")[DESCRIPTION] == "A line"
    output_of(place.publish(*short, "--version", "1.2.5", "--annotation", f"{DESCRIPTION}=Mine"))
    assert said_of(place, "1.2.5")[DESCRIPTION] == "Mine"
    assert place.hub.calls == []


@ONE
def test_a_built_release_is_the_same_whatever_the_readme_says(place: Place, hello: Path, builder: str) -> None:
    """A rerun with another README builds nothing, where a registry shows the index's description."""
    place.configure(vendor="ghcr")
    readme = place.project / "README.md"
    options = ("--config", place.project / "regkit.toml")

    def again() -> str:
        asked = ("publish", hello, "--image", place.name, "--platform", "linux/amd64", "--readme", readme)
        return output_of(regkit(*options, *asked, env={"BUILDKIT_HOST": builder}))

    first = again()
    assert said_of(place)[DESCRIPTION] == PARAGRAPH
    readme.write_text("# App\n\nSomething else.\n")
    mark = place.registry.mark()
    assert again() == first
    assert place.registry.writes(mark) == []


@ONE
def test_a_registry_that_shows_no_page(place: Place) -> None:
    """It is said, and no failure: the others have theirs."""
    (place.project / "regkit.toml").unlink()
    done = place.publish()
    output_of(done)
    assert f"{place.name} shows no README" in done.stderr


@ONE
def test_each_hub_gets_what_it_takes(place: Place, tmp_path: Path) -> None:
    """The short line goes where there is one; of two hubs one fails, and the other has the page."""
    quays = QuayDouble(tokens={CANARY: {"repo:read", "repo:write"}}, repositories={NAME: QuayRepository("old")})
    with ExitStack() as stack:
        other = stack.enter_context(distribution(tmp_path / "other"))
        stack.enter_context(serving(quays))
        place.configure(f'[registry."{other.host}"]\nvendor = "quay"\napi = "{quays.url}"\n')
        images = ("--image", place.name, "--image", f"{other.host}/{NAME}")
        command = ("publish", "--from", place.layout, *images, "--version", "1.2.3", "--readme", "README.md")

        def run(secret: str) -> subprocess.CompletedProcess[str]:
            env = logins({place.registry.host: ("me", secret), other.host: ("$oauthtoken", CANARY)})
            return regkit(*command, "--short", "A line", cwd=place.project, env=env)

        failed(run("pusher"), 8, f"{place.name}", "insufficient scope")
        assert (place.page, quays.repositories[NAME].description) == ("old", TEXT)
        output_of(run(CANARY))
        assert (place.page, place.hub.repositories[NAME].short) == (TEXT, "A line")
        assert place.registry.tags(NAME) == other.tags(NAME) == ORDER
