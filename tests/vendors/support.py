"""Vendors' APIs, opened against their doubles, and spoken to raw."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from regkit.oci.reference import Reference
from regkit.protocol.auth import Login
from regkit.transport.credentials import Credentials
from regkit.vendors.api import VendorApi, connect
from tests.support.vendors.double import Double
from tests.transport.support import Patient

CANARY = "c4n4ry-s3cr3t"
NOW = 1_790_000_000.0


class Said(NamedTuple):
    """What a double answered."""

    status: int
    document: Any
    headers: Mapping[str, str]


def ask(
    double: Double, method: str, path: str, document: object = None, headers: Mapping[str, str] | None = None
) -> Said:
    """Speak raw HTTP to a double."""
    connection = http.client.HTTPConnection(double.host, timeout=20)
    try:
        body = None if document is None else json.dumps(document)
        kind = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, path, body, {**kind, **(headers or {})})
        answer = connection.getresponse()
        data = answer.read()
        found = {name.lower(): value for name, value in answer.headers.items()}
        return Said(answer.status, json.loads(data) if data else None, found)
    finally:
        connection.close()


@contextmanager
def opened(
    double: Double, name: str, login: Login | None, *, vendor: str = "", now: float = NOW
) -> Iterator[tuple[VendorApi, Patient]]:
    """Open a repository's API at a double, with a session that doesn't really wait."""
    reference = Reference.parse_name(name)
    credentials = Credentials({reference.registry: login} if login else {}, "nowhere")
    with Patient(now=now, credentials=credentials) as session:
        yield connect(session, reference, vendor=vendor, api=double.url), session
