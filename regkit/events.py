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
    """A publish enters a stage: `plan`, `preflight`, `build`, `test`, `load`, `push`, `tag`, `clean`, `readme`."""

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


class StepProgress(NamedTuple):
    """A step has moved `current` of `total` bytes of an `item`: a layer of a base image, say."""

    platform: str
    name: str
    item: str
    current: int
    total: int


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


class PlatformTested(NamedTuple):
    """A platform's image was tested before the push."""

    platform: str
    passed: bool
    seconds: float


class ImageFound(NamedTuple):
    """An image of a release is known, built or found: its layers, and the size of all its content in bytes."""

    descriptor: Descriptor
    layers: tuple[Descriptor, ...]
    size: int


class BlobProgress(NamedTuple):
    """Of a large blob `sent` bytes are on their way; it counts as arrived with `BlobPushed`."""

    descriptor: Descriptor
    sent: int


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


class ReleaseUp(NamedTuple):
    """A release is published as `descriptor`, the index; `names` are those to pull by, one for each repository."""

    descriptor: Descriptor
    names: tuple[str, ...]


class Failed(NamedTuple):
    """The command ends with an error: its sentence, what to do, and the exit code."""

    message: str
    hint: str | None
    exit_code: int


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
    | StepProgress
    | StepDone
    | StepLog
    | PlatformTested
    | ImageFound
    | BlobProgress
    | BlobPushed
    | ContentExists
    | ManifestPushed
    | TagMoved
    | TagKept
    | TagRemoved
    | ReleaseUp
    | Failed
    | RetryScheduled
    | RequestServed
)
"""All of them. Named tuples: a class of them is made in a tenth of the time of a data class, at every start."""

Reporter = Callable[[Event], None]
"""Called from any thread; it must be quick and must not raise."""


def ignore(event: Event) -> None:
    """Report to nobody."""
