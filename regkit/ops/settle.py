"""Who publishes at the same time: after its last write each looks again, so that at rest the highest version stands.

The order of the writes is fixed (`1`, `1.2`, `1.2.3`, `latest`), so an alias is written before the version that it is
for can be seen. Each publisher therefore lists the tags after its last write, and writes again what isn't as it should
be; then it lists again. Whoever writes last has seen all versions whose own tag was there by then; a higher one that
wasn't is published by somebody who has yet to look.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from semver import Version

from regkit.errors import Refused
from regkit.events import Note, TagKept
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from regkit.ops.presence import shown_by
from regkit.ops.tasks import each
from regkit.ops.versions import Release, line_of, version_said
from regkit.protocol.flow import Bytes
from regkit.targets.repository import Repository
from regkit.transport.session import Session

ROUNDS = 8
"""How often tags are written again before it is given up: others keep moving them."""


class Settlement:
    """The tags that were just put on `index`; `lost` says which of them went to whom."""

    def __init__(self, session: Session, repository: Repository, index: Manifest, release: Release | None) -> None:
        self._session, self._repository = session, repository
        self._index = index
        self._release = release
        self._manifests: dict[str, Manifest] = {index.digest: index}
        self.lost: dict[str, str] = {}

    def run(self, written: Mapping[str, Digest | None]) -> Refused | None:
        """Look at the tags that were written, each with what it stood on before; settle what others moved.

        Give the Refused that says what was lost to whom. Raise VerificationFailed where a tag shows nothing new.
        """
        if not written:
            return None
        previous, wanted = dict(written), dict.fromkeys(written, self._index.digest)
        for _ in range(ROUNDS):
            taken, shown = self._look(previous, wanted)
            self.lost = {}
            again = {}
            for tag in written:
                should = self._decide(tag, taken, shown)
                if should != shown[tag]:
                    again[tag] = should
            if not again:
                return self._refusal()
            for tag, digest in again.items():
                manifest = self._read(digest)
                self._session.report(Note(f"{self._repository.name}:{tag} was moved meanwhile; it is put on {digest}"))
                self._repository.push(manifest.descriptor, Bytes(manifest.raw), tag)
                previous[tag], wanted[tag] = shown[tag], digest
        raise Refused(
            f"others keep moving {', '.join(written)} in {self._repository.name}",
            hint="run it again when they are done",
        )

    def _look(
        self, previous: Mapping[str, Digest | None], wanted: Mapping[str, Digest]
    ) -> tuple[tuple[str, ...], dict[str, Digest]]:
        """List all tags, where there are aliases to settle, and read back side by side what was written."""
        taken: list[tuple[str, ...]] = []
        shown: dict[str, Digest] = {}

        def read_back(tag: str) -> None:
            def is_new(digest: Digest) -> bool:
                return digest == wanted[tag] or digest != previous[tag]

            shown[tag] = shown_by(self._session, self._repository, tag, is_new, f"{self._repository.name}:{tag}")

        steps: list[Callable[[], None]] = [partial(read_back, tag) for tag in previous]
        if self._release is not None and any(tag in self._release.aliases for tag in previous):
            steps.append(lambda: taken.append(self._repository.tags()))
        each(lambda step: step(), steps)
        return (taken[0] if taken else ()), shown

    def _decide(self, tag: str, taken: tuple[str, ...], shown: Mapping[str, Digest]) -> Digest:
        """Tell on what a tag should stand; where that isn't ours, note to whom it is lost."""
        release, stands, mine = self._release, shown[tag], self._index.digest
        if release is None or release.version is None or tag not in release.aliases:
            if stands != mine:
                self.lost[tag] = f"other content, {stands}"
            return stands
        own = shown.get(release.exact, mine)
        rivals = {name: version for name, version in line_of(tag, taken).items() if version > release.version}
        at = self._resolve([name for name, version in rivals.items() if version == max(rivals.values())])
        if not at:
            return self._defend(tag, stands, own, release.version)
        highest = max(rivals.values())
        if stands not in at:
            said = self._version_at(stands)
            if said is not None and said > highest:
                highest = said
            else:
                stands = at[0]
        self.lost[tag] = f"{highest}, {stands}"
        return stands

    def _defend(self, tag: str, stands: Digest, own: Digest, version: Version) -> Digest:
        """Nobody higher has a tag: the alias is for this version, unless it stands on a higher one already."""
        if stands != own:
            said = self._version_at(stands)
            if said is not None and said > version:
                self.lost[tag] = f"{said}, {stands}"
                return stands
            if said is not None and said == version and str(said) != str(version):
                return stands  # another build of this version: builds have no order
        if own != self._index.digest:
            self.lost[tag] = f"other content, {own}"
        return own

    def _resolve(self, names: Sequence[str]) -> list[Digest]:
        """Tell where tags stand; what is gone meanwhile is left out."""
        return [there.digest for there in each(self._repository.resolve, names) if there is not None]

    def _version_at(self, digest: Digest) -> Version | None:
        return version_said(self._read(digest))

    def _read(self, digest: Digest) -> Manifest:
        if digest not in self._manifests:
            self._manifests[digest] = self._repository.manifest(digest)
        return self._manifests[digest]

    def _refusal(self) -> Refused | None:
        """Say which tags went to whom; nobody's are a good end."""
        if not self.lost:
            return None
        for tag, winner in self.lost.items():
            self._session.report(TagKept(tag, f"it went to {winner}"))
        name, winners = self._repository.name, list(self.lost.values())
        to = {winner: [t for t, w in self.lost.items() if w == winner] for winner in winners}
        went = "; ".join(f"{', '.join(tags)} went to {winner}" for winner, tags in to.items())
        is_up = self._release is not None and self._release.exact not in self.lost
        return Refused(
            f"somebody else published to {name} at the same time: {went}",
            hint=f"{self._release.exact if self._release else ''} itself is up, and there is nothing left to do"
            if is_up
            else "what they published stands; publish this as a new version",
        )
