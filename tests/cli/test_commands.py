"""The command as users run it: a process, its stdout, its stderr and its exit code."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from regkit import __version__
from regkit.oci import mediatype
from regkit.oci.manifest import Manifest, canonical_json
from regkit.protocol.check import check
from regkit.protocol.flow import drive
from regkit.protocol.manifest import put_manifest
from regkit.targets.layout import Layout
from regkit.transport.session import Session
from tests.ops.support import ORDER, Served, attested_layout, release, serving
from tests.protocol.support import image
from tests.support.command import clean_environment, fails, output_of, regkit, started

COMMANDS = ("publish", "inspect", "tag", "registry", "doctor")
SLOW = {"cryptography", "httpx", "oras", "pydantic", "rich"}


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return attested_layout(tmp_path_factory.mktemp("layout"), "linux/amd64", "linux/arm64", "linux/arm/v7")


@pytest.fixture
def served(layout: Path) -> Iterator[Served]:
    with serving() as served:
        release(served, layout)
        served.access.clear()
        yield served


# The frame


def test_version() -> None:
    """The version is one line on stdout, also beside other options."""
    assert output_of(regkit("--version")) == f"regkit {__version__}\n"
    assert output_of(regkit("--debug", "--version")) == f"regkit {__version__}\n"


def test_help_lists_all_commands() -> None:
    """Every command stands in the help, with a sentence; without arguments it's the same."""
    shown = output_of(regkit("--help"))

    assert [name for name in COMMANDS if f"\n  {name} " in shown] == list(COMMANDS)
    assert "--plain-http" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--wrong"], "No such option: --wrong"),
        (["nothing"], "No such command 'nothing'"),
        (["publish"], "Missing option '--image'"),
        (["tag", "ls", "a", "--sort", "age"], "Invalid value for '--sort'"),
        (["--progress", "loud", "doctor"], "Invalid value for '--progress'"),
        (["--ca-file", "/nonexistent", "doctor"], "does not exist"),
        (["--ca-file", "/", "doctor"], "is a directory"),
        (["cleanup", "plan", "a/b", "--keep", "some"], "'some' is not a whole number"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str) -> None:
    """What the command line doesn't know is named, and the exit code is 2."""
    assert said in fails(*arguments, code=2)


@pytest.mark.parametrize("short", ["-h", "--help"])
def test_help_of_a_command(short: str) -> None:
    """Both spellings show it, at each level."""
    assert output_of(regkit("tag", "ls", short)).startswith("Usage: regkit tag ls ")
    assert output_of(regkit(short)).startswith("Usage: regkit ")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["publish", ".", "-q"], "write it before the command: regkit -q publish"),
        (
            ["tag", "ls", "a/b", "--plain-http", "a.example"],
            "write it before the command: regkit --plain-http HOST tag ls",
        ),
        (["publish", "--plattform", "x"], "see `regkit publish --help`"),
        (["tag", "lst"], "see `regkit tag --help`"),
        (["registry", "serve", "--addr"], "see `regkit registry --help`"),
        (["pubish", "."], "did you mean 'publish'? see `regkit --help`"),
        (["nothing"], "see `regkit --help`"),
        (["sign", "a/b"], "the name is reserved for later; see `regkit --help`"),
        (["inspect"], "see `regkit inspect --help`"),
    ],
)
def test_wrong_usage_is_a_sentence_and_a_hint(arguments: list[str], hint: str) -> None:
    """What can't be read is told in one sentence, as other errors are; the hint says what to write instead."""
    sentence, shown = fails(*arguments, code=2).splitlines()

    assert sentence.startswith("regkit: error: ")
    assert shown == f"  hint: {hint}"


