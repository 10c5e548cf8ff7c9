"""Command lines that can't be read: what typer finds wrong becomes a sentence and a hint, as every other error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from regkit.errors import UsageError

RESERVED = ("sign", "attest", "key")
"""Names of commands that are to come; none of them is there."""
_Unreadable: type[Exception] = typer.BadParameter.__bases__[0]  # its UsageError, which typer doesn't export


@contextmanager
def sentences(ctx: Any) -> Iterator[None]:
    """Raise UsageError for what typer can't read in the block, or where a question gets no answer.

    `ctx` is that of `regkit` itself. A Ctrl-C at a question stays one.
    """
    try:
        yield
    except _Unreadable as error:
        message = error.format_message()  # type: ignore[attr-defined]  # _Unreadable has it
        if message.startswith("Usage:"):  # a group without a command: typer shows its help
            raise
        message = message.replace("valid int range", "whole number").partition(" Recognized values:")[0]
        raise UsageError(message.rstrip("."), hint=_hint(error, ctx)) from None
    except (typer.Abort, EOFError) as stop:  # at a question; an Abort's context says whether it was Ctrl-C
        sys.stderr.write("\n")
        if isinstance(stop.__context__, KeyboardInterrupt):
            raise stop.__context__ from None
        raise UsageError("the input ended where an answer was to come", hint="nothing was changed") from None


def _hint(error: Any, ctx: Any) -> str:
    """Tell what to write instead, or where it is told."""
    here = error.ctx or ctx
    see = f"see `{here.command_path if error.ctx else _path(ctx)} --help`"
    option = getattr(error, "option_name", "")
    known = {name: parameter for parameter in ctx.command.params for name in parameter.opts}
    if here is not ctx and option in known:
        value = "" if known[option].is_flag else f" {known[option].metavar or 'VALUE'}"
        return f"write it before the command: regkit {option}{value} {here.command_path.removeprefix('regkit ')}"
    if error.message.startswith("No such command"):
        return _command_hint(error.message.split("'")[1], here, see)
    return see


def _command_hint(name: str, ctx: Any, see: str) -> str:
    """Tell which command may be meant by a name that none has; in a group typer's own sentence does."""
    from difflib import get_close_matches

    if ctx.parent is None and name in RESERVED:
        return f"the name is reserved for later; {see}"
    close = get_close_matches(name, ctx.command.list_commands(ctx), 1) if ctx.parent is None else []
    return f"did you mean {close[0]!r}? {see}" if close else see


def _path(ctx: Any) -> str:
    """Name the command that was called, where an error doesn't say."""
    return f"{ctx.command_path} {ctx.invoked_subcommand}" if ctx.invoked_subcommand else str(ctx.command_path)
