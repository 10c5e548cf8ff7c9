"""What a cleanup would do: rules say which tags go, and all that stays says what may go with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from regkit.config.spec import CleanupConfig
from regkit.errors import NotFound
from regkit.events import Note, StageStarted
from regkit.oci.digest import Digest
from regkit.oci.reference import Reference
from regkit.ops.ages import image_ages, vendor_ages
from regkit.ops.census import Census, companion_of, read_census
from regkit.ops.cleanup_plan import CleanupPlan, ManifestPlan, SavedCleanup, TagPlan
from regkit.ops.guard import held
from regkit.ops.retention import Tagged, Verdict, decide, matches, wants_age
from regkit.ops.unnamed import Unnamed, lost_companions
from regkit.ops.untag import Untagger
from regkit.protocol.referrers import ask_referrers
from regkit.protocol.tag import pages_tags
from regkit.targets.repository import Repository
from regkit.transport.session import Session
from regkit.vendors.capability import ByDigest, ByTag, Children

Choose = Callable[[Sequence[Tagged]], Mapping[str, Verdict]]


class Cleaning:
    """One repository that is to be cleaned; whose its registry is, is as the session's configuration says."""

    def __init__(self, session: Session, image: Reference) -> None:
        self.session, self.image = session, image
        self.untagger = Untagger(session, image)
        self.repository: Repository = self.untagger.repository
        self._has_referrers: bool | None = None

    def plan(self, policies: Sequence[CleanupConfig], now: datetime) -> CleanupPlan:
        """Decide by rules; nothing is changed. Raise NotFound for a repository without tags."""
        untagged = any(policy.untagged for policy in policies)
        census = self._census(deep=untagged)
        wanted = [policy for policy in policies if wants_age(policy)]
        dated = [tag for tag in _regular(census) if any(matches(policy, tag) for policy in wanted)]
        ages = self._ages(census, dated)
        return self._decide(census, lambda tags: decide(tags, policies, now), ages, untagged=untagged)

    def replan(self, saved: SavedCleanup) -> CleanupPlan:
        """Decide as a saved plan says, of what still is as it was then."""

        def choose(tags: Sequence[Tagged]) -> Mapping[str, Verdict]:
            return {each.tag: _as_saved(each, saved) for each in tags}

        return self._decide(self._census(deep=saved.untagged), choose, {}, untagged=saved.untagged, saved=saved)

    def read(self, before: Census | None = None, *, deep: bool) -> Census:
        """Look where all tags stand and what they lead to; a deep census is for who deletes by digest."""
        return read_census(self.repository, before, ask=self._referrers if deep else None)

    def _referrers(self, digest: Digest) -> tuple[Digest, ...]:
        """Ask the API for what refers to a manifest; where there is none, a tag that the census has tells it."""
        if self._has_referrers is False:
            return ()
        found = self.session.run(self.image.registry, ask_referrers(self.image.repository, digest))
        self._has_referrers = found is not None
        return tuple(each.digest for each in found or ())

    def _census(self, *, deep: bool) -> Census:
        self.session.report(StageStarted("plan", f"reading what the tags of {self.image.name} lead to"))
        census = self.read(deep=deep)
        if not census.tags and not census.unread:
            raise NotFound(f"{self.image.name} has no tags", hint="it doesn't exist, or nothing was tagged in it")
        return census

    def _ages(self, census: Census, tags: Sequence[str]) -> Mapping[str, datetime]:
        row = self.untagger.row
        said = (
            vendor_ages(lambda: self.untagger.api, tags, self.session.report)
            if tags and row is not None and row.has_api
            else {}
        )
        digests = {tag: census.tags[tag] for tag in tags if tag not in said}
        made = image_ages(self.repository, census, digests.values())
        return {**said, **{tag: made[digest] for tag, digest in digests.items() if digest in made}}

    def _decide(
        self,
        census: Census,
        choose: Choose,
        ages: Mapping[str, datetime],
        *,
        untagged: bool,
        saved: SavedCleanup | None = None,
    ) -> CleanupPlan:
        regular = _regular(census)
        verdicts = dict(choose([Tagged(tag, census.tags[tag], ages.get(tag)) for tag in regular]))
        self._keep_immutable(verdicts)
        self._keep_protecting(census, verdicts, untagged=untagged)
        going = {tag: census.tags[tag] for tag in regular if verdicts[tag].goes}
        staying = [tag for tag in regular if tag not in going]
        manifests: tuple[ManifestPlan, ...] = ()
        companions: dict[str, str] = {}
        if untagged:
            manifests, companions = self._unnamed(census, staying, going, saved)
        tags = [
            *(
                TagPlan(tag, census.tags.get(tag), goes=False, reason=f"it can't be read: {why}")
                for tag, why in census.unread.items()
                if ":" not in tag
            ),
            *(TagPlan(tag, census.tags[tag], v.goes, v.reason, ages.get(tag)) for tag, v in verdicts.items()),
            *(
                _companion(tag, census, companions)
                for tag in census.tags
                if tag not in verdicts and tag not in census.unread
            ),
        ]
        return CleanupPlan(self.image, tuple(tags), manifests, untagged, census)

    def _keep_immutable(self, verdicts: dict[str, Verdict]) -> None:
        """Ask the vendor which tags it would refuse to remove."""
        going = [tag for tag, verdict in verdicts.items() if verdict.goes]
        row = self.untagger.row
        for tag in self.untagger.immutable(going):
            verdicts[tag] = Verdict(goes=False, reason=f"it is immutable, by {row.immutable if row else ''}")

    def _keep_protecting(self, census: Census, verdicts: dict[str, Verdict], *, untagged: bool) -> None:
        """Keep a tag where without one an image that something else needs would be lost, one of several."""
        row = self.untagger.row
        takes_image = row is not None and row.by_tag is ByTag.LAST_TAKES_IMAGE
        if not any(verdict.goes for verdict in verdicts.values()):
            return
        if not takes_image and not self._only_tags_protect():
            return
        while True:
            going = {tag: census.tags[tag] for tag, verdict in verdicts.items() if verdict.goes}
            staying = [tag for tag in census.tags if tag not in going and companion_of(tag) is None]
            kept, tagged = census.kept_by(staying), frozenset(census.tags[tag] for tag in staying)
            new: dict[Digest, tuple[str, str]] = {}
            for tag, digest in going.items():
                why = held(digest, kept, tagged, census.unread)
                if why is None and takes_image and not untagged and digest not in tagged:
                    why = f"{row.title if row else ''} deletes an image with its last tag, and --untagged isn't given"
                if why is not None:
                    new.setdefault(digest, (tag, why))
            if not new:
                return
            for tag, why in new.values():
                verdicts[tag] = Verdict(goes=False, reason=why)

    def _only_tags_protect(self) -> bool:
        """Tell whether a garbage collector may take what an index lists; of an unknown registry its paging tells."""
        if self.untagger.row is not None:
            return self.untagger.row.children is Children.TAG_PROTECTED
        paged = self.session.run(self.image.registry, pages_tags(self.image.repository))
        if paged is False:
            self.session.report(
                Note(
                    f"{self.image.registry} looks like distribution 2.x, whose garbage collector takes images without a"
                    ' tag: tags that protect one stay; vendor = "distribution" in [registry."HOST"] says otherwise'
                )
            )
        return paged is False

    def _unnamed(
        self, census: Census, staying: Sequence[str], going: Mapping[str, Digest], saved: SavedCleanup | None
    ) -> tuple[tuple[ManifestPlan, ...], dict[str, str]]:
        """Find what the tags leave behind; give that, and the tags that go because they belong to it."""
        found = Unnamed(census, census.kept_by(staying), going, saved)
        found.find()
        lost = lost_companions(self.repository, census, (*found.kept, *found.candidates, *census.known))
        if saved is not None:
            lost = {tag: why for tag, why in lost.items() if saved.going.get(tag) == census.tags[tag]}
        while True:
            companions = {tag: f"it belongs to {of}, which goes" for tag, of in found.companions.items()}
            others = [tag for tag in census.tags if companion_of(tag) and tag not in companions and tag not in lost]
            kept = census.kept_by([*staying, *others])
            if kept.keys() <= found.kept.keys():
                break
            found.keep(kept)
        row = self.untagger.row
        if row is not None and row.by_digest is ByDigest.REFUSED:
            for candidate in found.candidates.values():
                candidate.held = candidate.held or f"{row.title} deletes nothing by digest"
            companions = {}
        leaving = [
            ManifestPlan(each.descriptor, goes=True, reason=each.why, after=found.before(each.descriptor.digest))
            for each in found.leaving
        ]
        spared = [
            ManifestPlan(each.descriptor, goes=False, reason=each.held)
            for each in found.candidates.values()
            if each.held
        ]
        return (*leaving, *spared), {**({} if census.unread else lost), **companions}


