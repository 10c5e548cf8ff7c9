"""`regkit caps` as users run it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ops.support import Served, attested_layout, release, serving
from tests.support.command import fails, output_of, regkit


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving() as served:
        release(served, attested_layout(tmp_path / "layout", "linux/amd64"))
        served.access.clear()
        yield served


def test_text(served: Served) -> None:
    """A line for each capability; several places are parted by an empty line; nothing is written."""
    name = f"{served.host}/team/hello"

    lines = output_of(regkit("caps", name, served.host)).splitlines()

    assert lines[0] == name
    assert [line.split()[:2] for line in lines[1:3]] == [["api", "v2"], ["tls", "no"]]
    assert ["blob-range", "yes"] in [line.split() for line in lines]
    assert lines[lines.index("") + 1] == served.host
    assert any(line.startswith("  blob-range ") and "name a repository" in line for line in lines)
    assert served.writes == []


def test_json(served: Served) -> None:
    """The same for scripts; a list for several."""
    document = json.loads(output_of(regkit("caps", f"{served.host}/team/hello:1", "--format", "json")))

    assert (document["schema"], document["host"]) == (1, served.host)
    assert document["capabilities"]["referrers-api"] == {"answer": "yes", "detail": ""}
    assert document["capabilities"]["mount"]["answer"] == "unknown"
    both = json.loads(output_of(regkit("caps", served.host, served.host, "--format", "json")))
    assert [each["repository"] for each in both] == [None, None]


def test_wrong_usage() -> None:
    """What is neither a host nor a repository is said, before anybody is asked."""
    assert "not an image reference" in fails("caps", "A/B", code=2)
