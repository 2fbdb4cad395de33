"""One run's dealings with the gateway: its scope, its budget, its stop switch, its counters."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from strop.gateway.call import Recorded, Source
from strop.gateway.health import Health
from strop.gateway.settings import ModelSettings
from strop.gateway.switch import Switch
from strop.store import Lease


@dataclass(frozen=True, kw_only=True)
class Spending:
    """Live figures of one account, for a progress display. The ledger is the record; this is the dial."""

    calls: int = 0
    bought: int = 0
    replayed: int = 0
    shared: int = 0
    failed: int = 0
    in_flight: int = 0
    cost_pico: int = 0


class Counters:
    """Counts what passes; any thread may read at any time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {
            "bought": 0, "replayed": 0, "shared": 0, "failed": 0, "in_flight": 0, "cost_pico": 0,
        }  # fmt: skip

    def add(self, name: str, amount: int = 1) -> None:
        with self._lock:
            self._counts[name] += amount

    def read(self) -> Spending:
        with self._lock:
            now = dict(self._counts)
        return Spending(calls=now["bought"] + now["replayed"] + now["shared"], **now)


@dataclass(frozen=True, kw_only=True)
class Account:
    """Who calls, and who pays.

    `scope` labels every row (`run:ab12`), `budget` is the tree node that pays (None: no limit), `lease` proves that
    this process owns the scope.
    """

    scope: str
    budget: str | None = None
    lease: Lease | None = None
    switch: Switch = field(default_factory=Switch)
    counters: Counters = field(default_factory=Counters)
    _health: dict[str, Health] = field(default_factory=dict[str, Health])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def health(self, settings: ModelSettings) -> Health:
        """The watch over one model."""
        with self._lock:
            if settings.model not in self._health:
                self._health[settings.model] = Health(settings)
            return self._health[settings.model]


@dataclass(frozen=True, kw_only=True)
class Tapped:
    """A call seen by a tap."""

    call: Recorded
    source: Source


_tap: ContextVar[list[Tapped] | None] = ContextVar("strop_tap", default=None)


@contextmanager
def tap() -> Generator[list[Tapped]]:
    """Collect the calls made inside the block by this context: how an answer's cost and latency are known."""
    seen: list[Tapped] = []
    token = _tap.set(seen)
    try:
        yield seen
    finally:
        _tap.reset(token)


def seen_by_tap(call: Recorded, source: Source) -> None:
    """Tell the tap of this context, if there is one."""
    seen = _tap.get()
    if seen is not None:
        seen.append(Tapped(call=call, source=source))
