"""The command line's frame: global options, commands that are loaded when named, errors as sentences."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from regkit import __version__
from regkit.cli.options import Color, Globals, Progress
from regkit.cli.output import choose_color
from regkit.cli.usage import sentences
from regkit.errors import RegkitError

if TYPE_CHECKING:
    from regkit.config.table import Key

COMMANDS = {
    "publish": "Build, push, verify, tag in order, clean up.",
    "plan": "Show what a publish would do, and why.",
    "build": "Build images, and push them by digest or under platform tags.",
    "merge": "Make one release of images that were built apart.",
    "init": "Write a first regkit.toml, from the Dockerfile and git.",
    "inspect": "Show what a reference stands for, with its platforms.",
    "copy": "Copy from any place to any place, byte for byte.",
    "index": "Create, extend, cut down and annotate indexes.",
    "tag": "List, set and remove tags.",
    "manifest": "Get, look up, put and delete single manifests.",
    "blob": "Get, look up and put single blobs.",
    "resolve": "Tell which digest a name stands for.",
    "verify": "Look whether all of a release is there.",
    "diff": "Show in what two images or releases differ.",
    "referrers": "List what refers to an image: signatures, SBOMs.",
    "cleanup": "Remove old tags, and nothing that a tag which stays needs.",
    "readme": "Show a README on a repository's page: Docker Hub, Quay, Harbor.",
    "login": "Prove a login, and keep it in Docker's configuration.",
    "logout": "Forget a registry's login.",
    "whoami": "Say who one is at a registry, and where that login is from.",
    "caps": "Find out what a registry can do, without writing.",
    "registry": "The embedded registry, for development and tests.",
    "builder": "A BuildKit that stays: up, status, down.",
    "doctor": "Say what a build needs, and the command that brings what is missing.",
    "completion": "Print what makes a shell complete commands and options.",
}


class LazyGroup(TyperGroup):
    """Loads a command's module when the command is named."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name all commands, in the order of the documentation."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Load one command; None for an unknown name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"regkit.cli.{cmd_name}")
        command: Any = typer.main.get_command(module.app)
        command.name = cmd_name
        command.short_help = COMMANDS[cmd_name]
        return command

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Offer the commands, without loading them, or the global options."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        from regkit.cli.completing import offer

        return offer(COMMANDS, incomplete)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the global options; raise UsageError."""
        with sentences(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Read the command's arguments and run it; raise UsageError for what can't be read."""
        with sentences(ctx):
            return super().invoke(ctx)


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(ctx: typer.Context, value: bool) -> None:
    if value and not ctx.resilient_parsing:  # which a completion is
        sys.stdout.write(f"regkit {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", envvar="REGKIT_QUIET", help="Say only what went wrong.")
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("-v", "--verbose", envvar="REGKIT_VERBOSE", help="Say more: build logs, content already there."),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", envvar="REGKIT_DEBUG", help="Show tracebacks.")] = False,
    progress: Annotated[
        Progress, typer.Option(envvar="REGKIT_PROGRESS", help="How progress is shown, on stderr.")
    ] = Progress.auto,
    color: Annotated[
        Color,
        typer.Option(envvar="REGKIT_COLOR", help="By default where a terminal shows them, and NO_COLOR isn't set."),
    ] = Color.auto,
    plain_http: Annotated[
        list[str] | None,
        typer.Option(envvar="REGKIT_PLAIN_HTTP", metavar="HOST", help="A host that is asked without TLS; repeatable."),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            envvar="REGKIT_CA_FILE", help="PEM file with authorities that are trusted too.", exists=True, dir_okay=False
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(envvar="REGKIT_CONFIG", metavar="FILE", help="The configuration, instead of regkit.toml."),
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback answers
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """From a Dockerfile to a tagged, verified, multi-platform release, without a Docker daemon."""
    choose_color(color.value)
    ctx.obj = Globals(quiet, verbose, debug, progress, _hosts(plain_http or ()), ca_file, config, publish_keys)


def publish_keys() -> dict[str, Key]:
    """Give the keys of a `[publish.NAME]`: the parameters of the command."""
    from regkit.cli.keys import keys_of
    from regkit.cli.publish import app as publish

    return keys_of(publish)


def _hosts(given: Sequence[str]) -> tuple[str, ...]:
    if not given:
        return ()
    from regkit.config.kinds import host

    return tuple(host(each, Path()) for each in given)


def run(arguments: list[str]) -> int:
    """Run one command line; give the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, _interrupt)
    sys.unraisablehook = partial(_swallowed, sys.unraisablehook)
    if "_REGKIT_COMPLETE" in os.environ:
        from regkit.cli.completing import enable

        enable()
    try:
        app(arguments, prog_name="regkit")
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
        if code == 130:
            sys.stderr.write("regkit: interrupted\n")
        return code
    except RegkitError as error:
        return _failed(error, arguments)
    except OSError as error:
        if error.filename is None or not error.strerror:
            raise
        return _failed(RegkitError(f"{error.filename} can't be used: {error.strerror}"), arguments)
    return 0


def _failed(error: RegkitError, arguments: Sequence[str]) -> int:
    """Tell an error, and where it is from if that is wanted; give the exit code."""
    if "--debug" in arguments or os.environ.get("REGKIT_DEBUG", "").lower() in ("1", "true", "t", "yes", "y", "on"):
        import traceback

        traceback.print_exc()
    from regkit.cli.render_error import show_error

    show_error(error)
    return error.exit_code


class _Interrupt(KeyboardInterrupt):
    """One of our own: a bare one that passes an `exec`, as dataclasses do it, makes Python end itself by SIGINT."""


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Take SIGTERM, with which CI systems cancel a job, as Ctrl-C."""
    raise _Interrupt


def _swallowed(otherwise: Callable[[Any], Any], what: Any) -> None:
    """Interrupt again, a moment later, where Python can't pass it on: in the callback of an import's lock, say."""
    if isinstance(what.exc_value, _Interrupt):
        signal.setitimer(signal.ITIMER_REAL, 0.05)
    else:
        otherwise(what)
