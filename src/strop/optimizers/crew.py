"""The threads of one search: bounded, ordered, gone at once when the search ends."""

from __future__ import annotations

import contextvars
import heapq
import itertools
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal

POLL_S = 0.1


class Task:
    """One piece of work: what came of it, or that nobody wants it any more."""

    __slots__ = ("_done", "_job", "_then", "context", "error", "result", "state")

    def __init__(self, job: Callable[[], Any], then: Callable[[Task], None] | None) -> None:
        self._job = job
        self._then = then
        self._done = threading.Event()
        self.context = contextvars.copy_context()
        self.state: Literal["waiting", "running", "done", "failed", "dropped"] = "waiting"
        self.result: Any = None
        self.error: BaseException | None = None

    def perform(self) -> None:
        try:
            self.result = self.context.run(self._job)
            self.state = "done"
        except BaseException as error:  # noqa: BLE001 - whoever waits for the task gets it
            self.error = error
            self.state = "failed"
        self._done.set()
        if self._then is not None:
            # In the task's own context: what it starts next needs the same model and settings. What breaks there is
            # work ahead, done again when the algorithm asks for it; the thread must live on for the others.
            with suppress(BaseException):
                self.context.run(self._then, self)

    def drop(self) -> None:
        self.state = "dropped"
        self._done.set()

    @property
    def finished(self) -> bool:
        return self._done.is_set()

    def wait(self, check: Callable[[], None]) -> None:
        """Return when the task is finished; `check` is called while waiting and may raise."""
        while not self._done.wait(POLL_S):
            check()


class Crew:
    """At most `size` tasks at a time. Work that somebody waits for goes first; work ahead leaves one place free for the
    thread that runs the algorithm."""

    def __init__(self, size: int, check: Callable[[], None]) -> None:
        self.size = size
        self._check = check
        self._ahead_size = size - 1
        self._lock = threading.Condition()
        self._order = itertools.count()
        self._now: list[tuple[int, int, Task]] = []
        self._ahead: list[tuple[int, int, Task]] = []
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._ahead_running = 0
        self._closed = False

    @property
    def can_look_ahead(self) -> bool:
        """False when there is no place to spare."""
        return self._ahead_size > 0

    def submit(
        self, job: Callable[[], Any], *, ahead: bool = False, rank: int = 0, then: Callable[[Task], None] | None = None
    ) -> Task:
        """Queue `job` in the caller's context; lower ranks first. `then` is called in the worker that finished it."""
        task = Task(job, then)
        with self._lock:
            if self._closed:
                task.drop()
                return task
            heapq.heappush(self._ahead if ahead else self._now, (rank, next(self._order), task))
            if len(self._now) + len(self._ahead) > self._idle and len(self._threads) < self.size:
                thread = threading.Thread(target=self._work, daemon=True, name=f"strop-search-{len(self._threads)}")
                self._threads.append(thread)
                thread.start()
            self._lock.notify()
        return task

    def run(self, jobs: Sequence[Callable[[], Any]]) -> list[Task]:
        """Do all `jobs`, return when all are finished, in their order.

        Raises what ends the whole search (a BaseException that is no Exception), as soon as one job raises it.
        """
        tasks = [self.submit(job) for job in jobs]
        self.wait(tasks)
        return tasks

    def wait(self, tasks: Sequence[Task]) -> None:
        """Return when all `tasks` are finished; raises as `run` does."""
        for task in tasks:
            task.wait(self._check)
            if task.error is not None and not isinstance(task.error, Exception):
                raise task.error
            if task.state == "dropped":
                self._check()

    def close(self) -> None:
        """Forget everything that has not begun. Work under way is left to end by itself; the threads are daemons."""
        with self._lock:
            self._closed = True
            for _, _, task in (*self._now, *self._ahead):
                task.drop()
            self._now.clear()
            self._ahead.clear()
            self._lock.notify_all()

    def _work(self) -> None:
        while True:
            with self._lock:
                found = self._next()
                while found is None:
                    if self._closed:
                        return
                    self._idle += 1
                    self._lock.wait()
                    self._idle -= 1
                    found = self._next()
                task, ahead = found
                task.state = "running"
                self._ahead_running += ahead
            task.perform()
            if ahead:
                with self._lock:
                    self._ahead_running -= 1
                    if self._ahead:
                        self._lock.notify()

    def _next(self) -> tuple[Task, bool] | None:
        for queue, ahead in ((self._now, False), (self._ahead, True)):
            while queue and not (ahead and self._ahead_running >= self._ahead_size):
                task = heapq.heappop(queue)[2]
                if task.state == "waiting":
                    return task, ahead
        return None
