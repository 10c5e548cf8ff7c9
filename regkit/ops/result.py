"""What came of a publish: where the release is up, under which tags, and what is missing where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from regkit.errors import PartlyDone, Refused, RegkitError
from regkit.oci.descriptor import Descriptor
from regkit.oci.reference import Reference

if TYPE_CHECKING:
    from regkit.ops.readme import Comparison


@dataclass(frozen=True, slots=True)
class Published:
    """A repository that has the release: every tag that stands on it, and those that stay where they were.

    It isn't `up` where it failed halfway: then only the tags stand that are named.
    """

    image: Reference
    tags: tuple[str, ...]
    kept: tuple[str, ...]
    up: bool = True

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON object."""
        return {"image": self.image.name, "tags": list(self.tags), "kept": list(self.kept), "up": self.up}


@dataclass(frozen=True, slots=True)
class PublishResult:
    """A release: its index, the repositories that have it, the images, and what could not be finished."""

    index: Descriptor
    destinations: tuple[Published, ...]
    images: tuple[Descriptor, ...]
    reused: bool
    unfinished: RegkitError | None = None
    pages: tuple[Comparison, ...] = ()
    """The pages that show the README, as they were before."""

    @property
    def image(self) -> Reference:
        """The first repository that has it."""
        return self.destinations[0].image

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that stand on it there."""
        return self.destinations[0].tags

    @property
    def kept(self) -> tuple[str, ...]:
        """The tags that stay where they were there."""
        return self.destinations[0].kept

    @property
    def names(self) -> tuple[str, ...]:
        """The names to pull by, one for each repository where it's up; where it's up nowhere, of those with a tag."""
        up = [there for there in self.destinations if there.up]
        return tuple(f"{there.image.name}@{self.index.digest}" for there in up or self.destinations)

    @property
    def tagged_names(self) -> tuple[str, ...]:
        """The same with their tags, which may move on."""
        return tuple(f"{there.image.name}:{tag}" for there in self.destinations for tag in there.tags)

    def __str__(self) -> str:
        """Give the name to pull by."""
        return self.names[0]

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON document; what it says of an image beside `destinations` is of the first."""
        first, *_ = destinations = [there.to_json() for there in self.destinations]
        return {
            "schema": 1,
            **first,
            "digest": self.index.digest,
            "descriptor": self.index.to_json(),
            "destinations": destinations,
            "images": [image.to_json() for image in self.images],
            "reused": self.reused,
            "readme": [{"name": page.name, "changed": page.changed} for page in self.pages],
            "unfinished": self.unfinished.message if self.unfinished else None,
        }


def unfinished(up: Sequence[str], said: Sequence[str], hint: str, *, lost: bool) -> RegkitError | None:
    """Make one error of what `said` is missing where; a Refused where all was `lost` to others who published too."""
    if not said:
        return None
    text = f"the release is up in {', '.join(up)}, but not everywhere as asked: {'; '.join(said)}"
    return Refused(text, hint="what others published stands") if lost else PartlyDone(text, hint=hint or None)


def together(error: RegkitError | None, more: RegkitError | None) -> RegkitError | None:
    """Make one error of what a release lacks, and of what it lacks besides, its page say; the first one counts."""
    if error is None or more is None:
        return error or more
    kind = Refused if isinstance(error, Refused) else PartlyDone
    return kind(f"{error.message}; and {more.message}", hint=error.hint or more.hint)
