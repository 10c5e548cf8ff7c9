from __future__ import annotations

import io
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import pytest

from regkit.errors import ContentMismatch, RegkitError
from regkit.files import open_regular
from regkit.oci.descriptor import Descriptor
from regkit.protocol.flow import Bytes
from regkit.targets.verified import VerifiedSource, read_all

DATA = bytes(range(256)) * 9 + b"the rest"
BLOB = Descriptor.of("application/octet-stream", DATA)


def source(data: bytes, blob: Descriptor = BLOB) -> VerifiedSource:
    return VerifiedSource(blob, lambda: io.BytesIO(data), "the layer")


def test_the_promised_bytes_pass() -> None:
    """Good content comes through unchanged, as often as it is opened, in pieces of any size."""
    good = source(DATA)

    assert good.size == len(DATA)
    for step in (1, 7, 4096, -1):
        with good.open() as stream:
            assert b"".join(iter(lambda stream=stream, step=step: stream.read(step), b"")) == DATA  # type: ignore[misc]


@pytest.mark.parametrize("position", range(0, len(DATA), 64))
def test_a_flipped_byte_is_caught(position: int) -> None:
    """One byte that differs, wherever it is, is an error before the last byte is handed on."""
    wrong = bytes([*DATA[:position], DATA[position] ^ 1, *DATA[position + 1 :]])

    with source(wrong).open() as stream, pytest.raises(ContentMismatch, match="the layer has the digest"):
        stream.read()


def test_nobody_gets_the_whole_of_wrong_content() -> None:
    """A consumer that copies as it reads never holds all bytes of content that is wrong."""

    class Pieces(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(100, size or 100) if size != -1 else 100)

    wrong = VerifiedSource(BLOB, lambda: Pieces(b"x" + DATA[1:]), "the layer")
    received = io.BytesIO()
    with wrong.open() as stream, pytest.raises(ContentMismatch):
        shutil.copyfileobj(stream, received, 100)

    assert 0 < len(received.getvalue()) < len(DATA)


@pytest.mark.parametrize("cut", [1, 64, len(DATA)])
def test_an_early_end_is_caught(cut: int) -> None:
    """Content that ends too early is an error, not short content."""
    with (
        source(DATA[:-cut]).open() as stream,
        pytest.raises(ContentMismatch, match=f"ended after {len(DATA) - cut} of"),
    ):
        stream.read()


def test_too_much_is_caught() -> None:
    """Content that goes on after its promised end is an error."""
    with source(DATA + b"x").open() as stream, pytest.raises(ContentMismatch, match="larger than"):
        stream.read()


def test_empty_content() -> None:
    """Nothing, where nothing was promised, is fine; anything else isn't."""
    empty = Descriptor.of("text/x", b"")

    assert read_all(source(b"", empty), 10) == b""
    with pytest.raises(ContentMismatch):
        read_all(source(b"x", empty), 10)


@dataclass
class Remembering:
    """Knows what it opened."""

    opened: list[BinaryIO] = field(default_factory=list)

    def __call__(self) -> BinaryIO:
        self.opened.append(io.BytesIO(DATA))
        return self.opened[-1]


def test_closing_closes_what_is_beneath() -> None:
    """A connection goes back to its pool when the stream is closed, read to its end or not."""
    opener = Remembering()
    with VerifiedSource(BLOB, opener).open() as stream:
        stream.read(1)

    assert [stream.closed for stream in opener.opened] == [True]


def test_read_all_is_bounded() -> None:
    """What is larger than the limit isn't even opened."""
    opener = Remembering()

    with pytest.raises(ContentMismatch, match="more than the 10 that are read at once"):
        read_all(VerifiedSource(BLOB, opener), 10)
    assert opener.opened == []
    assert read_all(Bytes(DATA), len(DATA)) == DATA


def test_a_medium_that_fails() -> None:
    """What the system can't read is said in a sentence that names the content; nothing of it is taken for the end."""
    unreadable = VerifiedSource(BLOB, lambda: open_regular(Path("/proc/self/mem")), "the layer")

    with unreadable.open() as stream, pytest.raises(RegkitError, match="the layer can't be read: Input/output error"):
        stream.read()
