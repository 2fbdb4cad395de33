"""Metrics: from an example and its answer to a score in 0..1 with a reason."""

from strop.metrics.catalogue import CATALOGUE, MetricSpec, build, fingerprint
from strop.metrics.coding_agent import NEGATIVE
from strop.metrics.composite import Composite, Guardrail, Part
from strop.metrics.custom import CustomMetric
from strop.metrics.metric import Judged, Metric, Score, Usage
from strop.metrics.names import MetricType
from strop.metrics.tool_calls import ToolCall, plan_text, tool_calls

__all__ = [
    "CATALOGUE",
    "NEGATIVE",
    "Composite",
    "CustomMetric",
    "Guardrail",
    "Judged",
    "Metric",
    "MetricSpec",
    "MetricType",
    "Part",
    "Score",
    "ToolCall",
    "Usage",
    "build",
    "fingerprint",
    "plan_text",
    "tool_calls",
]
