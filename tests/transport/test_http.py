"""What a request becomes on its way, where no answer shows it."""

from __future__ import annotations

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.devregistry.server import running
from regkit.errors import ContentMismatch
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import MAX_SIZE
from regkit.protocol.blob import push_blob
from regkit.protocol.flow import Bytes, Request
from regkit.protocol.upload import Upload, ask_upload, close_upload
from regkit.transport.http import _message
from regkit.transport.session import Session

DIGEST = Digest.of(b"all of it")
UPLOAD = Upload("http://127.0.0.1:1/v2/a/blobs/uploads/1")


@pytest.mark.parametrize(
    ("request_", "patience"),
    [
        pytest.param(next(close_upload("a", UPLOAD, DIGEST, Bytes(b""))), 600, id="the end of chunks"),
        pytest.param(next(close_upload("a", UPLOAD, DIGEST, Bytes(b"all of it"))), 600, id="one PUT"),
        pytest.param(Request("POST", UPLOAD.url, body=Bytes(bytes(MAX_SIZE + 1))), 600, id="a large POST"),
        pytest.param(next(ask_upload("a", UPLOAD)), 60, id="a question"),
        pytest.param(Request("PUT", UPLOAD.url, body=Bytes(b"{}")), 60, id="a manifest"),
    ],
)
def test_registries_get_time_to_put_an_upload_together(request_: Request, patience: float) -> None:
    """What ends an upload is waited for as long as an object store may take, however few bytes come with it."""
    assert _message(request_).read == patience


@pytest.mark.parametrize(("said", "what"), [(9, "goes on after"), (11, "ended before")])
def test_no_more_and_no_less_than_was_announced_is_sent(said: int, what: str) -> None:
    """Bytes after the end would be the next request; a server that waits for missing ones would do so for minutes."""

    class Lying(Bytes):
        @property
        def size(self) -> int:
            return said

    blob = Descriptor.of("x", b"ten bytes!")
    with (
        running(DevRegistry()) as server,
        Session() as session,
        pytest.raises(ContentMismatch, match=f"content {what} its {said} bytes"),
    ):
        session.run(server.host, push_blob("a", blob, Lying(b"ten bytes!")))
