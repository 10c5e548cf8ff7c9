"""What a quirk is: a name, the registries that behave so, and a wrapper around `handle`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from regkit.devregistry.app import DevRegistry
from regkit.protocol.flow import Request, Send


class Ability(StrEnum):
    """Something that a registry may refuse to do; what a quirk doesn't list works, if only by a detour."""

    write = "taking anything"
    move_tag = "moving a tag"
    untag = "removing a tag alone"
    delete = "deleting by digest"
    delete_child = "deleting what an index lists"
    delete_tagged = "deleting what a tag stands on"
    serve_image = "serving a Docker image by its tag as it was pushed"


class Setting(NamedTuple):
    """Where a quirk is switched on: the registry beneath, how clients reach it, and the quirk's number."""

    registry: DevRegistry
    scheme: str
    number: int


Wrap: TypeAlias = Callable[[Send, Setting], Send]
"""Makes a `handle` of another one; it may raise a Fault. Called anew whenever the quirk is switched on."""


@dataclass(frozen=True, slots=True)
class Quirk:
    """A way in which real registries differ from the specification, or from each other.

    `summary` completes "the registry …"; `plays` says which ones do so. `number` is what can be set, by `NAME=N`;
    None where nothing can.
    """

    name: str
    summary: str
    plays: str
    wrap: Wrap
    number: int | None = None
    refuses: frozenset[Ability] = frozenset()


Change: TypeAlias = Callable[[Request, Setting], Request]


def before(change: Change) -> Wrap:
    """Make a wrapper that changes the request, or raises the Fault that it is answered with."""
    return lambda handle, setting: lambda request: handle(change(request, setting))
