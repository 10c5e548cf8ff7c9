"""Where a BuildKit on this machine keeps what it built: a layout is put together from that, and nothing is sent.

BuildKit's own worker has content in `ROOT/runc-SNAPSHOTTER/content/blobs/ALGORITHM/HEX`, as a layout has it: under its
digest, and never written to again (its worker/runc/runc.go). What is linked stays when BuildKit removes its own name.
"""

from __future__ import annotations

import os
import shutil
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from regkit.build.address import Address
from regkit.errors import RegkitError
from regkit.oci import layout
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import MAX_SIZE, Manifest, assemble_index
from regkit.targets.file import open_file, size_of
from regkit.targets.verified import VerifiedSource, read_all

_SCHEME = "unix://"
_DATABASE = "containerdmeta.db"
_CREDENTIALS = struct.Struct("3i")  # a process, its user and group: struct ucred, unix(7)
_LIMIT = 1.0


def store_at(address: Address) -> Path | None:
    """Find the content of the BuildKit at `address`, by the database beside it, which the daemon holds open.

    None for a daemon that isn't behind a socket of this machine, is another user's, or sees other files than we do; and
    for one that leaves its content to containerd.
    """
    try:
        held = list(Path(f"/proc/{_process_at(address)}/fd").iterdir())
    except OSError:
        return None
    return next((path.parent / "content" for descriptor in held if (path := _database(descriptor))), None)


def put_together(store: Path, top: Descriptor, root: Path) -> bool:
    """Make a layout at `root`, an empty directory, of an index and all that it needs.

    The files are the store's own where they can be linked, copies where it's on another file system: they are to be
    read and unlinked, and nothing else. Manifests are checked. False where something isn't in the store, or isn't what
    it should be; what is in `root` then is of no use.
    """
    try:
        seen: set[Digest] = set()
        pending = [top]
        while pending:
            descriptor = pending.pop()
            if descriptor.digest not in seen:
                seen.add(descriptor.digest)
                pending += _bring(store, descriptor, root)
        (root / layout.MARKER).write_bytes(layout.MARKER_CONTENT)
        (root / layout.INDEX).write_bytes(assemble_index([top], {}).raw)
    except (OSError, RegkitError):
        return False
    return True


def _process_at(address: Address) -> int:
    """Ask the kernel who listens; raise OSError where nobody does, or where it isn't known."""
    if not address.url.startswith(_SCHEME) or not hasattr(socket, "SO_PEERCRED"):
        raise FileNotFoundError
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_LIMIT)
        connection.connect(address.url.removeprefix(_SCHEME))
        said = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    process, _, _ = _CREDENTIALS.unpack(said)
    return int(process)  # 0 is none: a process of another PID namespace


def _database(descriptor: Path) -> Path | None:
    """Give the path of an open file, where that is a worker's database, and here the path leads to it, too."""
    try:
        path = descriptor.readlink()
        if path.name == _DATABASE and path.samefile(descriptor):
            return path
    except OSError:
        pass  # closed meanwhile, or not to be seen from here
    return None


def _bring(store: Path, descriptor: Descriptor, root: Path) -> Iterator[Descriptor]:
    """Bring one blob; give what it needs, where it's a manifest."""
    name = layout.blob_path(descriptor.digest)
    source, path = store / name, root / name
    if size_of(source) != descriptor.size:
        raise FileNotFoundError(source)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, path)
    except OSError:
        shutil.copyfile(source, path)
    if descriptor.is_manifest:
        content = VerifiedSource(descriptor, lambda: open_file(path), str(path))
        manifest = Manifest.parse(read_all(content, MAX_SIZE), descriptor.media_type)
        yield from (*manifest.manifests, *(() if manifest.is_index else manifest.blobs))
