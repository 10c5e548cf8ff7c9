"""What tags protect: on distribution 2.x an image that an index lists is garbage once no tag is on it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from regkit.oci.digest import Digest
from regkit.ops.census import Census, read_census
from regkit.ops.untag import Guard
from regkit.targets.repository import Repository


@dataclass
class TagGuard:
    """Tells what would be lost with the tags in `going`, but for what is `spare`; it reads only when it's asked."""

    repository: Repository
    going: Mapping[str, Digest]
    census: Census | None = None
    spare: Collection[Digest] = ()
    _kept: dict[Digest, str] = field(default_factory=dict)
    _tagged: frozenset[Digest] = frozenset()
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def guard(self) -> Guard:
        """Give it as what an Untagger asks."""
        return Guard(self.holds, self.is_last)

    def holds(self, tag: str) -> str | None:
        """Tell why the collector would take what `tag` stands on, though something that stays needs it; else None."""
        self._read()
        assert self.census is not None
        return held(self.going[tag], self._kept, self._tagged, self.census.unread)

    def is_last(self, tag: str) -> bool:
        """Tell whether no tag that stays is on what `tag` stands on."""
        self._read()
        return self.going[tag] not in self._tagged and self.going[tag] not in self.spare

    def _read(self) -> None:
        with self._lock:
            if self.census is None:
                self.census = read_census(self.repository)
            if not self._kept and not self._tagged:
                staying = [tag for tag in self.census.tags if tag not in self.going]
                self._kept = self.census.kept_by(staying)
                self._tagged = frozenset(self.census.tags[tag] for tag in staying)


def held(
    digest: Digest, kept: Mapping[Digest, str], tagged: frozenset[Digest], unread: Mapping[str, str]
) -> str | None:
    """Say why a manifest needs a tag of its own, where it does and no tag that stays is on it."""
    if digest in tagged:
        return None
    if digest in kept:
        return f"it alone keeps {digest}, which {kept[digest]} needs, from the registry's garbage collector"
    if unread:
        name, why = next(iter(unread.items()))
        return f"{name} can't be read ({why}), and may need what it stands on"
    return None
