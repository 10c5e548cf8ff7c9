"""Publishing what a configuration says, as users run it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.command import LIMIT, clean_environment, git, output_of, regkit
from tests.support.layouts import make_layout
from tests.support.registries import RunningRegistry, embedded

BOTH = ["linux/amd64", "linux/arm64"]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RunningRegistry]:
    with embedded(tmp_path / "registry") as running:
        yield running


@pytest.fixture
def project(tmp_path: Path, registry: RunningRegistry) -> Path:
    """Give a git repository with two layouts, and a configuration that publishes both."""
    root = tmp_path / "project"
    (root / "sub").mkdir(parents=True)
    git(root, "init")
    for name in ("one", "two"):
        make_layout(root / name, BOTH, seed=len(name))
    write(
        root,
        f"""
        schema = 1
        [publish.second-in-the-alphabet]
        image = "{registry.host}/one"
        from = "ocidir://one"
        version = "1.2.3"

        [publish.a]
        image = "{registry.host}/two"
        from = ["ocidir://two"]
        platform = ["linux/amd64"]
        annotation = ["from=file"]
        tag = ["nightly"]
        """,
    )
    return root


def write(root: Path, text: str) -> None:
    (root / "regkit.toml").write_text(text)


def tags(registry: RunningRegistry) -> dict[str, list[str]]:
    return {name: registry.tags(name) for name in ("one", "two", "other")}


def order(registry: RunningRegistry) -> Sequence[str]:
    """Tell in which order repositories were written."""
    return list(dict.fromkeys(logged.path.split("/")[2] for logged in registry.writes()))


def fails(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("place", [".", "sub"])
def test_all_that_the_file_says_in_its_order(project: Path, registry: RunningRegistry, place: str) -> None:
    """From the file's directory, or one below it: its paths are its own."""
    done = regkit("publish", cwd=project / place)

    names = [line.partition("@")[0] for line in output_of(done).splitlines()]
    assert names == [f"{registry.host}/one", f"{registry.host}/two"]
    assert tags(registry) == {"one": ["1", "1.2", "1.2.3", "latest"], "two": ["nightly"], "other": []}
    assert order(registry) == ["one", "two"]


def test_one_of_them(project: Path, registry: RunningRegistry) -> None:
    """By its name, from the command line or the environment; a name that isn't there is told."""
    output_of(regkit("publish", "--name", "a", cwd=project))
    assert tags(registry)["one"] == []
    output_of(regkit("publish", cwd=project, env={"REGKIT_NAME": "second-in-the-alphabet"}))
    assert "1.2.3" in tags(registry)["one"]

    said = fails(regkit("publish", "--name", "b", cwd=project), 2)
    assert "has no [publish.b]" in said
    assert "it has second-in-the-alphabet, a" in said
    assert "there is no configuration with a [publish.b]" in fails(regkit("publish", "--name", "b"), 2)


def index(registry: RunningRegistry, name: str) -> tuple[list[str], dict[str, str]]:
    """Read a release's platforms and annotations."""
    document = json.loads(output_of(regkit("inspect", f"{registry.host}/{name}", "--format", "json")))
    platforms = [f"{m['platform']['os']}/{m['platform']['architecture']}" for m in document["manifests"]]
    return platforms, document["annotations"]


@pytest.mark.parametrize(
    ("env", "flags", "expected"),
    [
        ({}, (), (["linux/amd64"], "file")),
        ({"DOCKER_PLATFORMS": "linux/arm64"}, (), (["linux/arm64"], "file")),
        ({"REGKIT_ANNOTATION": "from=environment"}, (), (["linux/amd64"], "environment")),
        (
            {"REGKIT_PLATFORM": "linux/amd64", "REGKIT_ANNOTATION": "from=environment"},
            ("--platform", "linux/arm64", "--annotation", "from=flag"),
            (["linux/arm64"], "flag"),
        ),
    ],
)
def test_a_flag_wins_over_the_environment_over_the_file(
    project: Path, registry: RunningRegistry, env: dict[str, str], flags: Sequence[str], expected: tuple[list[str], str]
) -> None:
    """For each key by itself; what isn't said elsewhere stays the file's."""
    output_of(regkit("publish", "--name", "a", "--tag", "x", *flags, cwd=project, env=env))

    found, annotations = index(registry, "two:x")
    assert (found, annotations["from"]) == expected
    assert tags(registry)["two"] == ["x"]