def test_a_group_without_a_command_shows_its_help() -> None:
    """That is the answer to what there is."""
    assert fails("tag", code=2).startswith("Usage: regkit tag ")


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        (["inspect", "A/B"], "regkit: error: not an image reference: 'A/B'", "write registry/repository"),
        (["inspect", "a/b", "--platform", "linux/foo"], "regkit: error: unknown platform 'linux/foo'", "known are"),
        (["--plain-http", "http://a.example", "doctor"], "regkit: error: not a registry's host: 'http:", "write host"),
        (
            ["--plain-http", "a.example/b", "doctor"],
            "regkit: error: not a registry's host: 'a.example/b'",
            "write host",
        ),
        (["tag", "ls", "a/b:1"], "regkit: error: 'a/b:1' names more than a repository", "write docker.io/a/b"),
        (["tag", "ls", "a/b", "--digest", "x"], "regkit: error: not a digest", "sha256"),
        (["registry", "serve", "--addr", "nowhere"], "regkit: error: not an address", "HOST:PORT"),
        (["tag", "ls", "127.0.0.1:5000"], "regkit: error: '127.0.0.1:5000' is a registry", "write 127.0.0.1:5000/NAME"),
        (
            ["publish", "--image", "localhost:5000"],
            "regkit: error: 'localhost:5000' is a registry",
            "localhost:5000/NAME",
        ),
        (["publish", "--plan", "nowhere"], "regkit: error: the plan nowhere can't be read", "regkit plan --out FILE"),
        (
            ["cleanup", "apply", "--plan", "nowhere"],
            "regkit: error: the plan nowhere can't be",
            "cleanup plan --out FILE",
        ),
        (["build", "--output", "type=oci,dest=x"], "regkit: error: a build can't be written to", "write ocidir://DIR"),
        (["build", "--output", "dest=x"], "regkit: error: a build can't be written to 'dest=x'", "write ocidir://DIR"),
        (
            ["builder", "up", "--addr", "tcp://127.0.0.1:99999"],
            "regkit: error: a builder can't listen",
            "tcp://HOST:PORT",
        ),
        (["builder", "up", "--addr", "tcp://127.0.0.1"], "regkit: error: a builder can't listen on", "tcp://HOST:PORT"),
        (
            ["registry", "serve", "--auth", "nowhere"],
            "regkit: error: can't read the users in nowhere",
            "htpasswd -B -c",
        ),
        (
            ["readme", "push", "--image", "a/b", "--provider", "quay", "--api", "nowhere", "--file", __file__],
            "regkit: error: not an API's address: 'nowhere'",
            "write https://HOST",
        ),
    ],
)
def test_errors_are_a_sentence_and_a_hint(arguments: list[str], said: str, hint: str) -> None:
    """An error is one sentence, then a hint; exit code 2 for what can't be meant."""
    shown = fails(*arguments, code=2).splitlines()

    assert len(shown) == 2
    assert shown[0].startswith(said)
    assert shown[1].startswith("  hint: ")
    assert hint in shown[1]


def test_debug_shows_where_it_failed() -> None:
    """--debug adds the traceback for whoever looks for a bug."""
    done = regkit("--debug", "inspect", "A/B")

    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-2].startswith("regkit: error: ")


def modules_of(*arguments: str) -> set[str]:
    """Run a command line in a fresh interpreter; give the top-level modules that it loaded."""
    program = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr))\n"
        f"sys.argv = ['regkit', *{list(arguments)!r}]\n"
        "from regkit.__main__ import main\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [("--version",), ("tag", "ls", "--help"), ("publish", "--help"), ("--help",)])
def test_what_is_slow_to_import_is_not_imported(arguments: tuple[str, ...]) -> None:
    """The version and the help come at once: they load nothing that only work needs."""
    loaded = modules_of(*arguments)

    assert "regkit" in loaded
    assert not loaded & (SLOW | {"cheroot", "semver", "tenacity"})


# inspect


def test_inspect(served: Served) -> None:
    """The table shows name, digest, annotations and a line for each platform; attestations are told from images."""
    name = f"{served.host}/team/hello:1.2"
    shown = output_of(regkit("inspect", name)).splitlines()

    digest = served.tags()["1.2"]
    assert shown[:3] == [f"Name:       {name}", f"Digest:     {digest}", f"Media type: {mediatype.OCI_INDEX}"]
    assert "Annotation: org.opencontainers.image.version=1.2.3" in shown
    rows = [line.split() for line in shown[shown.index("") + 1 :]]
    assert rows[0] == ["PLATFORM", "DIGEST", "SIZE"]
    assert [row[0] for row in rows[1:]] == [
        "linux/amd64",
        "attestation",
        "linux/arm64",
        "attestation",
        "linux/arm/v7",
        "attestation",
    ]


def test_inspect_raw_is_byte_exact(served: Served, tmp_path: Path) -> None:
    """`raw` is what the registry holds, to the byte: its digest is the one that's printed elsewhere."""
    with started(
        "inspect", "--format", "raw", f"{served.host}/team/hello:latest", home=tmp_path, stderr=subprocess.DEVNULL
    ) as process:
        raw, _ = process.communicate(timeout=60)

    assert Manifest(mediatype.OCI_INDEX, raw).digest == served.tags()["latest"]


