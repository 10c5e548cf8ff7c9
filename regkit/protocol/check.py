"""Does the registry answer, and does it speak the protocol? (distribution-spec, Determining Support)."""

from __future__ import annotations

from regkit.protocol.flow import Flow, Request, Scope, expect


def check(scope: Scope | None = None) -> Flow[None]:
    """Ask `/v2/`; raise AccessDenied where these credentials aren't let in for `scope`."""
    response = yield Request("GET", "/v2/", scope=scope)
    expect(response, 200, what="speak to the registry")
