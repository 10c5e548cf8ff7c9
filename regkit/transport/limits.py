"""How much of a registry's patience is used: requests under way at once, and begun in a second."""

from __future__ import annotations

import contextlib
import io
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import BinaryIO, cast

from regkit.protocol.flow import Request, Response

_LOOK = 0.25
"""How often a request that waits for its turn looks whether it is still wanted, in seconds."""


class Limits:
    """Bounds for one host, shared by threads.

    A request counts until its answer is read to the end. A thread that reads one answer to send it on isn't kept
    waiting for itself: its further requests go beside that one.
    """

    def __init__(
        self,
        concurrency: int | None = None,
        per_second: float | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._concurrency = concurrency
        self._interval = 1 / per_second if per_second else 0.0
        self._sleep, self._clock = sleep, clock
        self._next = clock()
        self._busy: Counter[int] = Counter()
        self._changed = threading.Condition()

    def send(self, request: Request, send: Callable[[Request], Response]) -> Response:
        """Send when it is this request's turn; what `sleep` raises, of an aborted session say, ends the wait."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._slot())
            self._wait()
            response = send(request)
            if request.stream and response.status in (200, 206):
                body = cast(BinaryIO, _Counted(response.body, stack.pop_all()))
                return replace(response, body=body)
            return response

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        if self._concurrency is None:
            yield
            return
        me = threading.get_ident()
        with self._changed:
            while me not in self._busy and len(self._busy) >= self._concurrency:
                if not self._changed.wait(_LOOK):
                    self._sleep(0)  # raises where the session is aborted
            self._busy[me] += 1
        try:
            yield
        finally:
            with self._changed:
                self._busy[me] -= 1
                if not self._busy[me]:
                    del self._busy[me]
                self._changed.notify()

    def _wait(self) -> None:
        """Wait for the next beat; who comes after a pause has saved none up."""
        if not self._interval:
            return
        with self._changed:
            now = self._clock()
            start = max(now, self._next)
            self._next = start + self._interval
        if start > now:
            self._sleep(start - now)


class _Counted(io.RawIOBase):
    """A body that counts as a request under way until it is closed."""

    def __init__(self, body: BinaryIO, ending: contextlib.ExitStack) -> None:
        self._body, self._ending = body, ending

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return self._body.read(size)

    def close(self) -> None:
        if not self.closed:
            with self._ending:
                self._body.close()
        super().close()
