"""What a real buildkitd built, taken out of its store: the same as what it sends, and safe from what it does later."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from regkit.build.address import Address
from regkit.build.buildctl import arguments, build
from regkit.build.means import Means, parse_caches
from regkit.build.spec import BuildSpec
from regkit.build.store import put_together, store_at
from regkit.config.spec import BuilderConfig
from regkit.events import Event, Note, StepDone, StepStarted, ignore
from regkit.oci.annotation import Annotation
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.platform import Platform
from regkit.ops.building import built
from regkit.protocol.flow import Bytes
from regkit.targets.layout import Layout
from regkit.transport.session import Session
from tests.build.conftest import MakeContext, spec_of
from tests.support.builders import RunningBuilder, running_builder
from tests.support.command import output_of, peer, regkit
from tests.support.engines import containerd
from tests.support.layouts import make_layout
from tests.support.registries import embedded

BOTH = "linux/amd64,linux/arm64"
NOBODY = 65534
ARM64 = Platform.parse("linux/arm64/v8")
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "annotations": {"annotations": (Annotation("manifest", "a", "1,2"), Annotation("manifest", "b", "3", ARM64))},
    "epoch": {"build_args": (("SOURCE_DATE_EPOCH", "1700000000"),)},
    "one": {"platforms": (ARM64,)},
}
DOCKERFILE = "FROM scratch\nARG TARGETARCH\nCOPY {mark} /\nCOPY $TARGETARCH /arch\n"


@pytest.fixture
def spec(context: MakeContext, tmp_path: Path) -> BuildSpec:
    """Give a build for two platforms whose layers no other test's build has."""
    mark = tmp_path.name
    return spec_of(context(DOCKERFILE.format(mark=mark), amd64="1", arm64="2", **{mark: str(tmp_path)}), BOTH)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RunningBuilder]:
    """Give a builder for this test alone."""
    with running_builder(tmp_path / "builder") as running:
        yield running


def contents(root: Path) -> dict[str, int]:
    """Read all that a layout's index leads to, each digest checked; give the blobs' sizes."""
    layout = Layout(root)
    found: dict[str, int] = {}
    pending = list(layout.roots)
    while pending:
        descriptor = pending.pop()
        with layout.fetch(descriptor).open() as stream:
            found[descriptor.digest] = len(stream.read())
        if descriptor.is_manifest:
            manifest = layout.manifest(descriptor.digest)
            pending += [*manifest.manifests, *(() if manifest.is_index else manifest.blobs)]
    return found


def blobs(directory: Path) -> dict[str, tuple[int, int]]:
    """Tell of each file of a store or layout how many names it has, and when it was written to."""
    files = [path for path in (directory / "blobs/sha256").iterdir() if not path.name.startswith(".")]
    return {f"sha256:{path.name}": (path.stat().st_nlink, path.stat().st_mtime_ns) for path in files}


def is_linked(root: Path) -> bool:
    """Tell whether a layout's files are another's, too: all of them, or none."""
    (linked,) = {names > 1 for names, _ in blobs(root).values()}
    return linked


def store_of(address: Address) -> Path:
    found = store_at(address)
    assert found is not None
    return found


def export(spec: BuildSpec, address: Address, root: Path, env: dict[str, str]) -> None:
    """Let buildctl write the layout."""
    root.mkdir()
    subprocess.run(["buildctl", *arguments(spec, address, root, env)], env=env, check=True, capture_output=True)


@pytest.mark.parametrize("way", WAYS)
def test_it_is_what_an_export_gives(
    builder: Address, env: dict[str, str], spec: BuildSpec, tmp_path: Path, way: str
) -> None:
    """The same index and the same blobs, no byte of which was sent; nothing besides is in the layout."""
    spec = replace(spec, **WAYS[way])
    build(spec, builder, tmp_path / "taken", ignore, env=env)
    export(spec, builder, tmp_path / "sent", env)

    taken, sent = Layout(tmp_path / "taken"), Layout(tmp_path / "sent")
    assert taken.roots[0].digest == sent.roots[0].digest
    assert contents(taken.root) == contents(sent.root)
    assert blobs(taken.root).keys() == blobs(sent.root).keys() == contents(taken.root).keys()
    assert sorted(path.name for path in taken.root.iterdir()) == ["blobs", "index.json", "oci-layout"]
    assert (is_linked(taken.root), is_linked(sent.root)) == (True, False)


