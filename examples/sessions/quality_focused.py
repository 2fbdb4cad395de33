"""Quality-focused training: strong models, low temperature, up to fifteen rounds towards a score of 0.98.

    python examples/sessions/quality_focused.py

Questions are answered from a passage. ANTHROPIC_API_KEY and OPENAI_API_KEY together take the real models, within the
budget below. Without them it runs offline, in seconds, with the embedded ones: small models for trials, whose scores
say nothing about real models.
"""

import os
from pathlib import Path

from strop import examples
from strop.sessions import ModelConfig, ModelProvider, TrainingConfig, TrainingSession

REAL = bool(os.environ.get("ANTHROPIC_API_KEY") and os.environ.get("OPENAI_API_KEY"))
MODELS = [
    ModelConfig(provider=ModelProvider.CLAUDE, model="claude-sonnet-4", temperature=0.3),  # lower for consistency
    ModelConfig(provider=ModelProvider.GPT4, model="gpt-4-turbo", temperature=0.3),
]
OFFLINE = [
    ModelConfig(model="embedded/large", temperature=0.3),
    ModelConfig(model="embedded/medium", temperature=0.3),
]
TASK = Path("extractive-qa")
GOOD = 0.9


def main() -> None:
    if not TASK.exists():
        examples.copy("extractive-qa", TASK)
    session = TrainingSession(
        TrainingConfig(
            models=MODELS if REAL else OFFLINE,
            task=str(TASK),
            optimization_rounds=15,
            convergence_threshold=0.98,
            benchmark_samples=100,
            cost_budget=10.0,
        )
    )
    session.on("converged", lambda provider: print(f"{provider} has converged"))
    result = session.run()
    for one in result.models:
        scores = [step.quality.accuracy for step in one.iterations if step.phase == "benchmark"]
        good = sum(score >= GOOD for score in scores) / len(scores) if scores else 0.0
        print(f"{one.name}: {good:.0%} of {len(scores)} sealed answers score {GOOD} or more, after {one.rounds} rounds")
        if one.convergence is not None:
            print(f"  converged by {one.convergence.reason} in round {one.convergence.round}")
    print(f"Best model: {result.best_model}, ${result.total_cost_usd:.4f}")


if __name__ == "__main__":
    main()
