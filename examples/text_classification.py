"""Text classification: route customer messages to a team.

    python examples/text_classification.py

Runs offline with the embedded models in a few seconds. For a real model: STROP_MODEL=openai/gpt-4o-mini and its key in
OPENAI_API_KEY; the budget below holds.
"""

import asyncio
import json

from strop.examples import EXAMPLES
from strop.pipeline import (
    MetricType,
    OptimizationConstraints,
    OptimizationObjective,
    OptimizationPipeline,
    OptimizationRequest,
)
