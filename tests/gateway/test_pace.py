"""The pace: how many calls may be in flight, start in a minute, or wait because the provider said so."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest

from strop.errors import RunStopped
from strop.gateway import ModelSettings, Switch
from strop.gateway.pace import Pace

WINDOW_S = 0.4


def pace(window_s: float = WINDOW_S, **settings: int) -> Pace:
    return Pace(ModelSettings(model="sim/x", **settings), window_s=window_s)  # type: ignore[arg-type]  # numbers only


def starts(gate: Pace, calls: int, *, tokens: int = 1, threads: int = 4) -> list[float]:
    """When each of `calls` calls was let start, in order, asked for by several threads at once."""
    seen: list[float] = []
    lock, left = threading.Lock(), iter(range(calls))

    def worker() -> None:
        while True:
            with lock:
                if next(left, None) is None:
                    return
            with gate.turn(tokens, Switch()), lock:
                seen.append(time.monotonic())

    crew = [threading.Thread(target=worker) for _ in range(threads)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    return sorted(seen)


def most_in_a_window(seen: list[float], window_s: float) -> int:
    return max(sum(1 for moment in seen if first <= moment < first + window_s) for first in seen)


def test_without_limits_nothing_waits() -> None:
    before = time.monotonic()
    assert len(starts(pace(), 2000)) == 2000
    assert time.monotonic() - before < 10


def test_no_window_has_more_calls_than_the_limit() -> None:
    seen = starts(pace(requests_per_minute=5), 16)
    # A start is noted a moment after it was granted, so the windows compared are a little shorter.
    assert most_in_a_window(seen, WINDOW_S * 0.85) <= 5
    assert seen[-1] - seen[0] >= 3 * WINDOW_S * 0.95


def test_no_window_has_more_tokens_than_the_limit() -> None:
    seen = starts(pace(tokens_per_minute=100), 9, tokens=40)
    assert most_in_a_window(seen, WINDOW_S * 0.85) <= 2


def test_a_call_larger_than_the_limit_goes_alone_instead_of_never() -> None:
    gate = pace(tokens_per_minute=100)
    with gate.turn(500, Switch()):
        pass
    before = time.monotonic()
    with gate.turn(500, Switch()):
        assert time.monotonic() - before >= WINDOW_S * 0.9


def test_calls_in_flight_are_bounded_and_a_failed_call_gives_its_place_back() -> None:
    gate, lock = pace(concurrency=3), threading.Lock()
    inside, most = 0, 0

    def call() -> None:
        nonlocal inside, most
        with contextlib.suppress(ValueError), gate.turn(1, Switch()):
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.01)
            with lock:
                inside -= 1
            raise ValueError("failed")

    crew = [threading.Thread(target=call) for _ in range(12)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    assert most == 3
    with gate.turn(1, Switch()), gate.turn(1, Switch()), gate.turn(1, Switch()):
        pass


def test_a_pause_holds_every_call_and_the_longest_one_counts() -> None:
    gate = pace()
    gate.pause(2)
    gate.pause(0.05)
    before = time.monotonic()
    seen = starts(gate, 6)
    assert seen[0] - before >= 1.9
    again = time.monotonic()
    starts(gate, 6)
    assert time.monotonic() - again < 1.9


@pytest.mark.parametrize("why", ["pause", "requests", "tokens", "slots"])
def test_a_waiting_call_leaves_at_once_when_the_run_is_stopped(why: str) -> None:
    gate = pace(60.0, requests_per_minute=1, tokens_per_minute=10, concurrency=1 if why == "slots" else 8)
    switch, left = Switch(), threading.Event()
    first = gate.turn(1, Switch())
    first.__enter__()
    if why == "pause":
        gate.pause(60)

    def wait() -> None:
        with pytest.raises(RunStopped), gate.turn(20 if why == "tokens" else 1, switch):
            pass
        left.set()

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    assert not left.is_set()
    switch.trip("cancelled", "by the user")
    assert left.wait(0.5)
    thread.join()
    first.__exit__(None, None, None)
