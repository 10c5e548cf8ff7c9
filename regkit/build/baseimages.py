"""Which images a build reads, and for which platforms: what `FROM`, `COPY --from`, `RUN --mount` and `# syntax` name.

All that BuildKit will ask registries for is told from the Dockerfile, its arguments and the platforms, as BuildKit
does it: a stage that the target doesn't need isn't read, and `--platform` counts.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from regkit.build.dockerfile import Dockerfile, Instruction, expand, words
from regkit.errors import UsageError
from regkit.oci.platform import Platform
from regkit.oci.reference import Reference

SYNTAX = "BUILDKIT_SYNTAX"
"""The argument that names the image that reads the Dockerfile, before what the file itself says."""

GENERATOR = "docker/buildkit-syft-scanner:stable-1"
"""The image that BuildKit makes SBOMs with, where none is named."""

_WHAT = {"syntax": "the Dockerfile's frontend", "sbom": "the SBOM generator"}


class Need(NamedTuple):
    """An image that is read for a platform; `where` is the instruction that says so, or `syntax` or `sbom`."""

    image: Reference
    platform: Platform
    where: str

    @property
    def what(self) -> str:
        """What it is, and its name."""
        return f"{_WHAT.get(self.where, 'the base image')} {self.image}"

    @property
    def is_base(self) -> bool:
        """Whether a stage stands on it, so that what is made of it has its architecture."""
        return self.where == "FROM"


@dataclass(slots=True)
class _Stage:
    base: str
    platform: str
    name: str
    body: list[Instruction] = field(default_factory=list)


def base_images(dockerfile: str, arguments: Mapping[str, str]) -> tuple[Reference, ...]:
    """Give every image that a Dockerfile may read, on whatever platform, in whatever stage: logins are lent for those.

    Variables have their values from `arguments`, else their defaults. Rather one too many than one too few.
    """
    parsed = Dockerfile.parse(dockerfile)
    head, stages = _stages(parsed)
    outer = {**_globals(head, arguments, {}, parsed.escape), **arguments}
    inner = outer
    for stage in stages:
        inner = {**_globals(stage.body, arguments, inner, parsed.escape), **inner}
    names = {stage.name for stage in stages}
    written = [stage.base for stage in stages] + [name for stage in stages for _, name in _sources(stage)]
    said = [arguments.get(SYNTAX, ""), parsed.syntax]
    said += [expand(name, values, parsed.escape) or "" for name in written for values in (outer, inner)]
    found = (_image(name) for name in said if name.lower() not in names)
    return tuple(dict.fromkeys(image for image in found if image is not None))


def needs(
    dockerfile: str,
    arguments: Mapping[str, str],
    platforms: Iterable[Platform],
    native: Callable[[], Platform | None],
    target: str = "",
) -> tuple[Need, ...]:
    """Give the images that a build for `platforms` reads, each once a platform.

    `native` tells the builder's own platform, and is asked only where that matters; where it isn't known, what depends
    on it is left out. So is what isn't understood, and what BuildKit will refuse: nothing is said of it that BuildKit
    doesn't say better.
    """
    parsed = Dockerfile.parse(dockerfile)
    head, stages = _stages(parsed)
    found: dict[Need, None] = {}
    syntax = _image(arguments.get(SYNTAX) or parsed.syntax)
    own = native() if syntax is not None or _asks_for_native(parsed) else None
    if syntax is not None and own is not None:
        found[Need(syntax, own, "syntax")] = None
    for platform in platforms:
        machine = {**(_described("BUILD", own) if own else {}), **_described("TARGET", platform)}
        given = {name: arguments.get(name, value) for name, value in machine.items()}
        values = _globals(head, arguments, given, parsed.escape)
        found |= dict.fromkeys(_read(stages, values, platform, target, parsed.escape))
    return tuple(found)


def suits(asked: Platform, there: Platform) -> bool:
    """Tell whether BuildKit takes an image for `there` where `asked` is built: the same, or an older variant of it."""
    wanted, found = asked.normalized, there.normalized
    if (wanted.os, wanted.architecture) != (found.os, found.architecture):
        return False
    levels = [variant.removeprefix("v") for variant in (found.variant, wanted.variant)]
    if all(level.isdecimal() for level in levels):
        return int(levels[0]) <= int(levels[1])
    return wanted.variant == found.variant


def _stages(parsed: Dockerfile) -> tuple[list[Instruction], list[_Stage]]:
    """Part the instructions: those before the first FROM, and the stages."""
    head: list[Instruction] = []
    stages: list[_Stage] = []
    for instruction in parsed.instructions:
        if instruction.name != "FROM":
            (stages[-1].body if stages else head).append(instruction)
            continue
        base, *rest = words(instruction.rest, parsed.escape) or ("",)
        name = rest[1].lower() if len(rest) == 2 and rest[0].lower() == "as" else ""
        stages.append(_Stage(base, _flag(instruction, "--platform"), name))
    return head, stages


def _globals(
    instructions: Iterable[Instruction], arguments: Mapping[str, str], given: Mapping[str, str], escape: str
) -> dict[str, str]:
    """Give the values of the arguments that are declared, defaults included, over those that are there anyway."""
    values = dict(given)
    for instruction in instructions:
        for word in words(instruction.rest, escape) if instruction.name == "ARG" else ():
            name, equals, default = word.partition("=")
            if name in arguments:
                values[name] = arguments[name]
            elif equals and (value := expand(default, values, escape)) is not None:
                values[name] = value
    return values


def _read(
    stages: Sequence[_Stage], values: Mapping[str, str], platform: Platform, target: str, escape: str
) -> Iterator[Need]:
    """Walk from the target to all that it stands on and takes from."""
    names = {stage.name: number for number, stage in enumerate(stages) if stage.name}
    wanted = names.get(target.lower(), -1) if target else len(stages) - 1
    waiting, seen = [wanted], set[int]()
    while waiting:
        number = waiting.pop()
        if number in seen or not 0 <= number < len(stages):
            continue
        seen.add(number)
        stage = stages[number]
        base = expand(stage.base, values, escape) or ""
        below = [at for at, other in enumerate(stages[:number]) if other.name and other.name == base]
        if below:
            waiting.append(below[-1])
        else:
            own = _platform(expand(stage.platform, values, escape)) if stage.platform else platform
            if "BUILDPLATFORM" in values or not _names_native(f"{stage.base} {stage.platform}"):
                yield from _need(base, own, "FROM")
        for where, name in _sources(stage):
            if name.isdecimal():
                waiting.append(int(name))
            elif name.lower() in names:
                waiting.append(names[name.lower()])
            else:
                yield from _need(name, platform, where)


def _need(name: str, platform: Platform | None, where: str) -> Iterator[Need]:
    image = _image(name)
    if image is not None and platform is not None:
        yield Need(image, platform, where)


def _sources(stage: _Stage) -> Iterator[tuple[str, str]]:
    """Give what a stage takes files from, and how."""
    for instruction in stage.body:
        if instruction.name == "COPY" and (name := _flag(instruction, "--from")):
            yield "COPY --from", name
        for flag in instruction.flags if instruction.name == "RUN" else ():
            fields = next(csv.reader([flag.removeprefix("--mount=")]), []) if flag.startswith("--mount=") else []
            for entry in fields:
                key, _, value = entry.partition("=")
                if key.strip().lower() == "from" and value:
                    yield "RUN --mount", value


def _flag(instruction: Instruction, name: str) -> str:
    return next((flag.partition("=")[2] for flag in instruction.flags if flag.startswith(f"{name}=")), "")


def _image(name: str) -> Reference | None:
    """Read a name as an image; None for `scratch`, a stage's number, and what is no name at all."""
    if not name or name == "scratch" or name.isdecimal() or "$" in name:
        return None
    try:
        return Reference.parse(name)
    except UsageError:
        return None


def _platform(text: str | None) -> Platform | None:
    try:
        return Platform.parse(text) if text else None
    except UsageError:
        return None


def _described(prefix: str, platform: Platform) -> dict[str, str]:
    return {
        f"{prefix}PLATFORM": str(platform),
        f"{prefix}OS": platform.os,
        f"{prefix}ARCH": platform.architecture,
        f"{prefix}VARIANT": platform.variant,
    }


def _asks_for_native(parsed: Dockerfile) -> bool:
    """Tell whether the builder's own platform makes a difference to what is read."""
    return any(_names_native(" ".join((i.rest, *i.flags))) for i in parsed.instructions if i.name in ("FROM", "ARG"))


def _names_native(text: str) -> bool:
    return any(f"BUILD{part}" in text for part in ("PLATFORM", "OS", "ARCH", "VARIANT"))
