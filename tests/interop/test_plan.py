"""A plan: it says what a publish does, it can be kept, and what is kept is done exactly or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.ops.support import attested_layout
from tests.support.command import output_of, regkit
from tests.support.layouts import make_layout
from tests.support.registries import RunningRegistry
from tests.support.releases import PLATFORMS, REPOSITORY, tags_deleted, tags_of, tags_put

ORDER = ["1", "1.2", "1.2.3", "latest"]
ONLY_DISTRIBUTION = pytest.mark.parametrize("registry", ["distribution"], indirect=True)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return attested_layout(tmp_path / "layout", "linux/amd64", "linux/arm64/v8")


def asked(registry: RunningRegistry, layout: Path, version: str = "v1.2.3") -> tuple[str | Path, ...]:
    return ("--image", f"{registry.host}/{REPOSITORY}", "--version", version, "--from", layout)


def lines_of(plan: str, word: str) -> dict[str, str]:
    """Give what follows a word at a line's beginning, parted at the colon."""
    found = (line[11:].partition(": ") for line in plan.splitlines() if line[:10].strip() == word)
    return {name: reason for name, _, reason in found}


def test_a_plan_is_what_is_done_then(registry: RunningRegistry, layout: Path, tmp_path: Path) -> None:
    """Each line of a plan is a request of the publish that follows, in that order, and nothing else is written."""
    make_layout(tmp_path / "older")
    older = output_of(regkit("publish", *asked(registry, tmp_path / "older", "v1.2.2"))).strip().partition("@")[2]
    mark = registry.mark()

    plan = output_of(regkit("plan", *asked(registry, layout)))
    assert registry.writes(mark) == []
    digest = output_of(regkit("publish", *asked(registry, layout))).strip().partition("@")[2]

    moved = lines_of(plan, "tag")
    assert list(moved) == tags_put(registry.since(mark)) == ORDER
    assert moved["1.2"] == f"the highest version of 1.2 (from {older} to {digest})"
    assert moved["1.2.3"] == "the version itself"
    pushed = [
        r.path.rpartition("/")[2] for r in registry.writes(mark) if r.method == "PUT" and "/manifests/sha" in r.path
    ]
    said = [name for line in plan.splitlines() if line.startswith("push ") for name in [line[11:82]]]
    assert sorted(said) == sorted(pushed)
    assert f"index      {digest}" in plan.splitlines()


def test_the_exit_code_tells_whether_anything_is_pending(registry: RunningRegistry, layout: Path) -> None:
    """With --detailed-exitcode 3 where something would change, 0 where nothing would; without it always 0."""
    plan = ("plan", *asked(registry, layout))

    assert regkit(*plan).returncode == 0
    assert regkit(*plan, "--detailed-exitcode").returncode == 3
    output_of(regkit("publish", *asked(registry, layout)))
    done = regkit(*plan, "--detailed-exitcode")
    assert done.returncode == 0
    assert set(lines_of(done.stdout, "keep").values()) == {"it stands there already"}
    assert lines_of(done.stdout, "tag") == lines_of(done.stdout, "push") == {}


def test_what_is_kept_and_deleted(registry: RunningRegistry, layout: Path, tmp_path: Path) -> None:
    """A higher release keeps its aliases, and says why; platform tags on the way are to be deleted."""
    make_layout(tmp_path / "newer")
    newer = output_of(regkit("publish", *asked(registry, tmp_path / "newer", "v2.0.0"))).strip().partition("@")[2]
    words = ("--intermediate", "tag", "--commit", "8f3c2b1a")

    plan = output_of(regkit("plan", *asked(registry, layout), *words))

    names = [f"8f3c2b1-linux-{slug}" for slug in ("amd64", "arm64-v8")]
    assert lines_of(plan, "keep") == {"latest": f"2.0.0 is higher (stands on {newer})"}
    assert list(lines_of(plan, "on the way")) == list(lines_of(plan, "delete")) == names
    mark = registry.mark()
    regkit("publish", *asked(registry, layout), *words)
    assert tags_deleted(registry.since(mark))[: len(names)] == (names if registry.kind != "debian" else names[:1])


