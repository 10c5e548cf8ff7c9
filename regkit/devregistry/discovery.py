"""The chapter of lists (distribution-spec, Listing Tags, Listing Referrers)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode, urlsplit

from regkit.devregistry.answer import Fault, json_response
from regkit.devregistry.call import Call
from regkit.devregistry.content import referrer_of, subject_of
from regkit.devregistry.store import Names, Store, read_known
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import MAX_SIZE, Manifest
from regkit.protocol.flow import Response

_NUMBER = re.compile(r"[0-9]{1,9}")
_PAGE = MAX_SIZE - 1024
"""How large the descriptors of a page of referrers may be together, in bytes: clients read no larger index."""


class Discovery:
    """Lists of what a repository has, in pages."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._subjects: dict[Digest, Digest | None] = {}

    def list_tags(self, call: Call) -> Response:
        """GET and HEAD: `n` tags after `last`, in lexical order; all where `n` isn't given."""
        names = self._store.names(call.repository)
        if names is None:
            raise Fault(404, "NAME_UNKNOWN", f"there is no repository {call.repository}")
        limit = _limit(call)
        tags = sorted(tag for tag in names.tags if tag > call.query.get("last", ""))
        page = tags[:limit]
        more = bool(page) and len(page) < len(tags)
        headers = _next_page(call, page[-1]) if more else {}
        return json_response({"name": call.repository, "tags": page}, headers=headers)

    def list_referrers(self, call: Call) -> Response:
        """GET: those after `last`, by their digests; `n`, and no more than a client reads of an index."""
        limit, page, size = _limit(call), list[Mapping[str, Any]](), 0
        headers = {"oci-filters-applied": "artifactType"} if "artifactType" in call.query else {}
        for descriptor in self._referrers(call):
            size += len(json.dumps(descriptor))
            if len(page) == limit or (page and size > _PAGE):
                headers |= _next_page(call, page[-1]["digest"]) if page else {}
                break
            page.append(descriptor)
        index = {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": page}
        return json_response(index, media_type=mediatype.OCI_INDEX, headers=headers)

    def _referrers(self, call: Call) -> Iterator[Mapping[str, Any]]:
        """Give the descriptor of each referrer that is asked for, in the order of their digests."""
        subject, names = call.digest, self._store.names(call.repository) or Names()
        kind = call.query.get("artifactType")
        for digest in sorted(digest for digest in names.manifests if digest > call.query.get("last", "")):
            known = names.manifests[digest]
            with suppress(FileNotFoundError):  # deleted a moment ago
                if self._subject(call.repository, known) == subject:
                    descriptor = referrer_of(self._manifest(call.repository, known), known)
                    if kind is None or descriptor.get("artifactType") == kind:
                        yield descriptor

    def _subject(self, repository: str, known: Descriptor) -> Digest | None:
        """Tell what a manifest refers to; its digest fixes that, so it is remembered."""
        if known.digest not in self._subjects:
            self._subjects[known.digest] = subject_of(self._manifest(repository, known))
        return self._subjects[known.digest]

    def _manifest(self, repository: str, known: Descriptor) -> Manifest:
        return Manifest(known.media_type, read_known(self._store, repository, known))


def _limit(call: Call) -> int | None:
    """Read how many entries are wanted (`n`); None for all of them."""
    text = call.query.get("n")
    if text is not None and not _NUMBER.fullmatch(text):
        raise Fault(400, "PAGINATION_NUMBER_INVALID", f"not a number of entries: {text[:40]!r}")
    return None if text is None else int(text)


def _next_page(call: Call, last: str) -> dict[str, str]:
    """Give the header that says where a list goes on."""
    asked = {name: value for name, value in call.query.items() if name in ("n", "artifactType")}
    path = urlsplit(call.request.url).path
    return {"link": f'<{path}?{urlencode({**asked, "last": last})}>; rel="next"'}
