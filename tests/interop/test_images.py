"""The images that a publish brings are what the index claims."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from regkit.oci.platform import Platform
from tests.support import elf
from tests.support.command import clean_environment, output_of, peer
from tests.support.releases import PLATFORMS, Release

MACHINES = {"amd64": elf.X86_64, "arm64": elf.AARCH64, "arm": elf.ARM}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_program_is_for_the_platform(release: Release, platform: str, tmp_path: Path) -> None:
    """As pulled for a platform, the image's program is for that machine, and for no newer one than its variant."""
    program = read(release, platform, "hello", tmp_path)
    variant = Platform.parse(platform).variant

    assert elf.machine(program) == MACHINES[Platform.parse(platform).architecture]
    if platform == "linux/arm/v6":
        assert elf.arm_cpu_arch(program) <= elf.ARM_V6, variant
    if platform == "linux/arm/v7":
        assert elf.arm_cpu_arch(program) == elf.ARM_V7, variant


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_run_step_ran_on_the_platform(release: Release, platform: str, tmp_path: Path) -> None:
    """What `RUN` wrote into each image names that platform: every image was built by its own run.

    The step sees BuildKit's spelling, which is also the configuration's: `linux/arm64` where `linux/arm64/v8` was
    asked for.
    """
    reference = f"{release.name}:1.2.3"
    config = json.loads(output_of(peer("crane", "config", reference, "--platform", platform)))

    ran_for = read(release, platform, "platform", tmp_path).decode().strip()

    assert ran_for == str(Platform.from_json(config))
    assert Platform.parse(ran_for).normalized == Platform.parse(platform).normalized


def read(release: Release, platform: str, name: str, home: Path) -> bytes:
    """Pull an image as crane does, and give one file of its file system."""
    argv = ["crane", "export", "--platform", platform, f"{release.name}:1.2.3", "-"]
    done = subprocess.run(argv, env=clean_environment(home), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        file = archive.extractfile(name)
        assert file is not None
        return file.read()