def test_a_kept_plan_is_carried_out(registry: RunningRegistry, layout: Path, tmp_path: Path) -> None:
    """`publish --plan` does what the plan says, with nothing else given; again, it finds it done."""
    kept = tmp_path / "plan.json"
    output_of(regkit("plan", *asked(registry, layout), "--out", kept))
    document = json.loads(kept.read_text())

    done = output_of(regkit("publish", "--plan", kept))

    assert document["schema"] == 1
    assert done == f"{registry.host}/{REPOSITORY}@{document['digest']}\n"
    assert tags_of(registry) == dict.fromkeys(ORDER, document["digest"])
    mark = registry.mark()
    assert output_of(regkit("publish", "--plan", kept)) == done
    assert registry.writes(mark) == []


@ONLY_DISTRIBUTION
@pytest.mark.parametrize("moved", ["an alias", "the version", "a new alias"])
def test_a_tag_that_moved_since_is_not_touched(
    registry: RunningRegistry, layout: Path, tmp_path: Path, moved: str
) -> None:
    """A tag that the plan touches stands elsewhere by now: exit 9 with the tag and both digests; nothing is written."""
    for version in ("v1.2.2", "v1.1.0"):
        make_layout(tmp_path / version, seed=int(version[-1]))
        if moved != "a new alias":
            output_of(regkit("publish", *asked(registry, tmp_path / version, version)))
    kept, name = tmp_path / "plan.json", f"{registry.host}/{REPOSITORY}"
    output_of(regkit("plan", *asked(registry, layout), "--out", kept))
    was = tags_of(registry)
    tag = {"an alias": "latest", "the version": "1.2.3", "a new alias": "1"}[moved]
    if moved == "a new alias":
        output_of(regkit("publish", *asked(registry, tmp_path / "v1.1.0", "main"), "--tag", tag))
    else:
        output_of(regkit("tag", "set", f"{name}:1.1.0", tag))
    before, mark = tags_of(registry), registry.mark()

    done = regkit("publish", "--plan", kept)

    assert (done.returncode, done.stdout) == (9, "")
    assert (
        f"{name}:{tag} has moved since the plan was made: from {was.get(tag, 'nothing')} to {before[tag]}"
        in done.stderr
    )
    assert registry.writes(mark) == []
    assert tags_of(registry) == before


@ONLY_DISTRIBUTION
def test_other_content_than_planned_is_refused(registry: RunningRegistry, layout: Path, tmp_path: Path) -> None:
    """The layout was built anew since: that isn't what was approved."""
    kept = tmp_path / "plan.json"
    output_of(regkit("plan", *asked(registry, layout), "--out", kept))
    shutil.rmtree(layout)
    attested_layout(layout, "linux/amd64", "linux/arm64/v8", content="other")

    done = regkit("publish", "--plan", kept)

    assert (done.returncode, done.stdout) == (9, "")
    assert "the plan" in done.stderr
    assert registry.writes() == []


@ONLY_DISTRIBUTION
def test_a_planned_build(registry: RunningRegistry, hello: Path, builder: str) -> None:
    """A build is planned and carried out from the same checkout, the plan kept in it; build arguments aren't in it.

    Another source, or a missing argument, is refused before anything is built.
    """
    env = {"BUILDKIT_HOST": builder}
    words = ("--image", f"{registry.host}/{REPOSITORY}", "--platform", ",".join(PLATFORMS[:2]))
    secret = "TOKEN=" + "s3cret"

    def apply(*more: str) -> CompletedProcess[str]:
        return regkit("publish", "--plan", "plan.json", *more, env=env, cwd=hello)

    done = regkit("plan", ".", *words, "--build-arg", secret, "--out", "plan.json", "--detailed-exitcode", cwd=hello)
    assert done.returncode == 3, done.stderr
    assert lines_of(done.stdout, "build") == {"yes": "this version isn't published yet"}
    assert "s3cret" not in (hello / "plan.json").read_text() + done.stdout + done.stderr

    assert apply().returncode == 2
    assert apply("--build-arg", "TOKEN=other").returncode == 9
    assert registry.writes() == []
    name = output_of(apply("--build-arg", secret)).strip()
    assert tags_of(registry) == dict.fromkeys(ORDER, name.partition("@")[2])

    again = regkit("publish", ".", *words, "--build-arg", secret, cwd=hello, env={"BUILDKIT_HOST": "unix:///nowhere"})
    assert output_of(again).strip() == name


