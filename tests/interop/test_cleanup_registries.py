"""Cleaning real registries: 200 drawn repositories on each, also after the registry's own garbage collection.

In a usual run they are 40; `make prove`, which sets REGKIT_EXAMPLES, draws all.

Every repository is there twice, and one of the two is cleaned. What the collector takes from the one that isn't cleaned
is the registry's doing: distribution 2.8 takes what an index lists, unless a tag is on it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from regkit.devregistry.app import DevRegistry
from regkit.devregistry.front import Front
from regkit.devregistry.quirks.deletion import DELETION
from regkit.devregistry.server import running
from regkit.oci.digest import Digest
from regkit.oci.reference import Reference
from regkit.ops.cleaning import Cleaning
from regkit.ops.cleanup import cleanup
from regkit.ops.guard import TagGuard
from regkit.targets.repository import Repository
from regkit.transport.session import Session
from tests.support.registries import RunningRegistry, debian, distribution, embedded
from tests.support.repositories import NOW, Drawn, fill, repositories, standing, there

EXAMPLES = 200 if "REGKIT_EXAMPLES" in os.environ else 40
KINDS: Mapping[str, Callable[[Path], AbstractContextManager[RunningRegistry]]] = {
    "distribution": distribution,
    "debian": partial(debian, delete=True),
    "embedded": embedded,
}


@dataclass
class Case:
    """A drawn repository that was cleaned as `cleaned/N`, and is as it was as `as-it-was/N`; the tags that stay."""

    number: int
    drawn: Drawn
    staying: Mapping[str, Digest]

    def lost(self, session: Session, host: str, which: str) -> frozenset[Digest]:
        """Give what a tag that stays needs, and that isn't in one of the two."""
        left = there(Repository(session, name(host, which, self.number)), self.drawn)
        needed = frozenset[Digest]().union(*self.drawn.closure(self.staying).values())
        return needed - left


@dataclass
class Round:
    """All cases of one registry."""

    session: Session
    host: str
    cases: list[Case] = field(default_factory=list)
    removed: int = 0
    deleted: int = 0

    def clean(self, drawn: Drawn, before: Callable[[], None] = lambda: None) -> None:
        """Fill both, clean one, and look at it."""
        number = len(self.cases)
        for which in ("cleaned", "as-it-was"):
            fill(Repository(self.session, name(self.host, which, number)), drawn)
        before()
        image = name(self.host, "cleaned", number)
        cleaning = Cleaning(self.session, image)
        filled = standing(cleaning.repository)
        done = cleanup(cleaning, cleaning.plan(drawn.policies, NOW))
        left = standing(cleaning.repository)
        assert left == {tag: digest for tag, digest in filled.items() if tag not in done.removed}
        staying = {tag: digest for tag, digest in left.items() if not tag.startswith("sha256-")}
        case = Case(number, drawn, staying)
        assert case.lost(self.session, self.host, "cleaned") == frozenset()
        self.cases.append(case)
        self.removed += len(done.removed)
        self.deleted += len(done.deleted)


def name(host: str, which: str, number: int) -> Reference:
    return Reference.parse_name(f"{host}/{which}/{number}")


def drawn_for(work: Callable[[Drawn], None], examples: int) -> None:
    """Draw repositories for `work`, the same in each run."""

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(repositories())
    def run(drawn: Drawn) -> None:
        work(drawn)

    run()


def collect(registry: RunningRegistry) -> None:
    """Run the registry's own garbage collection, of all that has no tag, while it is stopped; then start it again."""
    registry.stop()
    if registry.config is not None:
        binary = registry.command[0]
        argv = [binary, "garbage-collect", "-m", str(registry.config)]
    else:
        directory = registry.command[registry.command.index("--dir") + 1]
        argv = [sys.executable, "-m", "regkit", "registry", "gc", "--dir", directory, "--untagged", "--yes"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=registry.root)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    registry.start()


@pytest.fixture(params=list(KINDS))
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningRegistry]:
    with KINDS[request.param](tmp_path / "registry") as started:
        yield started


def test_no_tag_that_stays_loses_what_it_needs_nor_by_the_collector(registry: RunningRegistry) -> None:
    """Cleaned, all is there; collected, nothing is lost that isn't lost without a cleanup as well."""
    with Session() as session:
        cases = Round(session, registry.host)
        drawn_for(cases.clean, EXAMPLES)
        collect(registry)
        for case in cases.cases:
            lost = case.lost(session, registry.host, "cleaned")
            assert lost <= case.lost(session, registry.host, "as-it-was"), (case, lost)
            for tag, digest in case.staying.items():
                found = Repository(session, name(registry.host, "cleaned", case.number)).resolve(tag)
                assert found is not None
                assert found.digest == digest

    assert len(cases.cases) == EXAMPLES
    assert min(cases.removed, cases.deleted) > EXAMPLES / 20


@pytest.mark.parametrize("registry", ["debian"], indirect=True)
def test_the_collector_of_2_8_takes_what_no_tag_protects(
    registry: RunningRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the guard for it the same check fails there: an image whose only tag went is collected."""
    monkeypatch.setattr(TagGuard, "holds", lambda *_: None)
    monkeypatch.setattr(Cleaning, "_only_tags_protect", lambda _: False)
    with Session() as session:
        cases = Round(session, registry.host)
        drawn_for(cases.clean, EXAMPLES)
        collect(registry)
        harmed = [
            case
            for case in cases.cases
            if not case.lost(session, registry.host, "cleaned") <= case.lost(session, registry.host, "as-it-was")
        ]

    assert harmed != []


@pytest.mark.parametrize("quirk", [quirk.name for quirk in DELETION])
def test_nor_on_the_embedded_registry_with_each_quirk(quirk: str) -> None:
    """Over sockets; the quirk is switched on once the repository is there."""
    front = Front(DevRegistry())
    with running(front) as server, Session() as session:
        cases = Round(session, server.host)

        def clean(drawn: Drawn) -> None:
            try:
                cases.clean(drawn, lambda: front.switch_on(quirk))
            finally:
                front.switch_off(quirk)

        drawn_for(clean, EXAMPLES // len(DELETION) + 1)
