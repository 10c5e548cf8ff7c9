"""The files that tell others what was published."""

from __future__ import annotations

import json
import os
import re
import threading
from pathlib import Path

import pytest

from tests.ops.support import Served, attested_layout, serving
from tests.support.command import output_of, regkit, started

ORDER = ["1", "1.2", "1.2.3", "latest"]


@pytest.fixture
def command(served: Served, tmp_path: Path) -> tuple[str | Path, ...]:
    layout = attested_layout(tmp_path / "layout", "linux/amd64", "linux/arm64")
    images = [word for name in ("a/one", "b/two") for word in ("--image", f"{served.host}/{name}")]
    return ("publish", "--from", layout, "--version", "v1.2.3", *images)


def test_all_files_tell_the_same(served: Served, command: tuple[str | Path, ...], tmp_path: Path) -> None:
    """Standard output, JSON's keys and each file name the same digest, for every image."""
    files = {word: tmp_path / word for word in ("metadata-file", "image-refs", "digest-file", "dotenv")}
    words = [part for word, path in files.items() for part in (f"--{word}", path)]

    stdout = output_of(regkit(*command, *words))

    digest = served.tags("a/one")["1.2.3"]
    names = [f"{served.host}/{name}@{digest}" for name in ("a/one", "b/two")]
    tagged = [f"{served.host}/{name}:{tag}" for name in ("a/one", "b/two") for tag in ORDER]
    assert stdout.splitlines() == names
    assert files["image-refs"].read_text() == stdout
    assert files["digest-file"].read_text() == digest
    metadata = json.loads(files["metadata-file"].read_text())
    assert metadata["containerimage.digest"] == digest
    assert metadata["image.name"].split(",") == tagged
    assert [there["image"] for there in metadata["regkit"]["destinations"]] == [
        f"{served.host}/{n}" for n in ("a/one", "b/two")
    ]
    variables = dict(line.split("=", 1) for line in files["dotenv"].read_text().splitlines())
    assert variables == {
        "PUBLISHED_IMAGE": names[0],
        "PUBLISHED_IMAGES": ",".join(names),
        "PUBLISHED_DIGEST": digest,
        "PUBLISHED_TAGS": ",".join(tagged),
    }
    assert output_of(regkit(*command, "--format", "json")) != stdout
    assert {path.name for path in tmp_path.iterdir()} == {"layout", *files}, "something was left beside them"


def test_the_variables_of_a_dotenv_file_are_no_options(command: tuple[str | Path, ...], tmp_path: Path) -> None:
    """GitLab hands them to later jobs, where regkit may run again: none of them is read as an option."""
    output_of(regkit(*command, "--dotenv", tmp_path / "env"))
    handed = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())

    assert output_of(regkit(*command)) == output_of(regkit(*command, env=handed))


