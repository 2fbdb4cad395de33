"""How large the parts of a session are: shares of its budget, and dev examples."""

from __future__ import annotations

BASELINE_SHARE = 0.25
"""Most of the budget that the baseline may be expected to need; more models or dearer ones see fewer dev examples."""
BENCHMARK_SHARE = 0.6
"""Most of what is left that is kept back for the benchmark."""
CROSS_SHARE = 0.2
MARGIN = 1.15
LARGEST_SHARE = 2.0
"""No model may spend more of the search than so many equal shares: one dear model must not starve the rest."""
DEV_AT_LEAST = 20


def dev_size(everything: int, limit: int | None, per_example: float) -> int:
    """How many of `everything` a budget allows to measure every model on; `per_example` is the sum over the models."""
    if limit is None or per_example <= 0:
        return everything
    return min(everything, max(DEV_AT_LEAST, int(limit * BASELINE_SHARE / per_example)))
