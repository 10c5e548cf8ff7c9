"""Commands whose options may stand in a configuration, as `[publish.NAME]`; their own parameters are its keys."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperOption

from regkit.cli.options import globals_of
from regkit.cli.output import gathered, write_json
from regkit.errors import UsageError

if TYPE_CHECKING:
    from regkit.config.spec import Config, PublishConfig
    from regkit.config.table import Key

CALL = frozenset({"help", "name", "dry_run", "form", "plan", "out", "detailed_exitcode"})
"""Parameters that say what this one call does, not what is published: no file has them."""

_SAID = "says what one call does: it is for the command line alone"
_PATHS = re.compile(r"(?<=\b)(src|source|dest)=(?!/)([^,]+)")
_SCHEMES = ("ocidir://", "oci:", "oci-archive:", "docker-archive:")


class Configured(TyperCommand):
    """Runs once for each chosen `[publish.NAME]`, its values standing between the environment and the defaults."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params.append(
            TyperOption(
                param_decls=["name", "--name"],
                type=str,
                multiple=True,
                envvar="REGKIT_NAME",
                metavar="NAME",
                help="Only this [publish.NAME] of the configuration; repeatable.",
                expose_value=False,
            )
        )

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse the arguments once for each entry of the configuration, so that nothing begins before all are right."""
        given = self._given(info_name, args, parent)
        if given is None:
            return super().make_context(info_name, args, parent, **extra)
        config = globals_of(parent).config()
        chosen = choose(config, given.pop("name", None) or os.environ.get("REGKIT_NAME", "").split())
        contexts = []
        for entry in chosen:
            values = self._defaults(config, entry, given, alone=len(chosen) == 1)
            contexts.append(super().make_context(info_name, list(args), parent, default_map=values, **extra))
        if not contexts:
            return super().make_context(info_name, args, parent, **extra)
        contexts[0].meta[__name__] = [(entry.name, each) for entry, each in zip(chosen, contexts, strict=True)]
        return contexts[0]

    def invoke(self, ctx: Any) -> Any:
        """Run the command, or one run an entry; the first that fails ends it, and what was done is said."""
        runs = ctx.meta.get(__name__) or [("", ctx)]
        if len(runs) == 1:
            return super().invoke(ctx)
        names, pending = [name for name, _ in runs], 0
        documents: dict[str, Any] = {}
        for number, (name, each) in enumerate(runs):
            try:
                with gathered() as written, each:
                    super().invoke(each)
            except typer.Exit as stop:
                pending = max(pending, stop.exit_code)
            except Exception:
                _tell(names[:number], name, names[number + 1 :])
                _write({**documents, **dict(zip([name], written, strict=False))})
                raise
            documents.update(zip([name], written, strict=False))
        _write(documents)
        if pending:
            raise typer.Exit(pending)
        return None

    def _given(self, info_name: str | None, args: list[str], parent: Any) -> dict[str, Any] | None:
        """Give what the command line says, unconverted; None where no configuration counts."""
        probe = self.context_class(self, info_name=info_name, parent=parent)
        given, _, _ = self.make_parser(probe).parse_args(args=list(args))
        said = {name: value for name, value in given.items() if value not in (None, (), [])}
        return None if said.keys() & {"help", "plan"} else said

    def _defaults(
        self, config: Config, entry: PublishConfig, given: Mapping[str, Any], *, alone: bool
    ) -> dict[str, Any]:
        """Give an entry's values by parameter, without those that the environment has; check what click can't."""
        assert config.document is not None
        assert config.path is not None
        params = {str(parameter.name): parameter for parameter in self.params}
        names = {key_of(parameter): name for name, parameter in params.items()}
        values = {names[key]: value for key, value in entry.values.items() if key in names}
        for name, parameter in params.items():
            said = name in given or any(map(os.environ.get, _variables(parameter)))
            if not alone and said and _is_for_one(parameter):
                raise config.document.error(
                    ("publish",),
                    f"there are several images here, and {_spelled(parameter)} is for one",
                    "choose it with --name NAME; or use no configuration: --config /dev/null",
                )
            if parameter.required and not said and name not in values:
                raise config.document.error(
                    ("publish", entry.name), f"[publish.{entry.name}] has no {key_of(parameter)}"
                )
        if "context" in params:
            base = config.path.absolute().parent
            values.setdefault("context", str(base if base != Path.cwd() else Path()))
        return {name: value for name, value in values.items() if not os.environ.get(_variable(name))}


def choose(config: Config, names: list[str]) -> tuple[PublishConfig, ...]:
    """Give the entries of these names, in the file's order, or all; raise UsageError for a name that isn't there."""
    known = [entry.name for entry in config.publish]
    unknown = [name for name in names if name not in known]
    if unknown and config.path is None:
        raise UsageError(f"there is no configuration with a [publish.{unknown[0]}]", hint="regkit init writes one")
    if unknown:
        raise UsageError(f"{config.path} has no [publish.{unknown[0]}]", hint=f"it has {', '.join(known) or 'none'}")
    return tuple(entry for entry in config.publish if not names or entry.name in names)


def publish_keys() -> dict[str, Key]:
    """Give the keys of a `[publish.NAME]`: the parameters of the command."""
    from regkit.cli.publish import app
    from regkit.config.table import refused

    command = typer.main.get_command(app)
    return {key_of(each): refused(_SAID) if each.name in CALL else _key(each) for each in command.params}


def key_of(parameter: Any) -> str:
    """Give a parameter's key: its first long option without the dashes, an argument's name."""
    longest = next((option for option in parameter.opts if option.startswith("--")), parameter.name)
    return str(longest.removeprefix("--").replace("_", "-"))


def _key(parameter: Any) -> Key:
    from regkit.config.table import Key, Wrong

    flag, multiple, kind = getattr(parameter, "is_flag", False), parameter.multiple, parameter.type

    def read_one(value: Any, base: Path) -> str:
        if not isinstance(value, str) or not value or "\0" in value:
            raise Wrong("a string or an array of strings" if multiple else "a string")
        value = _rebased(parameter, value, base)
        try:
            kind.convert(value, parameter, None)
        except typer.BadParameter as error:
            raise UsageError(error.message.rstrip(".")) from None
        return value

    def read(value: Any, base: Path) -> Any:
        if flag:
            if not isinstance(value, bool):
                raise Wrong("true or false")
            return value
        if multiple:
            return [read_one(item, base) for item in (value if isinstance(value, list) else [value])]
        if kind.name.startswith("integer"):
            if isinstance(value, bool) or not isinstance(value, int):
                raise Wrong("a whole number")
            return value
        return read_one(value, base)

    choices = getattr(kind, "choices", None)
    said = (
        "true or false"
        if flag
        else "number"
        if kind.name.startswith("integer")
        else " or ".join(f"`{choice}`" for choice in choices)
        if choices
        else "path"
        if kind.name in ("path", "file", "directory")
        else "string"
    )
    return Key(f"{said} or array" if multiple else said, parameter.help or "", read)


def _rebased(parameter: Any, value: str, base: Path) -> str:
    """Make a path that is relative to the file a whole one, where that makes a difference."""
    if base == Path.cwd():
        return value
    if parameter.type.name in ("path", "file", "directory"):
        return str(base / value)
    if key_of(parameter) == "from":
        scheme = next((known for known in _SCHEMES if value.startswith(known)), "")
        rest = value.removeprefix(scheme)
        return f"{scheme}{base / rest}" if scheme or rest.startswith(".") else value
    return str(_PATHS.sub(lambda found: f"{found[1]}={base / found[2]}", value)) if parameter.multiple else value


def _is_for_one(parameter: Any) -> bool:
    """Tell whether a value makes sense for one image alone: its name, its sources, the files that tell of it."""
    return parameter.type.name in ("path", "file", "directory") or key_of(parameter) in ("image", "from")


def _variables(parameter: Any) -> list[str]:
    named = parameter.envvar or ()
    return [named] if isinstance(named, str) else list(named)


def _variable(name: str) -> str:
    return f"REGKIT_{name.upper()}"


def _spelled(parameter: Any) -> str:
    return f"--{key_of(parameter)}" if isinstance(parameter, TyperOption) else str(parameter.human_readable_name)


def _write(documents: Mapping[str, Any]) -> None:
    """Write one JSON document of those that the runs wrote, if they did, under their names."""
    if documents:
        write_json({"schema": 1, "publish": documents})


def _tell(done: list[str], failed: str, left: list[str]) -> None:
    rest = f"; not begun: {', '.join(left)}" if left else ""
    sys.stderr.write(f"regkit: done: {', '.join(done) or 'none'}; failed: {failed}{rest}\n")
