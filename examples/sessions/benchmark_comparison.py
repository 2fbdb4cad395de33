"""Benchmark comparison: several models on one task with data and a metric, side by side, and a decision.

    python examples/sessions/benchmark_comparison.py

Programs are sorted into sections by their description. Every model whose key is set takes part (ANTHROPIC_API_KEY,
OPENAI_API_KEY, GEMINI_API_KEY, TOGETHER_API_KEY); with fewer than two keys it runs offline, in seconds, with the
embedded models: small models for trials, whose scores say nothing about real models.
"""

import os
from pathlib import Path

from strop import examples
from strop.sessions import ModelConfig, ModelProvider, TrainingConfig, TrainingSession

MODELS = {
    "ANTHROPIC_API_KEY": ModelConfig(provider=ModelProvider.CLAUDE, model="claude-sonnet-4", max_tokens=100),
    "OPENAI_API_KEY": ModelConfig(provider=ModelProvider.GPT4, model="gpt-4-turbo", max_tokens=100),
    "GEMINI_API_KEY": ModelConfig(provider=ModelProvider.GEMINI, model="gemini-2.0-flash-exp", max_tokens=100),
    "TOGETHER_API_KEY": ModelConfig(provider=ModelProvider.LLAMA, model="llama-3.1-70b", max_tokens=100),
}
OFFLINE = [ModelConfig(model=f"embedded/{size}", max_tokens=100) for size in ("small", "medium", "large")]
TASK = Path("package-sections")


def main() -> None:
    real = [model for key, model in MODELS.items() if os.environ.get(key)]
    if not TASK.exists():
        examples.copy("package-sections", TASK)
    config = TrainingConfig(
        models=real if len(real) > 1 else OFFLINE,
        task=str(TASK),
        optimization_rounds=2,
        benchmark_samples=60,
        cost_budget=1.0,
        max_concurrency=16,
    )
    session = TrainingSession(config)
    session.on("phase", lambda phase: print(f"Phase {phase}"))
    result = session.run()

    print(f"\n{'Model':<20} {'Baseline':>8} {'Best':>8} {'Median ms':>9} {'Cost':>9} {'Rounds':>6}")
    for one in sorted(result.models, key=lambda one: -one.best_test.mean if one.best_test else 0.0):
        before = one.baseline_test.mean if one.baseline_test else float("nan")
        after = one.best_test.mean if one.best_test else float("nan")
        middle = sorted(one.latencies_ms)[len(one.latencies_ms) // 2] if one.latencies_ms else float("nan")
        cost = f"${one.spending.cost_usd:.4f}"
        print(f"{one.name:<20} {before:>8.1%} {after:>8.1%} {middle:>9.1f} {cost:>9} {one.rounds:>6}")
    for each in result.transfers:
        if each.kept:
            print(f"{each.receiver} took over the {each.carried} of {each.donor}: {each.why}")
    print(f"Best model: {result.best_model}; ${result.total_cost_usd:.4f} of ${result.budget_usd:.2f}")


if __name__ == "__main__":
    main()
