"""One objective made of weighted parts, under guardrails that no weight can outvote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from strop.errors import MetricError
from strop.metrics.labels import MetricSettings
from strop.metrics.metric import Judged, Metric, Score, Usage, mean_score, unit


class PartSettings(MetricSettings):
    """One part of a composite."""

    metric: str | dict[str, Any]
    """A metric as everywhere: a name, or a mapping of name and settings."""
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Its share, relative to the other parts' weights."""


class GuardrailSettings(MetricSettings):
    """A floor under one metric."""

    metric: str | dict[str, Any]
    """A metric as everywhere: a name, or a mapping of name and settings."""
    at_least: float = Field(ge=0, le=1)
    """An answer that scores less gets 0 from the composite."""


class CompositeSettings(MetricSettings):
    """Settings of `composite`."""

    parts: tuple[PartSettings, ...] = Field(min_length=1)
    """What is averaged, by weight."""
    guardrails: tuple[GuardrailSettings, ...] = ()
    """What must hold."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A metric and its share."""

    metric: Metric
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Guardrail:
    """A metric and the least score that is accepted."""

    metric: Metric
    at_least: float


class Composite:
    """Weighted mean of the parts; 0 where a guardrail is breached.

    Its summary is the mean of its scores: a part that is defined on a whole set (macro F1, corpus BLEU) counts here
    by its score for each example.
    """

    name = "composite"

    def __init__(self, parts: Sequence[Part], guardrails: Sequence[Guardrail] = ()) -> None:
        if not parts or not all(part.weight > 0 for part in parts):
            raise MetricError("a composite needs at least one part, and weights above 0")
        self.parts = tuple(parts)
        self.guardrails = tuple(guardrails)
        self.binary = len(parts) == 1 and parts[0].metric.binary

    def score(
        self,
        *,
        inputs: Mapping[str, Any],
        expected: Mapping[str, Any],
        answer: Mapping[str, Any],
        usage: Usage | None,
    ) -> Score:
        """`parts` holds every part and guardrail, by name; a name that comes again gets a number."""
        judged: dict[str, float] = {}

        def judge(metric: Metric) -> Score:
            score = metric.score(inputs=inputs, expected=expected, answer=answer, usage=usage)
            key = metric.name
            while key in judged:
                key = f"{metric.name}_{len(judged) + 1}"
            judged[key] = score.value
            return score

        total = sum(part.weight for part in self.parts)
        scores = [(part, judge(part.metric)) for part in self.parts]
        limits = [(rail, judge(rail.metric)) for rail in self.guardrails]
        breached = [
            f"{rail.metric.name} {score.value:.2f} is below the guardrail {rail.at_least:.2f} ({score.reason})"
            for rail, score in limits
            if score.value < rail.at_least
        ]
        value = 0.0 if breached else unit(sum(part.weight * score.value for part, score in scores) / total)
        told = breached or [f"{part.metric.name} {score.value:.2f}: {score.reason}" for part, score in scores]
        return Score(value=value, reason="; ".join(told), parts=judged)

    def summary(self, rows: Sequence[Judged]) -> float:
        """Mean of the scores."""
        return mean_score(self.name, rows)
