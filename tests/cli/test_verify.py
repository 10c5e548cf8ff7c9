"""`regkit verify` as users run it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from regkit.oci.layout import blob_path
from regkit.targets.layout import Layout
from tests.ops.support import Served, attested_layout, release, serving
from tests.support.command import fails, output_of, regkit


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return attested_layout(tmp_path / "layout", "linux/amd64", "linux/arm64")


@pytest.fixture
def served(layout: Path) -> Iterator[Served]:
    with serving() as served:
        release(served, layout)
        served.access.clear()
        yield served


def test_what_is_good(served: Served, layout: Path) -> None:
    """A line for each reference, exit code 0, and nothing was written."""
    name = f"{served.host}/team/hello:1"
    expected = ("--platforms", "linux/amd64,arm64/v8")

    lines = output_of(regkit("verify", name, f"oci:{layout}", *expected, "--blobs")).splitlines()

    counts = "linux/amd64, linux/arm64; 5 manifests, 7 blobs"
    assert lines[0] == f"good: {name} {served.tags()['1']}: {counts}"
    assert lines[1].startswith(f"good: ocidir://{layout} sha256:")
    assert served.writes == []


def test_what_is_wrong(layout: Path) -> None:
    """Each finding is a line on stdout, the sum is on stderr, and the exit code is 7."""
    image = Layout(layout).manifest(Layout(layout).manifest("built").manifests[0].digest)
    layer = image.layers[0]
    (layout / blob_path(layer.digest)).unlink()

    done = regkit("verify", f"oci:{layout}", "--platforms", "linux/amd64")
    assert done.returncode == 7
    assert done.stdout.splitlines() == [
        f"wrong: linux/amd64: the blob {layer.digest} of {layer.size} bytes isn't there",
        "wrong: linux/arm64: an image for a platform that isn't expected",
    ]
    assert done.stderr == f"regkit: error: 2 things are wrong with ocidir://{layout}\n"
    assert "1 thing is wrong with" in regkit("verify", f"oci:{layout}").stderr


def test_json(served: Served, layout: Path) -> None:
    """One document, or a list of several, also where something is wrong."""
    name = f"{served.host}/team/hello:1"
    done = regkit("verify", name, "--format", "json", "--platforms", "linux/amd64")
    document = json.loads(done.stdout)

    assert done.returncode == 7
    assert (document["schema"], document["name"], document["good"]) == (1, name, False)
    assert document["findings"] == [
        {
            "severity": "wrong",
            "where": "linux/arm64",
            "text": "an image for a platform that isn't expected",
        }
    ]
    both = json.loads(output_of(regkit("verify", name, f"oci:{layout}", "--format", "json")))
    assert [each["good"] for each in both] == [True, True]


def test_wrong_usage(served: Served) -> None:
    """A name that stands for nothing is a 5, a platform that isn't one, or stands there twice, a 2."""
    name = f"{served.host}/team/hello"

    assert "answered 404" in fails("verify", f"{name}:9", code=5)
    assert "unknown platform" in fails("verify", f"{name}:1", "--platforms", "linux/foo", code=2)
    assert "asked for twice" in fails("verify", f"{name}:1", "--platforms", "arm64,arm64/v8", code=2)
