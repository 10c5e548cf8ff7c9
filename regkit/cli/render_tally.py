"""What came of each platform, added up from the events: its steps, its image, its test, what of it has been sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from regkit import events
from regkit.cli.output import human_size
from regkit.cli.render_text import is_instruction
from regkit.events import Event
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest


@dataclass(slots=True)
class Platform:
    """One platform's share; sizes in bytes. `running` is the step under way, `moved` its items: current, total."""

    name: str
    steps: int = 0
    cached: int = 0
    running: str = ""
    moved: dict[str, tuple[int, int]] = field(default_factory=dict)
    tested: bool | None = None
    digest: Digest | None = None
    layers: tuple[Descriptor, ...] = ()
    size: int = 0


class Tally:
    """The sums; `note` takes an event, from one thread at a time."""

    def __init__(self) -> None:
        self.platforms: dict[str, Platform] = {}
        self.images: list[Platform] = []
        """The platforms that have an image, in the order of the release."""
        self.common = Platform("")
        """The steps for all platforms, BuildKit's own, and those of which it can't be told for which one they are."""
        self.sent: dict[Digest, int] = {}
        """How many bytes of each blob are on their way or have arrived."""
        self.arrived: set[Digest] = set()
        self.existing: set[Digest] = set()

    def note(self, event: Event) -> None:
        """Add an event."""
        match event:
            case events.StepStarted() | events.StepProgress() | events.StepDone():
                self._step(event)
            case events.PlatformTested(platform, passed):
                self._of(platform).tested = passed
            case events.ImageFound(descriptor, layers, size):
                there = self._of(str(descriptor.platform))
                if there not in self.images:
                    self.images.append(there)
                there.digest, there.layers, there.size = descriptor.digest, layers, size
            case events.BlobProgress(descriptor, sent):
                self.sent[descriptor.digest] = sent
            case events.BlobPushed(descriptor):
                self.sent[descriptor.digest] = descriptor.size
                self.arrived.add(descriptor.digest)
            case events.ContentExists(descriptor) if descriptor.digest not in self.arrived:
                self.existing.add(descriptor.digest)

    def _step(self, event: events.StepStarted | events.StepProgress | events.StepDone) -> None:
        there = self._of(event.platform) if event.platform else self.common
        match event:
            case events.StepStarted(_, name):
                there.running, there.moved = name, {}
            case events.StepProgress(_, name, item, current, total):
                there.running = name
                there.moved[item] = (current, total)
            case events.StepDone(_, name, cached):
                if is_instruction(name):
                    there.steps, there.cached = there.steps + 1, there.cached + cached
                if there.running == name:
                    there.running, there.moved = "", {}

    @property
    def steps(self) -> int:
        """How many of the Dockerfile's steps are done."""
        return sum(there.steps for there in (self.common, *self.platforms.values()))

    @property
    def cached(self) -> int:
        """How many of them came from the cache."""
        return sum(there.cached for there in (self.common, *self.platforms.values()))

    def matrix(self, *, short: bool = False) -> list[tuple[str, ...]]:
        """Give the table of the images, its head first.

        Left out are the tests where there were none, and the steps where they aren't known of every platform.
        """
        built = all(there.steps for there in self.images)
        tested = any(there.tested is not None for there in self.images)
        head = ("PLATFORM", "DIGEST", "SIZE", "LAYERS", *["CACHED"] * built, *["TEST"] * tested)
        return [head, *(self._row(there, short=short, built=built, tested=tested) for there in self.images)]

    def _row(self, there: Platform, *, short: bool, built: bool, tested: bool) -> tuple[str, ...]:
        assert there.digest is not None
        verdict = {True: "passed", False: "FAILED", None: "-"}[there.tested]
        digest = there.digest.short if short else str(there.digest)
        cells = (there.name, digest, human_size(there.size), str(len(there.layers)))
        return (*cells, *[f"{there.cached} of {there.steps}"] * built, *[verdict] * tested)

    def _of(self, name: str) -> Platform:
        return self.platforms.setdefault(name, Platform(name))


def bytes_of(pairs: Iterable[tuple[int, int]]) -> str:
    """Write how much of how much has come; "" for nothing."""
    found = list(pairs)
    total = sum(whole for _, whole in found)
    return f"{human_size(sum(part for part, _ in found))} of {human_size(total)}" if total else ""
