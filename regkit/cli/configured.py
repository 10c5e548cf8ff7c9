"""Commands whose options may stand in a configuration, as `[publish.NAME]`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperOption

from regkit.cli.building import FOR_A_BUILD
from regkit.cli.keys import is_path, key_of, variables
from regkit.cli.options import globals_of
from regkit.cli.output import gathered, write_json
from regkit.errors import UsageError

if TYPE_CHECKING:
    from regkit.config.spec import Config, PublishConfig


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
                show_envvar=True,
                expose_value=False,
            )
        )

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse the arguments once for each entry of the configuration, so that nothing begins before all are right."""
        # Where a shell asks what may come next, the line needn't be right, and no file has a say.
        given = None if extra.get("resilient_parsing") else self._given(info_name, args, parent)
        if given is None:
            return super().make_context(info_name, args, parent, **extra)
        config, found = globals_of(parent).config(), globals_of(parent).found()
        names = given.get("name", [])
        chosen = choose(config, names.split() if isinstance(names, str) else names)
        contexts = []
        for entry in chosen:
            values = self._defaults(config, entry, given, alone=len(chosen) == 1)
            if found is not None:
                self._check(found, entry, values)
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
            except BaseException:
                _tell(names[:number], name, names[number + 1 :])
                _write({**documents, **dict(zip([name], written, strict=False))})
                raise
            documents.update(zip([name], written, strict=False))
        _write(documents)
        if pending:
            raise typer.Exit(pending)
        return None

    def _check(self, found: Config, entry: PublishConfig, values: Mapping[str, Any]) -> None:
        """Raise UsageError where a file that nobody named reaches out of its project."""
        from regkit.ops.found import check_entry

        used = {key_of(each): values[str(each.name)] for each in self.params if each.name in values}
        check_entry(found, entry.name, used, os.environ, {key_of(each) for each in self.params if is_path(each)})

    def _given(self, info_name: str | None, args: list[str], parent: Any) -> dict[str, Any] | None:
        """Give by key what the command line and the environment say, as it stands; None where no file counts."""
        probe = self.context_class(self, info_name=info_name, parent=parent)
        typed, _, _ = self.make_parser(probe).parse_args(args=list(args))
        given = {}
        for parameter in self.params:
            named = (typed.get(parameter.name or ""), *map(os.environ.get, variables(parameter)))
            said = [value for value in named if value not in (None, "", (), [])]
            if said:
                given[key_of(parameter)] = said[0]
        return None if typed.get("help") or "plan" in given else given

    def _defaults(
        self, config: Config, entry: PublishConfig, given: Mapping[str, Any], *, alone: bool
    ) -> dict[str, Any]:
        """Give what an entry adds to what is given, by parameter; raise UsageError where the two don't go together."""
        assert config.document is not None
        here = ("publish", entry.name)
        if {"from", "context"} <= entry.values.keys():
            text = f"[{'.'.join(here)}] has a context, which is built, and a from, which is built already"
            raise config.document.error((*here, "from"), text, "leave one of them out")
        if "image" not in given and "image" not in entry.values:
            raise config.document.error(here, f"[{'.'.join(here)}] has no image", 'write image = "ghcr.io/owner/name"')
        keys = {key_of(parameter) for parameter in self.params}
        if "from" in entry.values and "context" in keys and "from" not in keys:
            text = f"[{'.'.join(here)}] has a from: it is built already"
            raise config.document.error((*here, "from"), text, "choose another one with --name NAME")
        for parameter in self.params:
            if not alone and key_of(parameter) in given and _is_for_one(parameter):
                raise config.document.error(
                    ("publish",),
                    f"there are several images here, and {_spelled(parameter)} is for one",
                    "choose it with --name NAME; or use no configuration: --config /dev/null",
                )
        values = {key: value for key, value in entry.values.items() if key not in given}
        if given.keys() & {"from", "context"}:
            values = {key: value for key, value in values.items() if key not in ("from", "context")}
        elif "from" not in values:
            base = config.document.path.absolute().parent
            values.setdefault("context", str(base if base != Path.cwd() else Path()))
        idle = FOR_A_BUILD if "from" in given or "from" in values else ()
        used = [each for each in self.params if key_of(each) in values and each.name not in idle]
        return {str(each.name): values[key_of(each)] for each in used}


def choose(config: Config, names: list[str]) -> tuple[PublishConfig, ...]:
    """Give the entries of these names, in the file's order, or all; raise UsageError for a name that isn't there."""
    known = [entry.name for entry in config.publish]
    unknown = [name for name in names if name not in known]
    if unknown and config.path is None:
        raise UsageError(f"there is no configuration with a [publish.{unknown[0]}]", hint="regkit init writes one")
    if unknown:
        raise UsageError(f"{config.path} has no [publish.{unknown[0]}]", hint=f"it has {', '.join(known) or 'none'}")
    return tuple(entry for entry in config.publish if not names or entry.name in names)


def _is_for_one(parameter: Any) -> bool:
    """Tell whether a value makes sense for one image alone: its name, its sources, the files that tell of it."""
    return (is_path(parameter) and key_of(parameter) != "readme") or key_of(parameter) in ("image", "from", "ref...")


def _spelled(parameter: Any) -> str:
    return f"--{key_of(parameter)}" if isinstance(parameter, TyperOption) else str(parameter.metavar)


def _write(documents: Mapping[str, Any]) -> None:
    """Write one JSON document of those that the runs wrote, if they did, under their names."""
    if documents:
        write_json({"schema": 1, "publish": documents})


def _tell(done: list[str], failed: str, left: list[str]) -> None:
    rest = f"; not begun: {', '.join(left)}" if left else ""
    sys.stderr.write(f"regkit: done: {', '.join(done) or 'none'}; failed: {failed}{rest}\n")