@ONLY_DISTRIBUTION
def test_a_plan_that_would_be_refused(registry: RunningRegistry, layout: Path, tmp_path: Path) -> None:
    """Other content under a published version is refused by the plan already, and none is kept."""
    output_of(regkit("publish", *asked(registry, layout)))
    make_layout(tmp_path / "other")

    done = regkit("plan", *asked(registry, tmp_path / "other"), "--out", tmp_path / "plan.json")

    assert done.returncode == 9
    assert not (tmp_path / "plan.json").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "can't be read"),
        ("no JSON", "isn't a plan"),
        ("[]", "isn't a plan"),
        ('{"schema": 1}', "isn't a plan"),
        ('{"schema": 7, "request": {}}', "unknown schema 7"),
        ('{"schema": 1, "request": {}}', "isn't a list"),
        ('{"schema": 1, "request": {"images": ["A/B"]}}', "not an image reference"),
    ],
)
def test_what_is_no_plan(tmp_path: Path, content: str | None, said: str) -> None:
    """A file that isn't a plan of this schema is said to be none: exit 2."""
    if content is not None:
        (tmp_path / "plan.json").write_text(content)

    done = regkit("publish", "--plan", tmp_path / "plan.json")

    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@ONLY_DISTRIBUTION
@pytest.mark.parametrize(
    ("key", "value"),
    [("destinations", [{}]), ("destinations", ["x"]), ("intermediates", 1), ("request", 1), ("platforms", {})],
)
def test_a_plan_that_was_spoilt(
    registry: RunningRegistry, layout: Path, tmp_path: Path, key: str, value: object
) -> None:
    """A plan of which a part is something else is a sentence, and nothing is written."""
    kept = tmp_path / "plan.json"
    output_of(regkit("plan", *asked(registry, layout), "--out", kept))
    kept.write_text(json.dumps({**json.loads(kept.read_text()), key: value}))

    done = regkit("publish", "--plan", kept)

    assert done.returncode == 2, done.stderr
    assert "plan" in done.stderr
    assert registry.writes() == []


@ONLY_DISTRIBUTION
@pytest.mark.parametrize("tags", [["../../../app/manifests/evil"], ["1", "1.2", "1.2.3", "latest", "more"], []])
def test_a_plan_whose_tags_were_changed(
    registry: RunningRegistry, layout: Path, tmp_path: Path, tags: list[str]
) -> None:
    """Other tags than those that are asked for, or a path into another repository: 2, and nothing is written."""
    kept = tmp_path / "plan.json"
    output_of(regkit("plan", *asked(registry, layout), "--out", kept))
    document = json.loads(kept.read_text())
    document["destinations"][0]["tags"] = [{"tag": tag, "moves": True, "reason": "so"} for tag in tags]
    kept.write_text(json.dumps(document))

    done = regkit("publish", "--plan", kept)

    assert done.returncode == 2, done.stderr
    assert "the plan isn't as it was made" in done.stderr
    assert registry.writes() == []


def test_a_plan_says_all(tmp_path: Path) -> None:
    """What a plan holds can't be given again: the option is named."""
    done = regkit("publish", "--plan", tmp_path / "plan.json", "--image", "a/b")

    assert done.returncode == 2
    assert "--image can't be given" in done.stderr
