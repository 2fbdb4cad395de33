"""What a test set of a given size can find: power, the smallest gain it would detect, the size a gain needs."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from strop.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def mcnemar_power(n: int, gain: float, disagreement: float, alpha: float = 0.05) -> float:
    """Exact probability that one-sided McNemar at `alpha` finds a true `gain` when `disagreement` of the pairs differ.

    A gain above the disagreement is taken to be all of it: every pair that differs is a fix.
    """
    import numpy as np
    from scipy.stats import binom

    _check(n, gain, disagreement)
    differ = max(gain, disagreement)
    if differ == 0:
        return 0.0
    # Beyond eight standard deviations nothing is left to count.
    spread = 8 * math.sqrt(n * differ * (1 - differ)) + 1
    first, last = max(0, math.floor(n * differ - spread)), min(n, math.ceil(n * differ + spread))
    discordant = np.arange(first, last + 1)
    needed = _fixes_needed(last, alpha)[first:]
    found = binom.sf(needed - 1, discordant, (1 + gain / differ) / 2)
    return float((binom.pmf(discordant, n, differ) * found).sum())


@lru_cache(maxsize=4096)
def detectable_gain(n: int, disagreement: float, alpha: float = 0.05, power: float = 0.8) -> float | None:
    """Smallest gain (a share, to 1e-4) that the gate finds with `power`; None when even a gain of 1 is not found."""
    if mcnemar_power(n, 1.0, disagreement, alpha) < power:
        return None
    return _smallest(lambda gain: mcnemar_power(n, gain, disagreement, alpha) >= power, 0.0, 1.0, 1e-4)


def needed_n(gain: float, disagreement: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Pairs that the gate needs to find `gain` with `power`: enough at the n returned, not at one pair fewer.

    Exact power saws a little as n grows, so that a few larger n may fall short by a hair.
    """
    if gain <= 0:
        raise BadInput(f"the gain to find must be above 0, got {gain!r}")

    return _smallest_n(lambda n: mcnemar_power(n, gain, disagreement, alpha) >= power)


def detectable_mean_gain(n: int, sd: float, alpha: float = 0.05, power: float = 0.8) -> float | None:
    """Smallest mean difference that a one-sided paired t test finds; `sd` is that of the differences."""
    from scipy.stats import t

    if n < 2:
        return None
    return float(t.ppf(1 - alpha, n - 1) + t.ppf(power, n - 1)) * sd / math.sqrt(n)


def needed_n_mean(gain: float, sd: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Pairs that a one-sided paired t test needs to find a mean difference of `gain`."""
    if gain <= 0:
        raise BadInput(f"the gain to find must be above 0, got {gain!r}")

    def found(n: int) -> bool:
        least = detectable_mean_gain(n, sd, alpha, power)
        return least is not None and least <= gain

    return _smallest_n(found)


@lru_cache(maxsize=64)
def _fixes_needed(most: int, alpha: float) -> "NDArray[np.float64]":
    """For 0..most discordant pairs the fewest fixes whose exact one-sided p is at most alpha (k + 1: never)."""
    import numpy as np
    from scipy.stats import binom

    needed = np.asarray(binom.isf(alpha, np.arange(most + 1), 0.5) + 1, dtype=float)
    needed.setflags(write=False)  # every caller shares it
    return needed


def _smallest(found: Callable[[float], bool], low: float, high: float, width: float) -> float:
    while high - low > width:
        middle = (low + high) / 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return high


def _smallest_n(found: Callable[[int], bool]) -> int:
    high = 1
    while not found(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return high


def _check(n: int, gain: float, disagreement: float) -> None:
    if n < 1 or not 0 <= gain <= 1 or not 0 <= disagreement <= 1:
        raise BadInput(
            f"power needs n >= 1, gain and disagreement in 0..1, "
            f"got n={n!r}, gain={gain!r}, disagreement={disagreement!r}"
        )
