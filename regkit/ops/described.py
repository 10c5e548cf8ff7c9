"""What an index says of itself beside its version: `org.opencontainers.image.*`, from the CI's variables and git.

These are descriptions: they tell where a release comes from, and hubs show them. Nothing is decided by them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from regkit.errors import UsageError
from regkit.oci.annotation import CREATED, DESCRIPTION, LICENSES, SOURCE, TITLE, URL
from regkit.ops.remote import address_of
from regkit.ops.source import ask_git

EPOCH = "SOURCE_DATE_EPOCH"
DESCRIBED = frozenset({CREATED, DESCRIPTION, LICENSES, SOURCE, TITLE, URL})
"""The keys that are described. A release that says other things here is the same release."""

_EVENT_LIMIT = 4 << 20
_LAST = 253402300799  # the end of the year 9999: what a date has room for


def describe(env: Mapping[str, str], directory: Path, commit: str | None) -> dict[str, str]:
    """Describe what is built from `directory` at `commit`; what nobody knows is left out.

    The time is `SOURCE_DATE_EPOCH`, else the commit's: never that of the build. Raise UsageError for a
    `SOURCE_DATE_EPOCH` that isn't one, and for a commit that git would take for an option.
    """
    if commit is not None and commit.startswith("-"):
        raise UsageError(f"not a commit: {commit[:80]!r}", hint="give --commit SHA")
    said = {**_from_github(env), **_from_gitlab(env)}
    source = said.get(SOURCE) or address_of(directory)
    title = said.get(TITLE) or source.rpartition("/")[2]
    found = {
        **said,
        SOURCE: source,
        TITLE: title,
        CREATED: _time(env) or said.get(CREATED) or _committed(directory, commit),
    }
    return {key: " ".join(value.split()) for key, value in sorted(found.items()) if value and value.strip()}


def epoch(env: Mapping[str, str]) -> int | None:
    """Read `SOURCE_DATE_EPOCH`, in seconds; None where it isn't set. Raise UsageError for what isn't one."""
    text = env.get(EPOCH, "")
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or int(text[:20]) > _LAST:
        raise UsageError(f"{EPOCH} is {text[:40]!r}, which is no number of seconds", hint="git log -1 --format=%ct")
    return int(text)


def _from_github(env: Mapping[str, str]) -> dict[str, str]:
    """Read GitHub's variables, and what its event says of the repository."""
    name = env.get("GITHUB_REPOSITORY")
    if not name:
        return {}
    address = f"{env.get('GITHUB_SERVER_URL') or 'https://github.com'}/{name}"
    repository = _event(env.get("GITHUB_EVENT_PATH", "")).get("repository")
    known = repository if isinstance(repository, dict) and repository.get("full_name") == name else {}
    license_of = known.get("license")
    spdx = license_of.get("spdx_id") if isinstance(license_of, dict) else None
    return {
        SOURCE: address,
        URL: address,
        TITLE: name.rpartition("/")[2],
        DESCRIPTION: _text(known.get("description")),
        LICENSES: "" if spdx == "NOASSERTION" else _text(spdx),
    }


def _from_gitlab(env: Mapping[str, str]) -> dict[str, str]:
    address = env.get("CI_PROJECT_URL")
    if not env.get("GITLAB_CI") or not address:
        return {}
    return {
        SOURCE: address,
        URL: address,
        TITLE: env.get("CI_PROJECT_TITLE") or address.rpartition("/")[2],
        DESCRIPTION: env.get("CI_PROJECT_DESCRIPTION", ""),
        CREATED: _normal(env.get("CI_COMMIT_TIMESTAMP", "")),
    }


def _event(path: str) -> dict[str, Any]:
    """Read the file that GitHub writes for a job; whatever is wrong with it, nothing is known then."""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(_EVENT_LIMIT + 1)
        found = json.loads(raw) if len(raw) <= _EVENT_LIMIT else None
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _time(env: Mapping[str, str]) -> str:
    seconds = epoch(env)
    return "" if seconds is None else _format(datetime.fromtimestamp(seconds, UTC))


def _committed(directory: Path, commit: str | None) -> str:
    """Ask git for a commit's time."""
    said = ask_git(directory, "show", "--no-patch", "--format=%ct", commit, "--") if commit else None
    return _format(datetime.fromtimestamp(int(said), UTC)) if said and said.isdecimal() and int(said) <= _LAST else ""


def _normal(text: str) -> str:
    try:
        return _format(datetime.fromisoformat(text).astimezone(UTC))
    except (ValueError, OverflowError):
        return ""


def _format(time: datetime) -> str:
    """Write a time as RFC 3339 has it, as annotations.md asks."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
