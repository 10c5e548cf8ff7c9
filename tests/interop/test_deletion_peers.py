"""The same deletions by skopeo, oras, crane, regctl and regkit, beside each other: kept, lost, refused; computed.

Three jobs on a release: one of two tags on its index goes; the tag of one of its images goes, and then the registry
collects its garbage; and a tag goes where deletes are switched off.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from regkit.oci.reference import Reference
from regkit.targets.layout import Layout
from regkit.targets.repository import Repository
from regkit.transport.session import Session
from tests.support.command import output_of, peer, regkit
from tests.support.layouts import make_layout
from tests.support.registries import RunningRegistry, debian, distribution, embedded
from tests.support.repositories import standing

PLACES: Mapping[str, Callable[[Path], AbstractContextManager[RunningRegistry]]] = {
    "distribution v3": distribution,
    "docker-registry 2.8": partial(debian, delete=True),
    "embedded": embedded,
}
OFF: Mapping[str, Callable[[Path], AbstractContextManager[RunningRegistry]]] = {
    "distribution v3": partial(distribution, delete=False),
    "docker-registry 2.8": partial(debian, delete=False),
}
TOOLS = ("regkit", "skopeo", "oras", "crane", "regctl")


def delete(tool: str, host: str, name: str) -> subprocess.CompletedProcess[str]:
    """Ask a tool to delete one tag."""
    commands = {
        "skopeo": ("skopeo", "delete", "--tls-verify=false", f"docker://{name}"),
        "oras": ("oras", "manifest", "delete", "--plain-http", "--force", name),
        "crane": ("crane", "delete", "--insecure", name),
        "regctl": ("regctl", "--host", f"reg={host},tls=disabled", "tag", "delete", name),
    }
    return regkit("tag", "rm", name, "--yes") if tool == "regkit" else peer(*commands[tool])


class Job:
    """A release in a repository of its own: `1.0` and `latest` on its index, `amd` and `arm` on its images."""

    def __init__(self, registry: RunningRegistry, layout: Path, tool: str) -> None:
        self.registry, self.tool = registry, tool
        self.path = f"job/{tool}"
        self.release = Layout(layout).manifest("built")
        output_of(regkit("copy", f"oci:{layout}:built", f"{self.name}:1.0"))
        output_of(regkit("tag", "set", f"{self.name}:1.0", "latest"))
        for image, tag in zip(self.release.manifests, ("amd", "arm"), strict=True):
            output_of(regkit("tag", "set", f"{self.name}@{image.digest}", tag))

    @property
    def name(self) -> str:
        return f"{self.registry.host}/{self.path}"

    def run(self, tag: str) -> str:
        """Delete a tag; say what became of it, and of all the rest."""
        with Session() as session:
            before = standing(self._repository(session))
            done = delete(self.tool, self.registry.host, f"{self.name}:{tag}")
            after = standing(self._repository(session))
        self.others = {name: digest for name, digest in before.items() if name != tag}
        lost = [name for name, digest in self.others.items() if after.get(name) != digest]
        if lost:
            return f"lost {', '.join(sorted(lost))}"
        if tag in after:
            if after[tag] != before[tag]:
                return f"ruined {tag}"
            return "refused" if done.returncode else "did nothing"
        return "kept the rest"

    def look(self) -> str:
        """Say what of the release is missing."""
        with Session() as session:
            repository = self._repository(session)
            wanted = [self.release.digest, *(child.digest for child in self.release.manifests)]
            lost = [digest for digest in wanted if repository.resolve(digest) is None]
        return f"lost {len(lost)} of {len(wanted)} manifests" if lost else "whole"

    def _repository(self, session: Session) -> Repository:
        return Repository(session, Reference.parse_name(self.name))


def collect(registry: RunningRegistry) -> None:
    """Run distribution's garbage collection of all that has no tag, while it is stopped."""
    registry.stop()
    argv = [registry.command[0], "garbage-collect", "-m", str(registry.config)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=registry.root)
    assert done.returncode == 0, done.stderr[-2000:]
    registry.start()


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("deletion") / "layout"
    make_layout(root, ("linux/amd64", "linux/arm64"))
    return root


@pytest.fixture(scope="module")
def table(layout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, str], str]:
    """Give what became of each job: by job, registry and tool."""
    found: dict[tuple[str, str, str], str] = {}
    for place, start in PLACES.items():
        with start(tmp_path_factory.mktemp("place") / "registry") as registry:
            for tool in TOOLS:
                found["one of two tags", place, tool] = Job(registry, layout, tool).run("latest")
        with start(tmp_path_factory.mktemp("collected") / "registry") as registry:
            jobs = [Job(registry, layout, tool) for tool in TOOLS]
            said = {job.tool: job.run("arm") for job in jobs}
            if registry.config is not None:
                collect(registry)
            for job in jobs:
                found["an image's tag, then the collector", place, job.tool] = f"{said[job.tool]}; {job.look()}"
    for place, start in OFF.items():
        with start(tmp_path_factory.mktemp("off") / "registry") as registry:
            for tool in TOOLS:
                found["deletes switched off", place, tool] = Job(registry, layout, tool).run("latest")
    return found


def rows(table: Mapping[tuple[str, str, str], str]) -> Iterator[str]:
    """Lay the table out: a line for each job and registry."""
    places = list(dict.fromkeys((job, place) for job, place, _ in table))
    cells = [["job", "registry", *TOOLS]]
    cells += [[job, place, *(table[job, place, tool] for tool in TOOLS)] for job, place in places]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def test_regkit_loses_nothing_anywhere(
    table: dict[tuple[str, str, str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It removes the tag and keeps the rest, or refuses and leaves all as it was; the table is printed."""
    with capsys.disabled():
        print("", *rows(table), sep="\n")

    for (job, place, tool), outcome in table.items():
        if tool == "regkit":
            assert outcome in ("kept the rest", "refused", "kept the rest; whole", "refused; whole"), (job, place)
    assert {outcome for (job, _, tool), outcome in table.items() if tool == "regkit" and "two" in job} == {
        "kept the rest"
    }


def test_each_peer_loses_something_or_cannot(table: dict[tuple[str, str, str], str]) -> None:
    """So the jobs are hard enough: none of the peers does all of them without harm."""
    for tool in TOOLS[1:]:
        outcomes = [outcome for (_, _, who), outcome in table.items() if who == tool]
        assert any("lost" in outcome or "ruined" in outcome or "refused" in outcome for outcome in outcomes), tool
