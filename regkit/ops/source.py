"""What is being published: the ref and the commit, from the CI's variables, else from git."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from regkit.errors import UsageError
from regkit.ops.ci import read_ci
from regkit.ops.versions import version_of


@dataclass(frozen=True, slots=True)
class Source:
    """A ref (`refs/tags/…`, `refs/heads/…`, `refs/pull/N/…`) and a commit; None for what is not known."""

    ref: str | None = None
    commit: str | None = None


def detect(env: Mapping[str, str], directory: Path) -> Source:
    """Ask the CI's variables, and git for what they leave open."""
    found = from_ci(env)
    if found.ref and found.commit:
        return found
    asked = from_git(directory)
    return Source(found.ref or asked.ref, found.commit or asked.commit)


def from_ci(env: Mapping[str, str]) -> Source:
    """Read the variables that the CI systems document."""
    return Source(*read_ci(env))


def from_git(directory: Path) -> Source:
    """Ask git: the highest version among the tags at HEAD, else the branch; nothing outside a repository."""
    said = ask_git(directory, "log", "-1", "--decorate=full", "--format=%H%n%D")
    if said is None:
        return Source()
    commit, _, decoration = said.partition("\n")
    names = decoration.split(", ")
    branch = next((name.removeprefix("HEAD -> ") for name in names if name.startswith("HEAD -> ")), None)
    tags = [name.removeprefix("tag: ") for name in names if name.startswith("tag: ")]
    versions = {tag: version_of(tag.removeprefix("refs/tags/")) for tag in tags}
    released = {tag: version for tag, version in versions.items() if version is not None}
    return Source(max(released, key=released.__getitem__) if released else branch, commit)


def short_commit(commit: str | None) -> str:
    """Give the first seven hex digits; raise UsageError where there is no commit, or it isn't one."""
    if commit is None:
        raise UsageError("platform tags need a commit, and none is known", hint="give --commit SHA")
    digits = commit.lower()
    if len(digits) < 7 or not set(digits) <= set("0123456789abcdef"):
        raise UsageError(f"not a commit: {commit[:80]!r}", hint="give at least seven hex digits")
    return digits[:7]


def ask_git(directory: Path, *arguments: str) -> str | None:
    """Give what a git command says, without spaces around it; None where it says nothing or fails.

    Signatures aren't looked at, whatever the repository's configuration says: they would stand among the answer, and
    the program that checks them is named there, too.
    """
    import subprocess

    argv = ["git", "-c", "log.showSignature=false", "-C", str(directory), *arguments]
    try:
        done = subprocess.run(argv, capture_output=True, check=False)
    except OSError:
        return None
    return done.stdout.decode(errors="replace").strip() or None if done.returncode == 0 else None
