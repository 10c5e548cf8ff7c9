"""A process of its own that looks at all tags of a repository, again and again, as one who pulls would."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from tests.support.swift import PROCESSES

_ACCEPT = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"
_LIMIT = 60.0
_TRIES = 20
"""Docker's registry 2.8 answers 500 to whoever reads a tag while it is written, which it does in place."""


@dataclass
class Seen:
    """What was seen: how many indexes under tags, and what was incomplete, in words."""

    indexes: int = 0
    faults: list[str] = field(default_factory=list)


class Onlooker:
    """Looks at what `watch` names, without a pause."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def watch(self, repository: str) -> None:
        """Look at another repository from now on; the last one is looked at once more before."""
        self._say(repository)

    def seen(self) -> Seen:
        """Look once more; give what was seen so far."""
        return self._say("")

    def _say(self, repository: str) -> Seen:
        self._connection.send(repository)
        assert self._connection.poll(_LIMIT), "the onlooker doesn't answer"
        found = self._connection.recv()
        assert isinstance(found, Seen)
        return found


@contextmanager
def onlooker(host: str) -> Iterator[Onlooker]:
    """Run one beside the block."""
    mine, its = PROCESSES.Pipe()
    process = PROCESSES.Process(target=_look, args=(host, its), daemon=True)
    process.start()
    its.close()
    try:
        yield Onlooker(mine)
    finally:
        process.kill()
        process.join()
        mine.close()


class Repository:
    """A repository as plain requests show it at this moment."""

    def __init__(self, host: str, name: str) -> None:
        self.name = name
        self._registry = http.client.HTTPConnection(host, timeout=_LIMIT)

    def __enter__(self) -> Repository:
        return self

    def __exit__(self, *_: object) -> None:
        self._registry.close()

    def tags(self) -> dict[str, Digest]:
        """Tell where every tag stands."""
        listed = self._get("tags/list")
        names = json.loads(listed)["tags"] or () if listed is not None else ()
        found = {name: self.manifest(name) for name in names}
        return {name: manifest.digest for name, manifest in found.items() if manifest is not None}

    def manifest(self, name: str) -> Manifest | None:
        """Read a manifest by tag or digest."""
        raw = self._get(f"manifests/{name}")
        return None if raw is None else Manifest.parse(raw)

    def faults(self) -> Iterator[list[str]]:
        """Give for each tag that is there what can't be read of its index: children, and blobs, each in words."""
        for tag, digest in self.tags().items():
            index = self.manifest(digest)
            if index is None:
                yield [f"{self.name}:{tag} stands on {digest}, which isn't there"]
                continue
            lacking = []
            for child in index.manifests:
                manifest = self.manifest(child.digest)
                if manifest is None:
                    lacking.append(f"{self.name}:{tag} lacks the image {child.digest}")
                    continue
                sizes = [(blob, self._size(blob.digest)) for blob in manifest.blobs]
                lacking += [
                    f"{self.name}:{tag} lacks {blob.digest}: {size} bytes of {blob.size}"
                    for blob, size in sizes
                    if size != blob.size
                ]
            yield lacking

    def _get(self, path: str) -> bytes | None:
        status, body = 500, b""
        for _ in range(_TRIES):
            self._registry.request("GET", f"/v2/{self.name}/{path}", headers={"Accept": _ACCEPT})
            answer = self._registry.getresponse()
            status, body = answer.status, answer.read()
            if status < 500:
                break
        assert status in (200, 404), f"GET {self.name}/{path}: {status} {body!r}"
        return body if status == 200 else None

    def _size(self, digest: str) -> int | None:
        self._registry.request("HEAD", f"/v2/{self.name}/blobs/{digest}")
        answer = self._registry.getresponse()
        answer.read()
        return int(answer.headers["Content-Length"]) if answer.status == 200 else None


def _look(host: str, connection: Connection) -> None:
    seen, watched = Seen(), None
    while True:
        asked = connection.poll(None if watched is None else 0)  # before the look, so that one follows
        if watched is not None:
            for faults in watched.faults():
                seen.indexes += 1
                seen.faults += faults
        if asked:
            name = connection.recv()
            watched = Repository(host, name) if name else watched
            connection.send(seen)
