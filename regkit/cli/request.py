"""The options by which a release is described, the same for each command that makes or plans one."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regkit.cli.building import means_of
from regkit.cli.declared import (
    AllowDowngrade,
    Annotations,
    Attestations,
    BuildArgs,
    Builders,
    CacheFrom,
    CacheTo,
    Commit,
    File,
    Images,
    Immutable,
    NoAliases,
    Platforms,
    Secrets,
    Stage,
    Tags,
    Version,
    ZeroMajor,
)
from regkit.cli.looking import (
    Attesting,
    KeepOrStrip,
    Load,
    LoadPlatform,
    Preflight,
    Provenance,
    Sbom,
    Test,
    TestPlatforms,
    attests_of,
)
from regkit.cli.options import lines_of
from regkit.cli.pages import NoReadme, ReadmeFile, Short, page_of

if TYPE_CHECKING:
    from regkit.oci.reference import Reference
    from regkit.ops.page import Page
    from regkit.ops.plan import PublishSpec
    from regkit.transport.session import Session


class Intermediate(StrEnum):
    """How platform images are named on the way."""

    digest = "digest"
    tag = "tag"


@dataclass(frozen=True, slots=True)
class Request:
    """What the options say: the repositories, and how `publish_spec` is called."""

    names: tuple[str, ...]
    context: Path
    sources: tuple[str, ...]
    build_args: tuple[str, ...]
    options: dict[str, Any]
    page: Callable[[Sequence[Reference]], Page | None]
    """Reads the README that goes along to these."""

    @property
    def images(self) -> tuple[Reference, ...]:
        """The repositories; raise UsageError where none is named, or one isn't a repository."""
        from regkit.errors import UsageError
        from regkit.oci.reference import Reference

        if not self.names:
            raise UsageError("Missing option '--image'", hint="name the repository to publish to; see --help")
        return tuple(dict.fromkeys(Reference.parse_name(name) for name in self.names))

    def spec(self, session: Session, own_files: Sequence[Path] = ()) -> PublishSpec:
        """Complete it; raise UsageError, NotFound."""
        from regkit.ops.request import publish_spec

        return publish_spec(
            self.names,
            self.context,
            env=os.environ,
            session=session,
            sources=self.sources,
            build_args=self.build_args,
            own_files=own_files,
            page=self.page(self.images),
            **self.options,
        )


def path(text: str) -> str:
    """Take a path as it is written: it may be a reference, too. Its name is the type's, in the configuration."""
    return text


def read_request(
    ctx: typer.Context,
    context: Annotated[
        str | None, typer.Argument(metavar="CONTEXT", parser=path, help="The directory that is built.")
    ] = None,
    more: Annotated[
        list[str] | None, typer.Argument(metavar="REF...", help="After --from, more of what is built already.")
    ] = None,
    image: Images = None,
    platform: Platforms = None,
    version: Version = None,
    commit: Commit = None,
    tag: Tags = None,
    file: File = None,
    target: Stage = "",
    build_arg: BuildArgs = None,
    secret: Secrets = None,
    cache_from: CacheFrom = None,
    cache_to: CacheTo = None,
    attest: Attestations = None,
    builder: Builders = None,
    annotation: Annotations = None,
    intermediate: Annotated[
        Intermediate,
        typer.Option(envvar="REGKIT_INTERMEDIATE", help="How platform images are named on the way."),
    ] = Intermediate.digest,
    keep_intermediate: Annotated[
        bool, typer.Option("--keep-intermediate", envvar="REGKIT_KEEP_INTERMEDIATE", help="Leave their tags.")
    ] = False,
    rebuild: Annotated[
        bool,
        typer.Option("--rebuild", envvar="REGKIT_REBUILD", help="Build even if this very source is published."),
    ] = False,
    immutable: Immutable = True,
    allow_downgrade: AllowDowngrade = False,
    no_aliases: NoAliases = False,
    zero_major: ZeroMajor = False,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            envvar="REGKIT_FROM",
            metavar="LAYOUT|REF...",
            help="Publish what is built already: layouts, archives, tags, digests; '-' reads from stdin.",
        ),
    ] = None,
    attestations: KeepOrStrip = Attesting.keep,
    provenance: Provenance = None,
    sbom: Sbom = None,
    test: Test = None,
    test_platform: TestPlatforms = None,
    preflight: Preflight = True,
    load: Load = None,
    load_platform: LoadPlatform = None,
    readme: ReadmeFile = None,
    no_readme: NoReadme = False,
    short: Short = None,
) -> Request:
    """Read the options; raise UsageError for more than one context.

    After `--from` all that stands on the command line is a source: `--from A B C`.
    """
    from regkit.errors import UsageError

    places = [*([context] if context and _is_said(ctx, "context") else []), *(more or ())]
    if source:
        from regkit.cli.inspect import read_names

        places = list(read_names([*source, *places]))
    elif len(places) > 1:
        raise UsageError(
            f"one context is built at a time, and there are {len(places)}",
            hint="name what is built already with --from",
        )
    return Request(
        names=tuple(image or ()),
        page=lambda images: page_of(ctx, images, readme, short, none=no_readme),
        context=Path() if source else Path(context or "."),
        sources=tuple(places) if source else (),
        build_args=tuple(build_arg or lines_of("REGKIT_BUILD_ARG")),
        options={
            "platforms": platform or (),
            "version": version,
            "commit": commit,
            "tags": tag or (),
            "file": file,
            "target": target,
            "attests": attests_of(attest, provenance, sbom),
            "means": means_of(ctx, builder, cache_from, cache_to, secret),
            "annotations": annotation or lines_of("REGKIT_ANNOTATION"),
            "intermediate": intermediate.value,
            "keep_intermediates": keep_intermediate,
            "rebuild": rebuild,
            "immutable": immutable,
            "allow_downgrade": allow_downgrade,
            "aliases": not no_aliases,
            "zero_major": zero_major,
            "strip_attestations": attestations is Attesting.strip,
            "test": test,
            "test_platforms": test_platform or (),
            "preflight": preflight,
            "load": load.value if load else None,
            "load_platform": load_platform,
        },
    )


def with_request(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `read_request` before its own; it takes them as keywords.

    typer reads a command's options from its signature.
    """
    context, *own = (
        p for p in inspect.signature(command, eval_str=True).parameters.values() if p.kind is not p.VAR_KEYWORD
    )
    _, *asked = inspect.signature(read_request, eval_str=True).parameters.values()
    options = [p.replace(kind=p.KEYWORD_ONLY) for p in (*asked, *own)]
    command.__signature__ = inspect.Signature([context, *options])  # type: ignore[attr-defined]
    return command


def _is_said(ctx: typer.Context, name: str) -> bool:
    """Tell whether a parameter is from the command line."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def check_only(ctx: typer.Context, free: Collection[str], why: str) -> None:
    """Raise UsageError for any parameter on the command line that isn't `free`."""
    from regkit.errors import UsageError

    for parameter in ctx.command.params:
        if parameter.name and parameter.name not in free and _is_said(ctx, parameter.name):
            longest = max(parameter.opts, key=len)
            name = longest if longest.startswith("-") else parameter.human_readable_name
            raise UsageError(
                f"{why}, so {name} can't be given, too",
                hint="make another plan: regkit plan --out FILE",
            )
