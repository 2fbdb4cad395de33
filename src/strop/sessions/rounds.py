"""Phase 2: every model's program is improved in rounds, each from what the model's own rounds before have found."""

from __future__ import annotations

import time

from strop.errors import RunStopped
from strop.sessions.attempt import SessionAttempt
from strop.sessions.config import TrainingPhase
from strop.sessions.contestant import Contestant, Tried
from strop.sessions.domination import FIRST_ROUND, dominated, wait_for_others
from strop.sessions.events import Converged, OptimizationRound
from strop.sessions.money import node
from strop.sessions.proposing import propose
from strop.sessions.racing import Race, gain_p_value, halving
from strop.sessions.result import Convergence
from strop.sessions.steps import iteration

PHASE = TrainingPhase.OPTIMIZATION
LUCK = 0.25


def optimise(attempt: SessionAttempt) -> None:
    """All models at once, each until it has converged, is dominated, or has had its rounds."""
    attempt.enter(PHASE)
    attempt.each(attempt.alive, lambda one: _all_rounds(attempt, one))


def _all_rounds(attempt: SessionAttempt, one: Contestant) -> None:
    one.open_account(node(attempt, one, search=True), attempt.lease)
    try:
        for round in range(1, attempt.config.optimization_rounds + 1):
            if _converged(attempt, one) or one.money_ended:
                break
            if attempt.config.stop_dominated and round > FIRST_ROUND:
                wait_for_others(attempt, one, round - 1)
                one.domination = dominated(attempt, one, round - 1)
                if one.domination is not None:
                    one.status, one.why = "dominated", _told(one)
                    break
            attempt.tell(OptimizationRound(model=one.name, round=round, provider=one.config.provider))
            _one_round(attempt, one, round)
            with attempt.moved:
                one.rounds = round
                attempt.moved.notify_all()
        _converged(attempt, one)
    except RunStopped as stop:
        if stop.cause != "budget_exceeded":
            raise
        one.money_ended = stop.detail
    finally:
        with attempt.moved:
            one.through = True
            attempt.moved.notify_all()
    if one.money_ended:
        attempt.over_budget(one.money_ended)


def _one_round(attempt: SessionAttempt, one: Contestant, round: int) -> None:
    assert one.best is not None
    began, incumbent = time.monotonic(), one.best
    best: tuple[Tried, Race] | None = None
    shown: tuple[Tried, Race] | None = None
    candidates = propose(attempt, one, round)
    rivals = [(each.candidate.program, each.begun) for each in candidates]
    found = halving(attempt, one, rivals, incumbent.dev, PHASE)
    for (name, candidate, _), outcome in zip(candidates, found, strict=True):
        if outcome is None:
            continue
        tried = attempt.tried(candidate.program, outcome.dev, f"round {round}: {name}, {candidate.origin}")
        if shown is None or len(outcome.dev.rows) > len(shown[1].dev.rows):
            shown = (tried, outcome)
        if outcome.whole and outcome.after > (best[1].after if best else outcome.before) + 1e-12:
            best = shown = (tried, outcome)
    if best is not None:
        one.best = best[0]
    one.history.append(one.best)
    seconds = time.monotonic() - began
    tried = shown[0] if shown else incumbent
    said = _said(shown[0], shown[1], len(candidates)) if shown else "nothing new was found"
    step = iteration(
        attempt,
        one,
        PHASE,
        tried.program,
        tried.dev.rows,
        seconds=seconds,
        optimizations=(said,),
        kept=best is not None,
    )
    attempt.done(one, step)


def _said(tried: Tried, found: Race, rivals: int) -> str:
    kept = found.whole and found.after > found.before
    what = tried.origin.partition(": ")[2]
    return (
        f"{what} (best of {rivals}): {found.before:.3f} -> {found.after:.3f} on {len(found.dev.rows)} dev examples, "
        f"{'kept' if kept else 'not kept'}"
    )


def _converged(attempt: SessionAttempt, one: Contestant) -> bool:
    """By the threshold, or because the last rounds brought nothing; told once."""
    assert one.best is not None
    if one.convergence is not None:
        return True
    score, patience = one.best.dev.mean, attempt.config.plateau_patience
    last_gain = next((n for n in range(one.rounds, 0, -1) if _brought(attempt, one, n)), 0)
    if score >= attempt.config.convergence_threshold:
        found = Convergence(reason="threshold", round=one.rounds, iterations=last_gain, score=score)
    elif patience is not None and one.rounds - last_gain >= patience:
        found = Convergence(reason="plateau", round=one.rounds, iterations=last_gain, score=score)
    else:
        return False
    one.convergence = found
    attempt.tell(Converged(model=one.name, provider=one.config.provider, convergence=found))
    return True


def _brought(attempt: SessionAttempt, one: Contestant, round: int) -> bool:
    """Whether a round's gain is more than what luck among its rivals often brings; a smaller one is kept as well, but
    is no reason to go on."""
    before, after = one.history[round - 1], one.history[round]
    if after is before:
        return False
    return gain_p_value(before.dev.scores, after.dev.scores, seed=attempt.config.seed) <= LUCK


def _told(one: Contestant) -> str:
    found = one.domination
    assert found is not None
    return (
        f"{found.by} is better by {100 * found.gap:.1f} points on the dev examples (p = {found.p_value:.2g}), cheaper "
        f"and faster; no further round after round {found.round}"
    )
