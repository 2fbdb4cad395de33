"""What comes out of measuring a program: one row an example, and the figures that follow from the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from strop.metrics import Judged, Metric, Score


@dataclass(frozen=True, kw_only=True)
class Row:
    """One example, answered and scored.

    `error` is set when there was no answer; the score is then 0 and counted. Latency (microseconds) and cost
    (picodollars) are those of the calls behind the answer, from the ledger, also when they were replayed.
    """

    example_id: str
    inputs: Mapping[str, Any]
    expected: Mapping[str, Any]
    answer: Mapping[str, Any]
    score: Score
    error: str | None = None
    calls: int = 0
    latency_us: int = 0
    cost_pico: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A program measured on examples, in their order. `complete` is False when the measuring was stopped."""

    rows: tuple[Row, ...]
    metric: Metric
    wanted: int

    @property
    def complete(self) -> bool:
        return len(self.rows) == self.wanted

    @property
    def scores(self) -> tuple[float, ...]:
        """One score in 0..1 an example."""
        return tuple(row.score.value for row in self.rows)

    @cached_property
    def mean(self) -> float:
        """Mean score; 0 without rows."""
        return sum(self.scores) / len(self.rows) if self.rows else 0.0

    @cached_property
    def summary(self) -> float:
        """The metric's own figure of the whole set (macro F1, corpus BLEU), or the mean."""
        if not self.rows:
            return 0.0
        return self.metric.summary(
            [Judged(expected=row.expected, answer=row.answer, score=row.score) for row in self.rows]
        )

    @property
    def errors(self) -> Sequence[Row]:
        """Rows without an answer."""
        return [row for row in self.rows if row.error is not None]

    @property
    def cost_per_request_pico(self) -> float:
        """Mean picodollars of the calls behind one answer."""
        return sum(row.cost_pico for row in self.rows) / len(self.rows) if self.rows else 0.0

    @property
    def tokens_per_request(self) -> float:
        """Mean tokens, input and output, behind one answer."""
        return sum(row.tokens_in + row.tokens_out for row in self.rows) / len(self.rows) if self.rows else 0.0

    def latency_ms(self, share: float) -> float:
        """Quantile of the latency of an answer in milliseconds (0.5 is the median)."""
        from strop.stats import percentile

        return percentile([row.latency_us / 1000 for row in self.rows], 100 * share) if self.rows else 0.0
