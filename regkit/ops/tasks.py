"""Work side by side: the only place that starts threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from typing import TypeVar, cast

Item = TypeVar("Item")
Result = TypeVar("Result")

CONCURRENCY = 24
"""Requests under way at once: enough to hide a round trip of 50 ms behind the others."""


def each(work: Callable[[Item], Result], items: Iterable[Item], concurrency: int = CONCURRENCY) -> list[Result]:
    """Do `work` for every item, side by side; give the results in the items' order.

    The first error wins: nothing new is begun, what runs ends by itself, then it is raised. Ctrl-C doesn't wait for
    what runs: aborting the session ends that.
    """
    todo = list(items)
    if len(todo) < 2:
        return [work(item) for item in todo]
    waiting = iter(enumerate(todo))
    lock = threading.Lock()
    done: queue.SimpleQueue[tuple[int, Result | None, BaseException | None]] = queue.SimpleQueue()
    stop = threading.Event()

    def take() -> tuple[int, Item] | None:
        with lock:
            return None if stop.is_set() else next(waiting, None)

    def worker() -> None:
        while (taken := take()) is not None:
            index, item = taken
            try:
                done.put((index, work(item), None))
            except BaseException as error:
                with lock:
                    stop.set()
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
        stop.set()


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
