from __future__ import annotations

import os

import pytest

from regkit.build.address import Address
from regkit.build.workers import parse_workers, version_of
from regkit.errors import Unavailable


def test_nobody_is_there() -> None:
    """The address is named, with what buildctl says of it, and the hint asks what a reader can look at."""
    with pytest.raises(Unavailable, match=r"can't reach the builder at tcp://127\.0\.0\.1:1: .*refused") as caught:
        version_of(Address("tcp://127.0.0.1:1"), os.environ)

    assert "is buildkitd running there" in str(caught.value.hint)


@pytest.mark.parametrize(
    "said", [b"", b"no", b"{}x", b"[1]", b'[{"platforms": 1}]', b'[{"platforms": [1]}]', b"[" * 100_000]
)
def test_an_answer_of_another_form(said: bytes) -> None:
    """Whatever a builder says, it is one sentence."""
    with pytest.raises(Unavailable, match="list of workers can't be read"):
        parse_workers(said)
