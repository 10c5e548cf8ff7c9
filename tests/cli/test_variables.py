"""The environment's variables: one that several commands read means the same to all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import typer

from regkit.cli.app import app
from regkit.cli.keys import key_of

ALIKE = {
    "DOCKER_PLATFORMS": "what is built, and what a builder or this machine is made ready for",
    "REGKIT_BUILDER_ADDR": "where the builder is: `up` listens there, `status` asks there",
    "REGKIT_DETAILED_EXITCODE": "3 where there is something to do, or a difference",
    "REGKIT_DIGEST_DIR": "`build` writes it, `merge` reads it",
    "REGKIT_DIR": "the embedded registry's content",
    "REGKIT_DRY_RUN": "nothing is changed",
    "REGKIT_FORMAT": "json, everywhere; the other views are each command's own",
    "REGKIT_IMAGE": "the project's repositories; `init` takes one of them",
    "REGKIT_ONE_PLATFORM": "the one platform that is looked at",
    "REGKIT_PLATFORM": "what is built, and what a builder or this machine is made ready for",
    "REGKIT_README": "the README: `--readme` of publish and plan, `--file` of the readme commands",
    "REGKIT_TLS_DIR": "the certificates of a BuildKit that listens on tcp",
}
"""Variables that commands describe in other words, and what they mean to all."""

ANOTHER_NAME = {"REGKIT_README", "REGKIT_CONFIG_ONLY", "REGKIT_ATTESTATIONS_ONLY"}
"""Variables that can't be named as the option is: `REGKIT_FILE`, say, is the Dockerfile."""


def commands(command: Any, *path: str) -> Iterator[tuple[str, Any]]:
    """Give all commands, groups among them, by their names."""
    yield " ".join(path), command
    for name in command.list_commands(None) if hasattr(command, "list_commands") else ():
        yield from commands(command.get_command(None, name), *path, name)


def read_from() -> dict[str, dict[str, Any]]:
    """Give all variables, with the options that each is read by, by command."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, command in commands(typer.main.get_command(app)):
        for parameter in command.params:
            named = parameter.envvar or ()
            for variable in [named] if isinstance(named, str) else named:
                found[variable][name] = parameter
    return found


def test_a_variable_means_the_same_everywhere() -> None:
    """It is the same option, in the same words; or what is common to them is named here."""
    other = {
        variable: sorted(by_command)
        for variable, by_command in read_from().items()
        if len({(key_of(each), each.type.name, each.multiple, each.help) for each in by_command.values()}) > 1
    }
    assert {variable: places for variable, places in other.items() if variable not in ALIKE} == {}
    assert sorted(other) == sorted(ALIKE)


def test_a_list_is_nowhere_read_as_one() -> None:
    """`a,b` for one command would be wrong for another; `init` takes the first image of a project, and no more."""
    mixed = {
        variable
        for variable, by_command in read_from().items()
        if len({each.multiple for each in by_command.values()}) > 1
    }
    assert mixed == {"REGKIT_IMAGE"}


def test_variables_are_named_as_their_options() -> None:
    """`REGKIT_<OPTION>`; where another command's option has that name already, with a word before it or another one."""
    for variable, by_command in read_from().items():
        for parameter in by_command.values():
            ending = key_of(parameter).replace("-", "_").upper()
            if variable.startswith("REGKIT_") and variable not in ANOTHER_NAME:
                assert variable.endswith(ending.rpartition("_")[2]), variable
