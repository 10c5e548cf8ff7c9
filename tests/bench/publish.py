"""Publishing what is built: the same BuildKit, with a warm cache, without provenance, beside buildx and buildctl."""

from __future__ import annotations

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


@dataclass(frozen=True)
class Yard:
    """A lab with a builder, whose address every client has."""

    lab: Lab
    address: str

    def regkit(self, context: Path, image: str) -> Argv:
        """Publish under four tags."""
        release = ("--version", "v1.2.3", "--commit", "0123456789abcdef")
        return [REGKIT, "publish", context, "--image", image, "--platform", ASKED, *release]

    def buildx(self, context: Path, image: str) -> Argv:
        """Build and push under the same four tags."""
        tags = [word for tag in TAGS for word in ("--tag", f"{image}:{tag}")]
        return ["buildx", "build", "--provenance=false", "--push", "--platform", ASKED, *tags, context]

    def buildctl(self, context: Path, image: str) -> Argv:
        """Build and push under one tag."""
        local = [word for name in ("context", "dockerfile") for word in ("--local", f"{name}={context}")]
        output = f"type=image,name={image}:1.2.3,push=true"
        return ["buildctl", "build", "--frontend=dockerfile.v0", *local, f"--opt=platform={ASKED}", "--output", output]

    def compare(self, context: Path, peer: Callable[[Path, str], Argv], *, far: bool = False) -> Comparison:
        """Measure; each run of each has a registry of its own: BuildKit mounts what it pushed to another repository."""
        with ExitStack() as stack:

            def places(name: str) -> list[Place]:
                rooms = (self.lab.registry(f"{name}{run}", far=far) for run in range(RUNS + 1))
                return [stack.enter_context(room) for room in rooms]

            def command(make: Callable[[Path, str], Argv]) -> Command:
                own = places(make.__name__)
                return Command.of(make.__name__, lambda run: make(context, f"{own[run].host}/app"))

            return compare(command(self.regkit), [command(peer)], self.lab.env)


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
        f"build: 500 ms; Python 200 ms, the build and its export 300 ms. CPU: {found.cpu}"
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
        "BuildKit pushes from its own store; we have the layers handed over, through gRPC in gRPC, and send them: the "
        f"handing over alone takes twice as long as the peer's push. CPU: {found.cpu}"
    )
    yield line("the same for 3 platforms with 5 layers of 32 MiB each", found, "≤ 1.5", bound)


def _large(context: Path) -> Path:
    """Write a small context whose images are large: each step makes random bytes, once; then they are cached."""
    context.mkdir()
    shutil.copy(shutil.which("busybox") or "busybox", context / "busybox")
    step = 'RUN ["/busybox", "dd", "if=/dev/urandom", "of=/data{}", "bs={}", "count=1"]\n'
    steps = (step.format(number, 32 * MIB) for number in range(5))
    head = "FROM scratch\nARG TARGETPLATFORM\nCOPY busybox /busybox\n"
    (context / "Dockerfile").write_text(head + "".join(steps))
    return context
