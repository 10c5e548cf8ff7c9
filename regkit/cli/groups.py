"""Options that go together: each is declared once, where the group is read, for all commands that take it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, TypeVar, get_origin

import typer

T = TypeVar("T")


def with_groups(command: Callable[..., T]) -> Callable[..., T]:
    """Let a parameter `Annotated[X, read]` stand for the options of `read(ctx, …)`, which makes an X of them.

    They take its place in the help. `read` may have groups of its own.
    """
    groups: dict[str, tuple[Callable[..., Any], list[str]]] = {}
    written_out = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        read = parameter.annotation.__metadata__[0] if get_origin(parameter.annotation) is Annotated else None
        options = [parameter]
        if inspect.isfunction(read):
            _, *options = inspect.signature(read, eval_str=True).parameters.values()
            groups[parameter.name] = read, [each.name for each in options]
        written_out += [each.replace(kind=each.KEYWORD_ONLY) for each in options]

    @wraps(command)
    def run(ctx: typer.Context, **given: Any) -> T:
        made = {
            name: read(ctx, **{each: given.pop(each) for each in options}) for name, (read, options) in groups.items()
        }
        return command(ctx, **made, **given)

    first, *rest = written_out
    signature = inspect.Signature([first.replace(kind=first.POSITIONAL_OR_KEYWORD), *rest])
    run.__signature__ = signature  # type: ignore[attr-defined] # from this, and from the hints, typer reads the options
    run.__annotations__ = {each.name: each.annotation for each in written_out}
    return run
