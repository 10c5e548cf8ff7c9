"""`regkit inspect --format tree|--config|--attestations` as users run it; the other formats are in test_commands."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from regkit.oci.descriptor import Descriptor
from regkit.oci.layout import blob_path
from regkit.oci.manifest import Manifest
from regkit.protocol.flow import Bytes
from regkit.targets.layout import Layout
from tests.ops.support import add_attestation, add_image, add_index, add_referrer, new_layout
from tests.support.command import fails, output_of, piped, regkit


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """Give two images, one with an attestation and a referrer, an attestation of nothing, and a lost image."""
    with new_layout(tmp_path) as layout:
        amd64, arm64, lost = (add_image(layout, f"linux/{each}") for each in ("amd64", "arm64", "s390x"))
        stray = add_attestation(layout, lost, "stray")
        broken = replace(stray, annotations={**stray.annotations, "vnd.docker.reference.digest": "nothing"})
        add_index(layout, [amd64, arm64, lost, add_attestation(layout, amd64), broken], "built")
        add_referrer(layout, amd64, "application/x\x1b[2J.sbom", '{"predicateType": "x"}')
    (tmp_path / blob_path(lost.digest)).unlink()
    return tmp_path


def read(layout: Path) -> tuple[Manifest, tuple[Descriptor, ...]]:
    index = Layout(layout).manifest("built")
    return index, index.manifests


def test_a_tree(layout: Path) -> None:
    """Images under their index, layers, attestations and referrers under their image; text that can't steer."""
    index, (amd64, arm64, lost, attestation, broken) = read(layout)
    name = f"ocidir://{layout}:built"
    shown = output_of(regkit("inspect", "--format", "tree", name, env={"LC_ALL": "C.UTF-8"}))

    lines = [re.split(r"(?<=\w)  ", line) for line in shown.splitlines()]
    assert lines[0] == [name]
    assert lines[1] == ["index", index.digest.short, f"{len(index.raw) / 1024:.1f} KiB"]
    assert [(line[0], *line[1:2]) for line in lines[2:]] == [
        ("├── linux/amd64", amd64.digest.short),
        ("│   ├── layer", Layout(layout).manifest(amd64.digest).layers[0].digest.short),
        ("│   ├── attestation", attestation.digest.short),
        ("│   │   └── layer", Layout(layout).manifest(attestation.digest).layers[0].digest.short),
        ("│   └── referrer application/x [2J.sbom", lines[6][1]),
        ("│       └── layer", lines[7][1]),
        ("├── linux/arm64", arm64.digest.short),
        ("│   └── layer", Layout(layout).manifest(arm64.digest).layers[0].digest.short),
        ("├── linux/s390x", lost.digest.short),
        ("└── unknown/unknown", broken.digest.short),
        ("    └── layer", Layout(layout).manifest(broken.digest).layers[0].digest.short),
    ]
    assert lines[10][2] == "MISSING"


def test_a_tree_where_lines_can_not_be_drawn(layout: Path) -> None:
    """A terminal without these characters gets others; two references are parted by an empty line."""
    _, (_, arm64, *_) = read(layout)
    name = f"ocidir://{layout}:built"

    shown = output_of(
        regkit("inspect", "--format", "tree", "--platform", "arm64", name, name, env={"PYTHONIOENCODING": "ascii"})
    )

    first, second = shown.split("\n\n")
    assert second == f"{first}\n"
    assert first.splitlines()[1].startswith(f"linux/arm64  {arm64.digest.short}  ")
    assert first.splitlines()[2].startswith("`-- layer  ")


def test_an_index_that_lists_a_blob(tmp_path: Path) -> None:
    """It isn't missing, but no manifest: shown as what its index says of it."""
    with new_layout(tmp_path) as layout:
        text = Descriptor.of("text/plain", b"text")
        layout.push(text, Bytes(b"text"))
        add_index(layout, [text], "1")
    name = f"ocidir://{tmp_path}:1"

    assert output_of(regkit("inspect", name)).splitlines()[-1].split() == ["none", text.digest, "4", "B"]
    tree = output_of(regkit("inspect", "--format", "tree", name, env={"LC_ALL": "C.UTF-8"}))
    assert tree.splitlines()[-1] == f"└── text/plain  {text.digest.short}  4 B"


def test_configurations(layout: Path) -> None:
    """Of one image its bytes; of several a JSON document by platform."""
    name = f"ocidir://{layout}:built"
    (layout / "pretty").mkdir()
    raw = b'{ "os":"linux",\t"architecture": "arm64" }\n'
    with new_layout(layout / "pretty") as pretty:
        add_index(pretty, [add_image(pretty, "linux/arm64", config=raw), add_image(pretty, "linux/amd64")], "1")
    both = f"ocidir://{layout}/pretty:1"

    done = piped("inspect", "--config", "--platform", "arm64", both, given=b"", home=layout)
    assert done.stdout == raw
    document = json.loads(output_of(regkit("inspect", "--config", both)))
    assert document == {
        "schema": 1,
        "name": both,
        "configs": {
            "linux/arm64": {"os": "linux", "architecture": "arm64"},
            "linux/amd64": {"architecture": "amd64", "os": "linux"},
        },
    }
    assert json.loads(output_of(regkit("inspect", "--config", both, both))) == [document, document]
    assert "has no blob" in fails("inspect", "--config", name, "--platform", "s390x", code=5)


def test_attestations(layout: Path) -> None:
    """As a table; as JSON with the statements."""
    name = f"ocidir://{layout}:built"
    table = output_of(regkit("inspect", "--attestations", name, "--platform", "amd64")).splitlines()

    assert table[0].split() == ["IMAGE", "PREDICATE", "DIGEST", "SIZE"]
    assert [line.split()[:2] for line in table[1:]] == [["linux/amd64", "-"], ["linux/amd64", "-"]]
    with Layout(layout) as target:
        amd64 = target.manifest("built").manifests[0]
    shown = output_of(regkit("inspect", "--attestations", "--format", "json", f"ocidir://{layout}@{amd64.digest}"))
    document = json.loads(shown)
    assert document["schema"] == 1
    assert [found["statement"] for found in document["attestations"]] == [{"predicateType": "x"}]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--config", "--attestations"), "are two questions"),
        (("--config", "--format", "tree"), "--format tree is for manifests"),
        (("--attestations", "--format", "raw"), "--format raw is for manifests"),
    ],
)
def test_what_does_not_go_together(layout: Path, arguments: tuple[str, ...], said: str) -> None:
    """It's said, before anything is read."""
    assert said in fails("inspect", f"ocidir://{layout}:built", *arguments, code=2)
