"""Cleaning: no tag that stays ever loses anything that it needs, whatever the repository, the rules and the registry.

The repositories are drawn (tests/support/repositories.py), which also says, by itself, what a tag needs.
REGKIT_EXAMPLES sets how many: 10,000 for the proof, by `make prove`; fewer in a usual run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from regkit.devregistry.quirks.deletion import DELETION
from regkit.oci.digest import Digest
from regkit.oci.reference import Reference
from regkit.ops import cleanup as cleanup_module
from regkit.ops.census import Census, Known
from regkit.ops.cleaning import Cleaning
from regkit.ops.cleanup import cleanup
from regkit.ops.removal import RemovedTags
from regkit.targets.repository import Repository
from tests.support.repositories import NOW, Drawn, fill, in_process, repositories, standing, there

EXAMPLES = int(os.environ.get("REGKIT_EXAMPLES", "400"))
IMAGE = Reference.parse_name("127.0.0.1:1/team/app")
CASCADING = {"tag-delete-takes-digest", "last-tag-takes-image", "children-unprotected"}

drawing = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def clean(drawn: Drawn, *quirks: str) -> None:
    """Fill a registry, clean it, and look at what is left; an AssertionError tells what is lost."""
    session, front = in_process()
    repository = Repository(session, IMAGE)
    fill(repository, drawn)
    for quirk in quirks:
        front.switch_on(quirk)
    cleaning = Cleaning(session, IMAGE)
    before = standing(repository)

    plan = cleaning.plan(drawn.policies, NOW)
    done = cleanup(cleaning, plan)

    after, left = standing(repository), there(repository, drawn)
    assert {each.tag for each in plan.tags} == before.keys()
    assert all(tag.reason for tag in plan.tags)
    assert all(manifest.reason for manifest in plan.manifests)
    assert set(done.removed) <= plan.going.keys()
    assert {tag: digest for tag, digest in before.items() if tag not in done.removed} == after
    # Tags that belong to a manifest by name live as long as that: they are needed, and need nothing themselves.
    staying = {tag: digest for tag, digest in after.items() if not tag.startswith("sha256-")}
    for tag, needed in drawn.closure(staying).items():
        assert needed <= left, f"{tag} lost {needed - left}"
    if not any(policy.untagged for policy in drawn.policies):
        assert left == drawn.by_digest.keys()
    if not quirks:
        assert not done.failed
        assert plan.going.keys() == set(done.removed)
        assert left == drawn.by_digest.keys() - set(done.deleted)


@drawing
@given(repositories())
def test_no_tag_that_stays_loses_what_it_needs(drawn: Drawn) -> None:
    """On a registry that does what the specification says, and all that is planned is done."""
    clean(drawn)


@pytest.mark.parametrize("quirk", [quirk.name for quirk in DELETION])
def test_nor_on_a_registry_with_a_will_of_its_own(quirk: str) -> None:
    """Nor where deleting is refused, takes more along, or is done by a stand-in."""

    @settings(drawing, max_examples=max(EXAMPLES // 10, 20))
    @given(repositories())
    def check(drawn: Drawn) -> None:
        clean(drawn, quirk)

    check()


def _puts_nothing_back(self: RemovedTags, before: object) -> None:
    del self, before


def _stands_alone(self: Census, tags: Iterable[str]) -> dict[Digest, str]:
    return {self.tags[tag]: tag for tag in tags}


MUTATIONS: dict[str, tuple[str, type, str, object]] = {
    "only what a tag stands on is kept": ("", Census, "kept_by", _stands_alone),
    "only what an index lists is kept": ("", Known, "around", property(lambda known: known.children)),
    **{f"nothing is put back: {name}": (name, RemovedTags, "_put_back", _puts_nothing_back) for name in CASCADING},
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_without_a_guard_it_is_found(mutation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take one guard away, and the same check fails: so it can fail, and the guard is needed."""
    quirk, owner, name, instead = MUTATIONS[mutation]
    monkeypatch.setattr(owner, name, instead)
    monkeypatch.setattr(cleanup_module, "_lost", lambda *_: None)  # it would tell by itself

    @settings(drawing, max_examples=4000, derandomize=True, database=None, phases=[Phase.generate])
    @given(repositories())
    def check(drawn: Drawn) -> None:
        clean(drawn, *([quirk] if quirk else []))

    with pytest.raises(AssertionError):
        check()
