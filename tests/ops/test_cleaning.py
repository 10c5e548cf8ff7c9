"""Planning and applying, one thing at a time: what is asked for, what can't be read, and what others do meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from regkit.config.spec import CleanupConfig, RegistryConfig
from regkit.devregistry.server import running
from regkit.errors import Unavailable
from regkit.events import Note
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest, assemble_index
from regkit.oci.reference import Reference
from regkit.ops.census import MAX_UNREAD, companion_of, read_census
from regkit.ops.cleaning import Cleaning
from regkit.ops.cleanup import cleanup
from regkit.ops.cleanup_plan import CleanupPlan
from regkit.protocol.auth import Login
from regkit.protocol.flow import Bytes, Request, Response
from regkit.protocol.referrers import fallback_tag
from regkit.transport.credentials import Credentials
from tests.ops.support import manifest_name
from tests.support.place import APP, RELEASE, Place
from tests.support.vendors import double
from tests.support.vendors.ghcr import GitHubDouble, Version
from tests.transport.support import Patient

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ALL_PARTS = CleanupConfig("parts", match="part", keep=0, untagged=True)
SECRET = "s3cret-of-nobody"


@dataclass
class Watched:
    """A place that keeps what it's asked for, and answers some of it with `broken`'s status."""

    place: Place
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    broken: dict[str, int] = field(default_factory=dict)

    def handle(self, request: Request) -> Response:
        name = manifest_name(request)
        self.requests[request.method, name] += 1
        if name in self.broken and request.method in ("GET", "HEAD"):
            return Response(self.broken[name])
        return self.place.handle(request)


@dataclass
class Stage:
    watched: Watched
    session: Patient
    image: Reference

    @property
    def place(self) -> Place:
        return self.watched.place

    @property
    def tags(self) -> dict[str, Digest]:
        return dict(self.place.tags[APP])

    def cleaning(self, **said: str) -> Cleaning:
        host = self.image.registry
        self.session.registries = {host: RegistryConfig(host, **said)}  # type: ignore[arg-type]
        return Cleaning(self.session, self.image)

    def plan(self, *policies: CleanupConfig) -> CleanupPlan:
        return self.cleaning().plan(policies, NOW)

    def clean(self, *policies: CleanupConfig, meanwhile: Callable[[], None] = lambda: None) -> CleanupPlan:
        """Plan, let others do something, and apply."""
        cleaning = self.cleaning()
        plan = cleaning.plan(policies, NOW)
        meanwhile()
        cleanup(cleaning, plan)
        return plan

    def put(self, tag: str, manifest: Manifest) -> None:
        """Set a tag, as somebody else does."""
        self.cleaning().repository.push(manifest.descriptor, Bytes(manifest.raw), tag)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    place = Place(tmp_path)
    place.fill()
    watched = Watched(place)
    with running(watched) as server:
        place.host = server.host
        login = Credentials({server.host: Login("me", SECRET)}, "nowhere")
        with Patient(now=0, credentials=login) as session:
            yield Stage(watched, session, Reference.parse_name(f"{server.host}/{APP}"))


def reasons(plan: CleanupPlan) -> dict[str, str]:
    return {tag.tag: tag.reason for tag in plan.tags}


def test_each_manifest_is_asked_for_once(stage: Stage) -> None:
    """For tags alone: a HEAD a tag, a GET an index, however many tags are on one, and none for an image."""
    stage.plan(CleanupConfig("", match="part", keep=0))

    asked = {key: count for key, count in stage.watched.requests.items() if key[1]}
    assert asked == dict.fromkeys(
        [
            *(("HEAD", tag) for tag in stage.tags),
            *(("GET", digest) for digest in (stage.place.index.digest, stage.place.part.digest)),
            *(("GET", fallback) for fallback in [stage.tags[tag] for tag in stage.tags if companion_of(tag)]),
        ],
        1,
    )


def test_a_deep_plan_reads_each_manifest_once(stage: Stage) -> None:
    stage.plan(ALL_PARTS)

    read = {key: count for key, count in stage.watched.requests.items() if key[0] == "GET" and key[1]}
    assert set(read.values()) == {1}
    assert {name for _, name in read} >= {stage.place.index.digest, stage.place.image.digest, stage.place.single.digest}


def test_an_index_in_an_index_is_followed(stage: Stage) -> None:
    """What the inner one lists stays with the outer one."""
    outer = assemble_index([stage.place.part.descriptor], {})
    stage.put("outer", outer)

    plan = stage.clean(ALL_PARTS)

    assert plan.going.keys() == {"part"}
    assert plan.deleted == ()
    assert stage.place.has(stage.place.part.digest)


def test_one_tag_that_cannot_be_read_keeps_everything_by_digest(stage: Stage) -> None:
    """It stays, with its reason; tags still go, and nothing that it may need."""
    stage.watched.broken["single"] = 400

    plan = stage.clean(ALL_PARTS)

    assert "can't be read" in reasons(plan)["single"]
    assert plan.going.keys() == {"part"}
    assert [manifest.goes for manifest in plan.manifests] == [False]
    assert "single can't be read" in plan.manifests[0].reason
    assert stage.place.has(stage.place.part.digest)


def test_one_index_that_cannot_be_read_keeps_everything_by_digest(stage: Stage) -> None:
    stage.watched.broken[stage.place.index.digest] = 400

    plan = stage.plan(ALL_PARTS)

    assert plan.deleted == ()
    assert stage.place.index.digest in plan.manifests[0].reason


def test_where_only_tags_protect_an_unread_index_keeps_them(stage: Stage) -> None:
    """On distribution 2.x: what the index lists isn't known, so it may be what the tag stands on."""
    stage.watched.broken[stage.place.index.digest] = 400
    cleaning = stage.cleaning(vendor="distribution2")

    plan = cleaning.plan([CleanupConfig("", match="single|arm", keep=0)], NOW)

    assert plan.going == {}
    assert "may need what it stands on" in reasons(plan)["arm"]


