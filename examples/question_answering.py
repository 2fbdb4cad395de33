"""Question answering: take short answers out of a passage.

    python examples/question_answering.py

Runs offline, with the embedded models, in seconds. STROP_MODEL=openai/gpt-4o-mini and OPENAI_API_KEY take a real model;
without a constraint the budget is 1 USD.
"""

import asyncio
import json
from importlib.resources import files

from strop import OptimizationObjective, OptimizationPipeline, OptimizationRequest
from strop.pipeline import MetricType


async def main() -> None:
    lines = files("strop.examples").joinpath("extractive-qa", "questions.jsonl").read_text("utf-8").splitlines()
    pipeline = OptimizationPipeline()
    request = OptimizationRequest(
        target="qa_system",
        objective=OptimizationObjective.MAXIMIZE_ACCURACY,
        evaluation_metric=MetricType.EXACT_MATCH,
        algorithm="bootstrapfewshot",
        training_examples=[json.loads(line) for line in lines],
        few_shot_config={"num_examples": 5, "selection_strategy": "diverse"},
    )
    result = await pipeline.optimize(request)
    print(f"Original exact match:  {result.baseline_metrics.accuracy:.3f}")
    print(f"Optimized exact match: {result.optimized_metrics.accuracy:.3f}")
    print(result.message)

    question = {
        "context": "The Eiffel Tower was finished in 1889. It is 330 metres tall and made of iron.",
        "question": "When was the Eiffel Tower finished?",
    }
    print(f"Answer: {await pipeline.predict(result.model_id, question)}")
    analytics = await pipeline.get_analytics(result.optimization_id)
    print(f"Cost: ${analytics.total_cost_usd:.4f} for {analytics.calls} calls")


if __name__ == "__main__":
    asyncio.run(main())
