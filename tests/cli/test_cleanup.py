"""The commands `cleanup plan|apply` and `tag rm`: rules, confirmation, output, exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from regkit.devregistry.server import running
from tests.support.command import output_of, regkit
from tests.support.place import APP, RELEASE, Place


@dataclass
class Stage:
    """A filled registry, served; `config` is a configuration that its commands read."""

    place: Place
    config: Path

    @property
    def app(self) -> str:
        return f"{self.place.host}/{APP}"

    @property
    def tags(self) -> set[str]:
        return set(self.place.tags[APP])

    def write(self, *policies: str) -> None:
        """Write a configuration."""
        self.config.write_text("\n".join(("schema = 1", *policies)))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    place = Place(tmp_path / "place")
    place.fill()
    with running(place) as server:
        place.host = server.host
        yield Stage(place, tmp_path / "regkit.toml")


def test_a_plan_changes_nothing_and_explains_each_tag(stage: Stage) -> None:
    before = stage.place.tags
    said = output_of(regkit("cleanup", "plan", stage.app, "--match", "part|single", "--keep", "0"))
    document = json.loads(
        output_of(regkit("cleanup", "plan", stage.app, "--match", "part|single", "--keep", "0", "--format", "json"))
    )

    assert stage.place.tags == before
    (image,) = document["images"]
    assert document["schema"] == 1
    assert {tag["tag"] for tag in image["remove"]} == {"part", "single"}
    assert {tag["tag"] for tag in image["keep"]} == stage.tags - {"part", "single"}
    for tag in (*image["remove"], *image["keep"]):
        assert tag["reason"]
        assert tag["reason"] in said
        assert tag["digest"] == before[APP][tag["tag"]]


def test_applying_needs_a_word(stage: Stage) -> None:
    """Without a terminal and without --yes nothing is done, and the flag is named."""
    before = stage.tags
    refused = regkit("cleanup", "apply", stage.app, "--match", "part", "--keep", "0")
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert stage.tags == before

    done = regkit("cleanup", "apply", stage.app, "--match", "part", "--keep", "0", "--yes")
    assert output_of(done) == f"removed {stage.app}:part\n"
    assert stage.tags == before - {"part"}


def test_nothing_to_do_is_told(stage: Stage) -> None:
    """In a line, however many repositories there are; in JSON each is there, with nothing removed."""
    rule = ("--match", "nothing", "--keep", "0")
    before = stage.tags

    one = output_of(regkit("cleanup", "apply", stage.app, *rule))
    document = json.loads(output_of(regkit("cleanup", "apply", stage.app, *rule, "--format", "json")))
    output_of(regkit("copy", f"{stage.app}:latest", f"{stage.place.host}/other:1"))
    two = output_of(regkit("cleanup", "apply", stage.app, f"{stage.place.host}/other", *rule))

    assert one == f"nothing to remove in {stage.app}\n"
    assert two == "nothing to remove in 2 repositories\n"
    nothing: dict[str, list[str]] = {key: [] for key in ("removed", "deleted", "moved", "failed")}
    assert document["images"] == [{"image": stage.app, **nothing}]
    assert stage.tags == before


def test_detailed_exit_codes(stage: Stage) -> None:
    rule = ("--match", "part", "--keep", "0", "--detailed-exitcode")

    assert regkit("cleanup", "plan", stage.app, *rule).returncode == 3
    output_of(regkit("tag", "rm", f"{stage.app}:part", "--yes"))
    assert regkit("cleanup", "plan", stage.app, *rule).returncode == 0


def test_untagged_manifests_go_but_not_what_a_tag_needs(stage: Stage) -> None:
    """`part` alone goes with its tag: the image in it is the release's, too."""
    output_of(regkit("cleanup", "apply", stage.app, "--match", "part", "--keep", "0", "--untagged", "--yes"))

    assert not stage.place.has(stage.place.part.digest)
    assert stage.place.has(stage.place.image.digest)
    assert stage.place.holes() == []


def test_a_place_where_no_plan_can_be(stage: Stage, tmp_path: Path) -> None:
    """It is refused before anything is read, and no directory is made for it."""
    for place, why in ((tmp_path / "absent" / "plan.json", "isn't a directory"), (tmp_path, "it is a directory")):
        done = regkit("cleanup", "plan", stage.app, "--keep", "1", "--out", place)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{place} can't be written: " in done.stderr
        assert why in done.stderr

    assert not (tmp_path / "absent").exists()


