"""Cost-optimised training: cheap models, few rounds, a strict budget of one dollar; texts are summarised.

    python examples/sessions/cost_optimized.py

GEMINI_API_KEY and TOGETHER_API_KEY together take the real models. Without them it runs offline, in seconds, with the
embedded ones: small models for trials, whose scores say nothing about real models.
"""

import os
from pathlib import Path

from strop import examples
from strop.sessions import ModelConfig, ModelProvider, TrainingConfig, TrainingSession

REAL = bool(os.environ.get("GEMINI_API_KEY") and os.environ.get("TOGETHER_API_KEY"))
MODELS = [
    ModelConfig(provider=ModelProvider.GEMINI, model="gemini-2.0-flash-exp"),  # low cost
    ModelConfig(provider=ModelProvider.LLAMA, model="llama-3.1-70b"),  # very low cost
]
OFFLINE = [ModelConfig(model="embedded/medium"), ModelConfig(model="embedded/small")]
TASK = Path("summarisation")


def main() -> None:
    if not TASK.exists():
        examples.copy("summarisation", TASK)
    session = TrainingSession(
        TrainingConfig(
            models=MODELS if REAL else OFFLINE,
            task=str(TASK),
            optimization_rounds=3,
            baseline_iterations=2,
            benchmark_samples=20,
            cost_budget=1.0,  # strict
        )
    )
    session.on("budget_exceeded", lambda cost: print(f"The budget ends it at ${cost:.4f}"))
    session.on("phase", lambda phase: print(f"Phase {phase}"))
    result = session.run()
    for name, figures in session.get_statistics().comparison.items():
        each = figures.total_cost / max(1, figures.total_iterations)
        print(
            f"{name}: quality {figures.avg_quality_score:.3f}, ${figures.total_cost:.5f} for "
            f"{figures.total_iterations} iterations, ${each:.6f} each"
        )
    print(f"Total: ${result.total_cost_usd:.4f} of ${result.budget_usd:.2f}; best model: {result.best_model}")


if __name__ == "__main__":
    main()
