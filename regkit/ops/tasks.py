"""Work side by side: the only place that starts threads."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Generic, TypeVar, cast

from regkit.errors import AccessDenied, Interrupted, RegkitError

Item = TypeVar("Item")
Result = TypeVar("Result")

CONCURRENCY = 24
"""Requests under way at once: enough to hide a round trip of 50 ms behind the others."""

AT_ONCE = 64
"""Manifests and tags under way at once: small requests, of which a mirror has hundreds."""

HEAVY = 4
"""Large pieces of content under way at once: they fill a line and the processors, and more only get in each other's
way."""


def each(work: Callable[[Item], Result], items: Iterable[Item], concurrency: int = CONCURRENCY) -> list[Result]:
    """Do `work` for every item, side by side; give the results in the items' order.

    The first error wins: nothing new is begun, what runs ends by itself, then it is raised. Ctrl-C doesn't wait for
    what runs: aborting the session ends that.
    """
    return each_in_lanes(lambda item, _: work(item), items, concurrency, is_heavy=lambda _: False)


def each_in_lanes(
    work: Callable[[Item, Callable[[], None]], Result],
    items: Iterable[Item],
    concurrency: int = CONCURRENCY,
    *,
    is_heavy: Callable[[Item], bool],
) -> list[Result]:
    """Do as `each` does, where some items are heavy: of those `HEAVY` are under way at once, beside the others.

    `work` is given what it may call when all that's left of an item is waiting: then the next heavy one begins.
    """
    todo = list(items)
    if len(todo) < 2:
        return [work(item, _nothing) for item in todo]
    lanes = _Lanes(enumerate(todo), is_heavy)
    done: queue.SimpleQueue[tuple[int, Result | None, BaseException | None]] = queue.SimpleQueue()

    def worker() -> None:
        while (taken := lanes.take()) is not None:
            index, item = taken
            make_room = partial(lanes.make_room, index)
            try:
                done.put((index, work(item, make_room), None))
            except BaseException as error:
                lanes.stop()
                done.put((index, None, error))
            make_room()

    # Daemons: an interpreter that ends, as after Ctrl-C, waits for none of them.
    threads = [threading.Thread(target=worker, daemon=True) for _ in range(min(concurrency, len(todo)))]
    for thread in threads:
        thread.start()
    try:
        return _collect(done, len(todo))
    except Exception:
        for thread in threads:
            thread.join()
        raise
    finally:
        lanes.stop()


def outcomes(ask: Callable[[Item], Result], wanted: Iterable[Item]) -> list[Result | RegkitError]:
    """Ask for every item, `AT_ONCE` of them side by side; give what came, or what went wrong with that one.

    Raise AccessDenied and Interrupted: those aren't about one item.
    """

    def attempt(item: Item) -> Result | RegkitError:
        try:
            return ask(item)
        except (AccessDenied, Interrupted):
            raise
        except RegkitError as error:
            return error

    return each(attempt, wanted, AT_ONCE)


class _Lanes(Generic[Item]):
    """What waits to be done: the heavy ones first, as long as there is room for them, then the others."""

    def __init__(self, items: Iterable[tuple[int, Item]], is_heavy: Callable[[Item], bool]) -> None:
        self._heavy: deque[tuple[int, Item]] = deque()
        self._light: deque[tuple[int, Item]] = deque()
        self._running: set[int] = set()
        self._changed = threading.Condition()
        for index, item in items:
            (self._heavy if is_heavy(item) else self._light).append((index, item))

    def take(self) -> tuple[int, Item] | None:
        """Give the next, when there is room for it; None where there is none."""
        with self._changed:
            while self._heavy or self._light:
                if self._heavy and len(self._running) < HEAVY:
                    self._running.add(self._heavy[0][0])
                    return self._heavy.popleft()
                if self._light:
                    return self._light.popleft()
                self._changed.wait()
            self._changed.notify_all()
            return None

    def make_room(self, index: int) -> None:
        """Let the next heavy one begin."""
        with self._changed:
            self._running.discard(index)
            self._changed.notify()

    def stop(self) -> None:
        """Give nothing any more."""
        with self._changed:
            self._heavy.clear()
            self._light.clear()
            self._changed.notify_all()


def _nothing() -> None:
    """Make room where there is only one."""


def ahead(work: Callable[[], Result]) -> Callable[[], Result]:
    """Begin `work` now; give a function that waits for its result, or raises its error."""
    done: queue.SimpleQueue[tuple[int, Result | None, BaseException | None]] = queue.SimpleQueue()

    def worker() -> None:
        try:
            done.put((0, work(), None))
        except BaseException as error:
            done.put((0, None, error))

    threading.Thread(target=worker, daemon=True).start()
    return lambda: _collect(done, 1)[0]


def _collect(done: queue.SimpleQueue[tuple[int, Result | None, BaseException | None]], count: int) -> list[Result]:
    results: dict[int, Result] = {}
    while len(results) < count:
        index, result, error = done.get()
        if error is not None:
            raise error
        results[index] = cast(Result, result)
    return [results[index] for index in range(count)]
