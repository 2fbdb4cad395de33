"""Metrics: from an example and its answer to a score in 0..1 with a reason."""

from strop.metrics.catalogue import CATALOGUE, MetricSpec, build, fingerprint
from strop.metrics.composite import Composite, Guardrail, Part
from strop.metrics.custom import CustomMetric
from strop.metrics.metric import Judged, Metric, Score, Usage
from strop.metrics.names import MetricType

__all__ = [
    "CATALOGUE",
    "Composite",
    "CustomMetric",
    "Guardrail",
    "Judged",
    "Metric",
    "MetricSpec",
    "MetricType",
    "Part",
    "Score",
    "Usage",
    "build",
    "fingerprint",
]
