"""Work side by side: the only place that starts threads."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

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


class Lanes:
    """Room for what is heavy, among many things that are done side by side: for `HEAVY` of them at once."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._busy = 0
        self.stopped = False

    @contextmanager
    def lane(self) -> Iterator[Callable[[], None]]:
        """Wait for room; give what may be called once all that's left is waiting: then the next one begins."""
        with self._changed:
            self._changed.wait_for(lambda: self.stopped or self._busy < HEAVY)
            if self.stopped:
                raise _StoppedError
            self._busy += 1
        inside = True

        def leave() -> None:
            nonlocal inside
            with self._changed:
                if inside:
                    inside = False
                    self._busy -= 1
                    self._changed.notify()

        try:
            yield leave
        except BaseException:
            self.stop()
            raise
        finally:
            leave()

    def stop(self) -> None:
        """Let nothing begin any more."""
        with self._changed:
            self.stopped = True
            self._changed.notify_all()


class _StoppedError(Exception):
    """Something else went wrong before this could begin."""


def each(work: Callable[[Item], Result], items: Iterable[Item], concurrency: int = CONCURRENCY) -> list[Result]:
    """Do `work` for every item, side by side; give the results in the items' order.

    The first error wins: nothing new is begun, what runs ends by itself, then it is raised. Ctrl-C doesn't wait for
    what runs: aborting the session ends that.
    """
    return each_in_lanes(lambda item, _: work(item), items, concurrency)


def each_in_lanes(
    work: Callable[[Item, Lanes], Result], items: Iterable[Item], concurrency: int = CONCURRENCY
) -> list[Result]:
    """Do as `each` does, where `work` does what is heavy in one of the lanes that it is given."""
    todo = list(items)
    lanes = Lanes()
    if len(todo) < 2:
        return [work(item, lanes) for item in todo]
    waiting = deque(enumerate(todo))
    done: queue.SimpleQueue[tuple[int, Result | None, BaseException | None]] = queue.SimpleQueue()

    def worker() -> None:
        while not lanes.stopped:
            try:
                index, item = waiting.popleft()
            except IndexError:
                return
            try:
                done.put((index, work(item, lanes), None))
            except _StoppedError:
                return
            except BaseException as error:
                lanes.stop()
                done.put((index, None, error))

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
    return each(attempt(ask, (AccessDenied, Interrupted)), wanted, AT_ONCE)


def attempt(
    ask: Callable[[Item], Result], passing: tuple[type[RegkitError], ...] = (Interrupted,)
) -> Callable[[Item], Result | RegkitError]:
    """Give a function that does the same, and gives what goes wrong instead of raising it, but for what is passing."""

    def attempted(item: Item) -> Result | RegkitError:
        try:
            return ask(item)
        except passing:
            raise
        except RegkitError as error:
            return error

    return attempted


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
