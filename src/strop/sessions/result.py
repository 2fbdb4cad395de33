"""What a session found out, as frozen values: everything that decision, report, hooks and views are made from.

Money is USD where a name ends in `_usd`; scores lie in 0..1; latencies are milliseconds; arrays of one `SealedScores`
are aligned with each other by `example_ids`, and those of all models of a session by the same ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal

from strop.sessions.config import ModelProvider, TrainingPhase

SessionStatus = Literal["running", "completed", "budget_exceeded", "stopped", "timeout", "failed"]
ModelStatus = Literal["running", "completed", "dominated", "failed", "budget_exceeded", "stopped", "timeout"]
"""How a model's part ended. `dominated` ended its rounds early and is benchmarked all the same."""
Carried = Literal["instructions", "demos"]
Variant = Literal["baseline", "candidate", "best"]


@dataclass(frozen=True, kw_only=True)
class QualityMetrics:
    """Quality of an output, or the means over several outputs. Each lies in 0..1."""

    score: float
    accuracy: float
    coherence: float
    relevance: float
    diversity: float
    creativity: float


@dataclass(frozen=True, kw_only=True)
class PerformanceMetrics:
    """What an iteration took: means a call, except `tokens_used` and `cost`, which are sums of the iteration.

    `latency` in milliseconds, `throughput` in samples a second as measured by the clock, `cost` in USD, `memory_usage`
    in MB of this process, `error_rate` is failed calls over calls.
    """

    latency: float
    throughput: float
    tokens_used: int
    cost: float
    memory_usage: float
    error_rate: float


@dataclass(frozen=True, kw_only=True)
class IterationResult:
    """One step of one model: a part of the baseline, a round, a transfer that was tried, or a benchmark sample.

    `iteration` counts from 1 within the model and phase. `n` is the number of examples behind the means, `output` the
    answer to the first of them. `optimizations` says in words what was changed against the program before, and `kept`
    whether the model goes on with it. `variant` tells the baseline program from a candidate and from the model's best.
    `accuracy` in `quality` is the task metric where there is one.
    """

    iteration: int
    phase: TrainingPhase
    model: str
    model_provider: ModelProvider
    quality: QualityMetrics
    performance: PerformanceMetrics
    timestamp: datetime
    prompt: str
    output: str
    optimizations: tuple[str, ...] = ()
    variant: Variant = "candidate"
    kept: bool = True
    n: int = 1
    example_id: str | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class SealedScores:
    """One program of one model on the sealed examples. A failed answer scores 0, is counted, and has its `errors`
    entry; all tuples have one value an example, in the order of `example_ids`. `complete` is False when the
    measuring was cut short: then only the first examples are here."""

    example_ids: tuple[str, ...]
    scores: tuple[float, ...]
    latencies_ms: tuple[float, ...]
    costs_usd: tuple[float, ...]
    tokens: tuple[int, ...]
    qualities: tuple[QualityMetrics, ...]
    errors: tuple[str | None, ...]
    groups: tuple[str, ...] = ()
    complete: bool = True

    @property
    def mean(self) -> float:
        """Mean score; 0 without examples."""
        return sum(self.scores) / len(self.scores) if self.scores else 0.0


@dataclass(frozen=True, kw_only=True)
class DevScores:
    """A program on the dev examples, on which candidates are compared. Not for claims: the search has seen them."""

    example_ids: tuple[str, ...]
    scores: tuple[float, ...]
    mean: float
    cost_usd_per_request: float
    latency_ms_p50: float


@dataclass(frozen=True, kw_only=True)
class Convergence:
    """Why a model needed no further round. `iterations` is its learning speed: rounds until the last gain."""

    reason: Literal["threshold", "plateau"]
    round: int
    iterations: int
    score: float


@dataclass(frozen=True, kw_only=True)
class Domination:
    """Which model beat this one in quality, cost and latency, after which round, on the dev examples.

    `gap` is its lead in mean score, `p_value` one-sided and to be compared with `alpha`, which counts every look and
    every pair; costs are USD a request, latencies medians in ms.
    """

    by: str
    round: int
    gap: float
    p_value: float
    alpha: float
    cost_usd: tuple[float, float]
    latency_ms: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Spending:
    """What a model cost, from the ledger. `calls` are those that were made (not replayed), `failed` those of them
    without an answer, `lost` those that died with an earlier process; `uncertain_usd` is held as spent because the
    provider may charge it."""

    calls: int = 0
    failed: int = 0
    lost: int = 0
    replayed: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float = 0.0
    uncertain_usd: float = 0.0
    by_phase_usd: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def error_rate(self) -> float:
        """Failed calls over calls made; 0 without calls."""
        return self.failed / self.calls if self.calls else 0.0


