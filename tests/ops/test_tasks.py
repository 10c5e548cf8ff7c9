from __future__ import annotations

import threading

import pytest

from regkit.ops.tasks import HEAVY, Lanes, ahead, each, each_in_lanes


def test_results_come_in_the_items_order() -> None:
    """However the work interleaves, result and item stand at the same place: here the first ends last."""
    second_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_done.wait(30)
        if item == 9:
            second_done.set()
        return item * 2

    assert each(work, range(10), 2) == [item * 2 for item in range(10)]


def test_nothing_and_one() -> None:
    """No item is no work; a single one is done in the caller's own thread."""
    assert each(lambda item: item, []) == []
    assert each(lambda _: threading.get_ident(), ["x"]) == [threading.get_ident()]


@pytest.mark.parametrize("falsy", [None, 0, "", ()])
def test_any_value_is_an_item(falsy: object) -> None:
    """Items are never taken for an end."""
    assert each(lambda item: (item,), [falsy] * 3) == [(falsy,)] * 3


def test_work_runs_side_by_side_up_to_the_bound() -> None:
    """As many run at once as are allowed, and never more."""
    together = threading.Barrier(4)
    lock = threading.Lock()
    running, most = 0, 0

    def work(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(30)  # passes only when four are here at once
        with lock:
            running -= 1

    each(work, range(12), 4)

    assert most == 4


def test_the_first_error_wins_and_nothing_new_begins() -> None:
    """After an error no further item is begun; what runs ends by itself; then the error is raised."""
    failed, begun, ended = threading.Event(), [], []

    def work(item: int) -> None:
        begun.append(item)
        if item == 0:
            failed.set()
            raise ValueError("first")
        assert failed.wait(30)
        ended.append(item)

    with pytest.raises(ValueError, match="first"):
        each(work, range(100), 2)

    assert len(begun) <= 3  # the other worker may have taken one more before the error was known
    assert sorted(ended) == sorted(set(begun) - {0})


def test_two_errors() -> None:
    """When all fail at once, one error is raised; no thread ends with another that nobody sees."""
    together = threading.Barrier(2)

    def work(item: int) -> None:
        together.wait(30)
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match=r"^item [01]$"):
        each(work, [0, 1], 2)


def test_few_heavy_ones_at_once() -> None:
    """Of the heavy ones only some are under way at once; the light ones don't wait for them; results are in order."""
    gate = threading.Barrier(HEAVY + 1)
    lock = threading.Lock()
    running, most, light = 0, 0, threading.Semaphore(0)

    def work(item: int, lanes: Lanes) -> int:
        nonlocal running, most
        if item % 2:
            light.release()
            return item
        with lanes.lane():
            with lock:
                running += 1
                most = max(most, running)
            gate.wait(10)
            with lock:
                running -= 1
            gate.wait(10)
        return item

    done = ahead(lambda: each_in_lanes(work, range(4 * HEAVY)))
    for _ in range(2 * HEAVY):
        assert light.acquire(timeout=10)  # while the first heavy ones still wait
    for _ in range(2):
        gate.wait(10)
        gate.wait(10)

    assert done() == list(range(4 * HEAVY))
    assert most == HEAVY


def test_heavy_ones_end_with_the_first_error() -> None:
    """An error lets nothing heavy begin any more, and is what is told."""
    begun = []
    together = threading.Barrier(10 * HEAVY)

    def work(item: int, lanes: Lanes) -> None:
        together.wait(10)
        with lanes.lane():
            begun.append(item)
            raise ValueError(item)

    with pytest.raises(ValueError, match=r"\d"):
        each_in_lanes(work, range(10 * HEAVY), 10 * HEAVY)

    assert 0 < len(begun) <= HEAVY


def test_a_heavy_one_that_only_waits_makes_room() -> None:
    """All of them begin, where each says that nothing is left of it but waiting; saying it again changes nothing."""
    count = 3 * HEAVY
    gate = threading.Barrier(count)

    def work(item: int, lanes: Lanes) -> int:
        with lanes.lane() as leave:
            leave()
            leave()
            gate.wait(10)
        return item

    assert each_in_lanes(work, range(count), count) == list(range(count))
