"""What the rows are measured on: layouts, registries near and far, and how each client is told of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import trustme

from regkit.oci.descriptor import Descriptor
from regkit.oci.manifest import Manifest, canonical_json
from regkit.protocol.flow import Bytes
from regkit.targets.layout import Layout
from tests.bench.measure import Argv
from tests.support.command import clean_environment
from tests.support.distance import far_away
from tests.support.layouts import make_layout
from tests.support.registries import RunningRegistry, distribution

REGKIT = str(Path(sys.executable).with_name("regkit"))
ROUND_TRIP = 0.05
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7")
KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True)
class Lab:
    """A directory for all that a row needs, and the environment of every client."""

    root: Path
    env: Mapping[str, str]

    @classmethod
    def at(cls, root: Path) -> Lab:
        """Use a directory."""
        return cls(root, clean_environment(root))

    def layout(self, name: str, platforms: Sequence[str], layers: int, layer_size: int) -> Path:
        """Make a layout, once, whose only tag is `v1`."""
        path = self.root / name
        if not path.exists():
            make_layout(path, platforms, layers, layer_size, tag="v1")
        return path

    def series(self, name: str, tags: int, shared: int, layer_size: int) -> Path:
        """Make a layout of `tags` images that share all layers but one."""
        path = self.root / name
        index = make_layout(path, ("linux/amd64",), shared, layer_size, tag="base")
        with Layout(path) as layout:
            base = layout.manifest(index.manifests[0].digest)
            for number in range(tags):
                own = [Descriptor.of(kind, f"{kind} {number}".encode()) for kind in _OWN]
                for kind, blob in zip(_OWN, own, strict=True):
                    layout.push(blob, Bytes(f"{kind} {number}".encode()))
                config, layer = own
                document = {
                    **base.document,
                    "config": config.to_json(),
                    "layers": [each.to_json() for each in (*base.layers, layer)],
                }
                manifest = Manifest(base.media_type, canonical_json(document))
                layout.push(manifest.descriptor, Bytes(manifest.raw), f"1.{number}")
            layout.untag("base")
        return path

    @contextmanager
    def registry(self, name: str, *, far: bool = False) -> Iterator[Place]:
        """Run a registry, as far away as is asked for."""
        with distribution(self.root / name) as running:
            if not far:
                yield Place(running, running.host)
                return
            with far_away(running.host, ROUND_TRIP / 2) as host:
                yield Place(running, host)

    @contextmanager
    def guarded(self, name: str) -> Iterator[tuple[Place, Lab]]:
        """Run a registry that speaks TLS, with a lab whose clients trust it."""
        authority = trustme.CA()
        certificate, key, trusted = (self.root / f"{name}.{kind}" for kind in ("crt", "key", "ca"))
        issued = authority.issue_cert("127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(str(certificate))
        issued.private_key_pem.write_to_path(str(key))
        authority.cert_pem.write_to_path(str(trusted))
        tls = {"http": {"tls": {"certificate": str(certificate), "key": str(key)}}}
        with distribution(self.root / name, extra_config=tls) as running:
            yield Place(running, running.host, tls=True), replace(self, env={**self.env, "SSL_CERT_FILE": str(trusted)})

    def regsync(self, source: str, target: str) -> Argv:
        """Give the command that copies all tags; what it is to do stands in a file."""
        config = self.root / "regsync.json"  # JSON is YAML
        hosts = [{"registry": each.partition("/")[0], "tls": "disabled"} for each in (source, target)]
        sync = [{"source": source, "target": target, "type": "repository"}]
        config.write_text(json.dumps({"version": 1, "creds": hosts, "defaults": {"parallel": 4}, "sync": sync}))
        return ["regsync", "once", "-c", config]


@dataclass(frozen=True)
class Place:
    """A registry, and the `host:port` that clients ask."""

    running: RunningRegistry
    host: str
    tls: bool = False


def push(layout: Path, place: Place) -> dict[str, Argv]:
    """Give what pushes a layout with each peer, `{}` in place of the repository."""
    plain = [] if place.tls else ["--to-plain-http"]
    return {
        "crane": ["crane", "push", "--index", layout, "{}:v1"],
        "regctl": [*regctl(place), "image", "copy", f"ocidir://{layout}:v1", "{}:v1"],
        "oras": ["oras", "cp", "--from-oci-layout", *plain, f"{layout}:v1", "{}:v1"],
    }


def copy(name: str, *places: Place) -> dict[str, Argv]:
    """Give what copies an image between registries with each peer, `{}` in place of the repository."""
    return {
        "crane": ["crane", "copy", name, "{}:v1"],
        "regctl": [*regctl(*places), "image", "copy", name, "{}:v1"],
        "oras": ["oras", "cp", "--from-plain-http", "--to-plain-http", name, "{}:v1"],
    }


def regctl(*places: Place) -> list[str]:
    """Begin a command of regctl, told which registries speak no TLS."""
    hosts = (f"reg={place.host},tls=disabled" for place in places if not place.tls)
    return ["regctl", *(word for host in hosts for word in ("--host", host))]


_OWN = ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip")