def test_what_is_for_one_image_needs_one(project: Path, registry: RunningRegistry) -> None:
    """Several images, and one name for them: refused with the file's line, and nothing is done."""
    for flags in (("--image", "a/b"), ("--from", "ocidir://one"), ("--metadata-file", "m.json"), (".",)):
        said = fails(regkit("publish", *flags, cwd=project), 2)
        assert "regkit.toml:3: there are several images here, and " in said
        assert "--name NAME" in said
    assert "and --image is for one" in fails(regkit("publish", cwd=project, env={"REGKIT_IMAGE": "a/b"}), 2)
    assert registry.writes() == []

    other = ("--image", f"{registry.host}/other", "--from", "ocidir://one", "--tag", "x")
    output_of(regkit("--config", "/dev/null", "publish", *other, cwd=project))
    assert tags(registry) == {"one": [], "two": [], "other": ["x"]}


def test_the_first_that_fails_is_the_last(project: Path, registry: RunningRegistry) -> None:
    """What was done before it, and what wasn't begun, is said."""
    text = (project / "regkit.toml").read_text()
    write(project, f'{text}\n[publish.z]\nimage = "{registry.host}/other"\nfrom = "ocidir://two"\ntag = "x"\n')
    (project / "two" / "index.json").unlink()

    done = regkit("publish", "--format", "json", cwd=project)

    said = [line for line in done.stderr.splitlines() if line.startswith("regkit: ")]
    assert done.returncode == 2
    assert said[0] == "regkit: done: second-in-the-alphabet; failed: a; not begun: z"
    assert said[1].startswith("regkit: error: ")
    assert list(json.loads(done.stdout)["publish"]) == ["second-in-the-alphabet"]
    assert tags(registry)["other"] == []


def test_one_json_document_for_all(project: Path) -> None:
    """Under the names of the file, each as a publish of it alone would be; a plan likewise."""
    alone = json.loads(output_of(regkit("publish", "--name", "a", "--format", "json", cwd=project)))
    together = json.loads(output_of(regkit("publish", "--format", "json", cwd=project)))

    assert together["schema"] == 1
    assert list(together["publish"]) == ["second-in-the-alphabet", "a"]
    assert together["publish"]["a"]["digest"] == alone["digest"]
    plans = json.loads(output_of(regkit("plan", "--format", "json", cwd=project)))
    assert list(plans["publish"]) == ["second-in-the-alphabet", "a"]


def test_a_plan_of_several(project: Path, registry: RunningRegistry) -> None:
    """`plan` reads the same sections, and changes nothing; one that has changes to make ends with 3, after the last."""
    done = regkit("plan", "--detailed-exitcode", cwd=project)
    assert done.returncode == 3
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("image ")] == [
        f"{registry.host}/one",
        f"{registry.host}/two",
    ]
    assert registry.writes() == []
    output_of(regkit("publish", cwd=project))
    output_of(regkit("plan", "--detailed-exitcode", cwd=project))


def test_a_saved_plan_says_all(project: Path, registry: RunningRegistry) -> None:
    """With --plan the file counts for nothing: what it says is in the plan."""
    output_of(regkit("plan", "--name", "a", "--out", "p.json", cwd=project))
    output_of(regkit("publish", "--plan", "p.json", cwd=project))
    assert tags(registry) == {"one": [], "two": ["nightly"], "other": []}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[publish.a]\nfrom = 'ocidir://one'\n", "regkit.toml:1: [publish.a] has no image"),
        ("[publish.a]\nimage = 'x/y'\ncontext = '.'\nfrom = 'a'\n", "regkit.toml:4: [publish.a] has a context, which"),
        ("[publish.a]\nimage = 'x/y'\nplatfrm = 'a'\n", "regkit.toml:3: [publish.a] has an unknown key 'platfrm'"),
        ("[registry.'a.b']\nmirror = 3\n", "regkit.toml:2: "),
    ],
)
def test_a_mistake_is_told_before_anything_begins(
    project: Path, registry: RunningRegistry, text: str, said: str
) -> None:
    """One sentence with file and line, from every command that asks a registry; --help doesn't mind."""
    write(project, text)

    shown = fails(regkit("publish", cwd=project), 2)
    assert said in shown
    assert registry.requests() == []
    if "unknown" in said or "registry" in text:
        assert said in fails(regkit("tag", "ls", f"{registry.host}/one", cwd=project), 2)
    assert "--name" in output_of(regkit("publish", "--help", cwd=project))


@pytest.mark.parametrize("how", ["flag", "environment"])
def test_another_file_by_name(project: Path, registry: RunningRegistry, tmp_path: Path, how: str) -> None:
    """Its paths are relative to it, wherever one is; one that isn't there is an error."""
    (project / "sub" / "other.toml").write_text(
        f'[publish.x]\nimage = "{registry.host}/other"\nfrom = "ocidir://../one"\ntag = "x"\n'
    )
    path = str(project / "sub" / "other.toml")
    if how == "flag":
        output_of(regkit("--config", path, "publish", cwd=tmp_path))
    else:
        output_of(regkit("publish", cwd=tmp_path, env={"REGKIT_CONFIG": path}))
    assert tags(registry) == {"one": [], "two": [], "other": ["x"]}
    assert "no.toml can't be read" in fails(regkit("--config", "no.toml", "publish", cwd=project), 2)