def test_github_gets_outputs_and_a_summary(served: Served, command: tuple[str | Path, ...], tmp_path: Path) -> None:
    """They are added to what other steps wrote: outputs in the runner's syntax, and a table in Markdown."""
    outputs, summary = tmp_path / "outputs", tmp_path / "summary"
    outputs.write_text("mine=1\n")

    stdout = output_of(regkit(*command, env={"GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(summary)}))

    read = read_outputs(outputs.read_text())
    assert read == {
        "mine": "1",
        "image": stdout.splitlines()[0],
        "digest": served.tags("a/one")["latest"],
        "images": stdout.rstrip("\n"),
        "tags": "\n".join(f"{served.host}/{name}:{tag}" for name in ("a/one", "b/two") for tag in ORDER),
    }
    page = summary.read_text()
    assert all(f"`{served.host}/{name}`" in page for name in ("a/one", "b/two"))
    assert "| platform | digest | size | layers |" in page
    assert re.search(r"^\| linux/arm64 \| `sha256:[0-9a-f]{64}` \| \d+ B \| 1 \|$", page, re.MULTILINE)
    before = outputs.read_text()
    output_of(regkit(*command, env={"GITHUB_OUTPUT": str(outputs)}))
    assert outputs.read_text().startswith(before)


def read_outputs(text: str) -> dict[str, str]:
    """Read them as the runner does: NAME=VALUE, or NAME<<MARK, lines, MARK."""
    read = {}
    lines = iter(text.splitlines())
    for line in lines:
        name, mark, end = line.partition("<<")
        if mark:
            values = []
            while (value := next(lines)) != end:
                values.append(value)
            read[name] = "\n".join(values)
        else:
            name, _, value = line.partition("=")
            read[name] = value
    return read


@pytest.mark.parametrize("word", ["--metadata-file", "--image-refs", "--digest-file", "--dotenv"])
@pytest.mark.parametrize("place", ["nowhere/file", "."])
def test_a_file_that_cannot_be_written_is_found_first(
    served: Served, command: tuple[str | Path, ...], tmp_path: Path, word: str, place: str
) -> None:
    """A directory that isn't there, or is the file's name: exit 2, and nothing is published."""
    done = regkit(*command, word, tmp_path / place)

    assert done.returncode == 2
    assert "can't be written" in done.stderr
    assert served.access == []


def test_a_pipe_is_written_to(command: tuple[str | Path, ...], tmp_path: Path) -> None:
    """What is no file isn't replaced: whoever reads the pipe gets it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()

    stdout = output_of(regkit(*command, "--image-refs", pipe))

    reader.join(30)
    assert read == [stdout]
    assert pipe.is_fifo()


def test_what_is_unfinished_is_told_too(served: Served, command: tuple[str | Path, ...], tmp_path: Path) -> None:
    """With one registry away, the files tell of those that have the release; the exit code is 8."""
    with serving() as gone:
        away = f"{gone.host}/c/three"
    summary = tmp_path / "summary"

    done = regkit(
        *command, "--image", away, "--image-refs", tmp_path / "refs", env={"GITHUB_STEP_SUMMARY": str(summary)}
    )

    assert done.returncode == 8
    assert (tmp_path / "refs").read_text() == done.stdout
    assert len(done.stdout.splitlines()) == 2
    assert f"{away} lacks 1, 1.2, 1.2.3, latest" in done.stderr
    assert f"{away} lacks" in summary.read_text()
    assert "the same command again" in done.stderr
    assert served.tags("b/two").keys() == set(ORDER)


def test_a_file_in_the_context_is_no_part_of_the_source(served: Served, tmp_path: Path) -> None:
    """What a publish writes into its own context doesn't change the digest of its sources."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    command = ("plan", ".", "--image", f"{served.host}/app", "--version", "1.0.0", "--platform", "linux/amd64")

    def annotations(*more: str) -> object:
        return json.loads(output_of(regkit(*command, "--format", "json", *more, cwd=tmp_path)))["annotations"]

    before = annotations()
    assert annotations("--out", "plan.json") == annotations("--out", "plan.json") == before
    assert annotations() != before


def test_a_file_that_takes_nothing_when_all_is_up(command: tuple[str | Path, ...], tmp_path: Path) -> None:
    """Exit code 8: the release is there, its name is on stdout, and so are the files that can be."""
    done = regkit(*command, "--metadata-file", "/dev/full")
    names = output_of(regkit(*command, "--image-refs", tmp_path / "refs"))

    assert (done.returncode, done.stdout) == (8, names)
    assert "the release is up, but /dev/full can't be written: No space left on device" in done.stderr


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_stdout_that_takes_nothing_when_all_is_up(
    served: Served, command: tuple[str | Path, ...], form: str, tmp_path: Path
) -> None:
    """Exit code 8, and the files are there."""
    refs = tmp_path / "refs"
    with (
        Path("/dev/full").open("wb") as full,
        started(*command, "--image-refs", refs, "--format", form, home=tmp_path, stdout=full) as process,
    ):
        _, said = process.communicate()

    assert process.returncode == 8
    assert b"the release is up, but the result can't be written to stdout: No space left on device" in said
    assert refs.read_text().splitlines()[0] == f"{served.host}/a/one@{served.tags('a/one')['1.2.3']}"


def test_a_reader_that_has_gone_gets_no_result(command: tuple[str | Path, ...], tmp_path: Path) -> None:
    """The files are written all the same."""
    reading, writing = os.pipe()
    os.close(reading)
    with started(*command, "--digest-file", tmp_path / "digest", home=tmp_path, stdout=writing) as process:
        os.close(writing)
        _, said = process.communicate()

    assert process.returncode == 1
    assert b"Traceback" not in said
    assert (tmp_path / "digest").read_text().startswith("sha256:")
