"""Session results made by hand from score arrays: what decision, measures and report are tested on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from strop.sessions import (
    IterationResult,
    ModelProvider,
    ModelResult,
    PerformanceMetrics,
    QualityMetrics,
    SealedScores,
    SessionResult,
    TrainingPhase,
    Transfer,
)
from strop.sessions.result import Convergence, PhaseSpan, Spending, TaskFacts

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def quality(score: float, accuracy: float | None = None) -> QualityMetrics:
    """All dimensions alike."""
    accuracy = score if accuracy is None else accuracy
    return QualityMetrics(
        score=score, accuracy=accuracy, coherence=score, relevance=score, diversity=score, creativity=score
    )


def step(
    model: str = "a",
    score: float = 0.5,
    *,
    phase: TrainingPhase = TrainingPhase.BENCHMARK,
    iteration: int = 1,
    latency: float = 100.0,
    cost: float = 0.001,
    tokens: int = 100,
    throughput: float = 10.0,
    n: int = 1,
    kept: bool = True,
    provider: ModelProvider = ModelProvider.OTHER,
    output: str = "an answer",
) -> IterationResult:
    """One iteration."""
    return IterationResult(
        iteration=iteration, phase=phase, model=model, model_provider=provider, quality=quality(score),
        performance=PerformanceMetrics(
            latency=latency, throughput=throughput, tokens_used=tokens, cost=cost, memory_usage=80.0, error_rate=0.0
        ),
        timestamp=START + timedelta(seconds=iteration), prompt="Say it.", output=output, kept=kept, n=n,
    )  # fmt: skip


def sealed(
    scores: Sequence[float],
    *,
    cost: float = 0.001,
    latency: float = 100.0,
    groups: Sequence[str] = (),
    complete: bool = True,
    errors: Sequence[str | None] = (),
) -> SealedScores:
    """A benchmark; latencies rise by 1 ms an example."""
    n = len(scores)
    failed = tuple(errors) or (None,) * n
    return SealedScores(
        example_ids=tuple(f"t{k}" for k in range(n)), scores=tuple(scores),
        latencies_ms=tuple(latency + k for k in range(n)), costs_usd=(cost,) * n,
        tokens=tuple(0 if error else 50 for error in failed), qualities=tuple(quality(score) for score in scores),
        errors=failed, groups=tuple(groups), complete=complete,
    )  # fmt: skip


def model(
    name: str,
    best: SealedScores | None,
    baseline: SealedScores | None = None,
    **changes: Any,
) -> ModelResult:
    """A model that came to its end."""
    steps = tuple(
        step(name, score, iteration=at, cost=cost, latency=latency)
        for at, (score, cost, latency) in enumerate(
            zip(best.scores, best.costs_usd, best.latencies_ms, strict=True) if best else (), 1
        )
    )
    given: dict[str, Any] = {
        "name": name, "provider": ModelProvider.OTHER, "model": f"sim/{name}", "status": "completed", "why": "",
        "iterations": steps, "baseline_dev": None, "best_dev": None, "dev_curve": (0.4, 0.5, 0.6),
        "baseline_test": baseline, "best_test": best,
        "spending": Spending(
            calls=100, failed=3, tokens_in=4000, tokens_out=1000, cost_usd=0.25,
            by_phase_usd={"baseline": 0.05, "optimization": 0.1, "benchmark": 0.1},
        ),
        "latencies_ms": (100.0, 200.0, 300.0), "convergence": None, "domination": None, "rounds": 2,
        "baseline_prompt": "Say it.", "best_prompt": "Say it well.", "baseline_state": {}, "best_state": {"x": 1},
        "origin": "round 2: copro",
    }  # fmt: skip
    return ModelResult(**{**given, **changes})


def session(*models: ModelResult, **changes: Any) -> SessionResult:
    """A session that came to its end."""
    given: dict[str, Any] = {
        "session_id": "s1", "status": "completed", "why": "",
        "config": {"models": [{"model": one.model} for one in models], "cost_budget": 5.0},
        "task": TaskFacts(
            name="parity", signature="number -> kind", instructions="Tell the kind.", metric="accuracy", binary=True,
            train=20, dev=30, test=100, data_fingerprint="d", test_fingerprint="t",
        ),
        "models": models, "transfers": (), "phases": (
            PhaseSpan(phase=TrainingPhase.BASELINE, started_at=START, seconds=2.0, cost_usd=0.1),
            PhaseSpan(phase=TrainingPhase.BENCHMARK, started_at=START, seconds=3.0, cost_usd=0.4),
        ),
        "best_model": next((one.name for one in models if one.best_test), None),
        "total_cost_usd": 0.5, "budget_usd": 5.0, "duration_s": 12.0,
        "started_at": START, "practice": False, "looks": 1, "prices_dated": "2026-01-01",
    }  # fmt: skip
    return SessionResult(**{**given, **changes})


def answers(n: int, skill: float, rng: random.Random) -> list[float]:
    """Right (1) and wrong (0) answers of a model, on its own."""
    return [float(rng.random() < skill) for _ in range(n)]


def rich_session(seed: int = 1, n: int = 120) -> SessionResult:
    """Four models of which one failed, with gains, transfers and curves: everything that a report can show."""
    rng = random.Random(seed)
    hard = [rng.random() for _ in range(n)]

    def scores(skill: float) -> list[float]:
        return [float(each < skill or rng.random() < 0.06) for each in hard]

    def curve(name: str, *values: float) -> tuple[IterationResult, ...]:
        return tuple(
            step(
                name, value, iteration=at,
                phase=TrainingPhase.OPTIMIZATION if at > 1 else TrainingPhase.BASELINE, n=20,
            )
            for at, value in enumerate(values, 1)
        )  # fmt: skip

    strong = model("strong", sealed(scores(0.9), cost=0.02, latency=900), sealed(scores(0.7), cost=0.018, latency=850))
    cheap = model(
        "cheap", sealed(scores(0.87), cost=0.002, latency=300), sealed(scores(0.6), cost=0.002, latency=280),
        convergence=Convergence(reason="plateau", round=4, iterations=2, score=0.85), dev_curve=(0.55, 0.7, 0.85, 0.85),
        iterations=curve("cheap", 0.55, 0.7, 0.85, 0.85),
    )  # fmt: skip
    same = sealed(scores(0.5), cost=0.004, latency=1500)
    weak = model(
        "weak <b>|model", same, same,
        best_state={}, best_prompt="Say it.", dev_curve=(0.5, 0.5),
    )  # fmt: skip
    dead = model(
        "dead", None, status="failed", why="the key was refused (401) <script>alert(1)</script>", dev_curve=(),
        latencies_ms=(), spending=Spending(calls=4, failed=4), best_prompt="", origin="",
    )  # fmt: skip
    transfers = (
        Transfer(donor="strong", receiver="cheap", carried="instructions", before=0.8, after=0.85, n=30, p_value=0.03,
                 kept=True, why="better on 30 dev examples"),
        Transfer(donor="cheap", receiver="strong", carried="demos", before=0.9, after=0.7, n=12, p_value=None,
                 kept=False, why="ended early"),
    )  # fmt: skip
    return session(strong, cheap, weak, dead, transfers=transfers, total_cost_usd=0.75)
