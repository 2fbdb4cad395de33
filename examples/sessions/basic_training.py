"""Basic training: two models learn one task, five rounds each, under one budget.

    python examples/sessions/basic_training.py

ANTHROPIC_API_KEY and GEMINI_API_KEY together take the real models. Without them it runs offline, in seconds, with the
embedded ones: small models for trials, whose text and scores say nothing about real models.
"""

import os

from strop.sessions import ModelConfig, ModelProvider, Signature, TrainingConfig, TrainingSession

REAL = bool(os.environ.get("ANTHROPIC_API_KEY") and os.environ.get("GEMINI_API_KEY"))
MODELS = [
    ModelConfig(provider=ModelProvider.CLAUDE, model="claude-sonnet-4"),
    ModelConfig(provider=ModelProvider.GEMINI, model="gemini-2.0-flash-exp"),
]
OFFLINE = [ModelConfig(model="embedded/large"), ModelConfig(model="embedded/small")]


def main() -> None:
    session = TrainingSession(
        TrainingConfig(models=MODELS if REAL else OFFLINE, optimization_rounds=5, cost_budget=5.0)
    )
    session.on(
        "iteration", lambda result: print(f"{result.model_provider}/{result.model}: quality={result.quality.score:.3f}")
    )
    session.on("complete", lambda data: print(f"Training complete!\n\n{data.report}"))
    signature = Signature(
        name="product-description",
        input="The Ridge 40 is a hiking backpack of 900 grams. Its frame is recycled aluminium, its cloth waterproof. "
        "A solar panel of 8 watts on the lid charges a phone while you walk. It costs 189 euros.",
        output="A product description",
        constraints=("min_length:100",),
    )
    result = session.run("Write a product description from the facts.", signature)
    print(f"Best model: {result.best_model}, ${result.total_cost_usd:.4f} of ${result.budget_usd:.2f}")


if __name__ == "__main__":
    main()
