"""The six performance and four training figures of a model, each defined where the guide only names it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from strop.sessions.config import TrainingPhase
from strop.sessions.result import IterationResult, ModelResult, PerformanceMetrics, SealedScores
from strop.stats import percentile


@dataclass(frozen=True, kw_only=True)
class TrainingMetrics:
    """How a model learnt. None is "not defined", never 0.

    `convergence_rate` is the mean of the second half of the scores minus that of the first, `improvement_rate` the
    whole gain as a share of the first score, `cost_efficiency` quality per US dollar, `learning_speed` the rounds until
    the last gain of a model that has converged (fewer is faster).
    """

    convergence_rate: float | None
    improvement_rate: float | None
    cost_efficiency: float | None
    learning_speed: int | None


@dataclass(frozen=True, kw_only=True)
class LatencyProfile:
    """Latencies of `n` answers in milliseconds; with few answers p95 and p99 are near the slowest and say no more."""

    n: int
    mean: float
    p50: float
    p95: float
    p99: float
    slowest: float


def training_metrics(one: ModelResult) -> TrainingMetrics:
    """Of a model of a session: scores are the best dev means after the baseline and each round."""
    score = one.best_test.mean if one.best_test is not None else one.dev_curve[-1] if one.dev_curve else None
    spent = one.spending.cost_usd + one.spending.uncertain_usd
    return TrainingMetrics(
        convergence_rate=convergence_rate(one.dev_curve),
        improvement_rate=improvement_rate(one.dev_curve),
        cost_efficiency=None if score is None else cost_efficiency(score, spent),
        learning_speed=None if one.convergence is None else one.convergence.iterations,
    )


def performance(one: ModelResult) -> PerformanceMetrics:
    """Of a model over the whole session: mean latency of the answered calls, samples a second while it was at work,
    tokens and cost as the ledger has them, the largest memory, failed calls over calls."""
    seconds = sum(step.n / step.performance.throughput for step in one.iterations if step.performance.throughput > 0)
    samples = sum(step.n for step in one.iterations if step.performance.throughput > 0)
    return PerformanceMetrics(
        latency=fmean(one.latencies_ms) if one.latencies_ms else 0.0,
        throughput=samples / seconds if seconds else 0.0,
        tokens_used=one.spending.tokens_in + one.spending.tokens_out,
        cost=one.spending.cost_usd + one.spending.uncertain_usd,
        memory_usage=max((step.performance.memory_usage for step in one.iterations), default=0.0),
        error_rate=one.spending.error_rate,
    )


def learning_curve(steps: Sequence[IterationResult]) -> tuple[float, ...]:
    """The quality that a model stood at after the baseline and after each later step: a step that was not kept leaves
    it as it was, and benchmark samples are not part of it."""
    first = [step for step in steps if step.phase is TrainingPhase.BASELINE]
    later = [step for step in steps if step.phase in {TrainingPhase.OPTIMIZATION, TrainingPhase.CROSS_LEARNING}]
    curve: list[float] = []
    if weight := sum(step.n for step in first):
        curve.append(sum(step.n * step.quality.score for step in first) / weight)
    for step in later:
        if step.kept or not curve:
            curve.append(step.quality.score)
        else:
            curve.append(curve[-1])
    return tuple(curve)


def convergence_rate(scores: Sequence[float]) -> float | None:
    """Mean of the second half minus mean of the first (the middle of an odd number belongs to the second)."""
    half = len(scores) // 2
    return fmean(scores[half:]) - fmean(scores[:half]) if half else None


def improvement_rate(scores: Sequence[float]) -> float | None:
    """(last - first) / first."""
    return (scores[-1] - scores[0]) / scores[0] if len(scores) > 1 and scores[0] else None


def cost_efficiency(score: float, spent_usd: float) -> float | None:
    """Quality per US dollar."""
    return score / spent_usd if spent_usd > 0 else None


def cost_per_quality(found: SealedScores) -> float | None:
    """USD for one whole point of score: with a binary metric, what one right answer costs, the wrong ones included."""
    gained = sum(found.scores)
    return sum(found.costs_usd) / gained if gained > 0 else None


def latency_profile(latencies_ms: Sequence[float]) -> LatencyProfile | None:
    """None without answers."""
    if not latencies_ms:
        return None
    return LatencyProfile(
        n=len(latencies_ms),
        mean=fmean(latencies_ms),
        p50=percentile(latencies_ms, 50),
        p95=percentile(latencies_ms, 95),
        p99=percentile(latencies_ms, 99),
        slowest=max(latencies_ms),
    )


def answered_ms(found: SealedScores) -> tuple[float, ...]:
    """Latencies of the examples that were answered at all: a call that failed at once must not look fast."""
    rows = zip(found.latencies_ms, found.errors, found.tokens, strict=True)
    return tuple(latency for latency, error, tokens in rows if error is None or tokens > 0)
