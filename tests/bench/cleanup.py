"""The rows of removing tags and planning cleanups."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from regkit.oci.descriptor import Descriptor
from regkit.oci.manifest import Manifest, assemble_index, canonical_json
from regkit.oci.platform import Platform
from regkit.oci.reference import Reference
from regkit.ops.tasks import each
from regkit.protocol.flow import Bytes
from regkit.targets.repository import Repository
from regkit.transport.session import Session
from tests.bench.lab import REGKIT, Lab, Place, regctl
from tests.bench.measure import Command, compare
from tests.bench.table import Line, row
from tests.support.memory import peak_memory

TAGS = 1000
BY_PEER = 20
RUNS = 3
MANY, INDEXES = 10_000, 2_000


@row("tag-rm")
def tag_rm(lab: Lab) -> Iterator[Line]:
    """Remove many tags from a registry that is far away."""
    with lab.registry("tag-rm", far=True) as place:
        ours = [f"ours{run}" for run in range(RUNS + 1)]
        theirs = [f"theirs{run}" for run in range(RUNS + 1)]
        for name in (*ours, *theirs):
            _fill(place, name, {f"t{number}": number % 10 for number in range(TAGS if name in ours else BY_PEER)})
        listed = [_list(lab, place, name) for name in ours]
        found = compare(
            Command.of("regkit", lambda run: ["sh", "-c", f"{REGKIT} -q tag rm - --yes < {listed[run]}"]),
            [
                Command(
                    "regctl",
                    lambda run: [
                        [*regctl(place), "tag", "delete", f"{place.host}/{theirs[run]}:t{number}"]
                        for number in range(BY_PEER)
                    ],
                )
            ],
            lab.env,
            registries=[place.running],
            runs=RUNS,
        )
    mine, peer = found.seconds
    scaled = peer * TAGS / BY_PEER
    yield Line(
        f"remove {TAGS} tags, 50 ms round trip; regctl: a process a tag, {BY_PEER} timed and scaled up",
        f"{mine:.3f} s",
        f"regctl {scaled:.0f} s",
        f"{mine / scaled:.4f}",
        "≤ 0.033",
        f"each tag is looked up and deleted, 64 at once; what they stand on is read once. Requests: {found.requests}",
    )


@row("cleanup-plan")
def cleanup_plan(lab: Lab) -> Iterator[Line]:
    """Plan the cleanup of a repository with many tags."""
    with lab.registry("cleanup-plan") as place:
        _fill(place, "many", {f"v{number}": number % INDEXES for number in range(MANY)})
        for options, work in ((("--keep", "0"), "tags alone"), (("--keep", "0", "--untagged"), "deep")):
            argv = ["-q", "cleanup", "plan", f"{place.host}/many", "--match", "v1.*", *options]
            mark, begun = place.running.mark(), time.perf_counter()
            subprocess.run([REGKIT, *argv], env=dict(lab.env), check=True, capture_output=True)
            seconds, requests = time.perf_counter() - begun, len(place.running.since(mark))
            peak = peak_memory(*argv, home=lab.root)
            yield Line(
                f"plan a cleanup, {MANY} tags on {INDEXES} indexes of 2 images, {work}",
                f"{seconds:.1f} s, {peak / 1e6:.0f} MB",
                "",
                "",
                "≤ 30 s, ≤ 150 MB",
                f"a HEAD a tag and a GET an index; deep, a GET an image too. Requests: {requests}",
            )


def _fill(place: Place, name: str, tags: dict[str, int]) -> None:
    """Bring indexes of two images there, and set tags on them by their number."""
    with Session() as session:
        repository = Repository(session, Reference.parse_name(f"{place.running.host}/{name}"))
        config = canonical_json({"created": "2026-01-01T00:00:00Z"})
        described = Descriptor.of("application/vnd.oci.image.config.v1+json", config)
        repository.push(described, Bytes(config))
        indexes = each(lambda number: _index(repository, described, number), sorted(set(tags.values())))
        each(lambda tag: repository.push(indexes[tags[tag]].descriptor, Bytes(indexes[tags[tag]].raw), tag), list(tags))


def _index(repository: Repository, config: Descriptor, number: int) -> Manifest:
    children = []
    for platform in ("linux/amd64", "linux/arm64"):
        kind = "application/vnd.oci.image.manifest.v1+json"
        document = {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": config.to_json(),
            "layers": [],
            "annotations": {"number": f"{number} {platform}"},
        }
        image = Manifest(kind, canonical_json(document))
        repository.push(image.descriptor, Bytes(image.raw))
        children.append(
            Descriptor(kind, image.digest, len(image.raw), Platform.parse(platform)),
        )
    return assemble_index(children, {"number": str(number)})


def _list(lab: Lab, place: Place, name: str) -> Path:
    file = lab.root / f"{name}.txt"
    file.write_text("".join(f"{place.host}/{name}:t{number}\n" for number in range(TAGS)))
    return file
