"""From what a run measured to the result of the Python guide: figures, improvement, and what they mean in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, cast

from strop.datasets import requirement
from strop.evaluation import Evaluation
from strop.metrics import CustomMetric, Metric
from strop.runs.guide import OptimizationRequest, OptimizationResult, PerformanceMetrics, ResultStatus
from strop.runs.plan import Plan
from strop.runs.runner import RunResult

TEST_ROWS = 10
"""Sealed examples below which no gain can be shown."""


def measured(metric: Metric, evaluation: Evaluation) -> PerformanceMetrics:
    """A program's figures on all the examples that there are."""
    usd = evaluation.cost_per_request_pico / 1e12
    return figures(
        metric, evaluation.summary, n=len(evaluation.rows), on="all examples", usd=usd,
        latency_ms=evaluation.latency_ms(0.5), p95_ms=evaluation.latency_ms(0.95),
    )  # fmt: skip


def figures(
    metric: Metric,
    score: float,
    *,
    n: int,
    on: Literal["test", "dev", "all examples"],
    usd: float | None,
    latency_ms: float | None,
    p95_ms: float | None = None,
) -> PerformanceMetrics:
    """The figures of one program with the score in the metric's own unit beside them."""
    custom = _custom(metric)
    value: float | None = score
    if custom is not None:
        share = score if custom.higher_is_better else 1 - score
        value = custom.min_value + share * (custom.max_value - custom.min_value)
    elif metric.name == "cost":
        value = usd
    elif metric.name == "latency":
        value = None if latency_ms is None else latency_ms / 1000
    return PerformanceMetrics(
        metric=metric.name, score=score, value=value, n=n, measured_on=on, cost_usd=usd, latency_ms=latency_ms,
        latency_p95_ms=p95_ms,
    )  # fmt: skip


def improvement(metric: Metric, before: PerformanceMetrics, after: PerformanceMetrics) -> tuple[float, bool]:
    """Gain in percent of the baseline, in the metric's own unit and direction; points, and True, when that is 0."""
    if before.score is None or after.score is None:
        return 0.0, False
    if before.value is None or after.value is None or math.isclose(before.value, 0.0, abs_tol=1e-15):
        return 100 * (after.score - before.score), True
    custom = _custom(metric)
    higher = custom.higher_is_better if custom is not None else metric.name not in {"cost", "latency"}
    gain = after.value - before.value if higher else before.value - after.value
    return 100 * gain / abs(before.value) + 0.0, False


def of_run(
    run: RunResult, plan: Plan, request: OptimizationRequest, *, model_id: str, config: Mapping[str, Any]
) -> OptimizationResult:
    """The result of a run that measured its baseline. Without a sealed test there is no improvement to speak of."""
    data, metric = run.data, plan.metric
    test, dev, per = data["test"], data["dev"], data["per_request"]
    on: Literal["test", "dev"] = "test" if test is not None else "dev"
    scores = data["summary"] if test is not None and data["summary"] is not None else test or dev
    n = len(plan.split.test) if test is not None else dev["n"]

    def side(which: str, when: str) -> PerformanceMetrics:
        return figures(
            metric, scores[which], n=n, on=on, usd=per[f"usd_{when}"], latency_ms=per[f"latency_ms_{when}"],
            p95_ms=per.get(f"latency_p95_ms_{when}"),
        )  # fmt: skip

    before, after = side("baseline", "before"), side("optimized", "after")
    gain, absolute = improvement(metric, before, after) if test is not None else (0.0, False)
    return OptimizationResult(
        optimization_id=run.run_id,
        model_id=model_id,
        baseline_metrics=before,
        optimized_metrics=after,
        improvement_percentage=gain,
        improvement_is_absolute=absolute,
        optimized_prompt=data["prompt"]["after"],
        optimized_config=dict(config),
        algorithm_used=data["algorithm"],
        iterations_completed=len(data["candidates"]),
        duration_seconds=data["seconds"],
        total_cost_usd=data["cost"]["usd"],
        verdict=run.verdict or "INSUFFICIENT DATA",
        p_value=None if test is None else test["p_value"],
        ci95=None if test is None else (test["ci95"][0], test["ci95"][1]),
        status=cast("ResultStatus", run.status),
        message=_message(run),
        notes=notes_of(plan),
        report=data["report"],
        predictions=tuple(data["changes"]) if request.log_predictions else (),
    )


def notes_of(plan: Plan) -> tuple[str, ...]:
    """What was noticed about data and budget, one sentence each."""
    return tuple(dict.fromkeys(f"{finding.message} ({finding.remedy})" for finding in plan.findings))


def too_few(algorithm: str, examples: int) -> str:
    """Why nothing could be optimised, and how many examples it takes at the usual shares of 40, 30 and 30 %."""
    need = requirement(algorithm)
    least = math.ceil(TEST_ROWS / 0.3)
    searched = ""
    if need is not None:
        least = max(least, math.ceil(need.minimum / (0.4 if need.counts == "train" else 0.7)))
        rows = "example" if need.minimum == 1 else "examples"
        searched = f"{algorithm} needs {need.minimum} {rows} or more to search with, and "
    have = {0: "there are no examples", 1: "1 example is too few"}.get(examples, f"{examples} examples are too few")
    return (
        f"nothing was optimised: {have}; {searched}a gain can be shown only on {TEST_ROWS} or more that the search "
        f"never sees, about {least} in all; 50 to 100 are better. The program is kept as it was asked for"
    )


def _message(run: RunResult) -> str:
    test, ended = run.data["test"], run.data["search_ended"]
    if test is None:
        return (
            f"the run ended early ({run.status}{f': {run.error.message}' if run.error else ''}), before the sealed "
            "test: the figures are those of examples that the search saw, so no gain is claimed"
        )
    note = f"; the search ended early ({ended})" if ended else ""
    change = f"{100 * test['change']:+.1f} points on {test['n']} sealed examples"
    return f"{run.verdict}: {change}; {test['reason']}{note}"


def _custom(metric: Metric) -> CustomMetric | None:
    custom = getattr(metric, "custom", None)
    return custom if isinstance(custom, CustomMetric) else None
