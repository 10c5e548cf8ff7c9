"""How much memory a publish takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.layouts import make_layout
from tests.support.memory import peak_memory
from tests.support.registries import RunningRegistry

MIB = 1 << 20


@pytest.mark.parametrize("registry", ["distribution"], indirect=True)
def test_a_layer_is_streamed_however_large_it_is(registry: RunningRegistry, tmp_path: Path) -> None:
    """The peak memory for a layer of 1 GiB is within 16 MiB of that for 64 MiB, and under 80 MB."""
    peaks = {}
    for name, size in (("small", 64 * MIB), ("large", 1024 * MIB)):
        make_layout(tmp_path / name, layer_size=size)
        image = f"{registry.host}/memory/{name}"
        options = ("--from", tmp_path / name, "--image", image, "--version", "v1.0.0")
        peaks[name] = peak_memory("-q", "publish", *options, home=tmp_path)

    assert peaks["large"] - peaks["small"] <= 16 * MIB
    assert max(peaks.values()) < 80_000_000
