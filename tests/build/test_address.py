from __future__ import annotations

from pathlib import Path

import pytest

from regkit.build.address import Address
from regkit.config.sections import SCHEMES
from regkit.errors import UsageError
from tests.support.command import fails


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_kind_that_buildctl_speaks(scheme: str) -> None:
    assert str(Address(f"{scheme}://place")) == f"{scheme}://place"


@pytest.mark.parametrize("text", ["", "foo", "unix", "tcp://", "/run/buildkit/buildkitd.sock", "https://a.example"])
def test_what_is_no_address(text: str) -> None:
    """The sentence tells which kinds there are."""
    with pytest.raises(UsageError) as caught:
        Address(text)

    assert repr(text) in caught.value.message
    assert [scheme for scheme in SCHEMES if f"{scheme}://" in caught.value.message] == list(SCHEMES)


def test_a_builder_without_a_scheme(tmp_path: Path) -> None:
    """It isn't somebody who may be back later: exit code 2, wherever the address is from."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    for said in (
        fails("builder", "status", "--addr", "foo", code=2),
        fails("build", str(tmp_path), env={"BUILDKIT_HOST": "foo"}, code=2),
    ):
        assert "'foo' isn't an address of BuildKit's: those begin with docker-container://" in said
        assert "write BUILDKIT_HOST, or --addr, as tcp://HOST:PORT" in said