def test_a_saved_plan_is_carried_out_where_it_still_holds(stage: Stage, tmp_path: Path) -> None:
    """It needs no --yes; a tag that moved since stays, and so does what came since."""
    plan = tmp_path / "plan.json"
    rule = ("--match", "part|single|later", "--keep", "0")
    output_of(regkit("cleanup", "plan", stage.app, *rule, "--untagged", "--out", plan))
    output_of(regkit("tag", "set", f"{stage.app}:latest", "single", "later"))

    done = json.loads(output_of(regkit("cleanup", "apply", "--plan", plan, "--format", "json")))

    assert done == {
        "schema": 1,
        "images": [
            {
                "image": stage.app,
                "removed": ["part"],
                "deleted": [stage.place.part.digest],
                "moved": [],
                "failed": [],
            }
        ],
    }
    assert {"single", "later"} <= stage.tags


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 2, "images": []}', '{"schema": 1, "images": [{}]}'])
def test_a_plan_that_is_none(tmp_path: Path, text: str) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(text)

    refused = regkit("cleanup", "apply", "--plan", plan)

    assert refused.returncode == 2
    assert "plan" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_policies_of_the_configuration(stage: Stage) -> None:
    """All of them by default, one by its name; repositories that are named stand in for those in the file."""
    stage.write(
        f'[cleanup.parts]\nimage = "{stage.app}"\nmatch = "part"\nkeep = 0',
        f'[cleanup.singles]\nimage = "{stage.app}"\nmatch = "single"\nkeep = 0',
        '[cleanup.nowhere]\nmatch = "arm"\nkeep = 0',
    )

    def planned(*arguments: str) -> list[set[str]]:
        said = output_of(regkit("--config", stage.config, "cleanup", "plan", *arguments, "--format", "json"))
        return [{tag["tag"] for tag in image["remove"]} for image in json.loads(said)["images"]]

    assert planned() == [{"part", "single"}]
    assert planned("--name", "parts") == [{"part"}]
    assert planned("--name", "nowhere", stage.app) == [{"arm"}]
    unknown = regkit("--config", stage.config, "cleanup", "plan", "--name", "weekly")
    assert unknown.returncode == 2
    assert "parts, singles, nowhere" in unknown.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "there are no rules"),
        (["--match", "x"], "--match alone"),
        (["--keep", "1"], "no repository is named"),
        (["reg.test/a", "--older-than", "soon"], "--older-than isn't"),
        (["reg.test/a", "--match", "(", "--keep", "1"], "--match: not a regular expression"),
        (["reg.test/a", "--keep", "-1"], "--keep"),
        (["reg.test/a", "--keep", "1", "--name", "x"], "--name"),
        (["reg.test/a:1", "--keep", "1"], "reg.test/a:1"),
    ],
)
def test_wrong_rules(arguments: list[str], said: str) -> None:
    """Each is told before anybody is asked."""
    for verb in ("plan", "apply"):
        refused = regkit("cleanup", verb, *arguments)
        assert refused.returncode == 2
        assert said in refused.stderr


def test_a_plan_and_rules_dont_go_together(tmp_path: Path) -> None:
    assert regkit("cleanup", "apply", "--plan", tmp_path / "plan", "--keep", "1").returncode == 2


def test_a_repository_without_tags(stage: Stage) -> None:
    """A name that is mistyped isn't a repository that is clean."""
    assert regkit("cleanup", "plan", f"{stage.place.host}/team/ap", "--keep", "1").returncode == 5


def test_what_cannot_be_removed_is_told(stage: Stage) -> None:
    """Nothing of it: 9; some of it: 8, with each failure and its reason in the result as well."""
    stage.place.front.switch_on("immutable-tags-403")
    rule = ("--match", "part|single", "--keep", "0", "--yes")

    refused = regkit("cleanup", "apply", stage.app, *rule, "--format", "json")

    assert refused.returncode == 9
    (image,) = json.loads(refused.stdout)["images"]
    assert {each["name"] for each in image["failed"]} == {"part", "single"}
    stage.place.front.switch_off("immutable-tags-403")
    stage.place.front.switch_on("tag-delete-400")
    partly = regkit("cleanup", "apply", stage.app, "--match", "part|arm", "--keep", "0", "--yes", "--format", "json")
    assert partly.returncode == 8
    (image,) = json.loads(partly.stdout)["images"]
    assert image["removed"] == ["part"]
    assert [each["name"] for each in image["failed"]] == ["arm"]
    assert "it alone keeps" in partly.stderr


def test_tags_from_stdin(stage: Stage, tmp_path: Path) -> None:
    """Many in one call, `-` for a list on stdin; --dry-run tells and does nothing."""
    import subprocess
    import sys

    from tests.support.command import clean_environment

    names = "".join(f"{stage.app}:{tag}\n" for tag in ("part", "single", "1.2"))

    def remove(*options: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "regkit", "tag", "rm", "-", *options]
        env = clean_environment(tmp_path)
        return subprocess.run(argv, input=names, capture_output=True, text=True, env=env, cwd=tmp_path, check=False)

    before = stage.tags
    assert [line.split()[1] for line in output_of(remove("--dry-run")).splitlines()] == names.split()
    assert remove().returncode == 2
    assert stage.tags == before
    output_of(remove("--yes"))
    assert stage.tags == before - {"part", "single", "1.2"}
    assert set(RELEASE) - {"1.2"} <= stage.tags
