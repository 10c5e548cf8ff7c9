"""`regkit readme push|diff`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regkit.cli.options import PENDING, ListFormat, globals_of
from regkit.cli.output import write_lines, write_list
from regkit.cli.pages import README, Short, place_of

if TYPE_CHECKING:
    from regkit.ops.readme import Place, Readme

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, no_args_is_help=True)


class Provider(StrEnum):
    """Who shows READMEs."""

    dockerhub = "dockerhub"
    quay = "quay"
    harbor = "harbor"


Images = Annotated[
    list[str] | None,
    typer.Option("--image", envvar="REGKIT_IMAGE", metavar="NAME", help="A repository; repeatable."),
]
File = Annotated[
    Path | None,
    typer.Option("--file", "-f", envvar="REGKIT_README", help="The text, in Markdown; README.md by default."),
]
Base = Annotated[
    str | None,
    typer.Option(
        "--base",
        envvar="REGKIT_BASE",
        metavar="URL",
        help="Where the README's folder is on the web, for its relative links; by default as git's remote says.",
    ),
]
Whose = Annotated[
    Provider | None,
    typer.Option("--provider", envvar="REGKIT_PROVIDER", help="Whose registry it is, where its name doesn't tell."),
]
Api = Annotated[
    str | None,
    typer.Option("--api", envvar="REGKIT_API", metavar="URL", help="The address of its API, where that is elsewhere."),
]
Form = Annotated[ListFormat, typer.Option("--format", envvar="REGKIT_FORMAT")]


@app.command()
def push(
    ctx: typer.Context,
    image: Images = None,
    file: File = None,
    short: Short = None,
    base: Base = None,
    provider: Whose = None,
    api: Api = None,
    form: Form = ListFormat.text,
) -> None:
    """Show a README on the repository's page: Docker Hub, Quay, Harbor. Nothing is sent where nothing differs."""
    from regkit.ops.readme import push as send

    readme, places = _read(ctx, image, file, short, base, provider, api)
    with globals_of(ctx).session() as session:
        found = send(session, readme, places)
    if form is not ListFormat.text:
        write_list("images", [{"name": each.name, "changed": each.changed} for each in found], form)
    else:
        write_lines(f"{each.name}: {'updated' if each.changed else 'unchanged'}" for each in found)


@app.command()
def diff(
    ctx: typer.Context,
    image: Images = None,
    file: File = None,
    short: Short = None,
    base: Base = None,
    provider: Whose = None,
    api: Api = None,
    form: Form = ListFormat.text,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", envvar="REGKIT_DETAILED_EXITCODE", help="Exit 3 where they differ.")
    ] = False,
) -> None:
    """Show in what the repository's page differs from the README, as `push` would send it."""
    from regkit.ops.readme import compare

    readme, places = _read(ctx, image, file, short, base, provider, api)
    with globals_of(ctx).session() as session:
        found = compare(session, readme, places)
    if form is not ListFormat.text:
        write_list("images", [each.to_json() for each in found], form)
    else:
        write_lines(line for each in found for line in each.lines())
    if detailed_exitcode and any(each.changed for each in found):
        raise typer.Exit(PENDING)


def _read(
    ctx: typer.Context,
    image: list[str] | None,
    file: Path | None,
    short: str | None,
    base: str | None,
    provider: Provider | None,
    api: str | None,
) -> tuple[Readme, list[Place]]:
    """Read the README and the places it goes to; what isn't given is in `[readme]` and `[registry."HOST"]`."""
    from regkit.config.spec import ReadmeConfig
    from regkit.errors import UsageError
    from regkit.oci.reference import Reference
    from regkit.ops.readme import read_readme

    config = globals_of(ctx).config()
    said = config.readme or ReadmeConfig()
    names = list(image or said.images)
    if not names:
        raise UsageError("no repository is named", hint="give --image NAME, or image = … in [readme]")
    whose = provider.value if provider else None
    places = [place_of(config, each, whose, api) for each in map(Reference.parse_name, dict.fromkeys(names))]
    text = read_readme(file or globals_of(ctx).readme() or README, short=short or said.short, base=base or "")
    return text, places
