"""How large the parts of a session are: shares of its budget, dev examples, the tokens of a typical call."""

from __future__ import annotations

from strop.gateway import TokenUse
from strop.sessions.problem import Problem

BASELINE_SHARE = 0.25
"""Most of the budget that the baseline may be expected to need; more models or dearer ones see fewer dev examples."""
BENCHMARK_SHARE = 0.6
"""Most of what is left that is kept back for the benchmark."""
CROSS_SHARE = 0.2
GROWTH = 3.0
"""An optimised prompt, with its examples, is expected to cost so many times the plain one."""
MARGIN = 1.15
LARGEST_SHARE = 2.0
"""No model may spend more of the search than so many equal shares: one dear model must not starve the rest."""
DEV_AT_LEAST = 20


def dev_size(everything: int, limit: int | None, per_example: float) -> int:
    """How many of `everything` a budget allows to measure every model on; `per_example` is the sum over the models."""
    if limit is None or per_example <= 0:
        return everything
    return min(everything, max(DEV_AT_LEAST, int(limit * BASELINE_SHARE / per_example)))


def typical_use(problem: Problem) -> TokenUse:
    """Tokens of one task call of the plain prompt, from the mean length of the examples."""
    sample = [*problem.split.dev, *problem.split.train][:200]
    given = [sum(len(str(value)) for value in each.inputs.values()) for each in sample] or [100]
    wanted = [sum(len(str(value)) for value in each.labels.values()) for each in sample] or [20]
    frame = 700 + len(problem.program.instructions or "") + len(problem.program.signature)
    answer = 200 if problem.sampled else 20 + sum(wanted) // len(wanted) // 4
    return TokenUse(input=(frame + sum(given) // len(given)) // 4, output=answer)
