"""What a metric is: a pure function from an example and its answer to a score with a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Protocol, runtime_checkable

from strop.errors import MetricError


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What the ledger measured for the calls behind one answer."""

    latency_s: float
    cost_usd: float
    tokens_in: int = 0
    tokens_out: int = 0


@dataclass(frozen=True, kw_only=True)
class Score:
    """How good one answer is.

    `value` lies in 0..1 and higher is better. `reason` is one short sentence for a person. `parts` holds what the
    value was made of, by label field or by part of a composite, each in 0..1; empty when there is only one.
    """

    value: float
    reason: str
    parts: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One scored example, as a metric sees it again when it sums up a data set."""

    expected: Mapping[str, Any]
    answer: Mapping[str, Any]
    score: Score


@runtime_checkable
class Metric(Protocol):
    """Scores answers one at a time, and sums up many.

    `binary` promises that every score is 0 or 1, which is what an exact paired test needs to know.
    An object may also have `identity() -> Mapping[str, JSON]`, from which `fingerprint` is made.
    """

    name: str
    binary: bool

    def score(
        self,
        *,
        inputs: Mapping[str, Any],
        expected: Mapping[str, Any],
        answer: Mapping[str, Any],
        usage: Usage | None,
    ) -> Score:
        """Score one answer. Raises MetricError when the metric cannot be applied to this example at all."""
        ...

    def summary(self, rows: Sequence[Judged]) -> float:
        """The figure of the data set, 0..1: the mean score unless the metric is defined on the whole set."""
        ...


def mean_score(name: str, rows: Sequence[Judged]) -> float:
    """Mean of the scores of `rows`; MetricError when there are none, because no number would be true."""
    if not rows:
        raise MetricError(f"metric {name!r} has no scores to sum up")
    return fmean(row.score.value for row in rows)


def clipped(value: object, width: int = 60) -> str:
    """`value` as it looks in code, cut to `width` characters."""
    text = repr(value)
    return text if len(text) <= width else text[: width - 3] + "..."


def unit(value: float) -> float:
    """`value` with rounding noise outside 0..1 cut off."""
    return min(1.0, max(0.0, value))
