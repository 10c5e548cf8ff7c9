"""One tag and nothing else, by whichever way a registry leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from regkit.config.spec import RegistryConfig
from regkit.devregistry.front import Front
from regkit.devregistry.server import running
from regkit.devregistry.store import Names
from regkit.errors import AccessDenied, PartlyDone, Refused
from regkit.events import TagRemoved
from regkit.oci.digest import Digest
from regkit.oci.reference import Reference
from regkit.ops.tags import plan_removal, remove_tags
from regkit.ops.untag import PROBE
from regkit.protocol.auth import Login
from regkit.protocol.flow import Request, Response
from regkit.transport.credentials import Credentials
from tests.ops.support import manifest_name
from tests.support.place import APP, Place
from tests.support.vendors import double
from tests.support.vendors.double import Answer, Call
from tests.support.vendors.ghcr import GitHubDouble, Version
from tests.transport.support import Patient

SECRET = "s3cret-of-nobody"


@dataclass
class Asked:
    """A place whose requests are kept, and that may answer some of them by itself."""

    place: Place
    requests: list[tuple[str, str]] = field(default_factory=list)
    refuses: bool = False
    """Whether it deletes by digest once, and never again."""
    pretends: bool = False
    """Whether it says that it deletes, and does nothing."""

    def handle(self, request: Request) -> Response:
        name = manifest_name(request)
        self.requests.append((request.method, name))
        if request.method == "DELETE" and ":" in name and self.refuses and self.deletions > 1:
            return Response(405)
        if request.method == "DELETE" and self.pretends and (":" in name or not self.place.front.quirks):
            return Response(202)
        return self.place.handle(request)

    @property
    def deletions(self) -> int:
        return sum(method == "DELETE" and ":" in name for method, name in self.requests)

    @property
    def written(self) -> set[str]:
        """The tags that were written."""
        return {name for method, name in self.requests if method == "PUT" and name and ":" not in name}


@dataclass
class Stage:
    """A filled registry on a socket, and a session for it that never really waits."""

    asked: Asked
    session: Patient
    host: str

    def remove(self, *tags: str, force: bool = False, **said: str) -> None:
        """Remove tags, with what a configuration says of the registry."""
        references = [Reference.parse(f"{self.host}/{APP}:{tag}") for tag in tags]
        self.session.registries = {self.host: RegistryConfig(self.host, **said)}  # type: ignore[arg-type]
        removals = plan_removal(self.session, references)
        self.asked.requests.clear()
        remove_tags(self.session, removals, force=force)

    @property
    def tags(self) -> dict[str, Digest]:
        return dict(self.asked.place.tags[APP])

    @property
    def front(self) -> Front:
        return self.asked.place.front


@contextmanager
def staged(root: Path) -> Iterator[Stage]:
    place = Place(root)
    place.fill()
    asked = Asked(place)
    with running(asked) as server:
        place.host = server.host
        login = Credentials({server.host: Login("me", SECRET)}, "nowhere")
        with Patient(now=0, credentials=login) as session:
            yield Stage(asked, session, server.host)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path) as found:
        yield found


@pytest.mark.parametrize("quirk", ["tag-delete-400", "tag-delete-405"])
@pytest.mark.parametrize("tag", ["1.2", "part", "single"])
def test_a_stand_in_takes_the_tag_along(stage: Stage, quirk: str, tag: str) -> None:
    """Where only digests are deleted; of Docker's types too. What it stood on and every other tag stay."""
    before = stage.tags
    stage.front.switch_on(quirk)

    stage.remove(tag)

    assert stage.tags == {name: digest for name, digest in before.items() if name != tag}
    assert stage.asked.place.has(before[tag])
    assert stage.asked.written == {tag}
    names = stage.asked.place.registry.store.names(APP)
    known = {stage.asked.place.index.digest, stage.asked.place.part.digest, stage.asked.place.single.digest}
    assert names is not None
    assert known <= names.manifests.keys()


def test_stand_ins_leave_nothing_behind(stage: Stage) -> None:
    """Neither those that are tags' nor the one that proves it."""
    stage.front.switch_on("tag-delete-400")
    before = stage.asked.place.registry.store.names(APP)
    assert before is not None

    stage.remove("1.2", "part", "latest")

    after = stage.asked.place.registry.store.names(APP)
    assert after is not None
    assert after.manifests.keys() == before.manifests.keys()


@pytest.mark.parametrize("quirks", [("deletes-off",), ("tag-delete-400", "deletes-off"), ("read-only",)])
def test_deletes_that_are_off_are_noticed_before_a_tag_is_written(stage: Stage, quirks: tuple[str, ...]) -> None:
    before = stage.tags
    for quirk in quirks:
        stage.front.switch_on(quirk)

    with pytest.raises(Refused, match="stays"):
        stage.remove("1.2", "part")

    assert stage.tags == before
    assert stage.asked.written == set()


def test_a_stand_in_that_stays_gives_the_tag_back(stage: Stage) -> None:
    """Proven, and then refused all the same: the tag stands where it stood."""
    before = stage.tags
    stage.front.switch_on("tag-delete-400")
    stage.asked.refuses = True

    with pytest.raises(Refused, match="deletes nothing by digest"):
        stage.remove("1.2")

    assert stage.asked.written == {"1.2"}
    assert stage.tags == before


