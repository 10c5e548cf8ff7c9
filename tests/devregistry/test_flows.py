"""Both halves of the protocol, without a socket: the client's flows against `handle`."""

from __future__ import annotations

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.errors import NotFound
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import assemble_index
from regkit.protocol.blob import get_blob, push_blob
from regkit.protocol.check import check
from regkit.protocol.flow import Bytes, drive
from regkit.protocol.manifest import get_manifest, head_manifest, put_manifest
from regkit.protocol.tag import delete_tag, list_tags

from .support import image


def test_an_image_is_pushed_tagged_read_and_untagged(registry: DevRegistry) -> None:
    """What the client pushes, it finds again; an untag takes only the tag."""
    (config, layer), manifest = image("hello")
    drive(check(), registry.handle)
    for media_type, data in ((mediatype.OCI_CONFIG, config), (mediatype.OCI_LAYER_GZIP, layer)):
        descriptor = Descriptor.of(media_type, data)
        drive(push_blob("team/app", descriptor, Bytes(data)), registry.handle)
        with drive(get_blob("team/app", descriptor.digest), registry.handle) as stream:
            assert stream.read() == data
    index = assemble_index([manifest.descriptor], {"k": "v"})
    for name, each in ((manifest.digest, manifest), (index.digest, index), ("1", index), ("latest", index)):
        drive(put_manifest("team/app", name, each), registry.handle)

    assert drive(head_manifest("team/app", "1"), registry.handle) == index.descriptor
    assert drive(list_tags("team/app"), registry.handle) == ("1", "latest")
    assert drive(delete_tag("team/app", "1"), registry.handle)
    assert drive(list_tags("team/app"), registry.handle) == ("latest",)
    assert drive(get_manifest("team/app", index.digest), registry.handle).raw == index.raw


def test_what_is_not_there(registry: DevRegistry) -> None:
    """The client reads the registry's answers as what they mean."""
    assert drive(list_tags("nowhere"), registry.handle) == ()
    assert drive(head_manifest("nowhere", "1"), registry.handle) is None
    with pytest.raises(NotFound, match="BLOB_UNKNOWN"):
        drive(get_blob("nowhere", Digest.of(b"x")), registry.handle)
