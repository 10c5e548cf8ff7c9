"""`regkit registry serve|gc|quirks`."""

from __future__ import annotations

import contextlib
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regkit.cli.confirm import confirm
from regkit.cli.options import Format, ListFormat, globals_of
from regkit.cli.output import human_size, table, write_json, write_lines, write_list

if TYPE_CHECKING:
    from collections.abc import Iterator

    from regkit.devregistry.front import Guarding
    from regkit.devregistry.garbage import Garbage, Unneeded

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, no_args_is_help=True)


class Scheme(StrEnum):
    """How clients prove who they are."""

    basic = "basic"
    token = "token"  # noqa: S105 - a name


@app.callback()
def group() -> None:
    """Run the embedded registry, for development and tests."""


@app.command()
def serve(
    ctx: typer.Context,
    addr: Annotated[
        str, typer.Option(envvar="REGKIT_ADDR", metavar="HOST:PORT", help="Where it listens; port 0 takes a free one.")
    ] = "127.0.0.1:5000",
    directory: Annotated[
        str, typer.Option("--dir", envvar="REGKIT_DIR", metavar="DIR|memory", help="Where its content is kept.")
    ] = "memory",
    auth: Annotated[
        Path | None,
        typer.Option(envvar="REGKIT_AUTH", metavar="FILE", help="The users who are let in: `htpasswd -B FILE USER`."),
    ] = None,
    auth_scheme: Annotated[
        Scheme, typer.Option(envvar="REGKIT_AUTH_SCHEME", help="Names and passwords, or tokens of its own service.")
    ] = Scheme.basic,
    grant: Annotated[
        list[str] | None,
        typer.Option(
            envvar="REGKIT_GRANT",
            metavar="USER=PATTERN:ACTIONS",
            help="All that a user may do: pull,push,delete in repositories like team/*; repeatable. "
            "A user without a grant may do all.",
        ),
    ] = None,
    anonymous_pull: Annotated[
        bool, typer.Option("--anonymous-pull", envvar="REGKIT_ANONYMOUS_PULL", help="Let everybody pull.")
    ] = False,
    tls_cert: Annotated[
        Path | None, typer.Option(envvar="REGKIT_TLS_CERT", metavar="FILE", help="Speak TLS, with this certificate.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(envvar="REGKIT_TLS_KEY", metavar="FILE", help="The certificate's private key.")
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", envvar="REGKIT_READ_ONLY", help="The quirk read-only: take nothing.")
    ] = False,
    no_deletes: Annotated[
        bool, typer.Option("--no-deletes", envvar="REGKIT_NO_DELETES", help="The quirk deletes-off: delete nothing.")
    ] = False,
    quirk: Annotated[
        list[str] | None,
        typer.Option(
            envvar="REGKIT_QUIRK",
            metavar="NAME[=N]",
            help="Behave as real registries do; repeatable. `regkit registry quirks` lists them.",
        ),
    ] = None,
) -> None:
    """Serve a registry until Ctrl-C; the access log goes to stderr."""
    from regkit.devregistry.app import DevRegistry
    from regkit.devregistry.directory import DirectoryStore
    from regkit.devregistry.front import Front
    from regkit.devregistry.server import running
    from regkit.devregistry.tls import Certificate
    from regkit.errors import UsageError

    if (tls_cert is None) != (tls_key is None):
        raise UsageError("a certificate and its key go together", hint="give --tls-cert and --tls-key")
    certificate = Certificate(tls_cert, tls_key) if tls_cert and tls_key else None
    scheme = "https" if certificate else "http"
    quirks = [*(quirk or ()), *(["read-only"] if read_only else ()), *(["deletes-off"] if no_deletes else ())]
    guarding = _guarding(auth, auth_scheme, grant or [], scheme, anonymous_pull=anonymous_pull)
    store = None if directory == "memory" else DirectoryStore(Path(directory))
    with (
        globals_of(ctx).reporter() as report,
        DevRegistry(store) as registry,
        running(Front(registry, quirks, guarding=guarding, scheme=scheme), addr, report, certificate) as server,
        contextlib.suppress(KeyboardInterrupt),  # also one that comes right after the line that says we listen
    ):
        write_lines([f"listening on {server.url}"])
        sys.stdout.flush()
        server.wait()


@app.command()
def gc(
    where: Annotated[Path | None, typer.Argument(metavar="DIR", help="What `serve --dir` was given.")] = None,
    directory: Annotated[
        Path | None, typer.Option("--dir", envvar="REGKIT_DIR", metavar="DIR", help="The same, as an option.")
    ] = None,
    untagged: Annotated[
        bool,
        typer.Option(
            "--untagged",
            envvar="REGKIT_GC_UNTAGGED",
            help="Remove manifests, too, that have no tag, are in no index that stays and refer to nothing that does.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", envvar="REGKIT_DRY_RUN", help="Print what would be removed, change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", envvar="REGKIT_YES", help="Don't ask.")] = False,
    form: Annotated[Format, typer.Option("--format", envvar="REGKIT_FORMAT")] = Format.text,
) -> None:
    """Remove what a stopped registry's directory needs no longer: blobs of no manifest, and broken-off uploads.

    All that a tag or an index refers to stays, and what refers to that, as signatures do.
    """
    from regkit.devregistry.directory import DirectoryStore
    from regkit.devregistry.garbage import find_garbage, remove_garbage
    from regkit.errors import UsageError

    root = where or directory
    if root is None or (where and directory and where != directory):
        raise UsageError("which registry's directory?", hint="give it once: regkit registry gc DIR")
    with contextlib.closing(DirectoryStore(root, looked_at=True)) as store:
        garbage = find_garbage(store, untagged=untagged)
        if not dry_run:
            if garbage.files and not yes:
                confirm(_lines(garbage, "would free"), "removing content", "Remove it?")
            remove_garbage(store, garbage)
    if form is Format.json:
        write_json({"schema": 1, "removed": not dry_run, "freed": garbage.freed, "files": list(_fields(garbage))})
    else:
        write_lines(_lines(garbage, "would free" if dry_run else "freed"))


@app.command()
def quirks(form: Annotated[ListFormat, typer.Option("--format", envvar="REGKIT_FORMAT")] = ListFormat.text) -> None:
    """List what `registry serve --quirk` can play: name, what the registry does then, and who does so."""
    from regkit.devregistry.quirks.catalogue import QUIRKS

    listed = [(each.name if each.number is None else f"{each.name}={each.number}", each) for each in QUIRKS.values()]
    if form is ListFormat.text:
        write_lines(table([(name, each.summary, each.plays) for name, each in listed]))
        return
    fields = ("name", "summary", "plays", "number")
    shown = [
        {**{field: getattr(each, field) for field in fields}, "refuses": sorted(each.refuses)} for _, each in listed
    ]
    write_list("quirks", shown, form)


def _lines(garbage: Garbage, freed: str) -> Iterator[str]:
    for file in garbage.files:
        yield f"{file.kind} {_name(file)} {human_size(file.size)}"
    yield f"{freed} {human_size(garbage.freed)}, {len(garbage.files)} files"


def _name(file: Unneeded) -> str:
    return f"{file.repository}@{file.digest}" if file.digest else file.path.name


def _fields(garbage: Garbage) -> Iterator[dict[str, object]]:
    for file in garbage.files:
        of = {"repository": file.repository, "digest": file.digest} if file.digest else {"name": file.path.name}
        yield {"kind": file.kind, **of, "size": file.size}


def _guarding(
    path: Path | None, scheme: Scheme, grants: list[str], reached_by: str, *, anonymous_pull: bool
) -> Guarding | None:
    """Read who is let in, and how; None for everybody."""
    from regkit.devregistry.auth import BasicGuard, TokenGuard
    from regkit.devregistry.tokens import Tokens
    from regkit.devregistry.users import Grant, Users
    from regkit.errors import UsageError

    if path is None:
        if grants or anonymous_pull or scheme is not Scheme.basic:
            raise UsageError("nobody logs in without a file of users", hint="add --auth FILE")
        return None
    users = Users.load(path, map(Grant.parse, grants), anonymous_pull=anonymous_pull)
    if scheme is Scheme.basic:
        return lambda handle: BasicGuard(handle, users)
    tokens = Tokens("regkit")
    return lambda handle: TokenGuard(handle, users, tokens, reached_by)
