"""A first regkit.toml: what the Dockerfile and git say of a project, and the file that says it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from regkit.build.dockerfile import read_dockerfile
from regkit.build.spec import build_spec
from regkit.config.find import find_config
from regkit.errors import Refused, UsageError
from regkit.files import cant_write
from regkit.oci.platform import Platform
from regkit.oci.reference import Reference
from regkit.ops.remote import address_of

PLATFORMS = ("linux/amd64", "linux/arm64")
"""What a first release is for, where the Dockerfile doesn't fix it: what most machines are."""

LOCAL = "localhost:5000"
_FORGES = {"github.com": "ghcr.io", "gitlab.com": "registry.gitlab.com"}
_FROM = re.compile(r"^[ \t]*FROM[ \t]+(?P<options>(?:--\S+[ \t]+)*)\S+", re.IGNORECASE | re.MULTILINE)
_PLATFORM = re.compile(r"--platform=(\S+)")


@dataclass(frozen=True, slots=True)
class Project:
    """What is known of a project; paths are as the file will have them. `guessed` says why its image is a guess."""

    name: str
    image: str
    platforms: tuple[str, ...]
    context: str
    file: str | None
    guessed: str = ""


def look(context: Path, home: Path, *, image: str | None = None, file: Path | None = None) -> Project:
    """Read the Dockerfile, and ask git where the project comes from; raise UsageError where there is no Dockerfile.

    `home` is the directory of the file that will be written.
    """
    spec = build_spec(context, file, ())
    guessed = ""
    if image is None:
        image = _image_at(address_of(spec.context))
    if image is None:
        image = f"{LOCAL}/{_clean(spec.context.resolve().name)}"
        guessed = "git names no remote that is known: this is the registry of `regkit registry serve`."
    reference = Reference.parse_name(image)
    default = spec.context / "Dockerfile"
    return Project(
        _clean(reference.repository.rpartition("/")[2]),
        image,
        _platforms(read_dockerfile(spec.dockerfile).decode("utf-8", "replace")),
        _relative(spec.context, home),
        None if spec.dockerfile == default else _relative(spec.dockerfile, home),
        guessed,
    )


def starter(project: Project) -> str:
    """Write the file. Pure."""
    platforms = ", ".join(f'"{platform}"' for platform in project.platforms)
    context = (
        f"context = {_quoted(project.context)}  # what is built"
        if project.context != "."
        else ('# context = "."  # what is built: this directory, unless another one is named')
    )
    file = (
        f"file = {_quoted(project.file)}  # the Dockerfile"
        if project.file
        else ('# file = "Dockerfile"  # the Dockerfile, where it has another name or lies elsewhere')
    )
    guess = f"# {project.guessed}\n" if project.guessed else ""
    return f"""\
# What `regkit publish` publishes. `regkit publish --dry-run` shows it, and changes nothing.
# Flags and the environment win over this file. Paths are relative to it.
schema = 1

# One section for each image; `regkit publish --name {project.name}` publishes this one alone.
[publish.{project.name}]
# The repository.
{guess}image = {_quoted(project.image)}
# What it is built for.
platform = [{platforms}]
{context}
{file}

# The version isn't written here: it comes from the CI's variables or from git. On the tag v1.2.3 the image gets the
# tags 1, 1.2, 1.2.3 and latest, in this order; on a branch it gets the branch's name.
# Tags instead of those, in the order in which they are written:
# tag = ["nightly"]
# A stage of the Dockerfile other than the last:
# target = "runtime"
# Build arguments; without a value they have the environment's:
# build-arg = ["KEY=VALUE"]
# What the index says of itself, beside version and revision:
# annotation = ["org.opencontainers.image.title={project.name}"]
"""


def write(target: Path, text: str) -> None:
    """Write the file where there is no configuration yet; raise Refused where there is one, and leave it alone."""
    there = find_config(target.parent)
    if there is not None and there.parent == target.absolute().parent:
        raise Refused(f"{there} is there already, and isn't overwritten", hint="regkit init --dry-run prints a new one")
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Refused(
            f"{target} is there already, and isn't overwritten", hint="regkit init --dry-run prints a new one"
        ) from None
    except OSError as error:
        raise cant_write(target, error) from None


def _image_at(address: str) -> str | None:
    """Give the repository that belongs to a project at `https://github.com/Owner/name`, say, if one is known."""
    parts = urlsplit(address)
    registry = _FORGES.get(parts.hostname or "")
    if registry is None:
        return None
    try:
        return Reference.parse_name(f"{registry}{parts.path.lower()}").name
    except UsageError:
        return None


def _platforms(dockerfile: str) -> tuple[str, ...]:
    """Give the platform that the last stage fixes, else the usual ones."""
    stages = list(_FROM.finditer(dockerfile))
    fixed = _PLATFORM.search(stages[-1]["options"]) if stages else None
    if fixed is not None and "$" not in fixed[1]:
        try:
            return (str(Platform.parse(fixed[1].strip("\"'"))),)
        except UsageError:
            pass
    return PLATFORMS


def _clean(name: str) -> str:
    """Make a repository's last part of any name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "image"


def _relative(path: Path, home: Path) -> str:
    return Path(os.path.relpath(path, home.absolute())).as_posix()


def _quoted(text: str) -> str:
    import json

    # A basic string of TOML is one of JSON's, but for one control character that JSON leaves alone.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
