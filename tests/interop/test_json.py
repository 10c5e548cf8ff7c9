"""What all commands write as JSON is what docs/reference/schemas says, to the last key."""

from __future__ import annotations

import base64
import json
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped] # it has no types of its own
import pytest
import typer

from regkit.cli.app import app
from tests.ops.support import attested_layout
from tests.support.command import clean_environment, output_of, regkit
from tests.support.registries import RunningRegistry, distribution, embedded
from tests.support.vendors.dockerhub import Account, HubDouble, Repository
from tests.support.vendors.double import serving
from tests.vendors.support import CANARY

ROOT = Path(__file__).parent.parent.parent
SCHEMAS = ROOT / "docs" / "reference" / "schemas"
VIEWS = {
    "blob get": "bytes as they are stored",
    "blob put": "a digest",
    "builder down": "nothing",
    "completion": "a script for a shell",
    "init": "a file for people",
    "login": "nothing",
    "logout": "nothing",
    "manifest get": "bytes as they are stored",
    "manifest put": "a digest",
    "registry serve": "its address, when it listens",
}
"""Commands that write no JSON, and what they write."""


def closed(schema: Any) -> Any:
    """Forbid all keys that a schema doesn't name, where it doesn't say that there are others."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        found.setdefault("additionalProperties", False)
    return found


@dataclass
class World:
    """A registry with releases, a hub, a project; `seen` are the documents by schema and the command they are from."""

    home: Path
    registry: RunningRegistry
    builder: str
    hub: HubDouble
    seen: list[tuple[str, str, Any]] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.registry.host}/acme/app"

    @property
    def env(self) -> dict[str, str]:
        login = base64.b64encode(f"me:{CANARY}".encode()).decode()
        auths = {self.registry.host: {"auth": login}}
        return {"DOCKER_AUTH_CONFIG": json.dumps({"auths": auths}), "BUILDKIT_HOST": self.builder}

    def run(self, schema: str, *words: str | Path, code: int = 0, env: dict[str, str] | None = None) -> Any:
        """Run a command, and keep what it wrote, all that it wrote."""
        lines = "jsonl" in words
        done = regkit("--progress", "json", *words, home=self.home, cwd=self.home, env=self.env if env is None else env)
        assert done.returncode == code, f"{words}: {done.stdout}{done.stderr}"
        self.events += [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
        found = [json.loads(line) for line in done.stdout.splitlines()] if lines else json.loads(done.stdout)
        documents = found if isinstance(found, list) else [found]
        assert documents
        self.seen += [(schema, " ".join(map(str, words)), each) for each in documents]
        return found

    def both(self, schema: str, *words: str | Path, line: str = "", code: int = 0) -> None:
        """Run a command as `json`, and as `jsonl`."""
        self.run(schema, *words, "--format", "json", code=code)
        self.run(line or f"{schema}-line", *words, "--format", "jsonl", code=code)

    def read(self, schema: str, file: Path) -> None:
        self.seen.append((schema, file.name, json.loads(file.read_bytes())))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, hello_origin: Path, builder: str) -> Iterator[World]:
    """Run every command that writes JSON, and each form of what it writes."""
    home = tmp_path_factory.mktemp("world")
    with ExitStack() as stack:
        registry = stack.enter_context(distribution(home / "registry"))
        accounts = [Account("me", CANARY, "personal")]
        hub = stack.enter_context(serving(HubDouble(accounts=accounts, repositories={"acme/app": Repository("old")})))
        (home / "README.md").write_text("# App\n\nWhat it does.\n")
        section = f'[registry."{registry.host}"]\nvendor = "dockerhub"\napi = "{hub.url}"\n'
        (home / "regkit.toml").write_text(f"schema = 1\n{section}")
        attested_layout(home / "layout", "linux/amd64", "linux/arm64")
        made = World(home, registry, builder, hub)
        release(made, hello_origin)
        look(made)
        change(made)
        yield made


def release(world: World, hello: Path) -> None:
    """Plan, publish, build, merge."""
    name, json_ = world.name, ("--format", "json")
    built = ("--from", "layout", "--image", name, "--readme", "README.md")
    first = (*built, "--version", "1.2.2")
    world.run("plan", "plan", *first, *json_, "--out", "plan.json")
    world.read("saved-plan", world.home / "plan.json")
    world.run("plan", "publish", *first, *json_, "--dry-run")
    world.run("publish", "publish", *first, *json_)
    hello_image = ("--image", f"{world.registry.host}/hello", "--platform", "linux/amd64,linux/arm64")
    source = ("publish", hello, *hello_image, "--attest", "type=provenance", "--test", '["/hello"]')
    world.run("plan", *source, "--intermediate", "tag", *json_, "--dry-run")
    world.run("publish", *source, *json_)
    apart = ("--image", f"{world.registry.host}/apart")
    build = ("build", hello, *apart, "--platform", "linux/amd64", "--push-by-digest", "--digest-dir", "records")
    world.run("build", *build, *json_)
    for file in (world.home / "records").iterdir():
        world.read("record", file)
    merge = ("merge", *apart, "--digest-dir", "records", "--version", "1.2.3")
    world.run("plan", *merge, *json_, "--dry-run")
    world.run("publish", *merge, *json_)
    entries = "".join(
        f'[publish.{each}]\nimage = "{world.registry.host}/{each}"\nfrom = "layout"\nversion = "1.2.3"\n'
        for each in ("one", "two")
    )
    (world.home / "several.toml").write_text(f"schema = 1\n{entries}")
    world.run("several", "--config", "several.toml", "plan", *json_)
    world.run("several", "--config", "several.toml", "publish", *json_)


def look(world: World) -> None:
    """Ask for what is there, in all ways."""
    name, host = world.name, world.registry.host
    app_, hello = f"{name}:1.2.2", f"{host}/hello:1.2.3"
    image = world.run("resolve", "resolve", app_, hello, "--format", "json")["results"][0]["name"]
    world.run("resolve-line", "resolve", app_, "--platform", "linux/arm64", "--format", "jsonl")
    world.both("inspect", "inspect", app_, hello, line="inspect")
    world.run("inspect", "inspect", hello, "--platform", "linux/amd64", "--format", "json")
    world.both("configs", "inspect", app_, hello, "--config", line="configs")
    world.both("attestations", "inspect", hello, "--attestations", line="attestations")
    signature = ("index", "create", f"{host}/index:1", app_)
    index = world.run("index", *signature, "--format", "json")
    world.run("descriptor", "manifest", "head", app_)
    layer = world.run("inspect", "inspect", app_, "--platform", "linux/amd64", "--format", "json")["layers"][0]
    world.run("descriptor", "blob", "head", f"{name}@{layer['digest']}")
    refer = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.example",
        "config": layer,
        "layers": [layer],
        "subject": {key: index[key] for key in ("mediaType", "digest", "size")},
    }
    (world.home / "refer.json").write_text(json.dumps({**refer, "subject": _subject(world, app_)}))
    output_of(regkit("manifest", "put", name, "refer.json", cwd=world.home, env=world.env))
    world.both("referrers", "referrers", app_)
    world.both("verify", "verify", app_, line="verify")
    world.run("verify", "verify", app_, "--platforms", "linux/s390x", "--format", "json", code=7)
    world.run("diff", "diff", app_, hello, "--format", "json")
    world.both("tags", "tag", "ls", name, f"{host}/hello")
    world.both("explain", "tag", "explain", name)
    world.run("explain", "tag", "explain", name, "--version", "1.2.4", "--format", "json")
    world.both("caps", "caps", host, image.partition("@")[0], line="caps")
    world.both("whoami", "whoami", host, line="whoami")
    world.both("logins", "whoami")
    world.both("quirks", "registry", "quirks")
    world.both("readme-diff", "readme", "diff", "--image", name, "--short", "A line")
    world.both("readme-push", "readme", "push", "--image", name, "--short", "A line")
    world.both("doctor", "doctor")
    world.run("builder", "builder", "status", "--addr", world.builder, "--format", "json")
    world.run("builder", "builder", "up", "--format", "json", env={})
    world.run("builder", "builder", "status", "--format", "json", env={})
    output_of(regkit("builder", "down", home=world.home))


def _subject(world: World, name: str) -> Any:
    found = json.loads(output_of(regkit("manifest", "head", name, env=world.env)))
    return {key: found[key] for key in ("mediaType", "digest", "size")}


def change(world: World) -> None:
    """Copy, tag, annotate, clean up."""
    (world.home / "regkit.toml").unlink()
    name, host, json_ = world.name, world.registry.host, ("--format", "json")
    world.run("copy", "copy", f"{name}:1.2.2", f"{host}/copy:1", *json_, "--dry-run")
    world.run("copy", "copy", f"{name}:1.2.2", f"{host}/copy:1", "--referrers", *json_)
    world.run("copy", "copy", name, "ocidir://other", "--all-tags", *json_)
    index = f"{host}/index:1"
    world.run("index", "index", "annotate", index, "--annotation", "a=b", *json_, "--dry-run")
    world.run("index", "index", "annotate", index, "--annotation", "a=b", *json_)
    world.run("index", "index", "remove", index, "--platform", "linux/arm64", *json_)
    world.run("index", "index", "append", index, f"{host}/hello:1.2.3", "--replace", *json_)
    world.run("tag-set", "tag", "set", f"{name}:1.2.2", "old", "older", *json_)
    world.run("tag-rm", "tag", "rm", f"{name}:old", f"{name}:absent", *json_, "--dry-run")
    world.run("tag-rm", "tag", "rm", f"{name}:old", *json_, "--yes", env={})
    digest = world.run("descriptor", "manifest", "head", f"{host}/copy:1")["digest"]
    world.run("manifest-rm", "manifest", "rm", f"{host}/copy@{digest}", *json_, "--dry-run")
    world.run("manifest-rm", "manifest", "rm", f"{host}/copy@{digest}", *json_, "--yes")
    world.run("manifest-rm", "manifest", "rm", f"{host}/copy@{digest}", *json_, "--yes")
    clean = (f"{host}/hello", "--keep-semver", "0", "--match", "1|1\\.2|latest", "--untagged")
    world.both("cleanup-plan", "cleanup", "plan", *clean)
    world.run("cleanup", "cleanup", "apply", *clean, "--yes", *json_)
    with embedded(world.home / "embedded") as other:
        output_of(regkit("blob", "put", f"{other.host}/app", "README.md", cwd=world.home))
    world.run("gc", "registry", "gc", world.home / "embedded" / "content", "--yes", *json_)


def read_schemas() -> dict[str, Any]:
    return {file.stem: json.loads(file.read_bytes()) for file in sorted(SCHEMAS.glob("*.json"))}


def test_the_schemas_are_those_of_the_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`make docs` has been run since the last change, and each of them is a schema."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    generator = runpy.run_path(str(ROOT / "docs" / "schemas.py"))
    monkeypatch.setitem(generator["main"].__globals__, "REFERENCE", tmp_path)
    generator["main"]()

    written = {file.stem: json.loads(file.read_bytes()) for file in (tmp_path / "schemas").iterdir()}
    assert read_schemas() == dict(sorted(written.items()))
    assert (ROOT / "docs" / "reference" / "json.md").read_text() == (tmp_path / "json.md").read_text()
    for schema in written.values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_document_is_as_its_schema_says(world: World) -> None:
    """Every key is there, and no other one."""
    validators = {name: jsonschema.Draft202012Validator(closed(schema)) for name, schema in read_schemas().items()}

    wrong = [
        f"{name}: {command}: {error.json_path}: {error.message}"
        for name, command, document in world.seen
        for error in validators[name].iter_errors(document)
    ]
    assert wrong == []


def test_every_event_is_as_its_schema_says(world: World) -> None:
    validator = jsonschema.Draft202012Validator(closed(read_schemas()["event"]))
    kinds = {each["event"] for each in world.events}

    assert [f"{each}: {error.message}" for each in world.events for error in validator.iter_errors(each)] == []
    assert {"StageStarted", "StepDone", "BlobPushed", "TagMoved", "ReleaseUp", "PlatformTested", "Note"} <= kinds


def test_every_schema_was_met(world: World) -> None:
    """None of them is about something that no command writes."""
    assert {name for name, _, _ in world.seen} | {"event"} == set(read_schemas())


def leaves(command: Any, *path: str) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "list_commands"):
        yield " ".join(path), command
        return
    for name in command.list_commands(None):
        yield from leaves(command.get_command(None, name), *path, name)


def test_every_command_that_shows_something_was_asked_for_it_as_json(world: World) -> None:
    """As `json`, and as `jsonl` where it can that; the others are named, with what they write."""
    asked = {command for _, command, _ in world.seen}
    able: set[tuple[str, str]] = set()
    silent = set()
    for name, command in leaves(typer.main.get_command(app)):
        choices = next((each.type.choices for each in command.params if "--format" in each.opts), ())
        forms = {"json", "jsonl"} & set(choices)
        able |= {(name, form) for form in forms}
        if not forms and not any(each.startswith(f"{name} ") for each in asked):
            silent.add(name)

    met = {(name, form) for name, form in able for each in asked if _is(each, name, form)}
    assert sorted(able - met) == []
    assert silent == set(VIEWS)


def _is(command: str, name: str, form: str) -> bool:
    return command.startswith(f"{name} ") and f" --format {form} " in f"{command} "


@pytest.mark.parametrize(
    "words",
    [
        ("inspect",),
        ("resolve",),
        ("verify",),
        ("referrers",),
        ("manifest", "get"),
        ("manifest", "head"),
        ("tag", "rm", "--dry-run"),
        ("tag", "explain"),
        ("index", "create", "--dry-run", "DESTINATION"),
        ("merge", "--image", "DESTINATION", "--version", "1.2.2", "--dry-run"),
        ("publish", "--image", "DESTINATION", "--version", "1.2.2", "--dry-run", "--from"),
    ],
    ids=" ".join,
)
def test_names_are_read_from_stdin(world: World, words: tuple[str, ...]) -> None:
    """With `-` it is what it is with the names as arguments, of two as of one."""
    names = [f"{world.name}:1.2.2", f"{world.registry.host}/hello:1.2.3"]
    if words[0] in ("index", "merge", "publish"):  # two images for a platform are one too many
        names = names[1:]
    command = [word.replace("DESTINATION", f"{world.registry.host}/new") for word in words]
    argument = output_of(regkit(*command, *names))

    assert output_of(_with_stdin("\n".join(names), *command, "-")) == argument
    assert argument
    empty = _with_stdin("\n", *command, "-")
    assert (empty.returncode, empty.stdout) == (2, "")
    assert "nothing came on stdin" in empty.stderr


def test_repositories_are_read_from_stdin(world: World) -> None:
    names = [world.name, f"{world.registry.host}/hello"]
    for command in (("tag", "ls"), ("caps",), ("cleanup", "plan", "--keep", "1")):
        assert output_of(_with_stdin("\n".join(names), *command, "-")) == output_of(regkit(*command, *names))


def _with_stdin(text: str, *words: str) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as home:
        return subprocess.run(
            [sys.executable, "-m", "regkit", *words],
            input=text,
            env=clean_environment(Path(home)),
            cwd=home,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
