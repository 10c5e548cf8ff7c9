"""A trial: a command runs in an image, under BuildKit, straight from content in a directory, and nothing is kept.

BuildKit is given a Dockerfile of two lines. The command is the second one's JSON array: nothing in it has a meaning for
the Dockerfile, be it a quote, a line's end, a dollar or the beginning of a heredoc.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from regkit.build.address import Address
from regkit.build.buildctl import failure
from regkit.build.child import Group, child, find_tool
from regkit.build.environment import client_environment
from regkit.build.progress import Progress
from regkit.build.spec import BuildSpec
from regkit.errors import BuildFailed, UsageError
from regkit.events import PlatformTested, Reporter, StepDone, StepLog, StepStarted
from regkit.oci.digest import Digest
from regkit.oci.platform import Platform

NAME = "test"
"""What the step is called in events."""

MAX_COMMAND = 32 * 1024
"""The longest command, in bytes: a line of a Dockerfile has room for it, and so has the kernel for an argument."""

_LINE_LIMIT = 16 * 1024 * 1024
_GRACE = 0.5
_STORE = "trial"
_STEP = re.compile(r"\[\d+/\d+\] RUN ")
_STATUS = re.compile(r"exit code: (\d+)")
_NO_PROGRAM = re.compile(r"no such file or directory|executable file not found|permission denied")


@dataclass(frozen=True, slots=True)
class Trial:
    """What runs in one image. `store` is a directory as a layout's, whose `blobs` hold all of the image."""

    command: tuple[str, ...]
    platform: Platform
    store: Path
    manifest: Digest


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a trial ended: with an exit status, or with the reason for which the command couldn't run at all."""

    platform: Platform
    status: int | None
    reason: str = ""
    hint: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the command ran and ended with 0."""
        return self.status == 0

    @property
    def ending(self) -> str:
        """How it ended, where it wasn't well."""
        return "" if self.passed else self.reason or f"exit status {self.status}"

    def __str__(self) -> str:
        """Name the platform, and how it ended."""
        return f"{self.platform} ({self.ending})"


def parse_command(text: str) -> tuple[str, ...]:
    """Read a command: a JSON array of words, run as it is; else a line for the image's `/bin/sh -c`.

    Raise UsageError for one that is empty or too long, or holds what no program can be given.
    """
    if not text.strip():
        raise UsageError(
            "the test is empty", hint="--test 'COMMAND' for a shell, or --test '[\"/program\", \"argument\"]'"
        )
    if "\0" in text or len(text.encode("utf-8", "surrogateescape")) > MAX_COMMAND:
        raise UsageError(f"the test holds a NUL, or is longer than {MAX_COMMAND} bytes", hint="put it into a script")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError("the test isn't valid UTF-8") from None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        if text.lstrip().startswith('["'):  # `[ -f /x ]` is the shell's
            raise UsageError(
                f"the test begins as a JSON array, and isn't one: {text[:140]}",
                hint='write an array of strings, as ["/program", "argument"]',
            ) from None
        return "/bin/sh", "-c", text
    if not isinstance(found, list):
        return "/bin/sh", "-c", text
    if not found or not all(isinstance(word, str) for word in found) or not found[0] or "\0" in "".join(found):
        raise UsageError(f"not a command: {text[:140]}", hint='write an array of strings, as ["/program", "argument"]')
    return tuple(found)


def dockerfile(command: tuple[str, ...]) -> str:
    """Write the Dockerfile. Pure; as ASCII, so that a line ends nowhere but at its end."""
    return f"FROM image\nRUN {json.dumps(command)}\n"


def arguments(trial: Trial, address: Address, directory: Path) -> list[str]:
    """Give buildctl's arguments; `directory` holds the Dockerfile and nothing else. Pure."""
    options = {
        "platform": str(trial.platform),
        "multi-platform": "true",
        "no-cache": "",
        "context:image": f"oci-layout://{_STORE}@{trial.manifest}",
    }
    return [
        *(*address.words, "build", "--progress", "rawjson", "--frontend", "dockerfile.v0"),
        *("--local", f"context={directory}", "--local", f"dockerfile={directory}"),
        *("--oci-layout", f"{_STORE}={trial.store}"),
        *(word for key, value in options.items() for word in ("--opt", f"{key}={value}")),
    ]


def run(
    trial: Trial, address: Address, directory: Path, report: Reporter, *, env: Mapping[str, str], group: Group
) -> Outcome:
    """Run a trial to its end, in an empty `directory`; what it prints is reported line by line.

    buildctl gets no credential: nothing is pulled.

    Raise Unavailable for a builder that isn't there; BuildFailed where it can't read the image.
    """
    buildctl = find_tool("buildctl", env)
    if buildctl is None:
        raise UsageError("buildctl isn't on PATH, and a test needs it", hint="regkit doctor says how to get it")
    context, no_logins = directory / "context", directory / "docker"
    for made in (context, no_logins):
        made.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(dockerfile(trial.command), "ascii")
    platform = str(trial.platform)
    progress = Progress((trial.platform,))
    report(StepStarted(platform, NAME))
    begun = time.monotonic()
    argv = [buildctl, *arguments(trial, address, context)]
    own = client_environment(env, no_logins)
    with child(argv, own, output=subprocess.PIPE, grace=_GRACE, group=group) as process:
        assert process.stdout is not None
        for line in iter(partial(process.stdout.readline, _LINE_LIMIT), b""):
            _tell(progress, line, platform, report)
        status = process.wait()
    _tell(progress, None, platform, report)
    outcome = Outcome(trial.platform, 0) if status == 0 else _failed(progress, trial, address, context)
    seconds = time.monotonic() - begun
    report(StepDone(platform, NAME, cached=False, seconds=seconds, error=outcome.ending))
    report(PlatformTested(platform, outcome.passed, seconds))
    return outcome


def _tell(progress: Progress, line: bytes | None, platform: str, report: Reporter) -> None:
    """Report what the command prints; all else is BuildKit's own."""
    for event in progress.finish() if line is None else progress.feed(line):
        if isinstance(event, StepLog) and _STEP.match(event.name):
            report(StepLog(platform, NAME, event.line))


def _failed(progress: Progress, trial: Trial, address: Address, directory: Path) -> Outcome:
    step = progress.failed
    spec = BuildSpec(directory, directory / "Dockerfile", (trial.platform,))
    error = failure(progress, spec, address)
    if step is None or not _STEP.match(step.name):
        if isinstance(error, BuildFailed):
            raise BuildFailed(
                f"the test can't run for {trial.platform}: {error.message}", hint=error.hint, log=error.log
            )
        raise error
    status = _STATUS.search(step.error)
    said = " ".join((*step.lines, step.error))
    hint = error.hint
    if hint is None and trial.command[:2] == ("/bin/sh", "-c") and "/bin/sh" in said and _NO_PROGRAM.search(said):
        hint = """the image has no shell: write the test as a JSON array, as --test '["/program", "argument"]'"""
    if status is None:
        return Outcome(trial.platform, None, error.message.rpartition(": ")[2] or step.error, hint)
    return Outcome(trial.platform, int(status[1]), hint=hint)
