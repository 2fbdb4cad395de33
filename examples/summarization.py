"""Summarisation with a metric of your own: overlap with the reference, and no more words than it has.

    python examples/summarization.py

Runs offline, with the embedded models, in seconds. STROP_MODEL=openai/gpt-4o-mini and OPENAI_API_KEY take a real model;
without a constraint the budget is 1 USD.
"""

import asyncio
import json
from importlib.resources import files

from strop import CustomMetric, OptimizationObjective, OptimizationPipeline, OptimizationRequest


def brevity_and_overlap(prediction: str, ground_truth: str) -> float:
    """Share of the reference's words that the summary has, lowered by its surplus length."""
    said, wanted = prediction.lower().split(), ground_truth.lower().split()
    if not said or not wanted:
        return 0.0
    return len(set(said) & set(wanted)) / len(set(wanted)) * min(1.0, len(wanted) / len(said))


async def main() -> None:
    lines = files("strop.examples").joinpath("summarisation", "articles.jsonl").read_text("utf-8").splitlines()
    pipeline = OptimizationPipeline()
    request = OptimizationRequest(
        target="news_in_one_sentence",
        objective=OptimizationObjective.CUSTOM,
        evaluation_metric="brief_overlap",
        custom_metrics=[CustomMetric(name="brief_overlap", evaluation_function=brevity_and_overlap)],
        algorithm="miprov2",
        training_examples=[json.loads(line) for line in lines],
    )
    result = await pipeline.optimize(request)
    print(f"Original:  {result.baseline_metrics.score:.3f}")
    print(f"Optimized: {result.optimized_metrics.score:.3f}")
    print(result.message)
    print(f"Prompt:\n{result.optimized_prompt}")


if __name__ == "__main__":
    asyncio.run(main())
