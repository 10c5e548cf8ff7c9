"""Answers: the specification's errors, and the parts of a response that several chapters share."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from typing import Any, BinaryIO, cast

from regkit.protocol.flow import Request, Response

API_VERSION = {"docker-distribution-api-version": "registry/2.0"}
"""What every answer says (distribution-spec, Legacy Docker support HTTP headers)."""

_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")


class Fault(Exception):
    """A request that is refused, with the specification's code (distribution-spec, Error Codes)."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}

    def response(self) -> Response:
        """Give the specification's JSON."""
        errors = [{"code": self.code, "message": self.message, "detail": None}]
        return json_response({"errors": errors}, status=self.status, headers=self.headers)


def json_response(
    document: Mapping[str, Any],
    *,
    status: int = 200,
    media_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Answer with a JSON document."""
    raw = json.dumps(document).encode()
    return Response(
        status, {"content-type": media_type, "content-length": str(len(raw)), **(headers or {})}, io.BytesIO(raw)
    )


def empty(status: int, **headers: str) -> Response:
    """Answer without a body; `docker_content_digest=…` becomes the header of that name."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, fields if status == 204 else {"content-length": "0", **fields})


def finished(request: Request, response: Response) -> Response:
    """Give an answer as it leaves: none to HEAD has a body, each says where it is from."""
    body = response.body
    if request.method == "HEAD":
        body.close()
        body = io.BytesIO()
    url = request.url if "://" in request.url else f"http://localhost{request.url}"
    return Response(response.status, {**API_VERSION, **response.headers}, body, url)


def parse_range(text: str | None, size: int) -> range | None:
    """Read a `Range` header: the bytes that are wanted, None for all of them (RFC 9110, 14.1.2).

    One that can't be satisfied, or runs backwards, raises a Fault of status 416; a unit or a list that isn't
    known is ignored, as the RFC allows.
    """
    match = _RANGE.fullmatch((text or "").replace(" ", ""))
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if first:
        wanted = range(int(first), min(int(last) + 1, size) if last else size)
    else:
        wanted = range(max(size - int(last), 0), size)
    if not wanted:
        raise Fault(416, "SIZE_INVALID", f"there are only {size} bytes", {"content-range": f"bytes */{size}"})
    return wanted


class Slice(io.RawIOBase):
    """A stream of `count` bytes from where `stream` stands; closing it closes `stream`."""

    def __init__(self, stream: BinaryIO, count: int) -> None:
        super().__init__()
        self._stream, self._left = stream, count

    @classmethod
    def of(cls, stream: BinaryIO, part: range) -> BinaryIO:
        """Give the part of a seekable stream."""
        stream.seek(part.start)
        return cast("BinaryIO", cls(stream, len(part)))

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes."""
        data = self._stream.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def close(self) -> None:
        """Close the stream beneath."""
        self._stream.close()
        super().close()
