"""What is to be built, checked before anything starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from regkit.build.means import Fields, Means
from regkit.errors import UsageError
from regkit.oci.annotation import Annotation
from regkit.oci.platform import Platform

EPOCH = "SOURCE_DATE_EPOCH"


@dataclass(frozen=True, slots=True)
class BuildSpec:
    """A context, a Dockerfile that may lie outside it, what they are built for, and how.

    `attests` are kinds of attestation, each with what is said of it; `annotations` are what images say of themselves.
    `names` are what attestations call the images: BuildKit writes no subject into those of an image without a name.
    """

    context: Path
    dockerfile: Path
    platforms: tuple[Platform, ...]
    target: str = ""
    build_args: tuple[tuple[str, str], ...] = ()
    attests: tuple[tuple[str, Fields], ...] = ()
    means: Means = field(default_factory=Means)
    annotations: tuple[Annotation, ...] = ()
    names: tuple[str, ...] = ()


def build_spec(
    context: Path,
    file: Path | None,
    platforms: tuple[Platform, ...],
    target: str = "",
    build_args: tuple[tuple[str, str], ...] = (),
    *,
    attests: tuple[tuple[str, Fields], ...] = (),
    means: Means | None = None,
    annotations: tuple[Annotation, ...] = (),
) -> BuildSpec:
    """Check that context and Dockerfile are there, else raise UsageError.

    As with buildx, `file` is relative to the working directory, not to the context; without it, it is
    the context's `Dockerfile`.
    """
    if not context.is_dir():
        kind = "isn't a directory" if context.exists() else "doesn't exist"
        raise UsageError(f"the build context {context} {kind}", hint="name the directory that is to be built")
    dockerfile = context / "Dockerfile" if file is None else file
    if not dockerfile.is_file():
        lower = dockerfile.with_name("dockerfile")
        if dockerfile.name != "Dockerfile" or not lower.is_file():
            raise _no_dockerfile(context, dockerfile, file)
        dockerfile = lower
    how = means or Means()
    paths = (context.absolute(), dockerfile.absolute())
    return BuildSpec(*paths, platforms, target, build_args, attests, how, annotations)


def parse_build_args(texts: Iterable[str], env: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Read `KEY=VALUE`, or `KEY` with the environment's value, if it has one; the last of a name wins."""
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key:
            raise UsageError(f"not a build argument: {text!r}", hint="write KEY=VALUE")
        if equals:
            found[key] = value
        elif key in env:
            found[key] = env[key]
    return tuple(found.items())


def effective_args(spec: BuildSpec, env: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Give the build's arguments, sorted, with the environment's SOURCE_DATE_EPOCH among them, as buildx does it."""
    epoch = {EPOCH: env[EPOCH]} if env.get(EPOCH) else {}
    return tuple(sorted({**epoch, **dict(spec.build_args)}.items()))


def _no_dockerfile(context: Path, dockerfile: Path, file: Path | None) -> UsageError:
    if file is None:
        return UsageError(f"there is no Dockerfile in {context}", hint="name it with --file")
    hint = "--file is relative to the working directory"
    if not file.is_absolute() and (context / file).is_file():
        hint += f"; did you mean {context / file}?"
    return UsageError(f"there is no Dockerfile {dockerfile}", hint=hint)
