"""Text classification: send customer messages to the team that can help.

    python examples/text_classification.py

Runs offline, with the embedded models, in seconds. STROP_MODEL=openai/gpt-4o-mini and OPENAI_API_KEY take a real model;
the budget below cannot be exceeded.
"""

import asyncio
import json
from importlib.resources import files

from strop import OptimizationConstraints, OptimizationObjective, OptimizationPipeline, OptimizationRequest
from strop.pipeline import MetricType


async def main() -> None:
    lines = files("strop.examples").joinpath("ticket-routing", "tickets.jsonl").read_text("utf-8").splitlines()
    pipeline = OptimizationPipeline()
    request = OptimizationRequest(
        target="ticket_router",
        objective=OptimizationObjective.MAXIMIZE_ACCURACY,
        evaluation_metric=MetricType.F1_SCORE,
        algorithm="miprov2",
        training_examples=[json.loads(line) for line in lines],
        constraints=OptimizationConstraints(max_cost_usd=1.0),
    )
    result = await pipeline.optimize(request)
    print(f"Original F1:  {result.baseline_metrics.accuracy:.3f}")
    print(f"Optimized F1: {result.optimized_metrics.accuracy:.3f} on {result.optimized_metrics.n} sealed examples")
    print(result.message)
    print(f"Cost: ${result.total_cost_usd:.4f}")

    await pipeline.save_optimized_model(result.model_id, "models/ticket_router.json", version="1.0.0")
    model = await pipeline.load_model("ticket_router", version="1.0.0")
    print(f"Team: {model.predict({'message': 'The invoice of March was charged twice.'})}")


if __name__ == "__main__":
    asyncio.run(main())
