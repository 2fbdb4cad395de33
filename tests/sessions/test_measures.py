"""Performance and training figures against a table worked out by hand, and the guide's collector."""

from __future__ import annotations

import numpy as np
import pytest

from strop.errors import BadInput
from strop.sessions import ModelProvider, TrainingPhase
from strop.sessions.collector import BenchmarkCollector, statistics_of
from strop.sessions.measures import (
    answered_ms,
    convergence_rate,
    cost_efficiency,
    cost_per_quality,
    improvement_rate,
    latency_profile,
    learning_curve,
    performance,
    training_metrics,
)
from strop.sessions.result import Convergence, Spending
from tests.sessions.made_results import model, sealed, step


@pytest.mark.parametrize(
    ("scores", "convergence", "improvement"),
    [
        ((0.4, 0.5, 0.6, 0.9), 0.75 - 0.45, 1.25),
        ((0.5, 0.5, 0.8), 0.65 - 0.5, 0.6),
        ((0.8, 0.4), -0.4, -0.5),
        ((0.0, 0.5), 0.5, None),
        ((0.7,), None, None),
        ((), None, None),
    ],
)
def test_rates_by_hand(scores, convergence, improvement):
    assert convergence_rate(scores) == (None if convergence is None else pytest.approx(convergence))
    assert improvement_rate(scores) == (None if improvement is None else pytest.approx(improvement))


def test_what_is_free_has_no_quality_per_dollar_and_what_is_worthless_no_price():
    assert cost_efficiency(0.8, 0.4) == pytest.approx(2.0)
    assert cost_efficiency(0.8, 0.0) is None
    assert cost_per_quality(sealed([1, 0, 1, 0], cost=0.01)) == pytest.approx(0.02)
    assert cost_per_quality(sealed([0, 0])) is None


def test_the_four_training_figures_of_a_model():
    one = model(
        "a", sealed([1, 1, 1, 0]), dev_curve=(0.4, 0.5, 0.6, 0.6), spending=Spending(cost_usd=0.2, uncertain_usd=0.05),
        convergence=Convergence(reason="plateau", round=4, iterations=2, score=0.6),
    )  # fmt: skip
    found = training_metrics(one)
    assert found.convergence_rate == pytest.approx(0.6 - 0.45)
    assert found.improvement_rate == pytest.approx(0.5)
    assert found.cost_efficiency == pytest.approx(0.75 / 0.25)
    assert found.learning_speed == 2
    dead = training_metrics(model("d", None, dev_curve=(), spending=Spending()))
    assert (dead.convergence_rate, dead.improvement_rate, dead.cost_efficiency, dead.learning_speed) == (None,) * 4


def test_the_six_performance_figures_of_a_model():
    steps = (step(n=30, throughput=10.0), step(n=10, throughput=5.0))  # 3 s and 2 s
    found = performance(model("a", None, iterations=steps))
    assert found.latency == pytest.approx(200.0)
    assert found.throughput == pytest.approx(40 / 5)
    assert found.tokens_used == 5000
    assert found.cost == pytest.approx(0.25)
    assert found.memory_usage == 80.0
    assert found.error_rate == pytest.approx(3 / 100)


def test_percentiles_are_those_of_numpy():
    values = [float(value) for value in np.random.default_rng(1).lognormal(5, 1, 137)]
    found = latency_profile(values)
    assert found is not None
    assert [found.p50, found.p95, found.p99] == pytest.approx(list(np.percentile(values, [50, 95, 99])))
    assert (found.n, found.slowest, found.mean) == (137, max(values), pytest.approx(np.mean(values)))
    assert latency_profile([]) is None


def test_a_call_that_failed_at_once_does_not_look_fast():
    assert answered_ms(sealed([1, 0, 1], errors=[None, "no answer", None])) == (100.0, 102.0)


def test_the_learning_curve_is_where_the_model_stood():
    steps = [
        step("a", 0.2, phase=TrainingPhase.BASELINE, n=10),
        step("a", 0.6, phase=TrainingPhase.BASELINE, n=30),
        step("a", 0.7, phase=TrainingPhase.OPTIMIZATION),
        step("a", 0.1, phase=TrainingPhase.OPTIMIZATION, kept=False),
        step("a", 0.8, phase=TrainingPhase.CROSS_LEARNING),
        step("a", 0.3, phase=TrainingPhase.BENCHMARK),
    ]
    assert learning_curve(steps) == pytest.approx((0.5, 0.7, 0.7, 0.8))
    found = statistics_of("a", ModelProvider.OTHER, steps)
    assert found.improvement_rate == pytest.approx(0.6)
    assert found.convergence_rate == pytest.approx(0.75 - 0.6)
    assert found.learning_speed == 3
    assert (found.min_quality_score, found.max_quality_score, found.total_iterations) == (0.1, 0.8, 6)


def test_the_collector_tells_models_apart_and_reports_as_documented():
    collector = BenchmarkCollector()
    for name, provider, score, cost in (
        ("a", "claude", 0.5, 0.01),
        ("b", "claude", 0.75, 0.02),
        ("c", "llama", 0.6, 0),
    ):
        for k in range(4):
            collector.add_result(
                step(name, score, iteration=k, cost=cost, latency=100 + k, tokens=50, provider=ModelProvider(provider))
            )
    collector.add_result(step("a", 1.0, phase=TrainingPhase.OPTIMIZATION))
    stats = collector.get_aggregate_stats("b")
    assert stats is not None
    assert (stats.avg_quality_score, stats.total_cost) == (pytest.approx(0.75), pytest.approx(0.08))
    assert (stats.min_latency, stats.avg_latency, stats.max_latency) == (100, pytest.approx(101.5), 103)
    assert stats.avg_cost_per_1k == pytest.approx(0.08 / 200 * 1000)
    assert stats.cost_efficiency == pytest.approx(0.75 / 0.08)
    assert stats.improvement_rate is None
    assert list(collector.get_comparison()) == ["a", "b", "c"]
    assert collector.get_best_model() == "b"
    assert len(collector.get_model_metrics("a")) == 5
    assert len(collector.get_model_metrics(ModelProvider.CLAUDE)) == 8
    assert collector.get_aggregate_stats(ModelProvider.LLAMA) == collector.get_aggregate_stats("c")
    assert collector.get_aggregate_stats("nobody") is None
    with pytest.raises(BadInput, match="several models"):
        collector.get_aggregate_stats(ModelProvider.CLAUDE)
    report = collector.generate_report().splitlines()
    assert report[0] == "# Training Session Report"
    assert "## Best Performing Model: b" in report
    at = report.index("### b")
    assert report[at + 2 : at + 8] == [
        "- Iterations: 4", "- Avg Quality: 0.7500", "- Avg Latency: 101.50 ms", "- Total Cost: $0.080",
        "- Convergence Rate: –", "- Improvement Rate: –",
    ]  # fmt: skip


def test_the_best_model_comes_from_the_benchmark_alone_and_of_equals_the_cheaper():
    collector = BenchmarkCollector([step("a", 0.9, phase=TrainingPhase.OPTIMIZATION)])
    assert collector.get_best_model() is None
    collector.add_result(step("a", 0.5, cost=0.02))
    collector.add_result(step("b", 0.5, cost=0.01))
    assert collector.get_best_model() == "b"
    collector.clear()
    assert collector.get_comparison() == {}
    assert "none was benchmarked" in collector.generate_report()
