"""Latency and cost as scores: how much of an explicit limit is left."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from strop.errors import MetricError
from strop.metrics.labels import MetricSettings
from strop.metrics.metric import Judged, Score, Usage, mean_score, unit


class LatencySettings(MetricSettings):
    """Settings of `latency`."""

    limit: float = Field(gt=0, allow_inf_nan=False)
    """Seconds at which the score reaches 0; no default, because only the task knows what is slow."""


class CostSettings(MetricSettings):
    """Settings of `cost`."""

    limit: float = Field(gt=0, allow_inf_nan=False)
    """USD for one answer at which the score reaches 0; no default, because only the task knows what is dear."""


class _Limited(ABC):
    """1 at nothing used, 0 at the limit and beyond, straight in between."""

    name: str
    binary: bool = False

    def __init__(self, settings: LatencySettings | CostSettings) -> None:
        self.settings = settings

    @abstractmethod
    def _used(self, usage: Usage) -> tuple[float, str]:
        """Amount and its words."""

    def score(
        self,
        *,
        inputs: Mapping[str, Any],  # noqa: ARG002 - only what was used counts
        expected: Mapping[str, Any],  # noqa: ARG002
        answer: Mapping[str, Any],  # noqa: ARG002
        usage: Usage | None,
    ) -> Score:
        """MetricError when nobody measured the answer's calls: nothing is assumed to be free or instant."""
        if usage is None:
            raise MetricError(f"metric {self.name!r} needs what the ledger measured, and this answer has no usage")
        amount, words = self._used(usage)
        if not math.isfinite(amount) or amount < 0:
            raise MetricError(f"metric {self.name!r}: the measured amount is {amount!r}")
        return Score(value=unit(1 - amount / self.settings.limit), reason=words)

    def summary(self, rows: Sequence[Judged]) -> float:
        """Mean of the scores."""
        return mean_score(self.name, rows)

    def identity(self) -> dict[str, Any]:
        """What the fingerprint is made of."""
        return {"name": self.name, "settings": self.settings.model_dump(mode="json")}


class Latency(_Limited):
    """Score of the seconds that an answer took."""

    name = "latency"

    def _used(self, usage: Usage) -> tuple[float, str]:
        return usage.latency_s, f"{usage.latency_s:.3g} s of {self.settings.limit:.3g} s"


class Cost(_Limited):
    """Score of the USD that an answer cost."""

    name = "cost"

    def _used(self, usage: Usage) -> tuple[float, str]:
        return usage.cost_usd, f"{usage.cost_usd:.4g} USD of {self.settings.limit:.4g} USD"
