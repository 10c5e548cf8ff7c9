from __future__ import annotations

from typing import Annotated, NamedTuple

import typer

from regkit.cli.groups import with_groups


class Size(NamedTuple):
    width: int
    height: int


class Box(NamedTuple):
    name: str
    size: Size


def read_size(
    ctx: typer.Context, width: Annotated[int, typer.Option()] = 1, height: Annotated[int, typer.Option()] = 2
) -> Size:
    assert ctx.params["width"] == width
    return Size(width, height)


@with_groups
def read_box(
    ctx: typer.Context, name: Annotated[str, typer.Option()] = "box", *, size: Annotated[Size, read_size]
) -> Box:
    del ctx
    return Box(name, size)


def test_a_group_stands_for_its_options() -> None:
    """They take its place, those of a group within a group too, and the command gets what was read of them."""
    seen = []
    app = typer.Typer(add_completion=False)

    @app.command()
    @with_groups
    def pack(
        ctx: typer.Context,
        first: Annotated[str, typer.Argument()],
        *,
        box: Annotated[Box, read_box],
        last: Annotated[bool, typer.Option("--last")] = False,
    ) -> None:
        """Pack it."""
        seen.append((ctx.info_name, first, box, last))

    command = typer.main.get_command(app)
    for words in (["a"], ["b", "--height", "5", "--name", "x", "--last"]):
        command.main(words, prog_name="pack", standalone_mode=False)

    assert [each.name for each in command.params] == ["first", "name", "width", "height", "last"]
    assert command.help == "Pack it."
    assert seen == [("pack", "a", Box("box", Size(1, 2)), False), ("pack", "b", Box("x", Size(1, 5)), True)]
