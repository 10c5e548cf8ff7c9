"""Real engines that keep images on this machine, each with a directory of its own and nothing else."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.command import clean_environment, output_of, peer
from tests.support.waiting import until

_LIMIT = 20.0
_STORAGE = '[storage]\ndriver = "vfs"\ngraphroot = "{root}/graph"\nrunroot = "{root}/run"\n'
_CONTAINERD = """\
version = 2
root = "{root}/root"
state = "{root}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{root}/s"
"""


@dataclass(frozen=True)
class Engine:
    """An engine: what --load calls it, and the variables by which its program finds it."""

    name: str
    env: Mapping[str, str]

    def images(self) -> dict[str, str]:
        """Give the images' names, each with its architecture."""
        if self.name == "docker":
            listed = output_of(peer("docker", "images", "--format", "{{.Repository}}:{{.Tag}}", env=self.env)).split()
            return {name: self._architecture(name) for name in listed}
        if self.name == "podman":
            found = json.loads(output_of(peer("podman", "images", "--format", "json", env=self.env)))
            names = [name for image in found for name in image["Names"]]
            return {name: self._architecture(name) for name in names}
        lines = output_of(peer("ctr", "images", "ls", env=self.env)).splitlines()[1:]
        return {line.split()[0]: line.split("linux/")[1].split()[0] for line in lines}

    def _architecture(self, name: str) -> str:
        asked = (self.name, "image", "inspect", "--format", "{{.Architecture}}", name)
        return output_of(peer(*asked, env=self.env)).strip()


@contextmanager
def podman(root: Path) -> Iterator[Engine]:
    """Give podman, which needs no daemon, with its storage below `root`."""
    root.mkdir(parents=True)
    config = root / "storage.conf"
    config.write_text(_STORAGE.format(root=root))
    yield Engine("podman", {"CONTAINERS_STORAGE_CONF": str(config)})


@contextmanager
def containerd(root: Path) -> Iterator[Engine]:
    """Run containerd below `root`, whose path has to be short enough for a socket."""
    root.mkdir(parents=True)
    config = root / "config.toml"
    config.write_text(_CONTAINERD.format(root=root))
    with _running(root, "containerd", "--config", str(config)):
        own = {"CONTAINERD_ADDRESS": f"{root}/s"}
        until(lambda: peer("ctr", "version", env=own).returncode == 0, "containerd answers", _LIMIT)
        yield Engine("containerd", own)


@contextmanager
def docker(root: Path) -> Iterator[Engine]:
    """Run a Docker daemon below `root`, whose path has to be short enough for a socket; it has no network."""
    root.mkdir(parents=True)
    places = ("--data-root", f"{root}/d", "--exec-root", f"{root}/e", "--pidfile", f"{root}/p")
    own = {"DOCKER_HOST": f"unix://{root}/s"}
    with _running(
        root,
        "dockerd",
        *places,
        "--host",
        own["DOCKER_HOST"],
        "--storage-driver",
        "vfs",
        "--iptables=false",
        "--bridge=none",
    ):
        until(lambda: peer("docker", "version", env=own).returncode == 0, "the Docker daemon answers", _LIMIT)
        yield Engine("docker", own)


@contextmanager
def _running(root: Path, *command: str) -> Iterator[None]:
    with (
        (root / "log").open("wb") as log,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment(root)
        ) as process,
    ):
        try:
            yield
        finally:
            process.terminate()


ENGINES = {"podman": podman, "containerd": containerd, "docker": docker}
