"""Files that tell others what was published: scripts, later jobs, and the CI system's own pages."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regkit.cli.options import Format
from regkit.cli.output import safe, write_json, write_lines
from regkit.errors import PartlyDone, RegkitError, UsageError
from regkit.files import cant_write

if TYPE_CHECKING:
    from regkit.cli.render_tally import Tally
    from regkit.ops.result import PublishResult


@dataclass(frozen=True, slots=True)
class Reports:
    """Which files are wanted; each is written whole or not at all."""

    metadata: Path | None = None
    image_refs: Path | None = None
    digest: Path | None = None
    dotenv: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that will be there."""
        return tuple(path for path in (self.metadata, self.image_refs, self.digest, self.dotenv) if path is not None)

    def check(self) -> None:
        """Raise UsageError where one can't be written: after a publish that would be late."""
        for path in self.paths:
            try:
                known = path.exists()
            except OSError as error:
                raise cant_write(path, error) from None
            if path.is_dir() or not path.parent.is_dir():
                why = "it is a directory" if path.is_dir() else f"{path.parent} isn't a directory"
                raise UsageError(f"{path} can't be written: {why}", hint="name a file in a directory that exists")
            if not os.access(path if known else path.parent, os.W_OK):
                raise UsageError(f"{path} can't be written: permission denied", hint="name another file")

    def tell(self, result: PublishResult, tally: Tally, env: Mapping[str, str], form: Format) -> None:
        """Write the result to stdout, and to all files; raise what is unfinished, and PartlyDone for a file."""
        left: list[RegkitError] = []
        for write in (partial(self._write, result, tally, env), partial(_show, result, form)):
            try:
                write()
            except RegkitError as error:
                left.append(error)
        said = "; ".join(error.message for error in left)
        if result.unfinished is not None:
            if said:
                result.unfinished.add(said)
            raise result.unfinished
        if said:
            raise PartlyDone(
                f"the release is up, but {said}",
                hint=left[0].hint or "the same command again tells of it, and pushes nothing",
            )

    def _write(self, result: PublishResult, tally: Tally, env: Mapping[str, str]) -> None:
        """Write the files, and what the CI system asks for in its variables."""
        if self.metadata is not None:
            write_file(self.metadata, json.dumps(_metadata(result), indent=2) + "\n")
        if self.image_refs is not None:
            write_file(self.image_refs, _lines(result.names))
        if self.digest is not None:
            write_file(self.digest, result.index.digest)  # without a line's end, as podman and kaniko write it
        if self.dotenv is not None:
            write_file(self.dotenv, _lines(_variables(result)))
        if env.get("GITHUB_OUTPUT"):
            _append(Path(env["GITHUB_OUTPUT"]), _outputs(result))
        if env.get("GITHUB_STEP_SUMMARY"):
            _append(Path(env["GITHUB_STEP_SUMMARY"]), _summary(result, tally))


def read_reports(
    ctx: typer.Context,
    metadata_file: Annotated[
        Path | None, typer.Option(envvar="REGKIT_METADATA_FILE", help="Write the result there, with buildx's keys.")
    ] = None,
    image_refs: Annotated[
        Path | None, typer.Option(envvar="REGKIT_IMAGE_REFS", help="Write the names to pull by there, one a line.")
    ] = None,
    digest_file: Annotated[
        Path | None, typer.Option(envvar="REGKIT_DIGEST_FILE", help="Write the index's digest there.")
    ] = None,
    dotenv: Annotated[
        Path | None, typer.Option(envvar="REGKIT_DOTENV", help="Write variables there, as GitLab's dotenv report.")
    ] = None,
) -> Reports:
    """Read which are wanted; raise UsageError where one can't be written."""
    del ctx
    reports = Reports(metadata_file, image_refs, digest_file, dotenv)
    reports.check()
    return reports


def _show(result: PublishResult, form: Format) -> None:
    if form is Format.json:
        write_json(result.to_json())
    else:
        write_lines(result.names)
    sys.stdout.flush()


def _metadata(result: PublishResult) -> dict[str, Any]:
    return {
        "containerimage.digest": result.index.digest,
        "containerimage.descriptor": result.index.to_json(),
        "image.name": ",".join(result.tagged_names),
        "regkit": result.to_json(),
    }


def _variables(result: PublishResult) -> Iterable[str]:
    """Give what GitLab's dotenv report hands to later jobs: a variable a line, no line in a value."""
    yield f"PUBLISHED_IMAGE={result}"
    yield f"PUBLISHED_IMAGES={','.join(result.names)}"
    yield f"PUBLISHED_DIGEST={result.index.digest}"
    yield f"PUBLISHED_TAGS={','.join(result.tagged_names)}"


def _outputs(result: PublishResult) -> str:
    """Give a GitHub step's outputs; names and tags are checked, so none holds a line's end, or the mark."""
    several = {"images": result.names, "tags": result.tagged_names}
    lines = [f"image={result}", f"digest={result.index.digest}"]
    for name, values in several.items():
        lines += [f"{name}<<_regkit_end_", *values, "_regkit_end_"]
    return _lines(lines)


def _summary(result: PublishResult, tally: Tally) -> str:
    """Give Markdown for a GitHub job's page: what is where, and the matrix of the platforms."""
    lines = [f"### Published `{result.index.digest}`", "", "| image | tags | left as they were |", "|---|---|---|"]
    lines += [
        f"| `{there.image.name}` | {_codes(there.tags)} | {_codes(there.kept)} |" for there in result.destinations
    ]
    head, *rows = tally.matrix()
    lines += ["", f"| {' | '.join(head).lower()} |", f"|{'---|' * len(head)}"]
    lines += [f"| {platform} | `{digest}` | {' | '.join(rest)} |" for platform, digest, *rest in rows]
    if result.unfinished is not None:
        lines += ["", f"**Not finished:** {safe(result.unfinished.message)}"]
    return _lines([*lines, ""])


def _codes(tags: Iterable[str]) -> str:
    return " ".join(f"`{tag}`" for tag in tags)


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def write_file(path: Path, text: str) -> None:
    """Replace a file at once; a pipe or a device is written to."""
    from regkit.protocol.flow import Bytes
    from regkit.targets.file import write_atomically

    if path.exists() and not path.is_file():
        _append(path, text)
    else:
        write_atomically(path, Bytes(text.encode()))


def _append(path: Path, text: str) -> None:
    """Add to a file that others add to as well, with one write."""
    data = text.encode()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            written = os.write(descriptor, data)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise RegkitError(f"{path} can't be written: {error.strerror}") from None
    if written < len(data):
        raise RegkitError(f"{path} can't be written: only {written} of {len(data)} bytes went in")
