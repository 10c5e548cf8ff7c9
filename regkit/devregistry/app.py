"""The server half of the protocol: `handle` takes a Request and gives a Response, without a socket.

A chapter of distribution-spec each: uploads, blobs, manifests, lists. A development registry, not a product to host
on, but a correct one: it takes nothing whose digest, size, media type or children are wrong.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from typing import Self, TypeAlias
from urllib.parse import urlsplit

from regkit.devregistry.answer import Fault, finished, json_response
from regkit.devregistry.blobs import Blobs
from regkit.devregistry.call import Call, check_repository
from regkit.devregistry.discovery import Discovery
from regkit.devregistry.manifests import Manifests
from regkit.devregistry.route import Route
from regkit.devregistry.store import Locks, MemoryStore, Store
from regkit.devregistry.upload import Uploads
from regkit.devregistry.uploading import Uploading
from regkit.errors import Unavailable
from regkit.protocol.flow import Request, Response

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

Methods: TypeAlias = Mapping[str, Callable[[Call], Response]]


class DevRegistry:
    """A registry over a store, which is its own from then on. `handle` may be called from any number of threads."""

    def __init__(self, store: Store | None = None) -> None:
        self.store: Store = MemoryStore() if store is None else store
        self._uploads = Uploads(self.store)
        locks = Locks()
        uploading, blobs = Uploading(self.store, self._uploads), Blobs(self.store, locks)
        manifests, lists = Manifests(self.store, locks), Discovery(self.store)
        self._begin: Methods = {"POST": uploading.begin}
        self._chapters: Mapping[str, Methods] = {
            "uploads": {
                "GET": uploading.get,
                "PATCH": uploading.patch,
                "PUT": uploading.close,
                "DELETE": uploading.cancel,
            },
            "blobs": {"GET": blobs.get, "HEAD": blobs.get, "DELETE": blobs.delete},
            "manifests": {
                "GET": manifests.get,
                "HEAD": manifests.get,
                "PUT": manifests.put,
                "DELETE": manifests.delete,
            },
            "tags": {"GET": lists.list_tags, "HEAD": lists.list_tags},
            "referrers": {"GET": lists.list_referrers},
        }

    def handle(self, request: Request) -> Response:
        """Answer a request. `Request.url` is a path with its query, or an absolute URL of which only that counts."""
        try:
            response = self._dispatch(request)
        except Fault as fault:
            response = fault.response()
        except Unavailable as error:
            # The body broke off: nobody is there to read this, unless a test is.
            response = Fault(400, "SIZE_INVALID", error.message).response()
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            response = Fault(507, "UNKNOWN", f"the registry has no room for it: {error.strerror}").response()
        return finished(request, response)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the uploads that are open, and close the store."""
        self._uploads.close()
        self.store.close()

    def _dispatch(self, request: Request) -> Response:
        route = Route.of(request)
        methods = self._methods(request, route)
        answer = methods.get(request.method)
        if answer is None:
            raise Fault(405, "UNSUPPORTED", f"{request.method} isn't done here", {"allow": ", ".join(methods)})
        if route.repository:
            check_repository(route.repository)
        return answer(Call(request, route.repository, route.name, route.query))

    def _methods(self, request: Request, route: Route) -> Methods:
        """Give what can be done at a path, by method."""
        if route.chapter == "uploads" and not route.name:
            return self._begin
        if route.chapter:
            return self._chapters[route.chapter]
        if urlsplit(request.url).path in ("/v2", "/v2/"):
            return _SUPPORT
        raise Fault(404, "UNSUPPORTED", "the specification has no such path")


def _support(_call: Call) -> Response:
    """Say that this is a registry (distribution-spec, Determining Support)."""
    return json_response({})


_SUPPORT: Methods = {"GET": _support, "HEAD": _support}
