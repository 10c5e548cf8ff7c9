"""What happened, as frozen values for a reporter; nobody below the command line prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest


@dataclass(frozen=True, slots=True)
class Event:
    """The base of all events."""


Reporter = Callable[[Event], None]
"""Called from any thread; it must be quick and must not raise."""


def ignore(event: Event) -> None:
    """Report to nobody."""


@dataclass(frozen=True, slots=True)
class Note(Event):
    """A sentence that a user should read, such as a decision with its reason."""

    text: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class StageStarted(Event):
    """A publish enters a stage: `build`, `push`, `tag`, `clean`, `verify`."""

    name: str
    title: str


@dataclass(frozen=True, slots=True)
class BuilderStarted(Event):
    """The throw-away buildkitd runs; `root` is its cache, `shared` whether later runs find it again."""

    root: str
    shared: bool


@dataclass(frozen=True, slots=True)
class StepStarted(Event):
    """BuildKit begins a step. `platform` is "" for a step of all platforms."""

    platform: str
    name: str


@dataclass(frozen=True, slots=True)
class StepDone(Event):
    """BuildKit ended a step: from the cache, or after `seconds`; `error` is "" where it went well."""

    platform: str
    name: str
    cached: bool
    seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class StepLog(Event):
    """A line that a step printed."""

    platform: str
    name: str
    line: str


@dataclass(frozen=True, slots=True)
class BlobPushed(Event):
    """A blob arrived."""

    descriptor: Descriptor


@dataclass(frozen=True, slots=True)
class ContentExists(Event):
    """Content was there already and is not sent again."""

    descriptor: Descriptor


@dataclass(frozen=True, slots=True)
class ManifestPushed(Event):
    """A manifest or index arrived, by digest or under a tag."""

    descriptor: Descriptor
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class TagMoved(Event):
    """A tag was written and read back; `previous` is what it stood on before, if anything."""

    tag: str
    digest: Digest
    previous: Digest | None = None


@dataclass(frozen=True, slots=True)
class TagKept(Event):
    """A tag was left as it is."""

    tag: str
    reason: str


@dataclass(frozen=True, slots=True)
class TagRemoved(Event):
    """A tag is gone; the content that it named stays."""

    tag: str


@dataclass(frozen=True, slots=True)
class RetryScheduled(Event):
    """A request will be sent again: try number `attempt`, after `delay` seconds."""

    request: str
    reason: str
    attempt: int
    delay: float


@dataclass(frozen=True, slots=True)
class RequestServed(Event):
    """The embedded registry answered a request; `uploads` of them were sending content at that moment."""

    method: str
    path: str
    status: int
    uploads: int