def test_a_registry_that_only_says_that_it_deletes(stage: Stage) -> None:
    """It is looked at again: of a tag that is still listed it isn't said that it's gone."""
    before = stage.tags
    stage.asked.pretends = True

    with pytest.raises(Refused, match="still stands"):
        stage.remove("1.2")

    assert stage.tags == before
    assert not any(isinstance(event, TagRemoved) for event in stage.session.events)


def test_a_proof_that_is_only_said_is_none(stage: Stage) -> None:
    """So no tag is written where the stand-in would stay."""
    before = stage.tags
    stage.front.switch_on("tag-delete-400")
    stage.asked.pretends = True

    with pytest.raises(Refused, match="keeps what was deleted"):
        stage.remove("1.2", "part")

    assert stage.tags == before
    assert stage.asked.written == set()


def test_an_immutable_tag_stays(stage: Stage) -> None:
    before = stage.tags
    stage.front.switch_on("immutable-tags-403")

    with pytest.raises(Refused, match="immutable"):
        stage.remove("1.2")

    assert stage.tags == before


def test_a_tag_that_alone_protects_an_image_stays_unless_forced(stage: Stage) -> None:
    """Where tags can't be removed a collector may take an image that an index lists; `arm` is such an image's."""
    before = stage.tags
    stage.front.switch_on("tag-delete-400")

    with pytest.raises(Refused, match="it alone keeps"):
        stage.remove("arm")
    assert stage.tags == before
    assert stage.asked.written == set()
    with pytest.raises(PartlyDone, match="1 removed, but not all went well"):
        stage.remove("part", "arm")
    assert stage.tags.keys() == before.keys() - {"part"}

    stage.remove("arm", force=True)
    assert stage.tags.keys() == before.keys() - {"part", "arm"}


@pytest.mark.parametrize(
    ("vendor", "tag", "why"), [("acr", "1.2", "Azure's own login"), ("ecr", "part", "with its last tag")]
)
def test_what_is_unsafe_there_is_refused(stage: Stage, vendor: str, tag: str, why: str) -> None:
    """Nothing is sent that could change anything; the hint says what to do instead."""
    before = stage.tags

    with pytest.raises(Refused, match=why) as caught:
        stage.remove(tag, vendor=vendor)

    assert stage.tags == before
    assert caught.value.hint
    assert all(method in ("GET", "HEAD") for method, _ in stage.asked.requests)


def test_one_of_several_tags_goes_at_amazons(stage: Stage) -> None:
    """The image has another one that stays."""
    stage.remove("1.2", vendor="ecr")

    assert "1.2" not in stage.tags


@dataclass
class Bridged(GitHubDouble):
    """GitHub's API over the packages that are really in the registry: a digest with its tags is a version."""

    stage: Stage | None = None

    def handle(self, call: Call) -> Answer:
        assert self.stage is not None
        store = self.stage.asked.place.registry.store
        names = store.names(APP) or Names()
        numbers = {int(digest[7:15], 16): digest for digest in names.manifests}
        self.packages[APP] = [
            Version(number, digest, [tag for tag, at in names.tags.items() if at == digest])
            for number, digest in numbers.items()
        ]
        answer = super().handle(call)
        if call.method == "DELETE" and answer.status == 204:
            store.write_names(APP, names.without_manifests(numbers[int(call.path.rpartition("/")[2])]))
        return answer


@contextmanager
def github(stage: Stage, *scopes: str) -> Iterator[Bridged]:
    """Make the registry GitHub's, which deletes neither by tag nor by digest."""
    stage.front.switch_on("tag-delete-405")
    owner = APP.partition("/")[0]
    with double.serving(Bridged(tokens={SECRET: set(scopes)}, owners={owner: "orgs"}, stage=stage)) as served:
        yield served


def test_at_githubs_a_stand_in_goes_as_a_version(stage: Stage) -> None:
    """The version that the tag was on stays, with the tags that stay; the one that proves it is gone, too."""
    before = stage.tags
    with github(stage, "read:packages", "delete:packages") as api:
        stage.remove("1.2", "part", vendor="ghcr", api=api.url)

    assert stage.tags == {name: digest for name, digest in before.items() if name not in ("1.2", "part")}
    assert stage.asked.place.has(before["part"])
    assert stage.asked.written == {"1.2", "part", PROBE}


def test_at_githubs_a_missing_scope_is_noticed_before_a_tag_is_written(stage: Stage) -> None:
    """The tag that it was tried with stays, and the error names it."""
    before = stage.tags
    with github(stage, "read:packages") as api, pytest.raises(AccessDenied, match=PROBE) as caught:
        stage.remove("1.2", vendor="ghcr", api=api.url)

    assert {name: digest for name, digest in stage.tags.items() if name != PROBE} == before
    assert stage.asked.written == {PROBE}
    assert "delete:packages" in (caught.value.hint or "")
    assert SECRET not in str(caught.value)