def test_on_distribution_2_a_tag_that_alone_protects_an_image_stays(stage: Stage) -> None:
    plan = stage.cleaning(vendor="distribution2").plan([CleanupConfig("", match="single|arm", keep=0)], NOW)

    assert plan.going.keys() == {"single"}
    assert "it alone keeps" in reasons(plan)["arm"]


def test_at_amazons_the_last_tag_goes_with_its_image_only(stage: Stage) -> None:
    """Without --untagged it stays, for the image would go with it; with it, that is what was asked for."""
    policy = CleanupConfig("", match="part|1[.]2", keep=0)
    alone = stage.cleaning(vendor="ecr").plan([policy], NOW)
    assert alone.going.keys() == {"1.2"}
    assert "with its last tag" in reasons(alone)["part"]

    cleaning = stage.cleaning(vendor="ecr")
    done = cleanup(cleaning, cleaning.plan([policy._replace(untagged=True)], NOW))

    assert done.failed == {}
    assert sorted(done.removed) == ["1.2", "part"]
    assert done.deleted == [stage.place.part.digest]


def test_a_registry_that_is_down_is_told(stage: Stage) -> None:
    """One tag that can't be read is one thing; a registry that answers nothing isn't cleaned."""
    for number in range(MAX_UNREAD + 1):
        stage.put(f"t{number}", stage.place.part)
        stage.watched.broken[f"t{number}"] = 503

    with pytest.raises(Unavailable):
        read_census(stage.cleaning().repository)


def test_a_tag_that_moved_meanwhile_stays(stage: Stage) -> None:
    plan = stage.clean(ALL_PARTS, meanwhile=lambda: stage.put("part", stage.place.index))

    assert plan.going.keys() == {"part"}
    assert stage.tags["part"] == stage.place.index.digest


def test_what_is_tagged_meanwhile_stays(stage: Stage) -> None:
    """All tags are looked up again before anything is deleted by digest."""
    plan = stage.clean(ALL_PARTS, meanwhile=lambda: stage.put("new", stage.place.part))

    assert [descriptor.digest for descriptor in plan.deleted] == [stage.place.part.digest]
    assert stage.tags["new"] == stage.place.part.digest
    assert stage.place.has(stage.place.part.digest)
    assert "part" not in stage.tags


def test_signatures_by_name_live_as_long_as_what_they_sign(stage: Stage) -> None:
    """No rule is for them: they stay with a release that stays, and go with an index that goes."""
    for owner in (stage.place.index, stage.place.part):
        stage.put(f"{fallback_tag(owner.digest)}.sig", stage.place.single)

    before = set(stage.tags)
    plan = stage.clean(CleanupConfig("", match="part|sha256-.*", keep=0, untagged=True))

    assert before - set(stage.tags) == {"part", f"{fallback_tag(stage.place.part.digest)}.sig"}
    assert "goes" in reasons(plan)[f"{fallback_tag(stage.place.part.digest)}.sig"]


def test_a_signature_of_nothing_goes_with_untagged(stage: Stage) -> None:
    orphan = f"{fallback_tag(Digest.of(b'nobody'))}.sig"
    stage.put(orphan, stage.place.single)

    assert orphan not in stage.plan(CleanupConfig("", match="part", keep=0)).going
    assert orphan in stage.clean(CleanupConfig("", untagged=True)).going
    assert orphan not in stage.tags
    assert stage.place.has(stage.place.single.digest)


def test_the_vendors_dates_count(stage: Stage) -> None:
    """Where there is an API that tells them; where it can't be asked, that is said, and the images' own count."""
    dates = {"part": NOW - timedelta(days=40), "1.2": NOW - timedelta(days=2)}
    versions = [Version(n, stage.tags[tag], [tag], at.isoformat()) for n, (tag, at) in enumerate(dates.items())]
    owner = APP.partition("/")[0]
    policy = CleanupConfig("", older_than=timedelta(days=30))
    github = GitHubDouble(tokens={SECRET: {"read:packages"}}, owners={owner: "orgs"}, packages={APP: versions})
    with double.serving(github):
        plan = stage.cleaning(vendor="ghcr", api=github.url).plan([policy], NOW)
        github.tokens.clear()
        blind = stage.cleaning(vendor="ghcr", api=github.url).plan([policy], NOW)

    assert plan.going.keys() == {"part"}
    assert {tag.tag: tag.created for tag in plan.tags if tag.created} == dates
    assert reasons(plan)["latest"] == "its age isn't known"
    assert blind.going == {}
    assert any(isinstance(event, Note) and event.warning and "dates" in event.text for event in stage.session.events)


def test_what_the_release_needs_is_there_whatever_goes(stage: Stage) -> None:
    stage.clean(CleanupConfig("", match="(?!latest).*", keep=0, untagged=True))

    assert stage.place.holes() == []
    assert set(stage.tags) & set(RELEASE) == {"latest"}
