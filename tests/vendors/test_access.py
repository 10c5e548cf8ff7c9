"""A token that a login brings: once for all threads, and in no repr."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from regkit.protocol.flow import Flow, Request, Response, drive
from regkit.vendors.access import Fixed, Gained
from tests.vendors.support import CANARY


def test_threads_share_one_login() -> None:
    """Eight threads that begin at once log in once, and once more when the token is no longer taken."""
    logins: Iterator[int] = iter(range(100))
    good = ["token-0"]

    def log_in() -> Flow[str | Response]:
        response = yield Request("POST", "/login")
        assert response.status == 200
        return f"token-{next(logins)}"

    access = Gained(log_in, CANARY)
    barrier = threading.Barrier(8)

    def send(request: Request) -> Response:
        if request.url == "/login":
            return Response(200)
        if request.headers["Authorization"] != f"Bearer {good[0]}":
            barrier.wait(20)  # until all have sent the token that is no longer taken
        return Response(200 if request.headers["Authorization"] == f"Bearer {good[0]}" else 401)

    statuses: list[int] = []

    def work() -> None:
        barrier.wait()
        statuses.append(drive(access.authorized(Request("GET", "/x")), send).status)

    for token in ("token-0", "token-1"):
        good[0] = token
        threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert statuses == [200] * 16
    assert next(logins) == 2
    assert access.secrets == (CANARY, "token-1")


def test_secrets_are_in_no_repr() -> None:
    """Neither of what stays the same, nor of what was gained."""
    for access in (Fixed({"Authorization": CANARY}, CANARY), Gained(lambda: iter(()), CANARY)):  # type: ignore[arg-type, return-value]
        assert CANARY not in repr(access)
