"""`regkit login`."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from regkit.cli.options import globals_of

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

_MAX_PASSWORD = 16 * 1024


@app.command()
def login(
    ctx: typer.Context,
    host: Annotated[str, typer.Argument(metavar="HOST", help="A registry; Docker Hub is docker.io.")],
    username: Annotated[
        str | None, typer.Option("-u", "--username", envvar="REGKIT_USERNAME", help="Asked for on a terminal.")
    ] = None,
    password_stdin: Annotated[
        bool,
        typer.Option("--password-stdin", envvar="REGKIT_PASSWORD_STDIN", help="Read the password from stdin."),
    ] = False,
    password: Annotated[str | None, typer.Option("-p", "--password", hidden=True)] = None,
) -> None:
    """Prove a login at a registry, and keep it in Docker's configuration or with its credential helper."""
    from regkit.errors import UsageError
    from regkit.ops.login import login as log_in
    from regkit.ops.login import parse_registry

    if password is not None:
        raise UsageError(
            "a password on the command line is seen by everybody on this machine, and is refused",
            hint="give it to --password-stdin, and change it if it was a real one",
        )
    registry = parse_registry(host)
    user = username or _ask("Username")
    secret = _read_password() if password_stdin else _ask("Password", hidden=True)
    with globals_of(ctx).session() as session:
        kept = log_in(session, registry, user, secret, env=os.environ)
    proof = "" if kept.proven else "; it asks nobody for a login, so this one is unproven"
    _say(f"logged in to {kept.host} as {kept.username}, kept in {kept.where}{proof}")
    if kept.behind:
        _say(f"warning: the login from {kept.behind} comes first")


def _ask(what: str, *, hidden: bool = False) -> str:
    """Ask on a terminal; elsewhere say how to give it."""
    from regkit.errors import UsageError

    if not sys.stdin.isatty():
        option = "--password-stdin" if hidden else "--username"
        raise UsageError(f"no {what.lower()} is given, and nobody can be asked for it here", hint=f"add {option}")
    answer: str = typer.prompt(what, hide_input=hidden, err=True)
    return answer


def _read_password() -> str:
    """Read all of stdin, without the end of its line."""
    from regkit.errors import UsageError

    data = sys.stdin.buffer.read(_MAX_PASSWORD + 1)
    if len(data) > _MAX_PASSWORD:
        raise UsageError(f"the password on stdin is longer than {_MAX_PASSWORD} bytes")
    try:
        return data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise UsageError("the password on stdin isn't UTF-8") from None


def _say(text: str) -> None:
    from regkit.cli.output import safe

    sys.stderr.write(f"{safe(text)}\n")
