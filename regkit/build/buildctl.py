"""buildctl: its arguments, one process per builder, and its failures as our errors."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from regkit.build.address import Address
from regkit.build.child import Group, child, find_tool
from regkit.build.environment import client_environment, trusting
from regkit.build.means import join_fields, join_words
from regkit.build.progress import Progress, Step
from regkit.build.spec import EPOCH, BuildSpec, effective_args
from regkit.build.store import put_together, store_at
from regkit.errors import BuildFailed, ProtocolError, RegkitError, Unavailable, UsageError
from regkit.events import Event, Note, Reporter, StepDone, StepStarted
from regkit.files import cant_write
from regkit.oci.descriptor import Descriptor
from regkit.oci.platform import Platform

_SENT = ("type=oci", "tar=false")
_KEPT = ("type=image", "oci-mediatypes=true")  # its default before BuildKit 0.31 were Docker's
_BUILT = "built.json"
_LINE_LIMIT = 16 * 1024 * 1024
_GITHUB_CACHE = "ACTIONS_RUNTIME_TOKEN"
_GRACE = 0.5
_IMAGE = re.compile(
    r"(?:\[internal\] load metadata for |resolve image config for |(?=docker-image://))(?:docker-image://)?(?P<image>\S+)"
)
_LOST = re.compile(
    r"(?:code = |: )Unavailable\b|connection error: desc|failed to list workers|error reading from server"
)
_DIAL = re.compile(r"(dial [^\"]+)")
_DENIED = re.compile(
    r"\b401\b|\b403\b|authorization failed|denied|no basic auth credentials|unauthorized", re.IGNORECASE
)


def arguments(
    spec: BuildSpec, address: Address, destination: Path, env: Mapping[str, str], *, kept: bool = False
) -> list[str]:
    """Give buildctl's arguments for one build of all platforms into an OCI layout at `destination`. Pure.

    What is `kept` stays in the builder's own store, under the same digests; a file in `destination` says what it is.
    `multi-platform` makes the result an index, and the steps' names tell their platform, for one platform too.
    """
    means = spec.means
    options = {
        "filename": spec.dockerfile.name,
        "platform": ",".join(str(platform) for platform in spec.platforms),
        "multi-platform": "true",
        **({"target": spec.target} if spec.target else {}),
        **{f"build-arg:{key}": value for key, value in effective_args(spec, env)},
        **{f"attest:{kind}": join_fields(fields) for kind, fields in spec.attests},
    }
    return [
        *(*address.words, "build", "--progress", "rawjson", "--frontend", "dockerfile.v0"),
        *("--local", f"context={spec.context}", "--local", f"dockerfile={spec.dockerfile.parent}"),
        *(word for key, value in options.items() for word in ("--opt", f"{key}={value}")),
        *_each("--import-cache", (join_fields(cache) for cache in means.cache_from)),
        *_each("--export-cache", (join_fields(cache) for cache in means.cache_to)),
        *_each("--secret", (secret.words for secret in means.secrets)),
        *(("--metadata-file", str(destination / _BUILT)) if kept else ()),
        *("--output", join_words((*(_KEPT if kept else (*_SENT, f"dest={destination}")), *_exporting(spec, env)))),
    ]


def _exporting(spec: BuildSpec, env: Mapping[str, str]) -> Iterator[str]:
    """Give what the exporter is told: what images say of themselves, and that times in layers are the epoch at most.

    Also the names by which their attestations have them as subjects.
    """
    for annotation in spec.annotations:
        platform = f"[{_as_buildkit(annotation.platform)}]" if annotation.platform else ""
        yield f"annotation-manifest{platform}.{annotation.key}={annotation.value}"
    if spec.attests and spec.names:
        yield f"name={','.join(spec.names)}"
    if dict(effective_args(spec, env)).get(EPOCH):
        yield "rewrite-timestamp=true"


def _as_buildkit(platform: Platform) -> str:
    """Write a platform as BuildKit's exporter looks it up: without the variant that it drops."""
    whole = platform.normalized
    implied = (whole.architecture, whole.variant) in (("amd64", "v1"), ("arm64", "v8"))
    return str(replace(whole, variant="") if implied else whole)


def build(
    spec: BuildSpec,
    address: Address,
    destination: Path,
    report: Reporter,
    *,
    env: Mapping[str, str],
    docker_config: Path | None = None,
    ca_file: Path | None = None,
    group: Group | None = None,
) -> None:
    """Build all platforms of `spec` at `address` into an OCI layout at `destination`, which must not exist.

    Of a builder whose store is at hand the layout has the content itself: nothing in it may be written to.
    buildctl dies with the thread that calls this, and with `group`. It gets no credential but those in
    `docker_config`, and the secrets that are asked for. Raise BuildFailed with the failing step's own lines, or
    Unavailable where there is no builder at `address`, or it is lost; RegkitError where there is no room.
    """
    buildctl = find_tool("buildctl", env)
    if buildctl is None:
        raise UsageError("buildctl isn't on PATH, and a build needs it", hint="regkit doctor says how to get it")
    destination.mkdir(parents=True)
    asked = [secret.variable for secret in spec.means.secrets if secret.variable]
    if any(("type", "gha") in cache for cache in (*spec.means.cache_from, *spec.means.cache_to)):
        asked.append(_GITHUB_CACHE)
    own = trusting(client_environment(env, docker_config, asked), ca_file, destination.parent)

    def run(wanted: BuildSpec, tell: Reporter, *, kept: bool) -> None:
        argv, progress = [buildctl, *arguments(wanted, address, destination, env, kept=kept)], Progress(spec.platforms)
        with child(argv, own, output=subprocess.PIPE, grace=_GRACE, group=group) as process:
            assert process.stdout is not None
            for line in iter(partial(process.stdout.readline, _LINE_LIMIT), b""):
                for event in progress.feed(line):
                    tell(event)
            status = process.wait()
        for event in progress.finish():
            tell(event)
        if status != 0:
            raise _no_room(progress, destination) or failure(progress, spec, address)

    store = store_at(address)
    if store is None:
        run(spec, report, kept=False)
        return
    told = _Told(report)
    run(spec, told.first, kept=True)
    top = _built(destination / _BUILT)
    if top is not None and put_together(store, top, destination):
        return
    shutil.rmtree(destination)
    destination.mkdir()
    run(_built_already(spec), told.again, kept=False)