@dataclass(frozen=True, kw_only=True)
class ModelResult:
    """One model of the session: how it ended, every iteration, dev and sealed scores, spending.

    `latencies_ms` are those of the answered calls of all phases as measured. `baseline_state` and `best_state` are
    program states (`strop.programs.restore`). `dev_curve` holds the best dev mean after the baseline and after each
    round.
    """

    name: str
    provider: ModelProvider
    model: str
    status: ModelStatus
    why: str
    iterations: tuple[IterationResult, ...]
    baseline_dev: DevScores | None
    best_dev: DevScores | None
    dev_curve: tuple[float, ...]
    baseline_test: SealedScores | None
    best_test: SealedScores | None
    spending: Spending
    latencies_ms: tuple[float, ...]
    convergence: Convergence | None
    domination: Domination | None
    rounds: int
    baseline_prompt: str
    best_prompt: str
    baseline_state: Mapping[str, Any]
    best_state: Mapping[str, Any]
    origin: str


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What was found on `donor`, run on `receiver`'s dev examples: a cell of the transfer matrix.

    `before` is the receiver's own best (mean dev score), `after` with what was carried; `p_value` is one-sided for a
    gain, `kept` whether the receiver took it over, and `why` says it in words. `n` examples were measured: a transfer
    that shows no promise is ended early.
    """

    donor: str
    receiver: str
    carried: Carried
    before: float
    after: float
    n: int
    p_value: float | None
    kept: bool
    why: str


@dataclass(frozen=True, kw_only=True)
class PhaseSpan:
    """When a phase was entered and left, and what was spent in it."""

    phase: TrainingPhase
    started_at: datetime
    seconds: float
    cost_usd: float


@dataclass(frozen=True, kw_only=True)
class TaskFacts:
    """What the models were asked to do, and on how many examples. `metric` is None in a session by prompt and
    signature without a metric of its own: then accuracy is how far an output keeps the constraints."""

    name: str
    signature: str
    instructions: str | None
    metric: str | None
    binary: bool
    train: int
    dev: int
    test: int
    data_fingerprint: str
    test_fingerprint: str
    description: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, kw_only=True)
class JudgeResult:
    """Who judged the constraints in plain words (`rules`), and what that cost; no model is charged for it."""

    model: str
    rules: tuple[str, ...]
    spending: Spending


@dataclass(frozen=True, kw_only=True)
class SessionResult:
    """A session, whole or partial. `config` holds no secrets; `best_model` is the highest mean on the sealed examples
    among the measured models, the cheaper one of equals; None when nothing was benchmarked."""

    session_id: str
    status: SessionStatus
    why: str
    config: Mapping[str, Any]
    task: TaskFacts
    models: tuple[ModelResult, ...]
    transfers: tuple[Transfer, ...]
    phases: tuple[PhaseSpan, ...]
    best_model: str | None
    total_cost_usd: float
    budget_usd: float | None
    duration_s: float
    started_at: datetime
    practice: bool
    looks: int = 1
    prices_dated: str = ""
    judge: JudgeResult | None = None

    def model(self, name: str) -> ModelResult:
        """The model called `name`; KeyError when there is none."""
        return next((one for one in self.models if one.name == name), None) or _missing(name)

    @property
    def iterations(self) -> tuple[IterationResult, ...]:
        """All iterations of all models, oldest first."""
        every = [step for one in self.models for step in one.iterations]
        return tuple(sorted(every, key=lambda step: step.timestamp))

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return _adapter().dump_python(self, mode="json")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SessionResult:
        """Back from `to_dict`."""
        return _adapter().validate_python(dict(data))


@dataclass(frozen=True, kw_only=True)
class ModelStatistics:
    """Figures of one model over its iterations (the guide's aggregate statistics). Latency in ms, cost in USD.

    `avg_cost_per_1k` is USD per 1,000 tokens. What has no meaning is None: rates of fewer than two scores or from a
    first score of 0, quality per dollar where nothing was spent, the learning speed of a model that had no round.
    """

    provider: str
    model: str
    total_iterations: int
    avg_quality_score: float
    min_quality_score: float
    max_quality_score: float
    avg_latency: float
    min_latency: float
    max_latency: float
    total_cost: float
    avg_cost_per_1k: float
    convergence_rate: float | None
    improvement_rate: float | None
    cost_efficiency: float | None = None
    learning_speed: int | None = None


@dataclass(frozen=True, kw_only=True)
class SessionStatistics:
    """Where a session stands; `comparison` maps a model's name to its figures, `duration` is in milliseconds."""

    current_phase: TrainingPhase
    total_cost: float
    duration: float
    best_model: str | None
    comparison: Mapping[str, ModelStatistics]


def _missing(name: str) -> Any:
    raise KeyError(name)


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(SessionResult)


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)
