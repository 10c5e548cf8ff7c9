"""`regkit doctor`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from regkit.cli.options import ListFormat
from regkit.cli.output import write_lines, write_list

if TYPE_CHECKING:
    from collections.abc import Iterator

    from regkit.build.findings import Finding

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command()
def doctor(
    platform: Annotated[
        list[str] | None,
        typer.Option(envvar=["REGKIT_PLATFORM", "DOCKER_PLATFORMS"], help="What is to be built for; repeatable."),
    ] = None,
    form: Annotated[ListFormat, typer.Option("--format", envvar="REGKIT_FORMAT")] = ListFormat.text,
) -> None:
    """Say what a build for these platforms needs, and the command that brings what is missing (exit code 1)."""
    from regkit.build.doctor import diagnose
    from regkit.oci.platform import parse_platforms

    findings = diagnose(parse_platforms(platform or ()), os.environ)
    if form is not ListFormat.text:
        write_list("findings", [_to_json(finding) for finding in findings], form)
    else:
        write_lines(line for finding in findings for line in _describe(finding))
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _describe(finding: Finding) -> Iterator[str]:
    yield f"{'ok     ' if finding.ok else 'MISSING'}  {finding.name}: {finding.detail}"
    if not finding.ok:
        yield f"         holds back: {', '.join(map(str, finding.platforms))}"
        yield f"         remedy: {finding.remedy}"


def _to_json(finding: Finding) -> dict[str, object]:
    return {
        "name": finding.name,
        "ok": finding.ok,
        "detail": finding.detail,
        "platforms": [str(platform) for platform in finding.platforms],
        "remedy": finding.remedy,
    }
