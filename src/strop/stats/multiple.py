"""Many claims or many looks at one test set, and the price of each."""

import math
from collections.abc import Sequence

from strop.errors import BadInput

LOOKS_AT_MOST = 5


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given; reject those at or below the level wanted for all together."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def look_alpha(look: int, alpha: float = 0.05) -> float:
    """Level of the `look`-th (from 1) test on the same test set: alpha * 6 / (pi^2 look^2), which sums to alpha."""
    if look < 1:
        raise BadInput(f"looks at a test set are counted from 1, got {look!r}")
    return alpha * 6 / (math.pi * look) ** 2