def test_inspect_json(served: Served, layout: Path) -> None:
    """`json` is one document for scripts; several references are a list, stdin and a layout are read as well."""
    name = f"{served.host}/team/hello:1"
    document = json.loads(output_of(regkit("inspect", "--format", "json", name)))
    assert (document["schema"], document["name"], document["digest"]) == (1, name, served.tags()["1"])
    assert len(document["manifests"]) == 6

    env = clean_environment(layout, {"REGKIT_FORMAT": "json"})
    argv = [sys.executable, "-m", "regkit", "inspect", "-", f"oci:{layout}"]
    done = subprocess.run(argv, input=f"{name}\n\n", capture_output=True, text=True, check=True, env=env)
    assert [entry["name"] for entry in json.loads(done.stdout)] == [name, f"ocidir://{layout}"]


def test_inspect_a_platform(served: Served) -> None:
    """--platform shows the image: its platform and layers, in each of the formats."""
    name = f"{served.host}/team/hello:1"
    shown = output_of(regkit("inspect", name, "--platform", "linux/arm64/v8"))
    assert "Platform:   linux/arm64\n" in shown
    assert "LAYER" in shown

    tool = output_of(regkit("inspect", name, "--platform", "linux/arm/v7", "--format", "manifest-tool"))
    assert "        Arch: arm\n" in tool
    assert "    # Layers: 1\n" in tool

    assert "has no image for linux/s390x" in fails("inspect", name, "--platform", "linux/s390x", code=5)


def test_inspect_as_manifest_tool_does(served: Served) -> None:
    """The fields of `manifest-tool inspect`, in its order, for scripts that read them."""
    name = f"{served.host}/team/hello:1"
    shown = output_of(regkit("inspect", "--format", "manifest-tool", name)).splitlines()

    assert shown[0] == f"Name:   {name} (Type: {mediatype.OCI_INDEX})"
    assert shown[1] == f"Digest: {served.tags()['1']}"
    assert shown[2] == " * Contains 6 manifest references (3 images, 3 attestations):"
    assert [line for line in shown if line.startswith("[5]")][-5:] == [
        "[5] Platform:",
        "[5]    -      OS: linux",
        "[5]    -    Arch: arm",
        "[5]    - Variant: v7",
        "[5] # Layers: 1",
    ]
    assert sum("Attestation for digest" in line for line in shown) == 3


def test_inspect_what_is_hostile(served: Served) -> None:
    """What a registry wrote into an annotation can't steer the terminal, nor break a script's JSON."""
    index = canonical_json({"schemaVersion": 2, "manifests": [], "annotations": {"k": "\x1b[2J\x9b31m\nDigest: fake"}})
    drive(put_manifest("evil", "1", Manifest(mediatype.OCI_INDEX, index)), served.registry.handle)
    name = f"{served.host}/evil:1"

    shown = output_of(regkit("inspect", name))
    assert "Annotation: k= [2J 31m Digest: fake\n" in shown
    document = output_of(regkit("inspect", name, "--format", "json"))
    assert document.isascii()
    assert json.loads(document)["annotations"]["k"] == "\x1b[2J\x9b31m\nDigest: fake"


def test_inspect_what_is_not_there(served: Served) -> None:
    """Exit code 5, and a sentence that names it."""
    shown = fails("inspect", f"{served.host}/team/hello:9", code=5)

    assert shown.startswith(f"regkit: error: can't read 9 in team/hello: {served.host} answered 404")


# tag


def test_tag_ls(served: Served) -> None:
    """A line each: by name, versions first, of one digest, or as JSON."""
    image(served.registry, "team/hello", "1.10.0", "1.9.0")
    name = f"{served.host}/team/hello"

    by_version = output_of(regkit("tag", "ls", name, "--sort", "semver")).split()
    assert by_version == ["1.10.0", "1.9.0", "1.2.3", "1", "1.2", "latest"]
    assert output_of(regkit("tag", "ls", name, env={"REGKIT_SORT": "name"})).split() == sorted(by_version)
    of_digest = json.loads(output_of(regkit("tag", "ls", name, "--digest", served.tags()["1"], "--format", "json")))
    assert (of_digest["schema"], of_digest["name"], sorted(of_digest["tags"])) == (1, name, sorted(ORDER))
    assert "has no tags" in fails("tag", "ls", f"{served.host}/nobody", code=5)


def test_tag_set(served: Served) -> None:
    """Tags are written in the given order; stdout is the name to pull by, the progress is elsewhere."""
    done = regkit("tag", "set", f"{served.host}/team/hello:1.2.3", "b", "a")

    assert output_of(done) == f"{served.host}/team/hello@{served.tags()['a']}\n"
    assert served.writes == [f"PUT /v2/team/hello/manifests/{tag}" for tag in ("b", "a")]
    assert "tagged b -> " in done.stderr


