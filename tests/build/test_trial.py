"""Commands in images, under a real buildkitd, straight from a layout."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from regkit.build.address import Address
from regkit.build.buildctl import build
from regkit.build.child import Group
from regkit.build.trial import MAX_COMMAND, Outcome, Trial, dockerfile, parse_command, run
from regkit.errors import BuildFailed, Unavailable, UsageError
from regkit.events import Event, PlatformTested, StepLog, ignore
from regkit.oci.digest import Digest
from regkit.oci.platform import Platform
from regkit.targets.layout import Layout
from tests.build.conftest import MakeContext, spec_of

X86 = Platform.parse("linux/amd64")
SHELL = """\
FROM scratch
COPY busybox /bin/
RUN ["/bin/busybox", "--install", "/bin"]
RUN mkdir /home && echo me:x:12:34::/home:/bin/sh >/etc/passwd
ENV GREETING="good day"
WORKDIR /home
USER me
ENTRYPOINT ["/bin/false"]
"""
ODD = (
    "test 'a b' = \"a b\"",
    "cat <<EOF | grep -qx 'FROM nothing'\nFROM nothing\nEOF",
    'x="$(echo 5)"; [ "$x$((x + 1))" = 56 ]',
    "echo '\\' \\\n  | grep -q '\\\\'",
    '[ "$GREETING" = "good day" ] && [ "${GREETING#* }" = day ]',
    "test \"$(printf %s 'ü \u2028 \U0001f600' | wc -c)\" -gt 6",
    "# nothing\ntrue",
    "[ 1 = 1 ]",
)


class Lab:
    """An image in a layout, and a builder to run commands in it."""

    def __init__(self, store: Path, address: Address, env: dict[str, str], scratch: Path) -> None:
        self.store, self.address, self.env, self.scratch = store, address, env, scratch
        (root,) = Layout(store).roots
        (child,) = [each for each in Layout(store).manifest(root.digest).manifests if each.attests is None]
        self.manifest = child.digest

    def run(self, command: str, report: list[Event] | None = None, manifest: Digest | None = None) -> Outcome:
        self.scratch.mkdir(exist_ok=True)
        trial = Trial(parse_command(command), X86, self.store, manifest or self.manifest)
        sink = ignore if report is None else report.append
        return run(trial, self.address, self.scratch, sink, env=self.env, group=Group())


@pytest.fixture
def lab(builder: Address, env: dict[str, str], context: MakeContext, tmp_path: Path) -> Lab:
    """Give an image with a shell, a user, a directory and a variable."""
    build(spec_of(context(SHELL, busybox=True)), builder, tmp_path / "layout", ignore, env=env)
    return Lab(tmp_path / "layout", builder, env, tmp_path / "trial")


def test_user_directory_and_variables_are_the_images_own(lab: Lab, events: list[Event]) -> None:
    """Each line is reported, with the platform; the image's entry point doesn't count."""
    outcome = lab.run("id -u; id -g; pwd; echo $GREETING", events)

    assert outcome.passed
    lines = [(event.platform, event.line) for event in events if isinstance(event, StepLog)]
    assert lines == [("linux/amd64", text) for text in ("12", "34", "/home", "good day")]
    assert [event.passed for event in events if isinstance(event, PlatformTested)] == [True]


def test_it_is_executed_every_time(lab: Lab, events: list[Event]) -> None:
    """What passed a moment ago may fail now: no cache answers for it."""
    for _ in range(2):
        assert lab.run("cat /proc/sys/kernel/random/uuid", events).passed

    first, second = [event.line for event in events if isinstance(event, StepLog)]
    assert first != second


@pytest.mark.parametrize("command", ODD)
def test_what_has_a_meaning_for_a_dockerfile_reaches_the_shell(lab: Lab, command: str) -> None:
    assert lab.run(command) == Outcome(X86, 0)


def test_exec_form_has_no_shell(lab: Lab, events: list[Event]) -> None:
    """Its words arrive as they are."""
    words = ["/bin/echo", "$GREETING <<EOF", 'a"b\\', "c"]

    assert lab.run(json.dumps(words), events).passed
    assert [event.line for event in events if isinstance(event, StepLog)] == [" ".join(words[1:])]


@pytest.mark.parametrize("status", [1, 7, 126, 255])
def test_exit_status_is_told(lab: Lab, status: int) -> None:
    assert lab.run(f"exit {status}") == Outcome(X86, status)


def test_a_program_that_is_missing(lab: Lab) -> None:
    outcome = lab.run('["/missing"]')

    assert not outcome.passed
    assert outcome.hint is None


def test_an_image_without_a_shell_needs_the_exec_form(
    builder: Address, env: dict[str, str], context: MakeContext, tmp_path: Path
) -> None:
    made = context("FROM scratch\nCOPY busybox /\n", busybox=True)
    build(spec_of(made), builder, tmp_path / "layout", ignore, env=env)
    lab = Lab(tmp_path / "layout", builder, env, tmp_path / "trial")

    outcome = lab.run("true")
    assert not outcome.passed
    assert outcome.hint is not None
    assert "JSON array" in outcome.hint
    assert lab.run('["/busybox", "true"]').passed


def test_content_that_is_missing_is_no_failed_test(lab: Lab) -> None:
    with pytest.raises(BuildFailed, match="the test can't run for linux/amd64"):
        lab.run("true", manifest=Digest.of(b"nothing"))


def test_no_builder(lab: Lab, tmp_path: Path) -> None:
    lab.address = Address(f"unix://{tmp_path}/none")

    with pytest.raises(Unavailable, match="can't reach the builder"):
        lab.run("true")


@pytest.mark.parametrize(
    "text",
    [
        *("", " \n", "a\0b", "\udcff", "x" * (MAX_COMMAND + 1)),
        *("[]", "[1]", '[""]', '["a", null]', '["a\\u0000"]', '["/hello"', ' ["/hello" "a"]'),
    ],
)
def test_what_is_no_command(text: str) -> None:
    with pytest.raises(UsageError):
        parse_command(text)


@given(st.text(min_size=1).filter(lambda text: text.strip() and "\0" not in text))
@example("]\nRUN rm -rf /")
def test_nothing_leaves_its_line(text: str) -> None:
    """Whatever a command holds, the Dockerfile has two lines, and the second one is JSON."""
    try:
        command = parse_command(text)
    except UsageError:
        return
    base, line, end = dockerfile(command).split("\n")

    assert (base, end) == ("FROM image", "")
    assert tuple(json.loads(line.removeprefix("RUN "))) == command
    assert line.isascii()


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1))
def test_words_stay_words(words: list[str]) -> None:
    """The shell gets the line as it was written."""
    line = "x " + shlex.join(words)
    assert parse_command(line) == ("/bin/sh", "-c", line)
