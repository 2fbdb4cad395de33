"""Lanes hold calls, not workers."""

from __future__ import annotations

import contextvars
import threading
import time

import pytest

from strop.errors import BudgetExceeded, RunStopped
from strop.gateway import Lanes, Switch, lanes
from strop.gateway.lanes import may_call


def test_no_more_are_inside_than_there_are_lanes_and_all_of_them_are_used() -> None:
    limit, switch = Lanes(3), Switch()
    inside, peak, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal inside, peak
        for _ in range(5):
            with limit.made.one(switch):
                with lock:
                    inside += 1
                    peak = max(peak, inside)
                time.sleep(0.002)
                with lock:
                    inside -= 1

    crew = [threading.Thread(target=work) for _ in range(9)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    assert peak == 3


def test_who_waits_for_a_lane_leaves_when_the_run_is_stopped() -> None:
    limit, switch = Lanes(1), Switch()
    with limit.made.one(switch):
        switch.trip("budget_exceeded", "enough", error=BudgetExceeded("enough"))
        with pytest.raises(RunStopped), limit.made.one(switch):
            pass


def test_the_outer_limit_stays_in_force_and_threads_inherit_it() -> None:
    outer, inner = Lanes(1), Lanes(50)
    stopped = Switch()
    stopped.trip("budget_exceeded", "enough", error=BudgetExceeded("enough"))
    with lanes(outer), lanes(inner) as held, may_call(Switch()):
        assert held is outer
        ended: list[BaseException] = []

        def work() -> None:
            try:
                with may_call(stopped):
                    pass
            except RunStopped as stop:
                ended.append(stop)

        thread = threading.Thread(target=contextvars.copy_context().run, args=(work,))
        thread.start()
        thread.join()
        assert ended
    with may_call(stopped):
        """Without a limit there is nothing to wait for."""


@pytest.mark.parametrize(("size", "workers"), [(1, 1), (2, 3), (32, 48)])
def test_a_single_lane_has_a_single_worker(size: int, workers: int) -> None:
    assert Lanes(size).workers == workers