def test_attestations_are_there(builder: Address, env: dict[str, str], spec: BuildSpec, tmp_path: Path) -> None:
    """As many as an export has, with the images' names as their subjects; what they say differs with each build."""
    spec = replace(spec, attests=(("provenance", (("mode", "max"),)),), names=("r.example/a:1", "r.example/b:1"))
    build(spec, builder, tmp_path / "taken", ignore, env=env)
    export(spec, builder, tmp_path / "sent", env)

    assert is_linked(tmp_path / "taken")
    assert len(contents(tmp_path / "taken")) == len(contents(tmp_path / "sent"))
    told = [_attestations(tmp_path / name) for name in ("taken", "sent")]
    assert told[0] == told[1]
    assert len(told[0]) == 2
    for said in told[0].values():
        assert {"pkg:docker/r.example/a", "pkg:docker/r.example/b"} <= {name.partition("@")[0] for name in said}


def _attestations(root: Path) -> dict[Digest, list[str]]:
    """Give the names of the subjects of each image's attestation."""
    layout = Layout(root)
    (top,) = {listed.digest for listed in layout.roots}
    found = {}
    for child in layout.manifest(top).manifests:
        if child.attests is not None:
            (statement,) = layout.manifest(child.digest).layers
            with layout.fetch(statement).open() as stream:
                found[child.attests] = [subject["name"] for subject in json.loads(stream.read())["subject"]]
    return found


def test_what_the_builder_prunes_stays(
    own: RunningBuilder, env: dict[str, str], spec: BuildSpec, tmp_path: Path
) -> None:
    """The builder's own names for it go, with its cache and its history; what was built is whole in the layout."""
    build(spec, own.address, tmp_path / "layout", ignore, env=env)
    before = contents(tmp_path / "layout")
    store = store_of(own.address)
    kept = blobs(tmp_path / "layout").keys()
    assert blobs(store).keys() >= kept

    output_of(peer("buildctl", *own.address.words, "prune-histories"))
    output_of(peer("buildctl", *own.address.words, "prune", "--all"))

    assert not blobs(store).keys() & kept
    assert contents(tmp_path / "layout") == before


def test_what_is_pruned_before_it_is_linked_is_built_again(
    own: RunningBuilder, env: dict[str, str], spec: BuildSpec, tmp_path: Path, events: list[Event]
) -> None:
    """The builder's cache goes in the moment between buildctl's end and the links: then what was built is sent."""
    real, once = shutil.which("buildctl"), tmp_path / "pruned"
    prune = f"test -e {once} || {real} --addr {own.address} prune --all > {once}"
    script = tmp_path / "bin" / "buildctl"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\n{real} "$@" || exit\n{prune}\n')
    script.chmod(0o755)
    build(spec, own.address, tmp_path / "layout", events.append, env={**env, "PATH": f"{script.parent}:{env['PATH']}"})

    assert "Total:" in once.read_text()
    assert not is_linked(tmp_path / "layout")
    assert len(contents(tmp_path / "layout")) == len(blobs(tmp_path / "layout"))


def test_removed_layout_leaves_the_store_whole(
    own: RunningBuilder, env: dict[str, str], spec: BuildSpec, tmp_path: Path, events: list[Event]
) -> None:
    """Nothing of it was written to; a second build finds all its steps done, and is the same."""
    build(spec, own.address, tmp_path / "one", ignore, env=env)
    before, first = blobs(store_of(own.address)), contents(tmp_path / "one")
    shutil.rmtree(tmp_path / "one")
    after = blobs(store_of(own.address))
    build(spec, own.address, tmp_path / "two", events.append, env=env)

    assert {name: written for name, (_, written) in after.items()} == {n: written for n, (_, written) in before.items()}
    assert {names for names, _ in after.values()} == {1}
    assert contents(tmp_path / "two") == first
    copies = [event.cached for event in events if isinstance(event, StepDone) and "COPY" in event.name]
    assert copies
    assert all(copies)


