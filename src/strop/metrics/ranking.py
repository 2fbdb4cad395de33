"""Rankings against the items that are relevant: normalised discounted cumulative gain, mean average precision."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Literal, cast

from pydantic import Field

from strop.errors import MetricError
from strop.metrics.labels import LabelMetric, LabelSettings
from strop.metrics.metric import clipped
from strop.metrics.values import as_text, loose, plain

_BULLET = re.compile(r"^\s*(?:\d+[.)]|[-*•])\s+")
_HIGHEST_GRADE = 1000  # the gain 2^g still fits a float


class RankingSettings(LabelSettings):
    """Settings of `map`, and those that `ndcg` shares."""

    k: int | None = Field(default=None, ge=1)
    """How many of the first items count; without it all."""
    unjudged: Literal["irrelevant", "skip"] = "irrelevant"
    """Items that the label does not mention: irrelevant (trec_eval), or taken out before scoring (condensed list)."""


class NdcgSettings(RankingSettings):
    """Settings of `ndcg`."""

    gain: Literal["linear", "exp"] = "linear"
    """An item of grade g gains g (Järvelin & Kekäläinen 2002, trec_eval) or 2^g - 1 (Burges et al. 2005)."""


def ranked(value: Any) -> list[str]:
    """A ranking from a list, or from text: a JSON list, lines (bullets and numbers dropped) or commas."""
    value = plain(value)
    if isinstance(value, str):
        value = _from_text(value)
    if isinstance(value, set | frozenset):
        raise MetricError(f"a ranking has an order, {clipped(value)} has none", hint="give a list")
    items = cast("list[Any]", value) if isinstance(value, list) else [value]
    return [loose(as_text(item)) for item in items if item is not None]


def _from_text(text: str) -> Any:
    if text.lstrip().startswith(("[", "{")):
        try:
            return json.loads(text)
        except ValueError:
            pass  # an item may begin with a bracket; then it is read as plain text
    parts = text.splitlines() if "\n" in text.strip() else text.split(",")
    return [stripped for part in parts if (stripped := _BULLET.sub("", part).strip())]


def grades(name: str, expected: Any) -> tuple[dict[str, float], bool]:
    """Grade by item, and whether grades were given: a bare list means that each of its items is relevant, with 1."""
    expected = plain(expected)
    if isinstance(expected, str):
        expected = _from_text(expected)
    if isinstance(expected, set | frozenset):
        expected = list(cast("set[Any]", expected))
    if not isinstance(expected, Mapping):
        return dict.fromkeys(ranked(expected), 1.0), False
    found: dict[str, float] = {}
    for item, grade in cast("Mapping[Any, Any]", expected).items():
        if not isinstance(grade, int | float) or not 0 <= grade <= _HIGHEST_GRADE:
            raise MetricError(
                f"metric {name!r}: the grade of {item!r} is {grade!r}; a grade is a number from 0 to {_HIGHEST_GRADE}"
            )
        found[loose(as_text(item))] = float(grade)
    return found, True


class _Ranking(LabelMetric[Any]):
    """The common way from an example to graded ranks."""

    def _graded_ranks(self, expected: Any, got: Any) -> tuple[list[float], list[float]]:
        """Grades in the order of the answer, and in the best order; not yet cut at k.

        An item named twice gains only the first time and keeps its rank the second.
        """
        known, graded = grades(self.name, expected)
        items = ranked(got)
        if self.settings.unjudged == "skip":
            if not graded:
                raise MetricError(
                    f"metric {self.name!r}: 'unjudged: skip' needs graded labels",
                    hint="a plain list names relevant items only, so that every judged item would be relevant; "
                    "give a mapping of item to grade",
                )
            items = [item for item in items if item in known]
        seen: set[str] = set()
        ranks: list[float] = []
        for item in items:
            ranks.append(0.0 if item in seen else known.get(item, 0.0))
            seen.add(item)
        return ranks, sorted((grade for grade in known.values() if grade > 0), reverse=True)


def _without_relevant(ranks: list[float]) -> tuple[float, str]:
    if ranks:
        return 0.0, f"nothing is relevant, {len(ranks)} items were given"
    return 1.0, "nothing is relevant and nothing was given"


class Ndcg(_Ranking):
    """DCG of the answer over DCG of the best order; DCG is the sum of gain / log2(rank + 1)."""

    name = "ndcg"

    def __init__(self, settings: NdcgSettings) -> None:
        super().__init__(settings)

    def compare(self, expected: Any, got: Any) -> tuple[float, str]:
        """Ties cannot occur: an answer is a strict order."""
        ranks, best = self._graded_ranks(expected, got)
        if not best:
            return _without_relevant(ranks)
        k = self.settings.k
        value = self._dcg(ranks[:k]) / self._dcg(best[:k])
        hits = sum(grade > 0 for grade in ranks[:k])
        return value, f"ndcg {value:.2f}: {hits} of {len(best[:k])} relevant items among the first {len(ranks[:k])}"

    def _dcg(self, ranks: list[float]) -> float:
        exponential = self.settings.gain == "exp"
        gains = (2.0**grade - 1 if exponential else grade for grade in ranks)
        return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


class AveragePrecision(_Ranking):
    """Mean of the precisions at the ranks of the relevant items, missing ones counting 0; the summary is MAP.

    With a cut at k the divisor is the smaller of k and the number of relevant items, so that 1 can be reached.
    """

    name = "map"

    def __init__(self, settings: RankingSettings) -> None:
        super().__init__(settings)

    def compare(self, expected: Any, got: Any) -> tuple[float, str]:
        """Any grade above 0 is relevant."""
        ranks, best = self._graded_ranks(expected, got)
        if not best:
            return _without_relevant(ranks)
        hits = 0
        total = 0.0
        for rank, grade in enumerate(ranks[: self.settings.k], 1):
            if grade > 0:
                hits += 1
                total += hits / rank
        reachable = len(best[: self.settings.k])
        return (
            total / reachable,
            f"average precision {total / reachable:.2f}: {hits} of {reachable} relevant items found",
        )
