"""How many calls are in flight over all models, fairly; and which of them have been in flight for too long."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, cast

from strop.gateway import Lanes, Switch

POLL_S = 0.5
"""Who is stopped while it waits is left behind by whoever asked; it only must not stay for ever."""


class _Turn:
    """One who waits; whoever frees a place hands it on by opening the gate, so that nobody else is woken."""

    __slots__ = ("gate", "given", "patience_s", "started", "who")

    def __init__(self, who: str, patience_s: float) -> None:
        self.who = who
        self.patience_s = patience_s
        self.started = 0.0
        self.given = False
        self.gate = threading.Lock()
        self.gate.acquire()


class Slots:
    """A counting semaphore that gives the next free slot to the waiting model with the fewest slots held.

    So a slow or hanging model never holds all of them while others wait.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.peak = 0
        self._lock = threading.Lock()
        self._held: dict[str, set[_Turn]] = {}
        self._waiting: dict[str, deque[_Turn]] = {}
        self._count = 0
        self._served: dict[str, int] = {}
        self._order = itertools.count(1)

    @contextmanager
    def hold(self, who: str, switch: Switch, patience_s: float = float("inf")) -> Generator[None]:
        """Hold a slot inside the block. What lasts longer than `patience_s` can be found by `overdue`."""
        turn = self._enter(who, switch, patience_s)
        try:
            switch.check()
            yield
        finally:
            self._leave(turn)

    def in_flight(self, who: str) -> int:
        """Slots that a model holds."""
        with self._lock:
            return len(self._held.get(who, ()))

    def overdue(self) -> dict[str, float]:
        """Models with a call that has lasted longer than it may, and for how many seconds. Their slots are freed."""
        now = time.monotonic()
        found: dict[str, float] = {}
        with self._lock:
            for turn in [turn for held in self._held.values() for turn in held]:
                if now - turn.started > turn.patience_s:
                    found[turn.who] = max(found.get(turn.who, 0.0), now - turn.started)
                    self._free(turn)
        return found

    def abandon(self, who: str) -> None:
        """Free all that a model holds: it has ended, and may hang."""
        with self._lock:
            for turn in tuple(self._held.get(who, ())):
                self._free(turn)

    def _enter(self, who: str, switch: Switch, patience_s: float) -> _Turn:
        turn = _Turn(who, patience_s)
        with self._lock:
            self._waiting.setdefault(who, deque()).append(turn)
            self._hand_out()
        try:
            while not turn.gate.acquire(timeout=POLL_S):
                switch.check()
        except BaseException:
            self._leave(turn)
            raise
        return turn

    def _leave(self, turn: _Turn) -> None:
        with self._lock:
            if turn.given:
                self._free(turn)
            else:
                self._waiting[turn.who].remove(turn)

    def _free(self, turn: _Turn) -> None:
        held = self._held[turn.who]
        if turn in held:
            held.remove(turn)
            self._count -= 1
            self._hand_out()

    def _hand_out(self) -> None:
        """Of models that hold equally few, the one that was served longest ago is next."""
        while self._count < self.limit:
            waiting = [who for who, turns in self._waiting.items() if turns]
            if not waiting:
                return
            who = min(waiting, key=lambda who: (len(self._held.get(who, ())), self._served.get(who, 0)))
            turn = self._waiting[who].popleft()
            self._held.setdefault(who, set()).add(turn)
            self._served[who] = next(self._order)
            self._count += 1
            self.peak = max(self.peak, self._count)
            turn.started, turn.given = time.monotonic(), True
            turn.gate.release()


class Traffic:
    """The session's limits: calls in flight, and a quarter more that may be declared in the ledger and wait."""

    def __init__(self, limit: int) -> None:
        self.in_flight = Slots(limit)
        self.declared = Slots(limit + limit // 4)

    def abandon(self, who: str) -> None:
        """Free everything that a model holds."""
        self.declared.abandon(who)
        self.in_flight.abandon(who)


class _Places:
    """One model's door to the slots, in the form of the gateway's own."""

    def __init__(self, slots: Slots, who: str, patience_s: float) -> None:
        self._slots = slots
        self._who = who
        self._patience_s = patience_s

    def one(self, switch: Switch) -> AbstractContextManager[None]:
        return self._slots.hold(self._who, switch, self._patience_s)


class _Open:
    def one(self, switch: Switch) -> AbstractContextManager[None]:  # noqa: ARG002 - the form of a limit
        return nullcontext()


class ModelLanes(Lanes):
    """The gateway's limit for the work of one model: its calls share the session's slots with the other models'.

    What may be declared is limited by its pace, behind the model's own limits: a model that may be asked only a few
    times a minute must not hold places while it waits.
    """

    def __init__(self, traffic: Traffic, who: str, patience_s: float) -> None:
        super().__init__(traffic.in_flight.limit)
        self.declared = cast("Any", _Open())
        self.made = cast("Any", _Places(traffic.in_flight, who, patience_s))


class DeclaringPace:
    """A model's pace that also holds one of the session's places for declared calls, after the model's own limits."""

    def __init__(self, inner: Any, slots: Slots, who: str) -> None:
        self._inner = inner
        self._slots = slots
        self._who = who
        self.pause: Callable[[float], None] = inner.pause

    @property
    def limits(self) -> bool:
        """Whether a call may have to wait for the model's own limits."""
        return self._inner.limits

    @contextmanager
    def turn(self, tokens: int, switch: Switch) -> Generator[None]:
        """As the gateway's own."""
        with self._inner.turn(tokens, switch), self._slots.hold(self._who, switch):
            yield
