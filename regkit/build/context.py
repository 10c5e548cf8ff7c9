"""One digest over all that a build is made from, to tell whether something was built from exactly this.

Files count by relative path, kind, executable bit, bytes and link target: what two clones of one commit share.
Their times, owners and other permissions don't count. What a Dockerfile fetches (base images, `ADD https://…`)
isn't seen.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from regkit.build.dockerfile import read_dockerfile
from regkit.build.ignorefile import Ignore, parse_ignore
from regkit.build.means import join_fields
from regkit.build.spec import BuildSpec, effective_args
from regkit.errors import UsageError
from regkit.files import open_regular
from regkit.oci.digest import Digest

_FORMAT = b"regkit source 1"
_CHUNK = 1 << 20
_IGNORE_LIMIT = 1 << 20
_GIT = ".git"


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in the context: its path, relative and with slashes, and its mode as lstat tells it."""

    path: str
    mode: int


def source_digest(spec: BuildSpec, env: Mapping[str, str], without: Iterable[Path] = ()) -> Digest:
    """Digest the context that BuildKit would see, the Dockerfile, and how it is built; not for what.

    Target, arguments, attestations and the images' annotations count. Files are streamed. What we write ourselves, as a
    plan that is kept in the context, doesn't count: `without`. Raise UsageError for a file that can't be read.
    """
    total = hashlib.sha256(_FORMAT, usedforsecurity=False)
    root, ours = spec.context.resolve(), {path.resolve() for path in without}
    try:
        _add(total, b"dockerfile", read_dockerfile(spec.dockerfile))
        _add(total, b"target", spec.target.encode())
        for key, value in effective_args(spec, env):
            _add(total, b"argument", os.fsencode(key), os.fsencode(value))
        for kind, fields in sorted(spec.attests):
            _add(total, b"attest", kind.encode(), join_fields(fields).encode())
        for annotation in sorted(map(str, spec.annotations)):
            _add(total, b"annotation", annotation.encode())
        for entry in context_entries(spec):
            if root / entry.path not in ours:
                _add(total, *_describe(spec.context, entry))
    except OSError as error:
        raise UsageError(f"can't read the build context: {error.filename}: {error.strerror}") from None
    return Digest(f"sha256:{total.hexdigest()}")


def context_entries(spec: BuildSpec) -> Iterator[Entry]:
    """List what the context holds for a build, in a fixed order, without `.git` and what the ignore file names."""
    ignore = read_ignore(spec)
    waiting: list[tuple[str, tuple[bool, ...]]] = [("", ())]
    while waiting:
        directory, parent = waiting.pop()
        with os.scandir(spec.context / directory) as found:
            children = sorted(found, key=lambda child: os.fsencode(child.name))
        below = []
        for child in children:
            path = f"{directory}/{child.name}" if directory else child.name
            if path == _GIT:
                continue
            ignored, matched = ignore.decide(path, parent)
            mode = child.stat(follow_symlinks=False).st_mode
            if not ignored:
                yield Entry(path, mode)
            if stat.S_ISDIR(mode) and (not ignored or ignore.has_exceptions):
                below.append((path, matched))
        waiting.extend(reversed(below))


def read_ignore(spec: BuildSpec) -> Ignore:
    """Read the ignore file that BuildKit takes: the Dockerfile's own, else the context's."""
    own = spec.dockerfile.with_name(f"{spec.dockerfile.name}.dockerignore")
    for path in (own, spec.context / ".dockerignore"):
        try:
            with open_regular(path) as file:
                data = file.read(_IGNORE_LIMIT + 1)
        except (FileNotFoundError, IsADirectoryError):
            continue
        if len(data) > _IGNORE_LIMIT:
            raise UsageError(f"{path} is larger than {_IGNORE_LIMIT} bytes")
        return parse_ignore(data)
    return Ignore()


def _describe(context: Path, entry: Entry) -> tuple[bytes, ...]:
    path, mode = context / entry.path, entry.mode
    name = os.fsencode(entry.path)
    if stat.S_ISREG(mode):
        with open_regular(path, follow=False) as file:
            content = hashlib.sha256(usedforsecurity=False)
            while chunk := file.read(_CHUNK):
                content.update(chunk)
        return (b"program" if mode & stat.S_IXUSR else b"file", name, content.digest())
    if stat.S_ISLNK(mode):
        return (b"link", name, os.fsencode(path.readlink()))
    if stat.S_ISDIR(mode):
        return (b"directory", name)
    return (b"special", name, str(stat.S_IFMT(mode)).encode())


def _add(total: hashlib._Hash, *parts: bytes) -> None:
    """Take a record; the lengths before its parts keep two different records from looking the same."""
    total.update(len(parts).to_bytes(8, "big"))
    for part in parts:
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
