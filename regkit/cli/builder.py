"""`regkit builder`: a BuildKit that stays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regkit.cli.options import Format, globals_of
from regkit.cli.output import write_json, write_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from regkit.build.standing import Status

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    help="Start, ask and end a buildkitd that stays.",
)

_Form = Annotated[Format, typer.Option("--format", envvar="REGKIT_FORMAT")]


@app.command()
def up(
    ctx: typer.Context,
    platform: Annotated[
        list[str] | None,
        typer.Option(
            envvar=["REGKIT_PLATFORM", "DOCKER_PLATFORMS"],
            metavar="LIST",
            help="What it builds, beside this machine's own; all that runs here by default.",
        ),
    ] = None,
    addr: Annotated[
        str | None,
        typer.Option(
            envvar="REGKIT_BUILDER_ADDR", metavar="tcp://HOST:PORT|unix:///PATH", help="Listen there, too, for others."
        ),
    ] = None,
    tls_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="REGKIT_TLS_DIR",
            metavar="DIR",
            help="ca.pem, cert.pem and key.pem: who connects by tcp has to have a certificate of that authority.",
        ),
    ] = None,
    rootless: Annotated[
        bool, typer.Option("--rootless", envvar="REGKIT_ROOTLESS", help="Without root, by rootlesskit.")
    ] = False,
    form: _Form = Format.text,
) -> None:
    """Start a buildkitd that stays, with emulators for the platforms, and print its address.

    Later builds use it where nothing else is said. One that runs already is left as it is.
    """
    from regkit.build.standing import Wanted
    from regkit.build.standing import up as act
    from regkit.oci.platform import parse_platforms

    wanted = Wanted(parse_platforms(platform or ()), addr, tls_dir.absolute() if tls_dir else None, rootless)
    known = globals_of(ctx)
    if (unnamed := known.found()) is not None:
        from regkit.transport.unnamed import check_shared

        check_shared(unnamed)
    with known.reporter() as report:
        plain = known.plain_http
        found = act(
            wanted,
            report,
            env=os.environ,
            plain_http=plain,
            ca_file=known.ca_file,
            registries=known.config().registries,
        )
    if form is Format.json:
        write_json({**found.to_json(), "started": found.started})
    else:
        write_lines([found.address])


@app.command()
def status(
    addr: Annotated[
        str | None,
        typer.Option(envvar="REGKIT_BUILDER_ADDR", metavar="ADDR", help="Any other BuildKit, as buildctl names it."),
    ] = None,
    tls_dir: Annotated[
        Path | None,
        typer.Option(envvar="REGKIT_TLS_DIR", metavar="DIR", help="Its certificates: ca.pem, cert.pem, key.pem."),
    ] = None,
    form: _Form = Format.text,
) -> None:
    """Say which address it has, of which version it is, and what it builds; exit code 5 where none is up."""
    from regkit.build.address import Address
    from regkit.build.standing import status as ask
    from regkit.build.standing import status_at
    from regkit.errors import UsageError

    if tls_dir is not None and addr is None:
        raise UsageError("certificates are for an address", hint="give --addr tcp://HOST:PORT")
    found = status_at(Address(addr, tls_dir), os.environ) if addr else ask(os.environ)
    if form is Format.json:
        write_json(found.to_json())
    else:
        write_lines(_describe(found))


@app.command()
def down(ctx: typer.Context) -> None:
    """End it, and remove all that is there because of it; where none is up, nothing happens."""
    from regkit.build.standing import down as act
    from regkit.events import Note

    with globals_of(ctx).reporter() as report:
        text = "the builder is down" if act(os.environ, report) else "no builder was up"
        report(Note(text))


def _describe(found: Status) -> Iterator[str]:
    yield f"address    {found.address}"
    yield f"version    {found.version}"
    yield f"platforms  {', '.join(map(str, found.platforms))}"
    if found.rootless:
        yield "rootless   yes"
