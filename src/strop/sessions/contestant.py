"""One model on its way through a session: what it is, what was measured of it, how it ended."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from strop.errors import StopCause
from strop.evaluation import Evaluation
from strop.gateway import Account, ModelSettings, Switch
from strop.sessions.config import ModelConfig
from strop.sessions.result import (
    Convergence,
    DevScores,
    Domination,
    IterationResult,
    ModelStatus,
    SealedScores,
)
from strop.store import Lease

if TYPE_CHECKING:
    import dspy


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A program with its measurement on the dev examples, and in words where it came from."""

    program: dspy.Module
    fingerprint: str
    dev: Evaluation
    origin: str

    @property
    def latency_ms(self) -> float:
        """Median latency of an answer."""
        return self.dev.latency_ms(0.5)

    def scores(self) -> DevScores:
        """The measurement as part of a result."""
        return DevScores(
            example_ids=tuple(row.example_id for row in self.dev.rows),
            scores=self.dev.scores,
            mean=self.dev.mean,
            cost_usd_per_request=self.dev.cost_per_request_pico / 1e12,
            latency_ms_p50=self.latency_ms,
        )


@dataclass(kw_only=True)
class Contestant:
    """Filled in by the phases, each model's own thread at a time; reported whatever ends it."""

    index: int
    name: str
    config: ModelConfig
    settings: ModelSettings
    scope: str
    prompt_config: ModelConfig
    prompt_settings: ModelSettings
    status: ModelStatus = "running"
    why: str = ""
    baseline: Tried | None = None
    best: Tried | None = None
    history: list[Tried] = field(default_factory=list["Tried"])
    iterations: list[IterationResult] = field(default_factory=list[IterationResult])
    rounds: int = 0
    convergence: Convergence | None = None
    domination: Domination | None = None
    test_before: SealedScores | None = None
    test_after: SealedScores | None = None
    latencies_ms: list[float] = field(default_factory=list[float])
    seen: set[str] = field(default_factory=set[str])
    money_ended: str = ""
    through: bool = False
    stopped: tuple[StopCause, str] | None = None
    accounts: list[Account] = field(default_factory=list[Account])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def alive(self) -> bool:
        """Whether it still takes part; a dominated model does, without further rounds."""
        return self.status in {"running", "dominated"}

    @property
    def account(self) -> Account:
        """The account of the phase that it is in."""
        return self.accounts[-1]

    def open_account(self, budget: str, lease: Lease) -> None:
        """An account with a switch of its own for one phase: money that ends the search must not end the benchmark."""
        counters: Mapping[str, Any] = {"counters": self.accounts[0].counters} if self.accounts else {}
        account = Account(scope=self.scope, budget=budget, lease=lease, switch=Switch(), **counters)
        with self._lock:
            self.accounts.append(account)
            if self.stopped is not None:
                account.switch.trip(*self.stopped)

    def stop(self, cause: StopCause, detail: str) -> None:
        """Stop whatever it is doing; the first cause counts."""
        with self._lock:
            self.stopped = self.stopped or (cause, detail)
            for account in self.accounts:
                account.switch.trip(*self.stopped)

    def next_iteration(self, phase: str) -> int:
        """The number of the next iteration in a phase, from 1."""
        return 1 + sum(step.phase == phase for step in self.iterations)
