"""Ends the rounds of a model that another one beats in quality, cost and latency, each with confidence."""

from __future__ import annotations

from strop.sessions.attempt import SessionAttempt
from strop.sessions.contestant import Contestant, Tried
from strop.sessions.racing import gain_p_value
from strop.sessions.result import Domination
from strop.stats import mcnemar

LEVEL = 0.05
FIRST_ROUND = 2
"""A model has so many rounds to show what it can do."""
LAG = 1


def wait_for_others(attempt: SessionAttempt, one: Contestant, round: int) -> None:
    """Let the others come within a round, so that who dominates whom does not depend on who is asked faster.

    The slowest model never waits: a session takes no longer for it.
    """
    with attempt.moved:
        while any(_behind(other, round - LAG) for other in attempt.contestants if other is not one):
            attempt.moved.wait(0.1)
            one.account.switch.check()


def dominated(attempt: SessionAttempt, one: Contestant, round: int) -> Domination | None:
    """Who dominates `one` after `round`, on the dev examples; the others as they stood a round before.

    A test for each of quality, cost and latency, all at a level divided by the number of pairs and looks.
    """
    pairs = len(attempt.contestants) * (len(attempt.contestants) - 1)
    alpha = LEVEL / max(1, pairs * attempt.config.optimization_rounds)
    assert one.best is not None
    for other in sorted(attempt.contestants, key=lambda each: each.index):
        if other is one or other.status == "failed" or not other.history:
            continue
        rival = _best_of(other, round - LAG)
        p_value = _beaten(one.best, rival, alpha, attempt.config.seed)
        if p_value is not None:
            return Domination(
                by=other.name, round=round, gap=rival.dev.mean - one.best.dev.mean, p_value=p_value, alpha=alpha,
                cost_usd=(one.best.dev.cost_per_request_pico / 1e12, rival.dev.cost_per_request_pico / 1e12),
                latency_ms=(one.best.latency_ms, rival.latency_ms),
            )  # fmt: skip
    return None


def _beaten(mine: Tried, rival: Tried, alpha: float, seed: int) -> float | None:
    ours = {row.example_id: row for row in mine.dev.rows}
    both = [(ours[row.example_id], row) for row in rival.dev.rows if row.example_id in ours]
    if not both or rival.dev.mean <= mine.dev.mean:
        return None
    p_value = gain_p_value([a.score.value for a, _ in both], [b.score.value for _, b in both], seed=seed)
    cheaper = mcnemar(sum(b.cost_pico < a.cost_pico for a, b in both), sum(b.cost_pico > a.cost_pico for a, b in both))
    faster = mcnemar(
        sum(b.latency_us < a.latency_us for a, b in both), sum(b.latency_us > a.latency_us for a, b in both)
    )
    return p_value if max(p_value, cheaper.improved, faster.improved) <= alpha else None


def _best_of(one: Contestant, round: int) -> Tried:
    return one.history[min(max(round, 0), len(one.history) - 1)]


def _behind(other: Contestant, round: int) -> bool:
    return other.alive and not other.through and other.rounds < round