def test_what_is_not_in_the_store_is_sent(
    builder: Address, env: dict[str, str], context: MakeContext, tmp_path: Path, events: list[Event]
) -> None:
    """BuildKit doesn't fetch a base image's layers before it needs them. Nothing is reported, or cached, twice."""
    base = make_layout(tmp_path / "base", BOTH.split(","), layers=2, seed=os.getpid())
    with embedded(tmp_path / "registry") as registry:
        output_of(regkit("copy", f"ocidir://{tmp_path}/base", f"{registry.host}/base:1"))
        made = context(f"FROM {registry.host}/base:1 as odd\nCOPY --link mark /\n", mark=str(tmp_path))
        means = Means(cache_to=parse_caches(f"{registry.host}/cache:1") + parse_caches("type=inline"))
        spec = replace(spec_of(made, BOTH), means=means)
        build(spec, builder, tmp_path / "first", events.append, env=env)
        cached = [asked for asked in registry.requests() if asked.method == "PUT" and "/cache/manifests" in asked.path]
        build(spec, builder, tmp_path / "second", ignore, env=env)

    layers = {
        blob.digest for child in base.manifests for blob in Layout(tmp_path / "base").manifest(child.digest).layers
    }
    assert layers <= contents(tmp_path / "first").keys() & contents(tmp_path / "second").keys()
    assert (is_linked(tmp_path / "first"), is_linked(tmp_path / "second")) == (False, True)
    for kind in (StepStarted, StepDone):
        steps = [(event.platform, event.name) for event in events if isinstance(event, kind)]
        assert sorted(steps) == sorted(set(steps))
        assert any("COPY" in name for _, name in steps)
    assert len([event for event in events if isinstance(event, Note)]) == 1, "an odd `as`"
    assert len(cached) == 1
    assert "moby.buildkit.cache.v0" in _configuration(tmp_path / "first")


def _configuration(root: Path) -> Any:
    """Read the configuration of a layout's first image."""
    layout = Layout(root)
    image = layout.manifest(layout.manifest(layout.roots[0].digest).manifests[0].digest)
    assert image.config is not None
    with layout.fetch(image.config).open() as stream:
        return json.loads(stream.read())


def test_each_builder_of_several_decides_by_itself(
    own: RunningBuilder, env: dict[str, str], spec: BuildSpec, tmp_path: Path
) -> None:
    """One on a socket of this machine, whose store is at hand, and one by tcp: one release of both."""
    with running_builder(tmp_path / "far", authority=trustme.CA()) as far:
        patterns = {"linux/amd64": own.address, "linux/arm64": far.address}
        builders = tuple(BuilderConfig(pattern, at.url, at.tls_dir) for pattern, at in patterns.items())
        means = replace(spec.means, builders=builders)
        own_env = {**env, "XDG_CACHE_HOME": str(tmp_path)}
        with Session() as session, built(session, replace(spec, means=means), own_env) as made:
            linked = {job.address: is_linked(job.output) for job in made.jobs}
            images = [image.platform for image in made.content.images]

    assert linked == {own.address: True, far.address: False}
    assert images == list(spec.platforms)


