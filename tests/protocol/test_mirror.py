from __future__ import annotations

import pytest

from regkit.oci.digest import Digest
from regkit.protocol.flow import Request, Scope
from regkit.protocol.mirror import at_mirror

DIGEST = Digest.of(b"x")
PULL = Scope("a/b", "pull")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("rest", ["manifests/1.2", f"manifests/{DIGEST}", f"blobs/{DIGEST}"])
@pytest.mark.parametrize(("prefix", "there"), [("", "a/b"), ("hub", "hub/a/b"), ("x/y", "x/y/a/b")])
def test_reads_of_content_may_be_answered(method: str, rest: str, prefix: str, there: str) -> None:
    """The same is asked for under the mirror's prefix, and its token is for the name that it has there.

    Without a word on tags, only what is asked for by its digest.
    """
    request = Request(method, f"/v2/a/b/{rest}", {"Accept": "x"}, scope=PULL, stream=True)

    assert at_mirror(request, prefix) == Request(
        method, f"/v2/{there}/{rest}", {"Accept": "x"}, scope=Scope(there, "pull"), stream=True
    )
    assert (at_mirror(request, prefix, tags=False) is None) == (rest == "manifests/1.2")


@pytest.mark.parametrize(
    "request_",
    [
        Request("PUT", "/v2/a/b/manifests/1", scope=PULL),
        Request("DELETE", f"/v2/a/b/blobs/{DIGEST}", scope=PULL),
        Request("POST", "/v2/a/b/blobs/uploads/", scope=PULL),
        Request("GET", "/v2/a/b/manifests/1", scope=Scope("a/b", "pull,push")),
        Request("GET", "/v2/a/b/manifests/1"),
        Request("GET", "/v2/a/b/tags/list?n=1000", scope=PULL),
        Request("GET", f"/v2/a/b/referrers/{DIGEST}", scope=PULL),
        Request("GET", "/v2/", scope=PULL),
        Request("GET", f"https://elsewhere/v2/a/b/blobs/{DIGEST}", scope=PULL),
        Request("GET", f"/v2/a/b/blobs/{DIGEST}?signed=1", scope=PULL),
    ],
)
def test_all_else_is_the_registrys_own(request_: Request) -> None:
    """Writes, what a write is decided by, lists, and what the registry itself has led to."""
    assert at_mirror(request_) is None
