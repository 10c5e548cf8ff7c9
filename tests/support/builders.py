"""Real buildkitds as processes of their own: on a socket or behind mutual TLS, for some platforms only."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from regkit.build.address import Address
from regkit.build.builder import command
from tests.support.command import clean_environment, output_of, peer
from tests.support.waiting import until

BUSYBOX = Path("/bin/busybox")
_SERVES = re.compile(r"running server on (?:addr=)?\"?(127\.0\.0\.1:[0-9]+|/\S+?)[\"\s]")
_LIMIT = 30.0


@dataclass
class RunningBuilder:
    """A buildkitd that runs; `tls_dir` is a client's, where it's behind mutual TLS."""

    process: subprocess.Popen[bytes]
    log: Path
    address: Address

    @property
    def option(self) -> str:
        """What stands behind the `=` of `--builder`."""
        return f"{self.address}{f',tls-dir={self.address.tls_dir}' if self.address.tls_dir else ''}"

    def built(self) -> list[str]:
        """Tell what it built: the descriptions of its cache's records."""
        said = output_of(peer("buildctl", *self.address.words, "du", "--format", "{{json .}}"))
        return [each["description"] for line in said.splitlines() for each in json.loads(line) or ()]

    def kill(self) -> None:
        """End it by SIGKILL, in the middle of whatever it does, with all that it runs."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def running_builder(
    root: Path, *platforms: str, authority: trustme.CA | None = None, options: Sequence[str] = ()
) -> Iterator[RunningBuilder]:
    """Run a buildkitd, limited to `platforms` if any are given; by tcp with an `authority`, else on a socket."""
    root.mkdir(parents=True)
    config, log = root / "buildkitd.toml", root / "log"
    config.touch()
    listen = "tcp://127.0.0.1:0" if authority else f"unix://{root}/s"
    words = command(root / "root", listen, config, os.environ)
    words += [word for platform in platforms for word in ("--oci-worker-platform", platform)]
    tls_dir = None
    if authority is not None:
        server = certificates(authority, root / "server", "127.0.0.1")
        tls_dir = certificates(authority, root / "client", "client.example")
        files = zip(("--tlscacert", "--tlscert", "--tlskey"), ("ca.pem", "cert.pem", "key.pem"), strict=True)
        words += [word for option, name in files for word in (option, str(server / name))]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*words, *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=clean_environment(root),
            start_new_session=True,
        )
    try:

        def place() -> str:
            assert process.poll() is None, f"{words} ended at its start:\n{log.read_text(errors='replace')}"
            found = _SERVES.search(log.read_text(errors="replace"))
            return found[1] if found else ""

        found = until(place, f"{words} says where it listens", _LIMIT)
        url = f"tcp://{found}" if authority else f"unix://{found}"
        yield RunningBuilder(process, log, Address(url, tls_dir))
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def certificates(authority: trustme.CA, directory: Path, name: str) -> Path:
    """Write ca.pem, cert.pem and key.pem for a name, as buildctl and buildkitd read them."""
    directory.mkdir(parents=True)
    issued = authority.issue_cert(name)
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    issued.private_key_pem.write_to_path(str(directory / "key.pem"))
    (directory / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return directory
