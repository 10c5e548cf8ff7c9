"""What every command gets from the options before its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

if TYPE_CHECKING:
    from regkit.config.spec import BuilderConfig, Config
    from regkit.config.table import Key
    from regkit.events import Reporter
    from regkit.transport.session import Session


PENDING = 3
"""How a command ends that found what is to be done, or a difference, where it was asked to tell so."""


class Progress(StrEnum):
    """How progress is shown."""

    auto = "auto"
    tty = "tty"
    plain = "plain"
    json = "json"
    none = "none"


class Color(StrEnum):
    """Whether to write in colours."""

    auto = "auto"
    always = "always"
    never = "never"


class Format(StrEnum):
    """How a result is written."""

    text = "text"
    json = "json"


class ListFormat(StrEnum):
    """How a list is written: as JSON one document, or one a line."""

    text = "text"
    json = "json"
    jsonl = "jsonl"


class Globals(NamedTuple):
    """The options before the command's name."""

    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    progress: Progress = Progress.auto
    plain_http: tuple[str, ...] = ()
    ca_file: Path | None = None
    config_file: Path | None = None
    publish_keys: Callable[[], Mapping[str, Key]] = dict
    """Gives the keys of a `[publish.NAME]`, where there is a configuration to be read."""

    def config(self) -> Config:
        """Read the configuration: the file that was named, else the project's, else an empty one."""
        return _configuration(self.config_file, self.publish_keys)

    def found(self) -> Config | None:
        """Give the configuration if there is one that nobody named."""
        config = self.config()
        return config if self.config_file is None and config.path is not None else None

    def builders(self) -> tuple[BuilderConfig, ...]:
        """Give the configuration's builders; raise UsageError where it has to be named for that."""
        builders = self.config().builders
        if builders and (found := self.found()):
            from regkit.transport.unnamed import check_builder

            for builder in builders:
                check_builder(found, builder.addr)
        return builders

    def readme(self) -> Path | None:
        """Give the configuration's README; raise UsageError where it has to be named for that."""
        config = self.config()
        file = config.readme.file if config.readme else None
        if file is not None and (found := self.found()):
            from regkit.errors import UsageError
            from regkit.transport.unnamed import leads_out, naming

            if leads_out(found, file):
                raise UsageError(f"readme.file of {found.path} leads out of the project: {file}", hint=naming(found))
        return file

    @contextmanager
    def reporter(self, listener: Reporter | None = None) -> Iterator[Reporter]:
        """Give who shows events; `listener` hears them, too."""
        from regkit.cli.render import rendering

        how = {"quiet": self.quiet, "verbose": self.verbose}
        with rendering(self.progress.value, **how, listener=listener) as report:
            yield report

    @contextmanager
    def session(self, listener: Reporter | None = None) -> Iterator[Session]:
        """Open a session with the user's credentials, that shows what happens, and tells it to a `listener`."""
        from regkit.transport.credentials import Credentials
        from regkit.transport.session import Session

        config = self.config()
        with (
            self.reporter(listener) as report,
            Session(
                Credentials.load(os.environ),
                plain_http=self.plain_http,
                ca_file=self.ca_file,
                registries=config.registries,
                found=self.found(),
                report=report,
            ) as session,
        ):
            yield session


@cache
def _configuration(file: Path | None, publish_keys: Callable[[], Mapping[str, Key]]) -> Config:
    from regkit.config.find import find_config
    from regkit.config.spec import Config

    try:
        found = file or find_config(Path.cwd())
    except FileNotFoundError:
        from regkit.errors import UsageError

        raise UsageError("the working directory isn't there any more", hint="change to one that is") from None
    if found is None:
        return Config()
    from regkit.config.load import load_config

    return load_config(found, publish_keys)


def globals_of(ctx: typer.Context) -> Globals:
    """Give the options before the command's name."""
    found = ctx.find_object(Globals)
    return found or Globals()


def lines_of(variable: str) -> list[str]:
    """Read a list from the environment, an item a line: click would part it at spaces, which values may hold."""
    return [line for line in os.environ.get(variable, "").splitlines() if line.strip()]


def is_typed(ctx: typer.Context, name: str) -> bool:
    """Tell whether a parameter is from the command line, and not from the environment or a configuration."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def refuse_typed(ctx: typer.Context, names: Collection[str], why: str, hint: str) -> None:
    """Raise UsageError for the first of these parameters that was typed, and can't be: `why` says why."""
    from regkit.errors import UsageError

    for parameter in ctx.command.params:
        if parameter.name and parameter.name in names and is_typed(ctx, parameter.name):
            longest = max(parameter.opts, key=len)
            name = longest if longest.startswith("-") else parameter.human_readable_name
            raise UsageError(f"{why}, so {name} can't be given, too", hint=hint)
