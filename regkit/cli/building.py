"""The options that say how something is built, and what is looked at before a push."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from regkit.cli.options import globals_of, lines_of, refuse_typed

if TYPE_CHECKING:
    from regkit.build.means import Means

FOR_A_BUILD = frozenset({"file", "target", "build_arg", "secret", "cache_from", "cache_to"}) | {
    *("attest", "provenance", "sbom", "preflight", "rebuild")
}
"""Options that say nothing where nothing is built."""


class Looking(TypedDict):
    """How `publish_spec` is told of what is looked at."""

    test: str | None
    test_platforms: list[str]
    preflight: bool


class Building(Looking):
    """How `publish_spec` is told of a build."""

    file: Path | None
    target: str
    build_args: list[str]
    attests: list[str]
    means: Means | None


def read_building(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Option(envvar="REGKIT_FILE", help="The Dockerfile.")] = None,
    target: Annotated[str, typer.Option(envvar="REGKIT_TARGET", help="The stage to build.")] = "",
    build_arg: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY[=VALUE]", help="Repeatable; REGKIT_BUILD_ARG holds one a line."),
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option(
            metavar="id=NAME[,src=FILE|,env=VARIABLE]",
            help="What a RUN may read; repeatable; REGKIT_SECRET holds one a line.",
        ),
    ] = None,
    cache_from: Annotated[
        list[str] | None,
        typer.Option(
            metavar="type=registry,ref=NAME",
            help="A cache that is read; repeatable; REGKIT_CACHE_FROM holds one a line.",
        ),
    ] = None,
    cache_to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="type=registry,ref=NAME[,mode=max]",
            help="A cache that is written; repeatable; REGKIT_CACHE_TO holds one a line.",
        ),
    ] = None,
    attest: Annotated[
        list[str] | None,
        typer.Option(
            metavar="type=provenance[,mode=max]|type=sbom",
            help="What BuildKit attests of each image; repeatable; REGKIT_ATTEST holds one a line.",
        ),
    ] = None,
    provenance: Annotated[
        str | None,
        typer.Option(
            envvar="REGKIT_PROVENANCE", metavar="true|false|mode=max", help="Short for --attest type=provenance,…"
        ),
    ] = None,
    sbom: Annotated[
        str | None,
        typer.Option(envvar="REGKIT_SBOM", metavar="true|false|generator=IMAGE", help="Short for --attest type=sbom,…"),
    ] = None,
    builder: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN=ADDR[,tls-dir=DIR]",
            help="Where BuildKit builds which platforms (linux/arm64, linux/*, *), instead of [builders]; repeatable; "
            "REGKIT_BUILDER holds one a line.",
        ),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(
            envvar="REGKIT_TEST",
            metavar="COMMAND",
            help="Run it in every platform's image before anything is pushed: a line for its shell, or a JSON array.",
        ),
    ] = None,
    test_platform: Annotated[
        list[str] | None,
        typer.Option(
            envvar="REGKIT_TEST_PLATFORM", metavar="LIST", help="Run the test in these platforms' images only."
        ),
    ] = None,
    preflight: Annotated[
        bool,
        typer.Option(
            "--preflight/--no-preflight",
            envvar="REGKIT_PREFLIGHT",
            help="Ask for every base image and its platforms before the build, or leave them to the builder.",
        ),
    ] = True,
) -> Building:
    """Read them; raise UsageError for what can't be meant.

    After `--from` nothing is built: what is typed for a build is refused, and what a configuration or the environment
    says of one isn't looked at. A test runs there, too, on a builder.
    """
    looked_at: Looking = {"test": test, "test_platforms": test_platform or [], "preflight": preflight}
    if ctx.params.get("source"):
        idle = FOR_A_BUILD if test else FOR_A_BUILD | {"builder"}
        refuse_typed(ctx, idle, "what --from names is built already", "leave it out, or build a CONTEXT without --from")
        means = _means(ctx, builder) if test else None
        return {"file": None, "target": "", "build_args": [], "attests": [], "means": means, **looked_at}
    caches = (cache_from or lines_of("REGKIT_CACHE_FROM"), cache_to or lines_of("REGKIT_CACHE_TO"))
    return {
        "file": file,
        "target": target,
        "build_args": build_arg or lines_of("REGKIT_BUILD_ARG"),
        "attests": _attests(attest or lines_of("REGKIT_ATTEST"), provenance, sbom),
        "means": _means(ctx, builder, *caches, secret or lines_of("REGKIT_SECRET")),
        **looked_at,
    }


def _means(
    ctx: typer.Context,
    builders: Sequence[str] | None,
    cache_from: Sequence[str] = (),
    cache_to: Sequence[str] = (),
    secrets: Sequence[str] = (),
) -> Means | None:
    """Read builders, caches and secrets; None where nothing is said of them.

    `--builder` counts, else `BUILDKIT_HOST`, else the configuration's `[builders]`.
    """
    given = builders or lines_of("REGKIT_BUILDER")
    configured = () if given or os.environ.get("BUILDKIT_HOST") else globals_of(ctx).builders()
    if not (given or configured or cache_from or cache_to or secrets):
        return None
    from regkit.build.means import Means, parse_builder

    known = (*configured, *(parse_builder(text) for text in given))
    return Means.read(os.environ, builders=known, cache_from=cache_from, cache_to=cache_to, secrets=secrets)


def _attests(attest: list[str], provenance: str | None, sbom: str | None) -> list[str]:
    """Give what is attested as `--attest` says it; the short forms come last, as with buildx."""
    short = (("provenance", provenance), ("sbom", sbom))
    return [*attest, *(_spelled(kind, said) for kind, said in short if said is not None)]


def _spelled(kind: str, said: str) -> str:
    switch = {"true": "false", "1": "false", "false": "true", "0": "true"}.get(said.strip().lower())
    return f"type={kind},disabled={switch}" if switch else f"type={kind},{said}"