def test_a_pyproject(project: Path, registry: RunningRegistry) -> None:
    text = (project / "regkit.toml").read_text()
    (project / "regkit.toml").unlink()
    (project / "pyproject.toml").write_text(
        text.replace("schema", "tool.regkit.schema").replace("[publish", "[tool.regkit.publish")
    )

    output_of(regkit("publish", "--name", "a", cwd=project))
    assert tags(registry)["two"] == ["nightly"]


def test_what_it_says_of_a_registry_counts_for_every_command(
    project: Path, registry: RunningRegistry, tmp_path: Path
) -> None:
    """A mirror is read from by `inspect`; a copy writes to the registry itself, and `verify` looks at that, too.

    Only a file that is named lets a mirror say what a tag is.
    """
    output_of(regkit("publish", cwd=project))
    with embedded(tmp_path / "mirrored") as origin:
        write(project, f'[registry."{origin.host}"]\nmirror = "{registry.host}"\nconcurrency = 1\n')
        mine, other = f"{origin.host}/one:1", f"{origin.host}/other:1"

        mark = registry.mark()
        assert "MANIFEST_UNKNOWN" in fails(regkit("inspect", mine, cwd=project), 5)
        assert registry.since(mark) == []

        asked, named = origin.mark(), {"REGKIT_CONFIG": "regkit.toml"}
        assert "linux/arm64" in output_of(regkit("inspect", mine, cwd=project, env=named))
        assert origin.since(asked) == []
        assert f"{origin.host} answered 404" in fails(regkit("verify", mine, cwd=project, env=named), 5)
        output_of(regkit("copy", mine, other, cwd=project, env=named))
        assert (origin.tags("other"), registry.tags("other")) == (["1"], [])


@pytest.mark.parametrize("configured", [False, True])
def test_toml_is_read_where_there_is_some(
    project: Path, registry: RunningRegistry, tmp_path: Path, configured: bool
) -> None:
    """A command without a configuration loads nothing to read one, nor the commands that it's for."""
    output_of(regkit("publish", "--name", "a", cwd=project))
    argv = [sys.executable, "-X", "importtime", "-m", "regkit", "tag", "ls", f"{registry.host}/two"]
    place = project if configured else tmp_path
    done = subprocess.run(
        argv, cwd=place, env=clean_environment(tmp_path), capture_output=True, text=True, check=True, timeout=LIMIT
    )

    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert done.stdout == "nightly\n"
    assert "regkit.ops.tags" in loaded
    assert ({"tomllib", "regkit.config.load", "regkit.cli.publish"} <= loaded) is configured
    assert bool({"tomllib", "regkit.config.load", "regkit.cli.publish"} & loaded) is configured


def test_what_is_built_already_is_not_built(project: Path, registry: RunningRegistry) -> None:
    """`build` takes the same sections; one with a `from` is refused with its line, and nothing is asked."""
    done = regkit("build", "--name", "a", "--push-by-digest", cwd=project)

    assert done.returncode == 2, done.stderr
    assert "[publish.a] has a from: it is built already" in done.stderr
    assert registry.requests() == []


def test_parts_are_of_one_image(project: Path, registry: RunningRegistry) -> None:
    """What `merge` is given can't be meant for several: one has to be chosen."""
    several = regkit("merge", "ocidir://one", cwd=project)
    chosen = regkit("merge", "ocidir://one", "--name", "a", cwd=project)

    assert several.returncode == 2, several.stderr
    assert "there are several images here" in several.stderr
    assert output_of(chosen).startswith(f"{registry.host}/two@")
    assert tags(registry) == {"one": [], "two": ["nightly"], "other": []}


def test_what_is_outside_of_the_project_takes_a_file_that_is_named(
    project: Path, registry: RunningRegistry, tmp_path: Path
) -> None:
    """Whoever wrote the file: what it names elsewhere isn't read, and nothing is asked or sent; a flag is one's own."""
    make_layout(tmp_path / "elsewhere", BOTH)
    write(project, f'[publish.a]\nimage = "{registry.host}/one"\nfrom = "ocidir://../elsewhere"\nversion = "1.2.3"\n')
    mark = registry.mark()

    said = fails(regkit("publish", cwd=project), 2)
    assert "regkit.toml:3: publish.a.from leads out of the project: " in said
    assert "name the file: --config " in said
    assert registry.since(mark) == []

    output_of(regkit("publish", "--from", "ocidir://../elsewhere", cwd=project))
    output_of(regkit("publish", cwd=project, env={"REGKIT_CONFIG": "regkit.toml"}))
    output_of(regkit("--config", "regkit.toml", "publish", cwd=project))
    assert registry.tags("one") == ["1", "1.2", "1.2.3", "latest"]
