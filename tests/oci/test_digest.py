from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.errors import ContentMismatch, UsageError
from regkit.oci.digest import Digest, Verifier

HEX = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(st.one_of(HEX.map(lambda h: f"sha256:{h}"), st.tuples(HEX, HEX).map(lambda pair: f"sha512:{''.join(pair)}")))
def test_every_digest_of_the_grammar_is_taken_as_it_is(text: str) -> None:
    """A sha256 or sha512 digest is taken, parts into algorithm and hex, and is still its own text."""
    digest = Digest(text)

    assert digest == text
    assert f"{digest.algorithm}:{digest.hex}" == text
    assert text.partition(":")[2][:12] == digest.short


@given(st.text())
def test_any_other_text_is_refused_as_bad_usage(text: str) -> None:
    """Arbitrary text is a UsageError; it never becomes part of a URL or a path."""
    with pytest.raises(UsageError, match="not a digest"):
        Digest(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("sha256:" + "A" * 64, id="upper case"),
        pytest.param("sha256:" + "a" * 63, id="too short"),
        pytest.param("sha256:" + "a" * 65, id="too long"),
        pytest.param("sha512:" + "a" * 64, id="the length of another algorithm"),
        pytest.param("md5:" + "a" * 32, id="another algorithm"),
        pytest.param("sha256:../../../../etc/passwd", id="a path"),
        pytest.param("sha256:" + "../" * 21 + "a", id="a path of the right length"),
        pytest.param("sha256:" + "a" * 63 + "\u0661", id="a digit of another script"),
        pytest.param("sha256:" + "a" * 64 + "\n", id="a line break at the end"),
        pytest.param(" sha256:" + "a" * 64, id="a blank before it"),
        pytest.param("a" * 64, id="without algorithm"),
        pytest.param("sha256+b64:" + "a" * 64, id="a compound algorithm"),
    ],
)
def test_what_resembles_a_digest_is_refused(text: str) -> None:
    """Only the two exact forms pass: nothing that climbs out of a directory, nothing that another parser reads on."""
    with pytest.raises(UsageError, match="not a digest"):
        Digest(text)


def test_a_long_text_is_cut_in_the_message() -> None:
    """A registry can't fill the screen with a bad digest."""
    with pytest.raises(UsageError) as caught:
        Digest("x" * 100_000)

    assert len(str(caught.value)) < 200


@given(st.binary(), st.sampled_from(["sha256", "sha512"]))
def test_digest_of_bytes(data: bytes, algorithm: str) -> None:
    """A digest is computed from the bytes alone, and the Verifier for it takes exactly these bytes."""
    digest = Digest.of(data, algorithm)

    assert digest == f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
    verifier = Verifier(digest, len(data))
    for byte in data:
        verifier.update(bytes([byte]))
    verifier.finish()


@given(st.binary(min_size=1), st.data())
def test_verifier_refuses_other_bytes_of_the_same_size(data: bytes, draw: st.DataObject) -> None:
    """One byte that differs, anywhere, is found at the end."""
    position = draw.draw(st.integers(0, len(data) - 1))
    other = bytes([*data[:position], data[position] ^ 0x20, *data[position + 1 :]])
    verifier = Verifier(Digest.of(data), len(data), "the layer")
    verifier.update(other)

    with pytest.raises(ContentMismatch, match="the layer has the digest"):
        verifier.finish()


def test_verifier_stops_at_the_first_byte_too_many() -> None:
    """A stream without end is stopped as soon as it passes its promised size, before it is hashed."""
    verifier = Verifier(Digest.of(b"1234"), 4)
    verifier.update(b"1234")

    with pytest.raises(ContentMismatch, match="larger than the 4 bytes"):
        verifier.update(b"5")


def test_verifier_refuses_an_early_end() -> None:
    """A stream that ends early is refused with both sizes named, though a prefix can't be told by its hash."""
    verifier = Verifier(Digest.of(b"1234"), 4)
    verifier.update(b"12")

    with pytest.raises(ContentMismatch, match="ended after 2 of 4 bytes"):
        verifier.finish()
