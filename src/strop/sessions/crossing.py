"""Phase 3: what won on one model is tried on the others; instructions and demos apart, kept only with evidence.

Every receiver starts from its own best program. A transfer is kept when the receiver's own dev examples show a gain
after Holm's correction for all transfers that were tried on it: a donor's word is worth nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from strop.programs import dump, restore
from strop.sessions.attempt import SessionAttempt
from strop.sessions.config import TrainingPhase
from strop.sessions.contestant import Contestant, Tried
from strop.sessions.money import node, open_cross
from strop.sessions.racing import Race, gain_p_value, halving, screened
from strop.sessions.result import Carried, Transfer
from strop.sessions.steady import steadily
from strop.sessions.steps import iteration
from strop.sessions.wording import points
from strop.stats import holm

if TYPE_CHECKING:
    import dspy

PHASE = TrainingPhase.CROSS_LEARNING
LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Crossed:
    """One transfer as it was measured."""

    donor: str
    carried: Carried
    tried: Tried
    race: Race
    p_value: float
    seconds: float


def carry_across(attempt: SessionAttempt) -> None:
    """All receivers at once, each with what every other model had found when the phase began."""
    if not attempt.config.enable_cross_learning or len(attempt.alive) < 2:
        return
    attempt.enter(PHASE)
    open_cross(attempt)
    donors = {one.name: one.best for one in attempt.alive if one.best is not None and one.best is not one.baseline}
    receivers = [one for one in attempt.alive if one.status != "dominated"]
    attempt.each(receivers, lambda one: _receive(attempt, one, donors))


def _receive(attempt: SessionAttempt, one: Contestant, donors: dict[str, Tried]) -> None:
    assert one.best is not None
    one.open_account(node(attempt, one, search=True), attempt.lease)
    own = one.best
    seen = {own.fingerprint}
    offers: list[tuple[str, Carried, dspy.Module]] = []
    for donor, carried, program in _offers(attempt, one, own, donors):
        mark = attempt.mark(program)
        if mark in seen:
            _note(attempt, one, donor, carried, own.dev.mean, why="it has the same already")
        else:
            seen.add(mark)
            offers.append((donor, carried, program))
    hopeless = _hopeless(own, len(offers))
    if hopeless:
        for donor, carried, _ in offers:
            _note(attempt, one, donor, carried, own.dev.mean, why=hopeless)
        return
    began = time.monotonic()
    programs = [program for *_, program in offers]
    begun = screened(attempt, one, programs, PHASE)
    found = halving(attempt, one, list(zip(programs, begun, strict=True)), own.dev, PHASE)
    seconds = (time.monotonic() - began) / max(1, len(offers))
    crossed = [
        Crossed(
            donor=donor,
            carried=carried,
            tried=attempt.tried(program, outcome.dev, f"{carried} of {donor}"),
            race=outcome,
            p_value=_p_value(attempt, own, outcome),
            seconds=seconds,
        )
        for (donor, carried, program), outcome in zip(offers, found, strict=True)
        if outcome is not None
    ]
    if one.money_ended:
        attempt.over_budget(one.money_ended)
    _decide(attempt, one, crossed)


def _hopeless(own: Tried, offers: int) -> str:
    """Why nothing could be shown to help: even a donor that mends every failure would have too little evidence."""
    scores = own.dev.scores
    best_case = gain_p_value(scores, [1.0] * len(scores)) if scores else 1.0
    if best_case * offers <= LEVEL:
        return ""
    return f"not tried: it scores {own.dev.mean:.3f}, so that no gain could be shown on {len(scores)} dev examples"


def _p_value(attempt: SessionAttempt, own: Tried, outcome: Race) -> float:
    before = own.dev.scores[: len(outcome.dev.rows)]
    return gain_p_value(before, outcome.dev.scores, seed=attempt.config.seed)


def _offers(
    attempt: SessionAttempt, one: Contestant, own: Tried, donors: dict[str, Tried]
) -> Iterator[tuple[str, Carried, dspy.Module]]:
    """Of every donor its demos and its instructions, on the receiver's own program."""
    spec = attempt.problem.program
    for donor, theirs in donors.items():
        if donor == one.name:
            continue
        for carried in ("demos", "instructions"):
            state = _mixed(dump(own.program), dump(theirs.program), carried)
            yield donor, carried, steadily(partial(restore, spec, state))


def _mixed(own: dict[str, Any], theirs: dict[str, Any], carried: str) -> dict[str, Any]:
    """The receiver's state with one part of the donor's, predictor by predictor."""
    if "demos" in own:
        return _part(own, theirs, carried)
    return {name: _part(own[name], theirs[name], carried) if name in theirs else own[name] for name in own}


def _part(own: dict[str, Any], theirs: dict[str, Any], carried: str) -> dict[str, Any]:
    if carried == "demos":
        return {**own, "demos": theirs["demos"]}
    words = cast("dict[str, Any]", theirs["signature"])
    return {**own, "signature": {**own["signature"], "instructions": words["instructions"]}}


def _decide(attempt: SessionAttempt, one: Contestant, crossed: list[Crossed]) -> None:
    """Keep the best of the transfers that are shown to help; say of each what became of it."""
    assert one.best is not None
    own = one.best
    adjusted = holm([each.p_value for each in crossed])
    proven = [
        each for each, p in zip(crossed, adjusted, strict=True)
        if each.race.whole and each.race.after > own.dev.mean and p <= LEVEL
    ]  # fmt: skip
    winner = max(proven, key=lambda each: each.race.after, default=None)
    for each, p in zip(crossed, adjusted, strict=True):
        kept, why = each is winner, _why(each, p, proven, winner)
        _note(
            attempt, one, each.donor, each.carried, each.race.before, after=each.race.after, n=len(each.race.dev.rows),
            p_value=p, kept=kept, why=why,
        )  # fmt: skip
        step = iteration(
            attempt, one, PHASE, each.tried.program, each.tried.dev.rows, seconds=each.seconds,
            optimizations=(f"{each.tried.origin}: {why}",), kept=kept,
        )  # fmt: skip
        attempt.done(one, step)
    if winner is not None:
        one.best = winner.tried


def _why(each: Crossed, p: float, proven: list[Crossed], winner: Crossed | None) -> str:
    if each is winner:
        return f"kept: {points(each.race.after - each.race.before)} points, p = {p:.2g}"
    if each in proven:
        return f"helps too ({points(each.race.after - each.race.before)} points), but less than the one kept"
    if not each.race.whole:
        ahead = each.race.after > each.race.before
        why = "another one was ahead of it" if ahead else "no promise"
        return f"refused: {why} on the first {len(each.race.dev.rows)} examples"
    if each.race.after <= each.race.before:
        return f"refused: {points(each.race.after - each.race.before)} points"
    return f"refused: {points(each.race.after - each.race.before)} points are no evidence, p = {p:.2g}"


def _note(
    attempt: SessionAttempt,
    one: Contestant,
    donor: str,
    carried: Carried,
    before: float,
    *,
    after: float | None = None,
    n: int = 0,
    p_value: float | None = None,
    kept: bool = False,
    why: str,
) -> None:
    with attempt.moved:
        attempt.transfers.append(
            Transfer(
                donor=donor, receiver=one.name, carried=carried, before=before,
                after=before if after is None else after, n=n, p_value=p_value, kept=kept, why=why,
            )
        )  # fmt: skip
