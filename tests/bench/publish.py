"""Publishing what is built: the same BuildKit, with a warm cache, without provenance, beside buildx and buildctl."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from regkit.build.builder import throwaway_builder
from regkit.events import ignore
from tests.bench.lab import MIB, PLATFORMS, REGKIT, Lab, Place
from tests.bench.measure import RUNS, Argv, Command, Comparison, compare
from tests.bench.table import Line, line, row

HELLO = Path(__file__).parents[2] / "testdata" / "hello"
TAGS = ("1", "1.2", "1.2.3", "latest")
ASKED = ",".join(PLATFORMS)
RELEASE = ("--version", "v1.2.3", "--commit", "0123456789abcdef")

Make = Callable[[Path, str], list[Argv]]
"""Gives the processes that publish a context as an image."""


@dataclass(frozen=True)
class Yard:
    """A lab with a builder, whose address every client has."""

    lab: Lab
    address: str

    def regkit(self, context: Path, image: str) -> list[Argv]:
        """Publish under four tags."""
        return [[REGKIT, "publish", context, "--image", image, "--platform", ASKED, *RELEASE]]

    def released(self, context: Path, image: str) -> list[Argv]:
        """Push by digest, and release that under four tags."""
        written = self.lab.root / "metadata.json"
        push = _buildctl(context, f"name={image},push-by-digest=true", "--metadata-file", written)
        release = [REGKIT, "publish", "--from", "-", "--image", image, *RELEASE]
        digest = f'sed -n \'s/.*"containerimage.digest": *"\\(.*\\)".*/\\1/p\' {written}'
        return [push, ["sh", "-c", f"echo {image}@$({digest}) | {shlex.join(release)}"]]

    def buildx(self, context: Path, image: str) -> list[Argv]:
        """Build and push under the same four tags."""
        tags = [word for tag in TAGS for word in ("--tag", f"{image}:{tag}")]
        return [["buildx", "build", "--provenance=false", "--push", "--platform", ASKED, *tags, context]]

    def buildctl(self, context: Path, image: str) -> list[Argv]:
        """Build and push under one tag."""
        return [_buildctl(context, f"name={image}:1.2.3")]

    def compare(self, context: Path, peer: Make, *, ours: Make | None = None, far: bool = False) -> Comparison:
        """Measure; each run of each has a registry of its own: BuildKit mounts what it pushed to another repository."""
        with ExitStack() as stack:

            def places(name: str) -> list[Place]:
                rooms = (self.lab.registry(f"{name}{run}", far=far) for run in range(RUNS + 1))
                return [stack.enter_context(room) for room in rooms]

            def command(name: str, make: Make) -> Command:
                own = places(name)
                return Command(name, lambda run: make(context, f"{own[run].host}/app"))

            return compare(command("regkit", ours or self.regkit), [command(peer.__name__, peer)], self.lab.env)


@contextmanager
def yard(lab: Lab) -> Iterator[Yard]:
    """Run a builder for all clients."""
    with throwaway_builder(lab.root / "cache", ignore, env=lab.env) as address:
        env = {**lab.env, "BUILDKIT_HOST": address.url, "BUILDX_BUILDER": "bench"}
        create = ["buildx", "create", "--name", "bench", "--driver", "remote", address.url]
        subprocess.run(create, env=env, check=True, capture_output=True)
        yield Yard(replace(lab, env=env), address.url)


@row("publish-built-far")
def publish_built_far(lab: Lab) -> Iterator[Line]:
    """Publish the hello image to a registry that is far away."""
    with yard(lab) as builder:
        found = builder.compare(HELLO, builder.buildx, far=True)
    work = "build (cached) and publish hello, 3 platforms and 4 tags, 50 ms round trip; peer: `buildx build --push`"
    bound = (
        "ten round trips (ADR 0003), two of them beside the start of Python, and one more look at the tags after the "
        f"build: 500 ms; Python 200 ms, the build 200 ms. CPU: {found.cpu}"
    )
    yield line(work, found, "≤ 0.6", bound)


@row("publish-built")
def publish_built(lab: Lab) -> Iterator[Line]:
    """Publish the hello image to a registry at hand."""
    with yard(lab) as builder:
        found = builder.compare(HELLO, builder.buildctl)
    work = "the same without delay; peer: `buildctl build` that pushes under 1 tag"
    yield line(work, found, "≤ 4", f"the start of Python, and buildctl's own. CPU: {found.cpu}")


@row("publish-built-large")
def publish_built_large(lab: Lab) -> Iterator[Line]:
    """Publish images with large layers to a registry at hand."""
    with yard(lab) as builder:
        found = builder.compare(_large(lab.root / "context"), builder.buildctl)
    bound = (
        "both read the layers from BuildKit's store (ADR 0009) and send them; what the registry does takes most of it; "
        f"then the start of Python. CPU: {found.cpu}"
    )
    yield line("the same for 3 platforms with 5 layers of 32 MiB each", found, "≤ 1.5", bound)


@row("publish-pushed-large")
def publish_pushed_large(lab: Lab) -> Iterator[Line]:
    """Let BuildKit push large layers by digest, and release them where they are."""
    with yard(lab) as builder:
        found = builder.compare(_large(lab.root / "context"), builder.buildctl, ours=builder.released)
    work = "the same, BuildKit pushes by digest, and `publish --from` releases what is there"
    yield line(work, found, "≤ 1.5", f"what the peer does, and then the start of Python. CPU: {found.cpu}")


def _buildctl(context: Path, what: str, *more: str | Path) -> Argv:
    local = [word for name in ("context", "dockerfile") for word in ("--local", f"{name}={context}")]
    asked = ["buildctl", "build", "--frontend=dockerfile.v0", *local, f"--opt=platform={ASKED}"]
    return [*asked, "--output", f"type=image,{what},push=true", *more]


def _large(context: Path) -> Path:
    """Write a small context whose images are large: each step makes random bytes, once; then they are cached."""
    context.mkdir()
    shutil.copy(shutil.which("busybox") or "busybox", context / "busybox")
    step = 'RUN ["/busybox", "dd", "if=/dev/urandom", "of=/data{}", "bs={}", "count=1"]\n'
    steps = (step.format(number, 32 * MIB) for number in range(5))
    head = "FROM scratch\nARG TARGETPLATFORM\nCOPY busybox /busybox\n"
    (context / "Dockerfile").write_text(head + "".join(steps))
    return context
