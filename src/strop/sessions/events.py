"""The 13 events of a session as frozen objects.

`session.on(name, listener)` hands a listener the documented payload (`event.payload`); `session.listen(listener)` hands
it the event itself, which knows more: which model, when, in which session. Payloads that are an object in the guide are
the event (or the IterationResult) itself; those that are a bare value there (a phase, a number, a provider) are that
value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal

from strop.errors import StropError
from strop.sessions.config import ModelProvider, TrainingPhase
from strop.sessions.result import (
    Convergence,
    IterationResult,
    ModelStatistics,
    PerformanceMetrics,
    QualityMetrics,
    SessionStatistics,
    now,
)

EventName = Literal[
    "start", "phase", "iteration", "metrics", "optimization_round", "converged", "benchmark_progress",
    "budget_exceeded", "report", "complete", "stopped", "error", "hooks_integration",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SessionEvent:
    """What all events have. `model` is the name of the model that it is about, None when it is about the session."""

    name: ClassVar[EventName]

    session_id: str = ""
    model: str | None = None
    at: datetime = field(default_factory=now)

    @property
    def payload(self) -> object:
        """What the guide hands to a listener."""
        return self


@dataclass(frozen=True, kw_only=True)
class Start(SessionEvent):
    """The session begins, or goes on after an interruption (`resumed`). `phase` is the one it begins with."""

    name: ClassVar[EventName] = "start"
    phase: TrainingPhase
    models: tuple[str, ...] = ()
    resumed: bool = False
    budget_usd: float | None = None


@dataclass(frozen=True, kw_only=True)
class Phase(SessionEvent):
    """All models have left the phase before. Payload: the TrainingPhase."""

    name: ClassVar[EventName] = "phase"
    phase: TrainingPhase

    @property
    def payload(self) -> TrainingPhase:
        return self.phase


@dataclass(frozen=True, kw_only=True)
class Iteration(SessionEvent):
    """One step of one model is done. Payload: the IterationResult."""

    name: ClassVar[EventName] = "iteration"
    result: IterationResult

    @property
    def payload(self) -> IterationResult:
        return self.result


@dataclass(frozen=True, kw_only=True)
class Metrics(SessionEvent):
    """The figures of the step that was just told, and what the session has cost so far (USD)."""

    name: ClassVar[EventName] = "metrics"
    provider: ModelProvider
    quality: QualityMetrics
    performance: PerformanceMetrics
    total_cost: float


@dataclass(frozen=True, kw_only=True)
class OptimizationRound(SessionEvent):
    """A model begins a round. Payload: its number, from 1."""

    name: ClassVar[EventName] = "optimization_round"
    round: int
    provider: ModelProvider

    @property
    def payload(self) -> int:
        return self.round


@dataclass(frozen=True, kw_only=True)
class Converged(SessionEvent):
    """A model needs no further round. Payload: its provider."""

    name: ClassVar[EventName] = "converged"
    provider: ModelProvider
    convergence: Convergence

    @property
    def payload(self) -> ModelProvider:
        return self.provider


@dataclass(frozen=True, kw_only=True)
class BenchmarkProgress(SessionEvent):
    """Sealed examples answered, over all models; the last one has completed == total."""

    name: ClassVar[EventName] = "benchmark_progress"
    completed: int
    total: int


@dataclass(frozen=True, kw_only=True)
class BudgetExceeded(SessionEvent):
    """A call did not fit the session's budget; told once. Payload: what was spent (USD)."""

    name: ClassVar[EventName] = "budget_exceeded"
    total_cost: float
    budget_usd: float | None = None
    why: str = ""

    @property
    def payload(self) -> float:
        return self.total_cost


@dataclass(frozen=True, kw_only=True)
class Report(SessionEvent):
    """The report in Markdown. `duration` in milliseconds."""

    name: ClassVar[EventName] = "report"
    report: str
    comparison: Mapping[str, ModelStatistics]
    best_model: str | None
    total_cost: float
    duration: float


@dataclass(frozen=True, kw_only=True)
class Complete(SessionEvent):
    """The session has ended by itself. `duration` in milliseconds."""

    name: ClassVar[EventName] = "complete"
    duration: float
    total_cost: float
    report: str
    best_model: str | None = None


@dataclass(frozen=True, kw_only=True)
class Stopped(SessionEvent):
    """The session was stopped. Payload: the statistics so far."""

    name: ClassVar[EventName] = "stopped"
    statistics: SessionStatistics

    @property
    def payload(self) -> SessionStatistics:
        return self.statistics


@dataclass(frozen=True, kw_only=True)
class Error(SessionEvent):
    """A model (`model`) or the whole session (`model` None) failed. Payload: the error."""

    name: ClassVar[EventName] = "error"
    error: StropError

    @property
    def payload(self) -> StropError:
        return self.error


@dataclass(frozen=True, kw_only=True)
class HooksIntegration(SessionEvent):
    """What hooks may store: `value` is the JSON text of {bestModel, comparison, totalCost, timestamp}."""

    name: ClassVar[EventName] = "hooks_integration"
    action: Literal["store"] = "store"
    key: str = "swarm/training/dspy-results"
    value: str


EVENTS: Mapping[EventName, type[SessionEvent]] = {
    kind.name: kind
    for kind in (
        Start, Phase, Iteration, Metrics, OptimizationRound, Converged, BenchmarkProgress, BudgetExceeded, Report,
        Complete, Stopped, Error, HooksIntegration,
    )
}  # fmt: skip
"""Every event by its name."""