def _regular(census: Census) -> list[str]:
    """Give the tags that rules are for: those that belong to a manifest by name live as long as that."""
    return [tag for tag in census.tags if companion_of(tag) is None and tag not in census.unread]


def _companion(tag: str, census: Census, going: Mapping[str, str]) -> TagPlan:
    found = companion_of(tag)
    of = f"{found.kind} of {found.subject.replace('-', ':', 1)}" if found else ""
    return TagPlan(tag, census.tags[tag], tag in going, going.get(tag, f"{of}: it stays as long as that"))


def _as_saved(tag: Tagged, saved: SavedCleanup) -> Verdict:
    planned = saved.going.get(tag.tag)
    if planned is None:
        return Verdict(goes=False, reason="the plan keeps it, or doesn't speak of it")
    if planned != tag.digest:
        return Verdict(goes=False, reason=f"it has moved since the plan was made, from {planned} to {tag.digest}")
    return Verdict(goes=True, reason="the plan says so")


def images_of(policies: Iterable[CleanupConfig]) -> dict[Reference, list[CleanupConfig]]:
    """Give the repositories that policies are for, each with its policies, in their order."""
    found: dict[Reference, list[CleanupConfig]] = {}
    for policy in policies:
        for image in policy.images:
            found.setdefault(Reference.parse_name(image), []).append(policy)
    return found
