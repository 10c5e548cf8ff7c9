"""The client's rows: what is measured, against whom, and the bar."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.bench.lab import KIB, MIB, PLATFORMS, REGKIT, Lab, Place, copy, push, regctl
from tests.bench.measure import RUNS, Argv, Command, compare
from tests.bench.table import Line, line, row
from tests.support.memory import peak_memory

MEMORY = "≤ 80 MB"
FEW = 3
"""Runs of what moves a gigabyte each."""


@row("version")
def version(lab: Lab) -> Iterator[Line]:
    """Time the shortest command against the interpreter alone."""
    ours = Command.of("regkit", lambda _: [REGKIT, "--version"])
    theirs = Command.of("python -c pass", lambda _: [sys.executable, "-c", "pass"])
    found = compare(ours, [theirs], lab.env, runs=4 * RUNS)
    yield line("`regkit --version`", found, "≤ 3", "the interpreter's own start; nothing is imported but the version")


@row("push-far")
def push_far(lab: Lab) -> Iterator[Line]:
    """Push many small blobs to a registry that is far away."""
    layout = lab.layout("small", PLATFORMS, 6, 64 * KIB)
    with lab.registry("push-far", far=True) as place:
        ours = _named("regkit", place, [REGKIT, "copy", f"ocidir://{layout}:v1", "{}:v1"])
        theirs = _named("crane", place, push(layout, place)["crane"])
        found = compare(ours, [theirs], lab.env, registries=[place.running])
    work = "push a layout, 3 platforms with 6 layers of 64 KiB each, 50 ms round trip"
    bound = (
        "six round trips one after the other (connect, look up the tag, begin the uploads, end them, the images, the "
        f"index under its tag) and one to read it back: 350 ms; the start of Python: 150 ms. CPU: {found.cpu}"
    )
    yield line(work, found, "≤ 0.6", bound)
    yield Line(
        "… its requests",
        str(found.most_requests),
        found.requests,
        "",
        "≤ 50",
        "two a blob, one a manifest, three for the tag",
    )


@row("push-large")
def push_large(lab: Lab) -> Iterator[Line]:
    """Push large blobs, plain."""
    with lab.registry("push-large") as place:
        yield from _push_large(lab, place, "plain")


@row("push-large-tls")
def push_large_tls(lab: Lab) -> Iterator[Line]:
    """Push large blobs over TLS."""
    with lab.guarded("push-large-tls") as (place, trusting):
        yield from _push_large(trusting, place, "over TLS")


def _push_large(lab: Lab, place: Place, how: str) -> Iterator[Line]:
    layout = lab.layout("large", PLATFORMS, 5, 32 * MIB)
    source = f"ocidir://{layout}:v1"
    peers = [_named(name, place, argv) for name, argv in push(layout, place).items()]
    found = compare(_named("regkit", place, [REGKIT, "copy", source, "{}:v1"]), peers, lab.env)
    bound = (
        "480 MiB read, hashed and sent on processors that the registry shares: SHA-256 takes 0.29 s, copying into and "
        "out of the kernel 0.2 s, the start of Python 0.1 s, and all else that regkit does 0.05 s; crane and oras "
        f"don't check what they read. CPU: {found.cpu}"
    )
    yield line(f"push a layout, 3 platforms with 5 layers of 32 MiB each, {how}", found, "≤ 1.1", bound)
    larger = lab.layout("larger", PLATFORMS, 5, 64 * MIB)
    yield _larger(lab, place, f"ocidir://{larger}:v1", found.fastest, push(larger, place))
    if not place.tls:
        yield _peak(lab, "… its peak memory", "copy", source, f"{place.host}/memory:v1")


@row("copy-large")
def copy_large(lab: Lab) -> Iterator[Line]:
    """Copy large blobs from one registry to another."""
    layout = lab.layout("large", PLATFORMS, 5, 32 * MIB)
    with lab.registry("copy-large-from") as origin, lab.registry("copy-large-to") as place:
        source = f"{origin.host}/large:v1"
        _bring(lab, f"ocidir://{layout}:v1", source)
        peers = [_named(name, place, argv) for name, argv in copy(source, origin, place).items()]
        found = compare(_named("regkit", place, [REGKIT, "copy", source, "{}:v1"]), peers, lab.env)
        bound = (
            "480 MiB received, hashed and sent on processors that two registries share; oras lets the kernel pass it "
            f"on, and nobody but regkit looks at its digest. CPU: {found.cpu}"
        )
        yield line("copy the same between two registries", found, "≤ 1.1", bound)
        larger = f"{origin.host}/larger:v1"
        _bring(lab, f"ocidir://{lab.layout('larger', PLATFORMS, 5, 64 * MIB)}:v1", larger)
        yield _larger(lab, place, larger, found.fastest, copy(larger, origin, place))
        yield _peak(lab, "… its peak memory", "copy", source, f"{place.host}/memory:v1")


@row("copy-tags")
def copy_tags(lab: Lab) -> Iterator[Line]:
    """Copy a repository with many tags between registries that are far away."""
    layout = lab.series("series", 50, 3, 64 * KIB)
    with lab.registry("tags-from", far=True) as origin, lab.registry("tags-to", far=True) as place:
        source = f"{origin.host}/series"
        _bring(lab, "--all-tags", f"ocidir://{layout}", f"{origin.running.host}/series")
        plain = ["--src-tls-verify=false", "--dest-tls-verify=false"]
        sync: Argv = ["skopeo", "sync", *plain, "--src", "docker", "--dest", "docker", source, "{}"]
        peers = [
            _named("crane", place, ["crane", "copy", "-a", source, "{}"]),
            Command.of("regsync", lambda run: lab.regsync(source, f"{place.host}/regsync{run}")),
            _named("skopeo", place, sync),
        ]
        ours = _named("regkit", place, [REGKIT, "copy", "--all-tags", source, "{}"])
        found = compare(ours, peers, lab.env, registries=[origin.running, place.running])
    bound = (
        "a dozen round trips, up to 64 requests at once, and the processor's time for them; each layer is asked for "
        f"and brought once. Times: {found.times}. Requests: {found.requests}. CPU: {found.cpu}"
    )
    yield line("copy 50 tags that share 3 layers, both registries 50 ms away", found, "≤ 0.7", bound)


@row("inspect")
def inspect(lab: Lab) -> Iterator[Line]:
    """Look at an index, its images and their configurations."""
    platforms = (*PLATFORMS, "linux/s390x")
    layout = lab.layout("four", platforms, 2, KIB)
    with lab.registry("inspect", far=True) as place:
        name = f"{place.host}/four:v1"
        _bring(lab, f"ocidir://{layout}:v1", f"{place.running.host}/four:v1")
        ours = Command("regkit", lambda _: [[REGKIT, "inspect", name], [REGKIT, "inspect", "--config", name]])
        each = [[*regctl(place), "image", "inspect", "--platform", platform, name] for platform in platforms]
        theirs = Command("buildx and regctl", lambda _: [["buildx", "imagetools", "inspect", name], *each])
        found = compare(ours, [theirs], lab.env, registries=[place.running])
    bound = f"two starts of Python, and three or four round trips each. Requests: {found.requests}. CPU: {found.cpu}"
    work = (
        "inspect an index with 4 platforms, 50 ms: `inspect` and `inspect --config`, against `imagetools inspect` and "
        "four `regctl image inspect`"
    )
    yield line(work, found, "≤ 1.0", bound)


@row("publish")
def publish(lab: Lab) -> Iterator[Line]:
    """Publish a layout under four tags against crane, which pushes it under one."""
    layout = lab.layout("eighteen", PLATFORMS, 5, 64 * KIB)
    release = ("--version", "v1.2.3", "--commit", "0123456789abcdef")
    with lab.registry("publish", far=True) as place:
        argv: Argv = [REGKIT, "publish", "--from", layout, "--image", "{}", *release]
        theirs = _named("crane", place, push(layout, place)["crane"])
        found = compare(_named("regkit", place, argv), [theirs], lab.env, registries=[place.running])
    work = "publish a layout under 4 tags, 18 blobs of 64 KiB, 50 ms round trip; crane: under 1 tag"
    bound = f"ten round trips (ADR 0003) and the start of Python. Requests: {found.requests}"
    yield line(work, found, "≤ 0.8", bound)


@row("memory")
def memory(lab: Lab) -> Iterator[Line]:
    """Give the peak memory for a small and a large layer."""
    sizes = (64, 1024)
    with lab.registry("memory") as place:
        for size in sizes:
            layout = lab.layout(f"layer{size}", PLATFORMS[:1], 1, size * MIB)
            options = ("--from", layout, "--image", f"{place.host}/layer{size}", "--version", "v1.0.0")
            yield _peak(lab, f"publish: peak memory, one layer of {size} MiB", "publish", *options)


def _larger(lab: Lab, place: Place, source: str, fastest: str, peers: Mapping[str, Argv]) -> Line:
    """Do it with twice as much: what doesn't grow, the start of Python, weighs half."""
    ours = _named("regkit", place, [REGKIT, "copy", source, "{}:v1"], "larger-")
    found = compare(ours, [_named(fastest, place, peers[fastest], "larger-")], lab.env, runs=FEW)
    return line("… with layers of 64 MiB", found, "")


def _named(name: str, place: Place, argv: Argv, prefix: str = "") -> Command:
    """Make a command whose `{}` is another repository in each run."""
    repository = f"{place.host}/{prefix}{name}"
    return Command.of(name, lambda run: [str(word).replace("{}", f"{repository}{run}") for word in argv])


def _bring(lab: Lab, *arguments: str) -> None:
    """Copy what is to be measured to where it's measured."""
    subprocess.run([REGKIT, "-q", "copy", *arguments], env=dict(lab.env), check=True, capture_output=True)


def _peak(lab: Lab, work: str, *arguments: str | Path) -> Line:
    peak = peak_memory("-q", *arguments, home=lab.root)
    return Line(work, f"{peak / 1e6:.1f} MB", "", "", MEMORY, "Python: 30 MB; pieces of 256 KiB, whatever a layer has")
