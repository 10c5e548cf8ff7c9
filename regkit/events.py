"""What happened, as frozen values for a reporter; nobody below the command line prints."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest


class Note(NamedTuple):
    """A sentence that a user should read, such as a decision with its reason."""

    text: str
    warning: bool = False


class StageStarted(NamedTuple):
    """A publish enters a stage: `build`, `push`, `tag`, `clean`, `verify`."""

    name: str
    title: str


class BuilderStarted(NamedTuple):
    """The throw-away buildkitd runs; `root` is its cache, `shared` whether later runs find it again."""

    root: str
    shared: bool


class StepStarted(NamedTuple):
    """BuildKit begins a step. `platform` is "" for a step of all platforms."""

    platform: str
    name: str


class StepDone(NamedTuple):
    """BuildKit ended a step: from the cache, or after `seconds`; `error` is "" where it went well."""

    platform: str
    name: str
    cached: bool
    seconds: float
    error: str = ""


class StepLog(NamedTuple):
    """A line that a step printed."""

    platform: str
    name: str
    line: str


class BlobPushed(NamedTuple):
    """A blob arrived."""

    descriptor: Descriptor


class ContentExists(NamedTuple):
    """Content was there already and is not sent again."""

    descriptor: Descriptor


class ManifestPushed(NamedTuple):
    """A manifest or index arrived, by digest or under a tag."""

    descriptor: Descriptor
    tag: str | None = None


class TagMoved(NamedTuple):
    """A tag was written and read back; `previous` is what it stood on before, if anything."""

    tag: str
    digest: Digest
    previous: Digest | None = None


class TagKept(NamedTuple):
    """A tag was left as it is."""

    tag: str
    reason: str


class TagRemoved(NamedTuple):
    """A tag is gone; the content that it named stays."""

    tag: str


class RetryScheduled(NamedTuple):
    """A request will be sent again: try number `attempt`, after `delay` seconds."""

    request: str
    reason: str
    attempt: int
    delay: float


class RequestServed(NamedTuple):
    """The embedded registry answered a request; `uploads` of them were sending content at that moment."""

    method: str
    path: str
    status: int
    uploads: int


Event: TypeAlias = (
    Note
    | StageStarted
    | BuilderStarted
    | StepStarted
    | StepDone
    | StepLog
    | BlobPushed
    | ContentExists
    | ManifestPushed
    | TagMoved
    | TagKept
    | TagRemoved
    | RetryScheduled
    | RequestServed
)
"""All of them. Named tuples: a class of them is made in a tenth of the time of a data class, at every start."""

Reporter = Callable[[Event], None]
"""Called from any thread; it must be quick and must not raise."""


def ignore(event: Event) -> None:
    """Report to nobody."""
