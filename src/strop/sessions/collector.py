"""Figures of models over their iterations, in the guide's terms: its BenchmarkCollector."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import fmean

from strop.errors import BadInput
from strop.sessions.config import ModelProvider, TrainingPhase
from strop.sessions.measures import convergence_rate, cost_efficiency, improvement_rate, learning_curve
from strop.sessions.result import IterationResult, ModelStatistics, now
from strop.sessions.wording import cell, efficiency, money, percent, score4, speed


class BenchmarkCollector:
    """Collects iterations, of a session (`session.on("iteration", collector.add_result)`) or from elsewhere.

    Models are told apart by their names; where one is asked for, a provider stands for all of its models.
    """

    def __init__(self, results: Iterable[IterationResult] = ()) -> None:
        self._results: list[IterationResult] = []
        self._lock = threading.Lock()
        for result in results:
            self.add_result(result)

    def add_result(self, result: IterationResult) -> None:
        """Add one iteration; may be called from any thread."""
        with self._lock:
            self._results.append(result)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._results.clear()

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, in the order in which they came."""
        return tuple(dict.fromkeys(result.model for result in self._all()))

    def get_model_metrics(self, model: str | ModelProvider) -> tuple[IterationResult, ...]:
        """All iterations of a model, or of a provider's models; empty for an unknown one."""
        everything = self._all()
        own = tuple(result for result in everything if result.model == model)
        return own or tuple(result for result in everything if result.model_provider == model)

    def get_aggregate_stats(self, model: str | ModelProvider) -> ModelStatistics | None:
        """The figures of a model over all its iterations; None without any.

        Raises:
            BadInput: a provider of several models was given, whose figures must not be mixed.
        """
        steps = self.get_model_metrics(model)
        if not steps:
            return None
        names = sorted({step.model for step in steps})
        if len(names) > 1:
            raise BadInput(f"{model} has several models here: {', '.join(names)}", hint="ask for one of them by name")
        return statistics_of(names[0], steps[0].model_provider, steps)

    def get_comparison(self) -> dict[str, ModelStatistics]:
        """The figures of every model by its name."""
        found = {name: self.get_aggregate_stats(name) for name in self.models}
        return {name: stats for name, stats in found.items() if stats is not None}

    def get_best_model(self) -> str | None:
        """The highest mean quality in the benchmark phase; of equals the cheaper, then the first.

        None when nothing was benchmarked: scores of the search have been selected and are no basis for a choice.
        """
        means: dict[str, tuple[float, float]] = {}
        for name in self.models:
            steps = [step for step in self.get_model_metrics(name) if step.phase is TrainingPhase.BENCHMARK]
            if steps:
                n = sum(step.n for step in steps)
                quality = sum(step.n * step.quality.score for step in steps) / n
                means[name] = (round(quality, 9), -sum(step.performance.cost for step in steps) / n)
        return max(means, key=lambda name: means[name]) if means else None

    def generate_report(self) -> str:
        """The guide's report in Markdown."""
        best = self.get_best_model()
        lines = ["# Training Session Report", "", f"Generated: {now().isoformat(timespec='seconds')}", ""]
        lines += [f"## Best Performing Model: {cell(best or 'none was benchmarked')}", ""]
        return "\n".join([*lines, *comparison_lines(self.get_comparison())])

    def _all(self) -> tuple[IterationResult, ...]:
        with self._lock:
            return tuple(self._results)


def comparison_lines(comparison: dict[str, ModelStatistics]) -> list[str]:
    """The section Model Comparison, a heading and the figures of each model."""
    lines = ["## Model Comparison", ""]
    for name, stats in comparison.items():
        lines += [
            f"### {cell(name)}",
            "",
            f"- Iterations: {stats.total_iterations}",
        ]
        if not stats.total_iterations:
            lines.append("")
            continue
        lines += [
            f"- Avg Quality: {score4(stats.avg_quality_score)}",
            f"- Avg Latency: {stats.avg_latency:.2f} ms",
            f"- Total Cost: {money(stats.total_cost)}",
            f"- Convergence Rate: {score4(stats.convergence_rate)}",
            f"- Improvement Rate: {percent(stats.improvement_rate, signed=True)}",
            f"- Cost Efficiency: {efficiency(stats.cost_efficiency)}",
            f"- Learning Speed: {speed(stats.learning_speed)}",
            "",
        ]
    return lines


def statistics_of(name: str, provider: ModelProvider, steps: Sequence[IterationResult]) -> ModelStatistics:
    """The figures of one model; all 0 without iterations. Rates are those of the learning curve."""
    scores = [step.quality.score for step in steps] or [0.0]
    latencies = [step.performance.latency for step in steps] or [0.0]
    cost = sum(step.performance.cost for step in steps)
    tokens = sum(step.performance.tokens_used for step in steps)
    curve = learning_curve(steps)
    gains = [at for at, (old, new) in enumerate(pairwise(curve), 1) if new > old]
    return ModelStatistics(
        provider=provider,
        model=name,
        total_iterations=len(steps),
        avg_quality_score=fmean(scores),
        min_quality_score=min(scores),
        max_quality_score=max(scores),
        avg_latency=fmean(latencies),
        min_latency=min(latencies),
        max_latency=max(latencies),
        total_cost=cost,
        avg_cost_per_1k=1000 * cost / tokens if tokens else 0.0,
        convergence_rate=convergence_rate(curve),
        improvement_rate=improvement_rate(curve),
        cost_efficiency=cost_efficiency(fmean(scores), cost),
        learning_speed=gains[-1] if gains else 0 if len(curve) > 1 else None,
    )
