"""`regkit whoami`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from regkit.cli.options import ListFormat, globals_of
from regkit.cli.output import safe, table, write_documents, write_lines, write_list

if TYPE_CHECKING:
    from regkit.ops.login import Identity, Known

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command()
def whoami(
    ctx: typer.Context,
    host: Annotated[
        str, typer.Argument(metavar="[HOST]", help="A registry, or a repository; without it all logins are listed.")
    ] = "",
    form: Annotated[ListFormat, typer.Option("--format", envvar="REGKIT_FORMAT")] = ListFormat.text,
) -> None:
    """Say who one is at a registry, where that login is from, and whether it lets one in (exit code 4 if not)."""
    from regkit.errors import AccessDenied
    from regkit.events import Note
    from regkit.ops.login import known_logins, parse_login_place
    from regkit.ops.login import whoami as identify

    place = parse_login_place(host) if host else None
    with globals_of(ctx).session() as session:
        _warn(session.credentials.exposed)
        if place is None:
            known = known_logins(session.credentials)
            if not known:
                session.report(Note("no login is known: regkit login HOST keeps one"))
            _list(known, form)
            return
        found = identify(session, *place)
    if form is not ListFormat.text:
        write_documents([{"schema": 1, **_to_json(found)}], form)
    else:
        write_lines(_describe(found))
    if found.refusal:
        who = f"the user {found.username!r}" if found.username else "anonymous"
        raise AccessDenied(f"{found.host} doesn't let {who} in: {found.refusal}", hint=f"regkit login {found.host}")


def _warn(exposed: tuple[str, ...]) -> None:
    sys.stderr.writelines(
        f"warning: others on this machine may read {safe(path)}; mend it: chmod 600\n" for path in exposed
    )


def _list(known: tuple[Known, ...], form: ListFormat) -> None:
    logins = [{"host": one.host, "user": one.username, "source": one.origin or None} for one in known]
    if form is not ListFormat.text:
        write_list("logins", logins, form)
    elif known:
        rows = [(one.host, one.username or "-", one.origin or "-") for one in known]
        write_lines(table([("HOST", "USER", "SOURCE"), *rows]))


def _describe(found: Identity) -> list[str]:
    source = found.origin if found.username else f"no login in {found.origin}"
    return table(
        [
            ("Registry:", found.host),
            ("User:", found.username or "anonymous"),
            ("Source:", source),
            ("Asks for:", ", ".join(scheme.capitalize() for scheme in found.demands) or "nothing"),
            ("Let in:", "no" if found.refusal else "yes"),
        ]
    )


def _to_json(found: Identity) -> dict[str, object]:
    return {
        "host": found.host,
        "user": found.username,
        "source": found.origin if found.username else None,
        "demands": list(found.demands),
        "allowed": not found.refusal,
    }
