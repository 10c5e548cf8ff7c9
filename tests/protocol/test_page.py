"""Where the next page is; lists that page are in test_tag.py and test_referrers.py."""

from __future__ import annotations

import pytest

from regkit.errors import ProtocolError
from regkit.protocol.flow import Response
from regkit.protocol.page import next_page

URL = "https://registry.test/v2/a/tags/list"


def page(link: str) -> Response:
    return Response(200, {"link": link}, url=URL)


@pytest.mark.parametrize(
    "link",
    [
        '</v2/a/tags/list?last=b>; rel="next"',
        "</v2/a/tags/list?last=b>; rel=next",
        '<?last=b>;rel="next"',
        '</first>; rel="first", </v2/a/tags/list?last=b>; title="x"; REL="Next"',
    ],
)
def test_the_next_page(link: str) -> None:
    assert next_page(page(link), set()) == f"{URL}?last=b"


@pytest.mark.parametrize("link", ["", "</a>", '</a>; rel="prev"', '</a>; rel="next-archive"'])
def test_no_next_page(link: str) -> None:
    assert next_page(page(link), set()) is None


def test_a_link_that_is_no_address() -> None:
    """What can't be an address is the registry's fault, said in a sentence."""
    with pytest.raises(ProtocolError, match=r"registry\.test leads to what is no address: 'http://\[::1'"):
        next_page(page('<http://[::1>; rel="next"'), set())


@pytest.mark.parametrize("piece", ["<", "<>", "<>;", "<>; ", "; ", "<>;x"])
def test_a_link_that_repeats_itself_ends(piece: str) -> None:
    """As long as a header may be; read anew from each of its places, it would take minutes."""
    assert next_page(page(piece * (100_000 // len(piece))), set()) is None
