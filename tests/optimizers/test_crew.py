"""The crew: bounded, in order, and gone when it is closed."""

from __future__ import annotations

import contextvars
import threading
import time
from functools import partial

import pytest

from strop.optimizers.crew import Crew, Task


class Stop(BaseException):
    pass


def never() -> None:
    """Goes on for ever."""


def test_results_keep_their_order_and_errors_stay_with_their_job() -> None:
    crew = Crew(4, never)
    tasks = crew.run([partial(divmod, 10, n) for n in range(5)])
    assert isinstance(tasks[0].error, ZeroDivisionError)
    assert [task.result for task in tasks[1:]] == [divmod(10, n) for n in range(1, 5)]
    crew.close()


def test_what_ends_the_search_is_raised() -> None:
    def end() -> None:
        raise Stop

    crew = Crew(2, never)
    with pytest.raises(Stop):
        crew.run([never, end, never])
    crew.close()


def test_at_most_size_run_and_work_ahead_leaves_a_place() -> None:
    crew, lock, gate = Crew(3, never), threading.Lock(), threading.Event()
    running: list[str] = []
    most: dict[str, int] = {"ahead": 0, "all": 0}

    def job(kind: str) -> None:
        with lock:
            running.append(kind)
            most["all"] = max(most["all"], len(running))
            most["ahead"] = max(most["ahead"], running.count("ahead"))
        gate.wait(0.02)
        with lock:
            running.remove(kind)

    tasks = [crew.submit(partial(job, "ahead"), ahead=True) for _ in range(12)]
    crew.run([partial(job, "now") for _ in range(6)])
    crew.wait(tasks)
    assert most == {"ahead": 2, "all": 3}
    crew.close()


def test_lower_ranks_go_first() -> None:
    crew, gate, order = Crew(2, never), threading.Event(), list[int]()
    crew.submit(partial(gate.wait, 5), ahead=True)
    tasks = [crew.submit(partial(order.append, rank), ahead=True, rank=rank) for rank in (3, 1, 2)]
    gate.set()
    crew.wait(tasks)
    assert order == [1, 2, 3]
    crew.close()


def test_jobs_and_what_follows_them_run_in_the_submitters_context() -> None:
    colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")
    seen: list[str] = []
    done = threading.Event()
    crew = Crew(2, never)
    colour.set("red")
    crew.submit(lambda: seen.append(colour.get()), then=lambda _: (seen.append(colour.get()), done.set()))
    assert done.wait(5)
    assert seen == ["red", "red"]
    crew.close()


def test_closing_drops_what_has_not_begun() -> None:
    crew, gate = Crew(2, never), threading.Event()
    under_way = [crew.submit(partial(gate.wait, 5)) for _ in range(2)]
    while any(task.state == "waiting" for task in under_way):
        time.sleep(0.001)
    dropped = [crew.submit(never) for _ in range(5)]
    crew.close()
    assert {task.state for task in dropped} == {"dropped"}
    assert crew.submit(never).state == "dropped"
    gate.set()


def test_what_breaks_after_a_task_does_not_take_its_thread_away() -> None:
    def broken(task: Task) -> None:
        raise ValueError("the follow-up broke")

    crew = Crew(1, lambda: None)
    crew.submit(lambda: None, then=broken)
    last = crew.submit(lambda: 7)
    give_up = time.monotonic() + 5
    while not last.finished and time.monotonic() < give_up:
        time.sleep(0.01)
    crew.close()
    assert last.result == 7
