"""The options that say what a release is called, and what becomes of the tags that stand."""

from __future__ import annotations

from typing import Annotated, TypedDict

import typer

from regkit.cli.declared import Annotations, Attesting, Commit, KeepOrStrip
from regkit.cli.options import lines_of


class Release(TypedDict):
    """How `publish_spec` is told of a release."""

    version: str | None
    commit: str | None
    tags: list[str]
    annotations: list[str]
    strip_attestations: bool
    immutable: bool
    allow_downgrade: bool
    aliases: bool
    zero_major: bool


def read_release(
    ctx: typer.Context,
    version: Annotated[
        str | None,
        typer.Option(
            envvar="REGKIT_VERSION",
            metavar="REF",
            help="v1.2.3, 1.2.3, refs/tags/v1.2.3 or a branch; by default what CI or git say.",
        ),
    ] = None,
    commit: Commit = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("-t", "--tag", envvar="REGKIT_TAG", help="Instead of the version's tags, in this order."),
    ] = None,
    annotation: Annotations = None,
    attestations: KeepOrStrip = Attesting.keep,
    immutable: Annotated[
        bool,
        typer.Option(
            "--immutable/--no-immutable",
            envvar="REGKIT_IMMUTABLE",
            help="Refuse, or replace, an exact version with other content.",
        ),
    ] = True,
    allow_downgrade: Annotated[
        bool,
        typer.Option(
            "--allow-downgrade", envvar="REGKIT_ALLOW_DOWNGRADE", help="Move aliases to a lower version, too."
        ),
    ] = False,
    no_aliases: Annotated[
        bool, typer.Option("--no-aliases", envvar="REGKIT_NO_ALIASES", help="Write the version's own tag only.")
    ] = False,
    zero_major: Annotated[
        bool, typer.Option("--zero-major", envvar="REGKIT_ZERO_MAJOR", help="Tag `0` for a version 0.y.z, too.")
    ] = False,
) -> Release:
    """Read them; what they say is checked where it is used."""
    del ctx
    return {
        "version": version,
        "commit": commit,
        "tags": tag or [],
        "annotations": annotation or lines_of("REGKIT_ANNOTATION"),
        "strip_attestations": attestations is Attesting.strip,
        "immutable": immutable,
        "allow_downgrade": allow_downgrade,
        "aliases": not no_aliases,
        "zero_major": zero_major,
    }
