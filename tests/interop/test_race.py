"""Two who publish at the same time: a proxy before each holds its requests, and lets them go in every order."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from regkit.errors import Refused
from regkit.ops.publish import publish
from regkit.ops.request import publish_spec
from regkit.ops.result import PublishResult
from regkit.ops.tasks import ahead
from regkit.transport.session import Session
from tests.ops.support import Served, attested_layout
from tests.support.command import output_of, regkit, started
from tests.support.layouts import make_layout
from tests.support.proxy import Hold, Proxy, proxy
from tests.support.registries import RunningRegistry
from tests.support.waiting import until

STEPS = ("1", "exact", "latest", "list")
"""What counts of a publish: the writes that both make, the one that shows a version, and the look after all of them."""

ORDERS = [tuple("A" if n in chosen else "B" for n in range(8)) for chosen in itertools.combinations(range(8), 4)]
"""All orders in which the steps of two publishers, A and B, can come."""


@dataclass
class Publisher:
    """One of them: it goes through its own proxy, which holds each of its steps."""

    between: Proxy
    version: str
    layout: Path

    def hold(self, repository: str) -> dict[str, Hold]:
        """Hold the steps; the first list, before the plan, goes through."""
        names = f"/v2/{repository}"
        self.between.hold("GET", f"{names}/tags/list").release()
        puts = {step: self.version if step == "exact" else step for step in STEPS[:-1]}
        holds = {step: self.between.hold("PUT", f"{names}/manifests/{tag}$") for step, tag in puts.items()}
        return {**holds, "list": self.between.hold("GET", f"{names}/tags/list")}

    def publish(self, repository: str) -> PublishResult | Refused:
        """Publish; a refusal is a result here."""
        with Session() as session:
            image = f"{self.between.host}/{repository}"
            spec = publish_spec(image, sources=[self.layout], version=self.version, env={})
            try:
                return publish(session, spec, env={})
            except Refused as refusal:
                return refusal


def race(
    order: Sequence[str],
    holds: dict[str, dict[str, Hold]],
    processes: Mapping[str, subprocess.Popen[bytes]] | None = None,
) -> None:
    """Let the steps go in this order, each when the one before is answered; all have planned before the first.

    A process that has ended comes to no step: that isn't waited for.
    """

    def comes(name: str, step: str) -> None:
        is_held, process = holds[name][step].held.is_set, (processes or {}).get(name)
        until(lambda: is_held() or (process and process.poll() is not None), f"{name} comes to {step}")
        assert is_held(), f"{name} ended before it came to {step}: {process and process.communicate()}"

    for name in holds:
        comes(name, STEPS[0])
    steps = {name: iter(STEPS) for name in holds}
    for name in order:
        step = next(steps[name])
        comes(name, step)
        hold = holds[name][step]
        hold.release()
        until(lambda hold=hold: hold.seen[0].status, f"{name} has its answer")  # type: ignore[misc]


def pair(stack: ExitStack, host: str, tmp_path: Path, *versions: str) -> dict[str, Publisher]:
    """Make publishers A and B, whose content differs."""
    return {
        name: Publisher(
            stack.enter_context(proxy(host)), version, attested_layout(tmp_path / name, "linux/amd64", content=name)
        )
        for name, version in zip("AB", versions, strict=True)
    }


def run_all(
    served: Served,
    both: dict[str, Publisher],
    check: Callable[[tuple[str, ...], dict[str, str], Mapping[str, object]], None],
) -> None:
    """Race in every order, each in a repository of its own, and look at the tags when both rest."""
    for number, order in enumerate(ORDERS):
        repository = f"race/n{number}"
        holds = {name: publisher.hold(repository) for name, publisher in both.items()}
        running = {name: ahead(partial(publisher.publish, repository)) for name, publisher in both.items()}
        race(order, holds)
        ends = {name: end() for name, end in running.items()}
        check(order, served.tags(repository), ends)


def test_the_aliases_stand_on_the_higher_version_in_every_order(served: Served, tmp_path: Path) -> None:
    """1.2.4 and 1.3.0 into an empty repository, in all 70 orders: at rest `1` and `latest` are 1.3.0.

    The higher one never loses; the lower one does where it can have seen the other's version, and says so.
    """
    losses = []

    def check(order: tuple[str, ...], tags: dict[str, str], ends: Mapping[str, object]) -> None:
        lower, higher = tags["1.2.4"], tags["1.3.0"]
        assert tags == {
            "1": higher, "1.2": lower, "1.2.4": lower, "1.3": higher, "1.3.0": higher, "latest": higher
        }, order  # fmt: skip
        winner, loser = ends["B"], ends["A"]
        assert isinstance(winner, PublishResult)
        assert winner.unfinished is None, order
        assert winner.tags == ("1", "1.3", "1.3.0", "latest")
        assert isinstance(loser, PublishResult)
        seen = [n for n, name in enumerate(order) if name == "B"][1] < [
            n for n, name in enumerate(order) if name == "A"
        ][3]
        if seen:
            assert isinstance(loser.unfinished, Refused), order
        if loser.unfinished is not None:
            losses.append(loser)
            assert f"went to 1.3.0, {higher}" in loser.unfinished.message
            assert set(loser.kept) <= {"1", "latest"}

    with ExitStack() as stack:
        run_all(served, pair(stack, served.host, tmp_path, "1.2.4", "1.3.0"), check)

    assert 0 < len(losses) < len(ORDERS)


def test_one_of_two_that_publish_the_same_version_wins_in_every_order(served: Served, tmp_path: Path) -> None:
    """Other content under the same version, in all 70 orders: at rest all tags stand on one of the two."""
    refused = []

    def check(order: tuple[str, ...], tags: dict[str, str], ends: Mapping[str, object]) -> None:
        assert tags == dict.fromkeys(("1", "1.2", "1.2.3", "latest"), tags["1.2.3"]), order
        fine = [end for end in ends.values() if isinstance(end, PublishResult) and end.unfinished is None]
        assert tags["1.2.3"] in {end.index.digest for end in fine}, order
        for end in ends.values():
            if isinstance(end, Refused):
                refused.append(end)
                assert f"1.2.3, latest went to other content, {tags['1.2.3']}" in end.message

    with ExitStack() as stack:
        run_all(served, pair(stack, served.host, tmp_path, "1.2.3", "1.2.3"), check)

    assert 0 < len(refused) < len(ORDERS)


@pytest.mark.parametrize("order", ["ABABABAB", "BBABAAAB", "BABBAABA"])
@pytest.mark.parametrize("registry", ["distribution", "debian"], indirect=True)
def test_two_processes(registry: RunningRegistry, tmp_path: Path, order: str) -> None:
    """The same with the real command: the one that loses ends with 9 and names whom it lost to; its own tag is up."""
    with ExitStack() as stack:
        both = pair(stack, registry.host, tmp_path, "1.2.4", "1.3.0")
        holds = {name: publisher.hold("race/app") for name, publisher in both.items()}
        processes: dict[str, subprocess.Popen[bytes]] = {}
        for name, publisher in both.items():
            image = f"{publisher.between.host}/race/app"
            command = ("publish", "--from", publisher.layout, "--image", image, "--version", publisher.version)
            processes[name] = stack.enter_context(started(*command, home=tmp_path))
        race(order, holds, processes)
        said = {name: process.communicate(timeout=60) for name, process in processes.items()}

    tags = {tag: digest_of(registry, tag) for tag in registry.tags("race/app")}
    assert tags["1"] == tags["latest"] == tags["1.3"] == tags["1.3.0"]
    assert tags["1.2"] == tags["1.2.4"] != tags["1"]
    assert processes["B"].returncode == 0, said["B"]
    out, err = (text.decode() for text in said["A"])
    assert processes["A"].returncode == 9, err
    assert out == f"{both['A'].between.host}/race/app@{tags['1.2.4']}\n"
    assert f"went to 1.3.0, {tags['1.3.0']}" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("kind", ["image", "index"])
@pytest.mark.parametrize("registry", ["debian"], indirect=True)
def test_what_both_push_at_the_same_moment(registry: RunningRegistry, tmp_path: Path, kind: str) -> None:
    """docker-registry 2.8 writes links in place: one that is empty when a manifest names it costs no publish.

    The registry calls a blob unknown, or an image, that it has; asked for that, it answers 500 until the link is whole.
    """
    index = make_layout(tmp_path / "layout")
    revision = f"_manifests/revisions/sha256/{index.manifests[0].digest.hex}/link"
    links, looks, others = {"image": ("_layers/*/*/link", "/blobs/", 0), "index": (revision, "/manifests/", 1)}[kind]
    with proxy(registry.host) as between:
        put = between.hold("PUT", "/manifests/sha256:", passing=others)
        look = between.hold("HEAD", looks, passing=others)
        command = ("publish", "--from", tmp_path / "layout", "--image", f"{between.host}/app", "--version", "v1.2.3")
        with started(*command, home=tmp_path) as process:
            until(put.held.is_set, "the manifest is on its way")
            link = next((registry.root / "content").rglob(f"repositories/app/{links}"))
            whole = link.read_bytes()
            link.write_bytes(b"")
            put.release()
            until(lambda: put.seen[0].status, "it is refused")
            until(look.held.is_set, "it is asked for what it says is unknown")
            look.release()
            until(lambda: look.seen[0].status, "that is answered")
            link.write_bytes(whole)
            said = process.communicate(timeout=60)[1].decode()
    assert (put.seen[0].status, look.seen[0].status) == (400, 500)
    assert process.returncode == 0, said
    assert registry.tags("app") == ["1", "1.2", "1.2.3", "latest"]


@pytest.mark.parametrize("registry", ["distribution"], indirect=True)
def test_what_looking_again_costs(registry: RunningRegistry, tmp_path: Path) -> None:
    """A plain publish lists the tags once more, beside the reading back of what it wrote, and asks nothing else."""
    make_layout(tmp_path / "layout")
    command = ("publish", "--from", tmp_path / "layout", "--image", f"{registry.host}/app")

    with proxy(registry.host) as between:
        between.hold("GET", "/tags/list").release()
        again = between.hold("GET", "/tags/list")
        with started(*command[:-1], f"{between.host}/app", "--version", "v1.2.3", home=tmp_path) as process:
            until(again.held.is_set, "it looks again")
            until(
                lambda: len([e for e in between.requests("HEAD", "/manifests/[^:]+$") if e.status]) == 4,
                "it reads back",
            )
            again.release()
            assert process.wait(30) == 0
        assert len(between.requests("GET")) == 2

    mark = registry.mark()
    output_of(regkit(*command, "--version", "v1.2.3"))
    assert len([logged for logged in registry.since(mark) if "/tags/list" in logged.path]) == 1


def digest_of(registry: RunningRegistry, tag: str) -> str:
    return output_of(regkit("resolve", f"{registry.host}/race/app:{tag}")).strip().rpartition("@")[2]
