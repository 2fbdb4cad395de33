"""Percentiles of latencies and costs without numpy."""

import math
from collections.abc import Sequence

from strop.errors import BadInput


def percentile(values: Sequence[float], q: float) -> float:
    """The q-th percentile (q in 0..100), linear between order statistics: numpy's default, one value gives itself.

    With few values a high percentile lies near the maximum and says no more than that. Raises BadInput on no values.
    """
    if not values:
        raise BadInput("a percentile needs at least one value")
    if not 0 <= q <= 100:
        raise BadInput(f"a percentile lies in 0..100, got {q!r}")
    ordered = sorted(values)
    place = (len(ordered) - 1) * q / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
