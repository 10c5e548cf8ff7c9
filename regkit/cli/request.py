"""The options by which a release is described, the same for each command that makes or plans one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import typer

from regkit.cli.building import Building, read_building
from regkit.cli.declared import Images, Platforms
from regkit.cli.groups import with_groups
from regkit.cli.options import is_typed
from regkit.cli.pages import ReadPage, read_page
from regkit.cli.releasing import Release, read_release

if TYPE_CHECKING:
    from regkit.oci.reference import Reference
    from regkit.ops.spec import PublishSpec
    from regkit.transport.session import Session


class Loading(TypedDict):
    """How `publish_spec` is told which engine gets which image."""

    load: str | None
    load_platform: str | None


class Intermediate(StrEnum):
    """How platform images are named on the way."""

    digest = "digest"
    tag = "tag"


class Engine(StrEnum):
    """Who takes an image on this machine."""

    docker = "docker"
    podman = "podman"
    containerd = "containerd"


@dataclass(frozen=True, slots=True)
class Request:
    """What the options say: the repositories, and how `publish_spec` is called."""

    names: tuple[str, ...]
    context: Path
    sources: tuple[str, ...]
    release: Release
    building: Building
    page: ReadPage
    load: Loading
    options: dict[str, Any]
    """All the rest."""

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
            own_files=own_files,
            page=self.page(self.images),
            **self.release,
            **self.building,
            **self.load,
            **self.options,
        )


def path(text: str) -> str:
    """Take a path as it is written: it may be a reference, too. Its name is the type's, in the configuration."""
    return text


@with_groups
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
    *,
    release: Annotated[Release, read_release],
    building: Annotated[Building, read_building],
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
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            envvar="REGKIT_FROM",
            metavar="LAYOUT|REF...",
            help="Publish what is built already: layouts, archives, tags, digests; '-' reads from stdin.",
        ),
    ] = None,
    load: Annotated[
        Engine | None,
        typer.Option(envvar="REGKIT_LOAD", help="Hand the image for this machine to a local engine, before the push."),
    ] = None,
    load_platform: Annotated[
        str | None,
        typer.Option(
            envvar="REGKIT_LOAD_PLATFORM", metavar="PLATFORM", help="Hand over the image for this one instead."
        ),
    ] = None,
    page: Annotated[ReadPage, read_page],
) -> Request:
    """Read the options; raise UsageError for more than one context.

    After `--from` all that stands on the command line is a source: `--from A B C`.
    """
    from regkit.errors import UsageError

    places = [*([context] if context and is_typed(ctx, "context") else []), *(more or ())]
    if source:
        from regkit.cli.names import read_names

        places = list(read_names([*source, *places]))
    elif len(places) > 1:
        raise UsageError(
            f"one context is built at a time, and there are {len(places)}",
            hint="name what is built already with --from",
        )
    return Request(
        names=tuple(image or ()),
        context=Path() if source else Path(context or "."),
        sources=tuple(places) if source else (),
        release=release,
        building=building,
        page=page,
        load={"load": load.value if load else None, "load_platform": load_platform},
        options={
            "platforms": platform or (),
            "intermediate": intermediate.value,
            "keep_intermediates": keep_intermediate,
            "rebuild": rebuild,
        },
    )