def test_store_of_another_user_is_left_alone(env: dict[str, str], spec: BuildSpec) -> None:
    """Who may speak with the builder, and not look into its store, is sent what it built."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:  # tmp_path is root's alone
        root = Path(directory)
        root.chmod(0o755)
        with running_builder(root / "builder") as running:
            Path(running.address.url.removeprefix("unix://")).chmod(0o666)
            output = root / "out"
            output.mkdir()
            os.chown(output, NOBODY, NOBODY)
            assert store_at(running.address) is not None
            shutil.copytree(spec.context, root / "context")
            moved = replace(spec, context=root / "context", dockerfile=root / "context" / "Dockerfile")
            os.seteuid(NOBODY)
            try:
                theirs = store_at(running.address)
                build(moved, running.address, output / "layout", ignore, env={**env, "HOME": str(output)})
            finally:
                os.seteuid(0)

        assert theirs is None
        assert not is_linked(output / "layout")
        assert len(contents(output / "layout")) == len(blobs(output / "layout"))


def test_builder_that_sees_other_files(
    own: RunningBuilder, env: dict[str, str], spec: BuildSpec, tmp_path: Path
) -> None:
    """What is at its store's path here isn't its store, as with a builder in a container: so it sends what it built."""
    worker = store_of(own.address).parent
    shutil.copytree(worker, tmp_path / "other")
    subprocess.run(["mount", "--bind", tmp_path / "other", worker], check=True)  # the builder has mounts of its own
    try:
        assert store_at(own.address) is None
        build(spec, own.address, tmp_path / "layout", ignore, env=env)
    finally:
        subprocess.run(["umount", worker], check=True)

    assert not is_linked(tmp_path / "layout")
    assert store_of(own.address) == worker / "content"


def test_builder_that_keeps_its_content_in_containerd(env: dict[str, str], spec: BuildSpec) -> None:
    """Its store is another, and isn't read: it sends what it built."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory, containerd(Path(directory) / "c") as engine:
        worker = ("--containerd-worker=true", "--oci-worker=false", "--containerd-worker-net=host")
        at = f"--containerd-worker-addr={engine.env['CONTAINERD_ADDRESS']}"
        with running_builder(Path(directory) / "b", options=(*worker, at)) as running:
            assert store_at(running.address) is None
            build(spec, running.address, Path(directory) / "layout", ignore, env=env)

            assert not is_linked(Path(directory) / "layout")
            assert len(contents(Path(directory) / "layout")) == len(blobs(Path(directory) / "layout"))


def test_nobody_known_is_behind_the_address(tmp_path: Path) -> None:
    """A builder on another machine, none at all, and one that something stands before."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()

        assert store_at(Address(f"unix://{tmp_path}/s")) is None
    assert store_at(Address(f"unix://{tmp_path}/s")) is None
    assert store_at(Address(f"unix://{tmp_path}/none")) is None
    assert store_at(Address("tcp://127.0.0.1:1")) is None


def _missing(path: Path) -> None:
    path.unlink()


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _changed(path: Path) -> None:
    path.write_bytes(path.read_bytes().swapcase())


def _elsewhere(path: Path) -> None:
    path.replace(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


@pytest.mark.parametrize(
    ("harm", "kinds"),
    [
        (_missing, ("index", "image", "config", "layer")),
        (_truncated, ("index", "image", "config", "layer")),
        (_elsewhere, ("index", "image", "config", "layer")),
        (_changed, ("index", "image")),
    ],
)
def test_store_that_is_not_whole(tmp_path: Path, harm: Callable[[Path], None], kinds: tuple[str, ...]) -> None:
    """It's said, whatever is missing, or isn't what its name says; contents are checked by whoever sends them."""
    index = make_layout(tmp_path / "store", BOTH.split(","))
    image = Layout(tmp_path / "store").manifest(index.manifests[1].digest)
    config, layer = image.blobs
    named = {"index": index.digest, "image": image.digest, "config": config.digest, "layer": layer.digest}
    assert put_together(tmp_path / "store", index.descriptor, tmp_path / "whole")
    assert contents(tmp_path / "whole") == contents(tmp_path / "store")
    for kind in kinds:
        store = shutil.copytree(tmp_path / "store", tmp_path / kind, symlinks=True)
        harm(store / "blobs/sha256" / named[kind].hex)

        assert not put_together(store, index.descriptor, tmp_path / f"{kind} of it")


def test_index_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    """No more than a manifest may have is taken into memory."""
    index = make_layout(tmp_path / "store")
    padded = Bytes(index.raw + b" " * (4 << 20))
    large = Descriptor.of(index.media_type, index.raw + b" " * (4 << 20))
    with Layout(tmp_path / "store") as store:
        store.push(large, padded)

    assert not put_together(tmp_path / "store", large, tmp_path / "layout")


def test_store_on_another_file_system_is_copied(tmp_path: Path) -> None:
    """What can't be linked is read; nothing of it leads back."""
    index = make_layout(tmp_path / "store", BOTH.split(","))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        assert Path(directory).stat().st_dev != tmp_path.stat().st_dev
        assert put_together(tmp_path / "store", index.descriptor, Path(directory))

        assert contents(Path(directory)) == contents(tmp_path / "store")
        assert not is_linked(Path(directory))
