"""Two models on the same sealed examples: is one better, and is one at most so much worse? Numbers in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from strop.stats import bca, betting_interval, bonett_price, mcnemar, paired_test, tango

ONE_SIDED = 0.90
"""Two-sided level whose upper end is a one-sided 95% bound."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A model's scores in 0..1 on the sealed examples, in their order; with `groups`, the members of one (turns of a
    conversation) count once."""

    name: str
    scores: tuple[float, ...]
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Compared:
    """`gap` is the mean of `over` minus that of `under` (0 or more), `low` and `high` its interval at `level`.

    `p_value` is two-sided, `most` the one-sided 95% bound of the gap, `sd` the spread of the paired differences, `n`
    the number of pairs (groups where there are groups).
    """

    over: str
    under: str
    gap: float
    low: float
    high: float
    level: float
    p_value: float
    method: str
    most: float
    sd: float
    n: int


def compare(a: Contender, b: Contender, *, level: float, seed: int = 0) -> Compared:
    """A two-sided paired test and the intervals of the gap. Exact McNemar for right and wrong; for fractional scores t
    and bootstrap-t, or the betting test where those over-claim."""
    gaps = differences(a, b)
    if math.fsum(gaps) < 0:
        a, b, gaps = b, a, [-gap for gap in gaps]
    n, mean = len(gaps), math.fsum(gaps) / len(gaps)
    if _binary(a, b):
        won, lost = sum(gap > 0 for gap in gaps), sum(gap < 0 for gap in gaps)
        p_value, method = mcnemar(won, lost).two_sided, "exact McNemar"
        shown, bound = bonett_price(won, lost, n, level), bonett_price(won, lost, n, ONE_SIDED)
    elif not any(gaps):
        p_value, method = 1.0, "no difference on any example"
        shown, bound = betting_interval(gaps, level), betting_interval(gaps, ONE_SIDED)
    else:
        test = paired_test(gaps, seed=seed)
        p_value, method = min(1.0, 2 * test.p_value), test.method
        if test.method == "betting":
            shown, bound = betting_interval(gaps, level), betting_interval(gaps, ONE_SIDED)
        else:
            shown, bound = bca(gaps, seed, level), bca(gaps, seed, ONE_SIDED)
    sd = math.sqrt(math.fsum((gap - mean) ** 2 for gap in gaps) / max(1, n - 1))
    return Compared(
        over=a.name, under=b.name, gap=max(0.0, mean), low=shown.low, high=shown.high, level=level, p_value=p_value,
        method=method, most=bound.high, sd=sd, n=n,
    )  # fmt: skip


def at_most_worse_p(one: Contender, other: Contender, margin: float, *, seed: int = 0) -> float:
    """One-sided p of "`one` is worse than `other` by `margin` or more".

    Tango's score interval, inverted, for right and wrong; for fractional scores the paired test of the differences
    with the margin added (cut at 1, which can only make it stricter).
    """
    gaps = differences(one, other)
    if _binary(one, other):
        won, lost = sum(gap > 0 for gap in gaps), sum(gap < 0 for gap in gaps)
        return _tango_p(won, lost, len(gaps), margin)
    return paired_test([min(1.0, gap + margin) for gap in gaps], seed=seed).p_value


def differences(a: Contender, b: Contender) -> list[float]:
    """`a` minus `b` by example, or by group."""
    gaps = [x - y for x, y in zip(a.scores, b.scores, strict=True)]
    if not a.groups:
        return gaps
    return group_means(gaps, a.groups)


def group_means(values: Sequence[float], groups: Sequence[str]) -> list[float]:
    """The mean of each group, in the order in which groups appear."""
    members: dict[str, list[float]] = {}
    for value, group in zip(values, groups, strict=True):
        members.setdefault(group, []).append(value)
    return [math.fsum(each) / len(each) for each in members.values()]


def _binary(a: Contender, b: Contender) -> bool:
    return not a.groups and all(score in (0, 1) for score in (*a.scores, *b.scores))


def _tango_p(won: int, lost: int, n: int, margin: float) -> float:
    """The least one-sided level at which Tango's lower bound lies above -margin."""
    if (won - lost) / n <= -margin:
        return 1.0
    low, high = math.log(1e-7), math.log(0.5)
    for _ in range(24):
        middle = (low + high) / 2
        if tango(won, lost, n, 1 - 2 * math.exp(middle)).low > -margin:
            high = middle
        else:
            low = middle
    return math.exp(high)
