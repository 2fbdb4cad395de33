"""Tests and bounds for the mean of bounded values that hold at every n and for every shape of the data.

A gambler bets on "the mean is above m" with odds that are fair or worse if it is not; capital of 1/alpha or more
then has a probability of alpha or less (Markov). Waudby-Smith & Ramdas 2024. The bets are fixed shares of the capital,
mixed with equal weight, so the order of the values does not matter.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from strop.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Shares of what may be lost at all. Small ones find small gains in many values, large ones large gains in few; at one
# look these find a gain of .1 (sd .22) in 100 values in 88 of 100 cases, bets that stop at .5 in 38.
BETS = (0.1, 0.3, 0.6, 0.9)
_STAKE = 0.99  # never all of it: one value at the very bound would end the game for good


def log_capital(gains: "Sequence[float] | NDArray[np.float64]", bets: Sequence[float] = BETS) -> float:
    """Log of the mean over `bets` of prod(1 + bet * gain); gains are at least -1."""
    import numpy as np

    logs = np.log1p(np.outer(np.asarray(bets), np.asarray(gains, dtype=float))).sum(axis=1)
    return float(np.logaddexp.reduce(logs)) - math.log(len(bets))


def betting_p_value(differences: Sequence[float]) -> float:
    """One-sided p of "the mean is at most 0" for differences in -1..1."""
    return min(1.0, math.exp(min(0.0, -_log_capital_above(differences, 0.0, lower=-1.0))))


def betting_bounds(
    values: Sequence[float], level: float = 0.95, *, lower: float = -1.0, upper: float = 1.0
) -> tuple[float, float]:
    """Two-sided bounds of the mean of values in lower..upper."""
    if not values:
        raise BadInput("an interval needs at least one value")
    goal = math.log(2 / (1 - level))
    low = _lower_bound(values, goal, lower=lower, upper=upper)
    high = -_lower_bound([-value for value in values], goal, lower=-upper, upper=-lower)
    return low, high


def betting_detectable_gain(differences: Sequence[float], alpha: float, power: float = 0.8) -> float | None:
    """Smallest mean that the test finds with `power` if the data keep their shape; None if no mean up to 1 is found.

    The observed differences are shifted, cut to -1..1, and the log capital of each bet is taken as normal.
    """
    import numpy as np
    from scipy.stats import norm

    shape = np.asarray(differences, dtype=float)
    shape = shape - shape.mean()
    n, z = len(shape), float(norm.ppf(power))
    goal = math.log(len(BETS) / alpha)

    def found(gain: float) -> bool:
        shifted = np.clip(shape + gain, -1.0, 1.0)
        logs = np.log1p(np.outer(_STAKE * np.asarray(BETS), shifted))
        return bool((n * logs.mean(axis=1) - z * math.sqrt(n) * logs.std(axis=1)).max() >= goal)

    if not found(1.0):
        return None
    low, high = 0.0, 1.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return high


def _log_capital_above(values: Sequence[float], mean: float, *, lower: float) -> float:
    """Log capital of betting that the true mean lies above `mean`; falls as `mean` rises."""
    import numpy as np

    gains = (np.asarray(values, dtype=float) - mean) / (mean - lower)
    return log_capital(_STAKE * gains)


def _lower_bound(values: Sequence[float], goal: float, *, lower: float, upper: float) -> float:
    low, high = lower, upper
    while high - low > 1e-7:
        middle = (low + high) / 2
        if _log_capital_above(values, middle, lower=lower) >= goal:
            low = middle
        else:
            high = middle
    return low
