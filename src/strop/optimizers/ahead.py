"""Looks ahead in a serial bootstrap loop: the calls that it will make are made in parallel, before it asks for them.

DSPy visits the examples one by one until enough of them have succeeded. An example is certain to be visited when fewer
than enough of those before it can succeed: looking at it early costs nothing. Every other look is a bet. A lost bet is
a call for nothing, and a whole search loses at most `Allowance.size` of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strop.optimizers.crew import Task

Outcome = tuple[bool, ...]
"""For each round made: did it succeed."""


class Look:
    """One example looked at: the calls made so far, and whether more are wanted."""

    def __init__(self, over: threading.Event) -> None:
        self.calls: Sequence[Any] = ()
        self.over = over


class Allowance:
    """How many calls a search may still bet. Bets that turn out to be needed are given back."""

    def __init__(self, size: int) -> None:
        self._lock = threading.Lock()
        self._left = size
        self.size = size
        self.calls = 0
        self.unused = 0

    def take(self, calls: int) -> bool:
        with self._lock:
            if self._left < calls:
                return False
            self._left -= calls
            return True

    def give_back(self, calls: int) -> None:
        with self._lock:
            self._left += calls

    def made(self, calls: int, *, unused: int = 0) -> None:
        """Count calls made ahead, and those of them that nobody needed."""
        with self._lock:
            self.calls += calls
            self.unused += unused


class LookAhead:
    """One bootstrap loop's look ahead: `size` examples, done when `enough` have succeeded.

    `attempt(position, look)` makes the rounds of one example and returns what came of them; `submit` hands a job to the
    crew; `cost` is the number of calls that an example takes at most.
    """

    def __init__(
        self,
        *,
        size: int,
        enough: int,
        cost: int,
        attempt: Callable[[int, Look], Outcome],
        submit: Callable[[Callable[[], Any], Callable[[Task], None]], Task],
        allowance: Allowance,
    ) -> None:
        self._size = size
        self._enough = enough
        self._cost = cost
        self._attempt = attempt
        self._submit = submit
        self._allowance = allowance
        self._lock = threading.RLock()
        self._tasks: dict[int, Task] = {}
        self._looks: dict[int, Look] = {}
        self._bets: set[int] = set()
        self._visited = -1
        self._finished = 0
        self._succeeding = 0
        self._floor = 0
        self._floor_successes = 0
        self._over = threading.Event()

    def visit(self, position: int) -> None:
        """The loop has come to `position`."""
        with self._lock:
            self._visited = position
            self._settle(position)
            self._extend()

    def task(self, position: int) -> Task | None:
        with self._lock:
            return self._tasks.get(position)

    def finish(self) -> None:
        """The loop is through: forget what has not begun, count what was for nothing."""
        with self._lock:
            self._over.set()
            for position, task in self._tasks.items():
                if task.state == "waiting":
                    task.drop()
                    self._settle(position)
                else:
                    self._count(position, task)

    def _extend(self) -> None:
        """Start every example that is certain to be visited, then bet on those after it."""
        self._raise_floor()
        before, hopes = self._floor_successes, 0
        for position in range(self._floor, self._size):
            if before >= self._enough or self._over.is_set():
                return
            task = self._tasks.get(position)
            certain = before + hopes < self._enough
            if certain:
                self._settle(position)
            if task is None:
                if not certain:
                    if hopes * self._chance() >= self._enough - before or not self._allowance.take(self._cost):
                        return
                    self._bets.add(position)
                self._tasks[position] = self._start(position)
                hopes += 1
            elif task.finished:
                before += self._succeeded(task)
            else:
                hopes += 1

    def _chance(self) -> float:
        """How likely an example succeeds, by those seen (rule of succession): no more is bet than is likely needed."""
        return (self._succeeding + 1) / (self._finished + 2)

    def _raise_floor(self) -> None:
        while (task := self._tasks.get(self._floor)) is not None and task.finished:
            if self._floor_successes < self._enough:
                self._settle(self._floor)
            self._floor_successes += self._succeeded(task)
            self._floor += 1

    def _start(self, position: int) -> Task:
        look = self._looks[position] = Look(self._over)
        return self._submit(lambda: self._attempt(position, look), self._done)

    def _done(self, task: Task) -> None:
        with self._lock:
            self._finished += 1
            self._succeeding += self._succeeded(task)
            if not self._over.is_set():
                self._extend()

    def _succeeded(self, task: Task) -> bool:
        return task.state == "done" and any(task.result)

    def _settle(self, position: int) -> None:
        if position in self._bets:
            self._bets.discard(position)
            self._allowance.give_back(self._cost)

    def _count(self, position: int, task: Task) -> None:
        # A look under way is in the middle of a call, and makes no further one.
        made = len(self._looks[position].calls) + (not task.finished)
        self._allowance.made(made, unused=made if position > self._visited else 0)