def test_tag_rm(served: Served) -> None:
    """--dry-run changes nothing; without a terminal it needs --yes, and says so; then only that tag goes."""
    name = f"{served.host}/team/hello:1.2"

    assert output_of(regkit("tag", "rm", name, "--dry-run")) == f"remove {name} ({served.tags()['1.2']})\n"
    refused = fails("tag", "rm", name, code=2)
    assert "hint: add --yes" in refused
    assert served.writes == []

    done = regkit("tag", "rm", name, "--yes")
    assert (output_of(done), done.stderr) == ("", f"removed {name}\n")
    assert sorted(served.tags()) == ["1", "1.2.3", "latest"]


@pytest.mark.parametrize(("answer", "code", "left"), [("y", 0, 3), ("n", 2, 4)])
def test_tag_rm_asks_on_a_terminal(served: Served, tmp_path: Path, answer: str, code: int, left: int) -> None:
    """Where somebody can be asked, the plan is shown, and the answer counts."""
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "regkit", "tag", "rm", f"{served.host}/team/hello:1"]
    os.write(ours, f"{answer}\n".encode())
    with os.fdopen(theirs) as terminal, os.fdopen(ours, "rb", buffering=0):
        done = subprocess.run(
            argv,
            stdin=terminal,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env=clean_environment(tmp_path),
        )

    assert done.returncode == code, done.stderr
    assert f"remove {served.host}/team/hello:1 (sha256:" in done.stderr
    assert len(served.tags()) == left


# publish of what is built already, and its progress


def test_publish_from_a_layout(served: Served, layout: Path, tmp_path: Path) -> None:
    """The one line on stdout is what to pull by; the metadata file has buildx's keys; progress may be JSON Lines."""
    name, metadata = f"{served.host}/new/hello", tmp_path / "metadata.json"
    done = regkit(
        "--progress",
        "json",
        "publish",
        "--from",
        layout,
        "--version",
        "v2.0.0",
        "--metadata-file",
        metadata,
        env={"REGKIT_IMAGE": name},
    )

    written = json.loads(metadata.read_text())
    assert output_of(done) == f"{name}@{written['containerimage.digest']}\n"
    assert written["image.name"] == ",".join(f"{name}:{tag}" for tag in ("2", "2.0", "2.0.0", "latest"))
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [event["tag"] for event in events if event["event"] == "TagMoved"] == ["2", "2.0", "2.0.0", "latest"]


def test_publish_dry_run(served: Served, layout: Path) -> None:
    """The plan is shown as text or JSON, and nothing is written."""
    arguments = ("publish", "--from", layout, "--image", f"{served.host}/team/hello", "--version", "1.2.4", "--dry-run")

    text = output_of(regkit(*arguments)).splitlines()
    assert f"image      {served.host}/team/hello" in text
    assert "tag        1.2.4: the version itself" in text
    document = json.loads(output_of(regkit(*arguments, "--format", "json", "--tag", "x")))
    assert [tag["tag"] for tag in document["tags"]] == ["x"]
    assert served.writes == []


def test_publish_conflict(served: Served, tmp_path: Path) -> None:
    """Other content under a published version: exit code 9, and nothing is written."""
    other = attested_layout(tmp_path, "linux/amd64", content="other")
    image_name = f"{served.host}/team/hello"

    shown = fails("-q", "publish", "--from", str(other), "--image", image_name, "--version", "v1.2.3", code=9)

    assert "is published already with other content" in shown
    assert served.writes == []


# registry serve


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_registry_serve(tmp_path: Path, number: signal.Signals) -> None:
    """It says where it listens, answers, logs what it answered, and ends well when it's told to."""
    with started("registry", "serve", "--addr", "127.0.0.1:0", "--dir", tmp_path / "data", home=tmp_path) as process:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        assert line.startswith("listening on http://127.0.0.1:")
        with Session() as session:
            session.run(line.strip().removeprefix("listening on http://"), check())
        process.send_signal(number)
        _, log = process.communicate(timeout=30)

    assert process.returncode == 0
    assert log.decode() == "GET /v2/ 200 uploads=0\n"


def test_registry_serve_where_somebody_is() -> None:
    """An address that is taken is said, with a way on."""
    with serving() as other:
        shown = fails("registry", "serve", "--addr", other.host, code=2)

    assert f"can't listen on {other.host}: Address already in use\n" in shown
    assert "hint: choose another --addr" in shown


def test_the_layout_is_left_as_it_was(layout: Path) -> None:
    """None of all this wrote into the layout that was published."""
    assert Layout(layout).tags() == ("built",)