class ImageDenied(BuildFailed):
    """A registry doesn't let the builder read an image; `image` is what BuildKit calls it."""

    def __init__(self, message: str, *, image: str) -> None:
        super().__init__(message, hint="are the credentials for its registry in Docker's configuration?")
        self.image = image


class _Told:
    """What was reported of a build that is done, when it is asked for once more: its steps are cached, and not news."""

    def __init__(self, report: Reporter) -> None:
        self._report = report
        self._seen: set[Hashable] = set()

    def first(self, event: Event) -> None:
        """Report it."""
        self._seen.add(_gist(event))
        self._report(event)

    def again(self, event: Event) -> None:
        """Report it, unless it says what was said already."""
        gist = _gist(event)
        if gist is None or gist not in self._seen:
            self._report(event)


def _gist(event: Event) -> Hashable:
    """Give what is the same of an event when a build runs again; None for what isn't to be compared."""
    match event:
        case StepStarted(platform, name) | StepDone(platform, name, error=""):
            return type(event), platform, name
        case Note():
            return event
    return None


def _built_already(spec: BuildSpec) -> BuildSpec:
    """Leave the caches out that were exported; one that is inline is a part of the images."""
    inline = tuple(cache for cache in spec.means.cache_to if ("type", "inline") in cache)
    return replace(spec, means=replace(spec.means, cache_to=inline))


def _built(said: Path) -> Descriptor | None:
    """Read and remove what buildctl wrote of the index that it built; None where that can't be read."""
    try:
        top = Descriptor.from_json(json.loads(said.read_bytes())["containerimage.descriptor"])
        said.unlink()
    except (OSError, ValueError, RecursionError, KeyError, TypeError, ProtocolError):
        return None
    return top


def _no_room(progress: Progress, destination: Path) -> RegkitError | None:
    """Tell whether what was built didn't fit where it is put: that is no fault of the build."""
    for number in (errno.ENOSPC, errno.EDQUOT):
        said = rf"{re.escape(str(destination))}(/\S*)?: {os.strerror(number)}"
        if any(re.search(said, line, re.IGNORECASE) for line in progress.plain if line.startswith("error: ")):
            return cant_write(destination, OSError(number, os.strerror(number)))
    return None


def failure(progress: Progress, spec: BuildSpec, address: Address) -> RegkitError:
    """Say what a failed build means: which step, which image, or that there is no builder. Pure."""
    plain = [line for line in progress.plain if not line.startswith("time=")]
    reason = next((line.removeprefix("error: ") for line in reversed(plain) if line.startswith("error: ")), "")
    reason = reason.removeprefix("failed to solve: ")
    excerpt = tuple(line for line in plain if not line.startswith("error: "))
    step = progress.failed
    image = _IMAGE.match(step.name) if step else None
    if step is not None and image is not None:
        return _no_image(image["image"], step)
    if step is not None and not step.is_internal:
        return _failed_step(step)
    if _LOST.search(reason):
        dial = _DIAL.search(reason)
        if progress.begun:
            return Unavailable(f"the builder at {address} was lost during the build: {reason}", hint="try again")
        return Unavailable(
            f"can't reach the builder at {address}: {dial[1] if dial else reason}",
            hint="is buildkitd running there? without BUILDKIT_HOST regkit starts its own",
        )
    return BuildFailed(
        f"the build of {spec.dockerfile} failed: {reason or 'buildctl ended without a reason'}", log=excerpt
    )


def _failed_step(step: Step) -> BuildFailed:
    foreign = step.platform and any("exec format error" in text for text in (step.error, *step.lines))
    hint = f"does an emulator run {step.platform}? regkit doctor --platform {step.platform} tells" if foreign else None
    message = f"the build failed{_for(step)} at {step.name}: {_short(step)}"
    return BuildFailed(message, hint=hint, log=tuple(step.lines))


def _no_image(image: str, step: Step) -> BuildFailed:
    reason = step.error.removeprefix(f"{image}: ")
    message = f"the base image {image} can't be used{_for(step)}: {reason}"
    return ImageDenied(message, image=image) if _DENIED.search(step.error) else BuildFailed(message)


def _for(step: Step) -> str:
    return f" for {step.platform}" if step.platform else ""


def _short(step: Step) -> str:
    """Leave out the command, which the step's name says already."""
    match = re.fullmatch(r'process ".*" did not complete successfully: (.*)', step.error, re.DOTALL)
    return match[1] if match else step.error


def _each(option: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (option, value)]
