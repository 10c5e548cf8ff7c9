"""Options of the README that goes along with a release, and where each repository shows one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from regkit.cli.options import globals_of, is_typed

if TYPE_CHECKING:
    from regkit.config.spec import Config
    from regkit.oci.reference import Reference
    from regkit.ops.planfile import SavedReadme
    from regkit.ops.readme import Place
    from regkit.ops.readme_page import Page

README = Path("README.md")

Short = Annotated[
    str | None,
    typer.Option(
        "--short",
        envvar="REGKIT_SHORT",
        metavar="TEXT",
        help="The line above the README, at Docker Hub; the description, at GitHub's registry.",
    ),
]


ReadPage: TypeAlias = "Callable[[Sequence[Reference]], Page | None]"
"""Reads the README that goes along to these repositories."""


def read_page(
    ctx: typer.Context,
    readme: Annotated[
        Path | None,
        typer.Option(
            "--readme",
            envvar="REGKIT_README",
            metavar="FILE",
            help="Show it on the images' pages once the release is up: Docker Hub, Quay, Harbor.",
        ),
    ] = None,
    no_readme: Annotated[
        bool,
        typer.Option("--no-readme", envvar="REGKIT_NO_README", help="Show none, whatever [readme] of the file says."),
    ] = False,
    short: Short = None,
) -> ReadPage:
    """Give what reads the README for the repositories, when they are known."""
    return lambda images: _page(ctx, images, readme, short, none=no_readme)


def _page(
    ctx: typer.Context, images: Sequence[Reference], readme: Path | None, short: str | None, *, none: bool
) -> Page | None:
    """Read the README that is asked for, else that of `[readme]`, for the images that it is about.

    Raise UsageError for a wrong file, and for a short text that is given without any README.
    """
    from regkit.errors import UsageError

    config = globals_of(ctx).config()
    said = config.readme
    if none and readme is not None and is_typed(ctx, "readme"):
        raise UsageError("--readme and --no-readme were both given", hint="leave one of them out")
    if none or (readme is None and said is None):
        if short is not None and is_typed(ctx, "short"):
            raise UsageError("a short text goes along with a README, and there is none", hint="give --readme FILE")
        return None
    chosen = list(images)
    if readme is None and said is not None and said.images:
        from regkit.oci.reference import Reference

        listed = {Reference.parse_name(name) for name in said.images}
        chosen = [image for image in images if image in listed]
    if not chosen:
        return None
    from regkit.ops.readme_page import Page

    file = readme or globals_of(ctx).readme() or README
    places = [place_of(config, image) for image in chosen]
    return Page.read(file, places, short=short or (said.short if said else None))


def page_again(ctx: typer.Context) -> Callable[[SavedReadme], Page]:
    """Give what reads the README of a saved plan; where each repository shows it is for this machine to say."""

    def read(saved: SavedReadme) -> Page:
        from regkit.ops.readme_page import Page

        config = globals_of(ctx).config()
        return Page.read(saved.file, [place_of(config, image) for image in saved.images], short=saved.short)

    return read


def place_of(config: Config, image: Reference, provider: str | None = None, api: str | None = None) -> Place:
    """Tell where a repository shows its README: as `provider` and `api` say, else as the configuration does.

    What `[readme]` says is for the images in it, and not for a registry that is another's by its name.
    """
    from regkit.oci.reference import Reference
    from regkit.ops.readme import Place
    from regkit.vendors.api import configured
    from regkit.vendors.find import by_host

    vendor, address = configured(config.registries, image.registry)
    vendor, address = provider or vendor, api or address
    said = config.readme
    if said is not None:
        row = by_host(image.registry)
        listed = not said.images or image in map(Reference.parse_name, said.images)
        of_said = listed and (said.provider is None or row is None or row.name == said.provider)
        vendor = vendor or (said.provider if of_said else None) or ""
        address = address or (said.api if of_said else None) or ""
    return Place(image, vendor, address)
