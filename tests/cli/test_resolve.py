"""`regkit resolve` as users run it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from regkit.targets.layout import Layout
from tests.ops.support import Served, attested_layout, release, serving
from tests.support.command import fails, output_of, piped, regkit


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving() as served:
        release(served, attested_layout(tmp_path / "layout", "linux/amd64", "linux/arm64"))
        served.access.clear()
        yield served


def test_names_become_digests(served: Served, tmp_path: Path) -> None:
    """A line each, in the order that was given; names on stdin are read too, and a layout has digests as well."""
    name = f"{served.host}/team/hello"
    layout = f"oci:{tmp_path / 'layout'}:built"
    digest, built = served.tags()["1.2"], Layout(tmp_path / "layout").roots[0].digest

    done = piped("resolve", layout, "-", given=f"{name}:1.2\n\n{name}:latest\n".encode(), home=tmp_path)

    assert done.stdout.decode().splitlines() == [
        f"ocidir://{tmp_path / 'layout'}@{built}",
        f"{name}@{digest}",
        f"{name}@{digest}",
    ]


def test_a_platform(served: Served) -> None:
    """--platform gives the image's digest; JSON has the descriptor with it."""
    name = f"{served.host}/team/hello"
    line = output_of(regkit("resolve", f"{name}:1", "--platform", "linux/arm64/v8")).strip()
    document = json.loads(output_of(regkit("resolve", f"{name}:1", "--format", "json", "--platform", "arm64")))

    assert document["schema"] == 1
    (result,) = document["results"]
    assert line == result["name"] == f"{name}@{result['digest']}"
    assert result["platform"] == {"architecture": "arm64", "os": "linux"}
    assert "has no image for linux/s390x" in fails("resolve", f"{name}:1", "--platform", "s390x", code=5)


def test_what_is_not_there(served: Served) -> None:
    """One name that stands for nothing fails the call: no list that is shorter than what was asked."""
    name = f"{served.host}/team/hello"

    assert f"regkit: error: {name}:9 isn't there" in fails("resolve", f"{name}:1", f"{name}:9", code=5)


@pytest.mark.parametrize(
    "verb", [("resolve",), ("verify",), ("inspect",), ("manifest", "get"), ("blob", "head"), ("caps",)]
)
def test_nothing_on_stdin(tmp_path: Path, verb: tuple[str, ...]) -> None:
    """A list of names that is empty is a mistake upstream, not success."""
    done = piped(*verb, "-", given=b"\n", home=tmp_path)

    assert (done.returncode, done.stdout) == (2, b"")
    assert b"nothing came on stdin" in done.stderr


def test_what_is_not_there_is_told_with_a_way_on(tmp_path: Path) -> None:
    """Where a registry's tags are listed, or what a layout has instead; each with exit code 5."""
    layout = f"ocidir://{attested_layout(tmp_path / 'layout', 'linux/amd64')}"
    with serving() as served:
        for verb in (("manifest", "get"), ("verify",), ("referrers",), ("inspect",)):
            shown = fails(*verb, f"{served.host}/a:1", code=5)
            assert f"hint: check the name, and that this login may see it; `regkit tag ls {served.host}/a`" in shown
            assert "hint: it has: built" in fails(*verb, f"{layout}:other", code=5)
    assert "hint: it has: built" in fails("resolve", f"{layout}:other", code=5)
