"""Intervals to display beside a score or a change: which range of true values the data are compatible with."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from strop.errors import BadInput
from strop.stats.betting import betting_bounds
from strop.stats.resampling import bca_bounds, resample

ProportionMethod = Literal["auto", "wilson", "clopper-pearson"]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A two-sided confidence interval in the units of its data (shares, not points); `method` is text for a report."""

    estimate: float
    low: float
    high: float
    level: float
    method: str


def proportion(successes: int, n: int, level: float = 0.95, *, method: ProportionMethod = "auto") -> Interval:
    """Interval of one accuracy.

    `auto` is Wilson, and Clopper-Pearson where Wilson covers too little: under 30 examples, or 0 or n successes.
    """
    from scipy.stats import binomtest

    if n < 1 or not 0 <= successes <= n:
        raise BadInput(f"a proportion needs 0 <= successes <= n and n >= 1, got {successes!r} of {n!r}")
    exact = method == "clopper-pearson" or (method == "auto" and (n < 30 or successes in (0, n)))
    found = binomtest(successes, n).proportion_ci(level, method="exact" if exact else "wilson")
    return Interval(
        estimate=successes / n,
        low=float(found.low),
        high=float(found.high),
        level=level,
        method="Clopper-Pearson" if exact else "Wilson",
    )


def mean_interval(scores: Sequence[float], level: float = 0.95) -> Interval:
    """Interval of the mean of scores in 0..1: Student's t, cut to 0..1.

    Scores that are all 0 or 1 are a proportion and get its interval. Where t has nothing to go by (one score, or all
    equal), the betting interval answers, which needs no variance.
    """
    from scipy.stats import t

    _check_bounded(scores, lower=0.0)
    n = len(scores)
    if all(score in (0, 1) for score in scores):
        return proportion(round(sum(scores)), n, level)
    mean = math.fsum(scores) / n
    if max(scores) - min(scores) < 1e-12:
        low, high = betting_bounds(scores, level, lower=0.0, upper=1.0)
        return Interval(estimate=mean, low=low, high=high, level=level, method="betting")
    sd = math.sqrt(math.fsum((score - mean) ** 2 for score in scores) / (n - 1))
    half = float(t.ppf((1 + level) / 2, n - 1)) * sd / math.sqrt(n)
    return Interval(estimate=mean, low=max(0.0, mean - half), high=min(1.0, mean + half), level=level, method="t")


def bonett_price(fixed: int, broke: int, n: int, level: float = 0.95) -> Interval:
    """Interval of a paired change in accuracy; adds one to each discordant cell (Bonett & Price 2012)."""
    from scipy.stats import norm

    check_discordant(fixed, broke, n)
    gained, lost = (fixed + 1) / (n + 2), (broke + 1) / (n + 2)
    centre = gained - lost
    half = float(norm.ppf((1 + level) / 2)) * math.sqrt(max(0.0, gained + lost - centre**2) / (n + 2))
    return Interval(
        estimate=(fixed - broke) / n,
        low=max(-1.0, centre - half),
        high=min(1.0, centre + half),
        level=level,
        method="Bonett-Price",
    )


def tango(fixed: int, broke: int, n: int, level: float = 0.95) -> Interval:
    """Score interval of a paired change in accuracy (Tango 1998), for non-inferiority margins."""
    from scipy.stats import norm

    check_discordant(fixed, broke, n)
    z = float(norm.ppf((1 + level) / 2))
    estimate = (fixed - broke) / n
    low = _crossing(lambda change: _tango_score(change, fixed, broke, n) > z, -1.0, estimate)
    high = _crossing(lambda change: _tango_score(change, fixed, broke, n) >= -z, estimate, 1.0)
    return Interval(estimate=estimate, low=low, high=high, level=level, method="Tango")


def bca(differences: Sequence[float], seed: int = 0, level: float = 0.95) -> Interval:
    """Bias-corrected accelerated bootstrap interval (Efron 1987) of the mean of paired differences in -1..1.

    Equal differences leave nothing to resample; they get the betting interval instead of one without width.
    """
    if len(differences) < 2 or max(differences) - min(differences) < 1e-12:
        return betting_interval(differences, level)
    low, high = bca_bounds(resample(differences, seed), level)
    return Interval(
        estimate=math.fsum(differences) / len(differences), low=low, high=high, level=level, method="BCa bootstrap"
    )


def betting_interval(differences: Sequence[float], level: float = 0.95) -> Interval:
    """Interval of the mean of paired differences in -1..1 that holds at every n and for every shape; wide for it."""
    _check_bounded(differences, lower=-1.0)
    low, high = betting_bounds(differences, level)
    return Interval(
        estimate=math.fsum(differences) / len(differences), low=low, high=high, level=level, method="betting"
    )


def check_discordant(fixed: int, broke: int, n: int) -> None:
    """Raises BadInput unless `fixed` and `broke` can be counts among n >= 1 pairs."""
    if n < 1 or fixed < 0 or broke < 0 or fixed + broke > n:
        raise BadInput(
            f"fixed + broke must be counts among n >= 1 pairs, got fixed={fixed!r}, broke={broke!r}, n={n!r}"
        )


def _check_bounded(values: Sequence[float], *, lower: float) -> None:
    if not values:
        raise BadInput("an interval needs at least one value")
    for value in values:
        if not lower <= value <= 1.0:
            raise BadInput(f"expected values in {lower:g}..1, got {value!r}")


def _tango_score(change: float, fixed: int, broke: int, n: int) -> float:
    """z of the observed pairs if the true change were `change`; the lost share is its constrained ML estimate."""
    a = 2 * n
    b = -fixed - broke + (2 * n - fixed + broke) * change
    c = -broke * change * (1 - change)
    lost = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = n * (2 * lost + change * (1 - change))
    distance = fixed - broke - n * change
    if variance <= 1e-15:
        return 0.0 if abs(distance) < 1e-12 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)


def _crossing(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Where `holds` turns from true to false between low and high, to 1e-12."""
    while high - low > 1e-12:
        middle = (low + high) / 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return (low + high) / 2
