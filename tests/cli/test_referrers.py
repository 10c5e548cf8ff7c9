"""`regkit referrers` as users run it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from regkit.oci.descriptor import Descriptor
from regkit.targets.layout import Layout
from tests.ops.support import add_referrer, attested_layout
from tests.support.command import fails, output_of, regkit


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return attested_layout(tmp_path / "layout", "linux/amd64", "linux/arm64")


@pytest.fixture
def attached(layout: Path) -> list[Descriptor]:
    """Give an SBOM and a signature of the index, and an SBOM of an image in it."""
    with Layout(layout) as target:
        index = target.manifest("built")
        return [
            add_referrer(target, subject, kind)
            for subject, kind in (
                (index.descriptor, "application/x.sbom"),
                (index.descriptor, "application/x.signature"),
                (index.manifests[1], "application/x.sbom"),
            )
        ]


def test_a_table(layout: Path, attached: list[Descriptor]) -> None:
    """A line each; only those of a type, or of an image."""
    name = f"ocidir://{layout}:built"

    def digests(*arguments: str) -> set[str]:
        header, *lines = output_of(regkit("referrers", name, *arguments)).splitlines()
        assert header.split("  ")[0] == "ARTIFACT TYPE"
        return {line.split()[1] for line in lines}

    assert digests() == {attached[0].digest, attached[1].digest}
    assert digests("--artifact-type", "application/x.signature") == {attached[1].digest}
    assert digests("--platform", "arm64") == {attached[2].digest}
    assert digests("--platform", "amd64") == set()


def test_json(layout: Path, attached: list[Descriptor]) -> None:
    """The descriptors, under the name of what they refer to."""
    index = Layout(layout).manifest("built")
    name = f"ocidir://{layout}@{index.digest}"

    document = json.loads(output_of(regkit("referrers", f"ocidir://{layout}:built", "--format", "json")))

    assert (document["schema"], document["name"]) == (1, name)
    assert {each["digest"] for each in document["referrers"]} == {each.digest for each in attached[:2]}
    assert {each["artifactType"] for each in document["referrers"]} == {
        "application/x.sbom",
        "application/x.signature",
    }
    both = json.loads(output_of(regkit("referrers", name, name, "--format", "json")))
    assert both == [document, document]


def test_wrong_usage(layout: Path) -> None:
    """A tag that isn't there is a 5, a format that there isn't a 2."""
    assert "has no tag 'other'" in fails("referrers", f"ocidir://{layout}:other", code=5)
    assert "'raw' is not one of 'table', 'json', 'jsonl'" in fails(
        "referrers", f"ocidir://{layout}:built", "--format", "raw", code=2
    )
