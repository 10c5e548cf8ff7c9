"""Real registries as processes of their own: distribution v3, Debian's docker-registry 2.8, ggcr's, the embedded one.

Each keeps its content and its logs below a directory, listens on a free port of 127.0.0.1, and ends with its block.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.command import clean_environment
from tests.support.waiting import until

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
"""The methods that change a registry."""

_LIMIT = 20.0
_COMBINED = re.compile(r'"(?P<method>[A-Z]+) (?P<path>\S+) HTTP/[0-9.]+" (?P<status>[0-9]{3}) ')
_OWN = re.compile(r"^(?P<method>[A-Z]+) (?P<path>/\S*) (?P<status>[0-9]{3})(?: uploads=[0-9]+)?$")


class Logged(NamedTuple):
    """A request that a registry answered, as its access log has it."""

    method: str
    path: str
    status: int


@dataclass
class RunningRegistry:
    """A registry that runs: `host` is `127.0.0.1:PORT`, `kind` its function's name, `config` its file, if it has one.

    `stop()` ends it, and `start()` starts it again on the same content, on another port.
    """

    kind: str
    root: Path
    command: Sequence[str]
    log: Path
    """The access log."""
    greeting: Path
    """The file in which it says where it listens."""
    line: re.Pattern[str]
    config: Path | None = None
    tls: bool = False
    host: str = ""

    def __post_init__(self) -> None:
        self._markers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it says where it listens."""
        self.greeting.write_bytes(b"")
        with (self.root / "stdout").open("ab") as output, (self.root / "stderr").open("ab") as errors:
            self._process = process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=clean_environment(self.root, {"OTEL_TRACES_EXPORTER": "none"}),
                cwd=self.root,
            )

        def address() -> str:
            assert process.poll() is None, f"{self.command} ended at its start:\n{self.errors()}"
            found = re.search(r"listening on (?:https?://)?(127\.0\.0\.1:[0-9]+)", self.greeting.read_text())
            return found[1] if found else ""

        self.host = until(address, f"{self.command} says where it listens", _LIMIT)

    def stop(self) -> None:
        """End it; nothing is left but its files."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End it by SIGKILL, in the middle of whatever it does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def peak_memory(self) -> int:
        """Give its VmHWM so far, in bytes."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[1]) * 1024  # type: ignore[index]

    def errors(self) -> str:
        """Give the end of what it said on stderr."""
        return (self.root / "stderr").read_text(errors="replace")[-4000:]

    def requests(self) -> list[Logged]:
        """Give every request so far, in the order in which they were answered; all that were answered are there."""
        mark = f"/v2/?marker={next(self._markers)}-{os.urandom(4).hex()}"
        self._ask(mark)

        def read() -> list[Logged]:
            found = self._read()
            return found if any(logged.path == mark for logged in found) else []

        found = until(read, f"the access log of {self.host} shows {mark}", _LIMIT)
        return [logged for logged in found if "?marker=" not in logged.path]

    def mark(self) -> int:
        """Take a point in time, for `since`."""
        return len(self.requests())

    def since(self, mark: int) -> list[Logged]:
        """Give the requests after `mark`."""
        return self.requests()[mark:]

    def writes(self, mark: int = 0) -> list[Logged]:
        """Give those requests after `mark` whose method can change something."""
        return [logged for logged in self.since(mark) if logged.method in WRITES]

    def tags(self, repository: str) -> list[str]:
        """Give a repository's tags, sorted; none for a repository that isn't there."""
        status, body = self._ask(f"/v2/{repository}/tags/list")
        return sorted(json.loads(body)["tags"] or ()) if status == 200 else []

    def _read(self) -> list[Logged]:
        found = (self.line.search(line) for line in self.log.read_text(errors="replace").splitlines())
        return [Logged(m["method"], m["path"], int(m["status"])) for m in found if m]

    def _ask(self, path: str) -> tuple[int, bytes]:
        connection = (
            http.client.HTTPSConnection(self.host, timeout=_LIMIT, context=_unverified())
            if self.tls
            else http.client.HTTPConnection(self.host, timeout=_LIMIT)
        )
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def distribution(
    root: Path, *, extra_config: Mapping[str, Any] | None = None, delete: bool = True
) -> AbstractContextManager[RunningRegistry]:
    """Run distribution v3; `extra_config` is laid over its configuration."""
    return _distribution("distribution", "registry", root, extra_config or {}, delete)


def debian(
    root: Path, *, extra_config: Mapping[str, Any] | None = None, delete: bool = False
) -> AbstractContextManager[RunningRegistry]:
    """Run Debian's docker-registry 2.8, which has deletes switched off unless asked for."""
    return _distribution("debian", "docker-registry", root, extra_config or {}, delete)


def embedded(root: Path, *options: str) -> AbstractContextManager[RunningRegistry]:
    """Run `regkit registry serve` on a directory, with more `options`."""
    root.mkdir(parents=True, exist_ok=True)
    serve = ("registry", "serve", "--addr", "127.0.0.1:0", "--dir", str(root / "content"), *options)
    return _running(
        RunningRegistry(
            "embedded",
            root,
            (sys.executable, "-m", "regkit", "--progress", "plain", *serve),
            log=root / "stderr",
            greeting=root / "stdout",
            line=_OWN,
        )
    )


def ggcr(root: Path) -> AbstractContextManager[RunningRegistry]:
    """Run go-containerregistry's registry, which has the referrers API and keeps its content in memory."""
    root.mkdir(parents=True, exist_ok=True)
    return _running(
        RunningRegistry("ggcr", root, ("ggcr-registry",), log=root / "stdout", greeting=root / "stderr", line=_OWN)
    )


def _distribution(
    kind: str, binary: str, root: Path, extra: Mapping[str, Any], delete: bool
) -> AbstractContextManager[RunningRegistry]:
    root.mkdir(parents=True, exist_ok=True)
    base = {
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": False}},
        "storage": {"filesystem": {"rootdirectory": str(root / "content")}, "delete": {"enabled": delete}},
        "http": {"addr": "127.0.0.1:0", "secret": "not one"},
    }
    merged = _over(base, extra)
    config = root / "config.yml"
    config.write_text(json.dumps(merged, indent=2))  # JSON is YAML
    return _running(
        RunningRegistry(
            kind,
            root,
            (binary, "serve", str(config)),
            log=root / "stdout",
            greeting=root / "stderr",
            line=_COMBINED,
            config=config,
            tls="tls" in merged["http"],
        )
    )


@contextmanager
def _running(registry: RunningRegistry) -> Iterator[RunningRegistry]:
    try:
        registry.start()
        yield registry
    finally:
        registry.stop()


def _over(base: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in extra.items():
        there = merged.get(key)
        merged[key] = _over(there, value) if isinstance(there, Mapping) and isinstance(value, Mapping) else value
    return merged


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
