"""Which model to take: a ranking on the sealed examples with tests behind it, and a sentence that claims no more.

Three families of claims are made, each at the level of this look at the sealed examples (`strop.stats.look_alpha`):
"different" over all pairs of models, "not worse than the best by more than the margin" over all models, and "better
than its own baseline" over all models; each is adjusted after Holm within itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from statistics import fmean
from typing import Any, Literal

from strop.errors import BadInput
from strop.sessions.comparing import Compared, Contender, at_most_worse_p, compare, group_means
from strop.sessions.measures import LatencyProfile, answered_ms, cost_per_quality, latency_profile
from strop.sessions.result import ModelResult, SealedScores, SessionResult
from strop.sessions.wording import with_true_minus
from strop.stats import LOOKS_AT_MOST, holm, judge_paired, look_alpha, mean_interval

MARGIN = 0.02
"""Two points: set before anything is measured, and the same for every session."""
EXAMPLES_AT_LEAST = 10
GainVerdict = Literal["IMPROVED", "NO EVIDENCE", "WORSE", "INSUFFICIENT DATA", "UNCHANGED"]


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A model on the sealed examples. `rank` is 1 plus the number of models shown to be better, so that models between
    which no difference is shown share it; `place` is by measured score. `low` and `high`: 95% interval of the score.

    `cost_per_quality` is USD for one whole point of score, `error_rate` failed calls over calls of the whole session,
    `beaten_by` the models that are measured at least as good in score, cost and median latency, and better in one.
    """

    place: int
    rank: int
    name: str
    score: float
    low: float
    high: float
    method: str
    cost_usd: float
    cost_per_quality: float | None
    latency: LatencyProfile | None
    error_rate: float
    failed: int
    beaten_by: tuple[str, ...]

    @property
    def on_front(self) -> bool:
        """Whether it lies on the Pareto front of score, cost and median latency, as measured."""
        return not self.beaten_by


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A comparison of two models; `different` only if its p, adjusted over all pairs, is at most the level."""

    compared: Compared
    p_adjusted: float
    different: bool


@dataclass(frozen=True, kw_only=True)
class NonInferiority:
    """The cheapest model that is shown to be not worse than any other by more than `margin`, hence not than the best;
    None when no model is. `p_adjusted` by model."""

    margin: float
    name: str | None
    p_adjusted: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Gain:
    """A model's best program against the one it began with, on the sealed examples. p one-sided in the direction of
    the change."""

    name: str
    verdict: GainVerdict
    baseline: float
    optimized: float
    change: float
    low: float
    high: float
    p_value: float
    p_adjusted: float
    method: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Everything that was tested. `n` examples were answered by every ranked model; `alpha` is None where this look
    can support no claim (too few examples, or looked at too often)."""

    n: int
    look: int
    alpha: float | None
    ranking: tuple[Ranked, ...]
    unranked: tuple[tuple[str, str], ...]
    pairs: tuple[Pair, ...]
    non_inferior: NonInferiority
    gains: tuple[Gain, ...]

    @property
    def front(self) -> tuple[str, ...]:
        """Models on the Pareto front of score, cost and median latency, as measured."""
        return tuple(one.name for one in self.ranking if one.on_front)

    def pair(self, one: str, other: str) -> Pair:
        """The comparison of two models, whichever is ahead. KeyError when there is none."""
        for each in self.pairs:
            if {each.compared.over, each.compared.under} == {one, other}:
                return each
        raise KeyError((one, other))

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self) | {"front": list(self.front)}


def examine(result: SessionResult, *, margin: float = MARGIN) -> Comparison:
    """Compare the models of a session, whole or partial."""
    entered, unranked = _entered(result.models)
    seed = int(result.config.get("seed", 0) or 0)
    n = len(entered[0][1].example_ids) if entered else 0
    units = len(set(entered[0][1].groups)) if entered and entered[0][1].groups else n
    enough = units >= EXAMPLES_AT_LEAST and result.looks <= LOOKS_AT_MOST
    alpha = look_alpha(result.looks) if enough else None
    contenders = [Contender(name=one.name, scores=own.scores, groups=own.groups) for one, own in entered]
    pairs = all_pairs(contenders, alpha, seed=seed)
    ranking = _ranking(entered, pairs)
    return Comparison(
        n=n,
        look=result.looks,
        alpha=alpha,
        ranking=ranking,
        unranked=unranked,
        pairs=pairs,
        non_inferior=not_worse(contenders, {one.name: one.cost_usd for one in ranking}, alpha, margin, seed=seed),
        gains=_gains(result, seed),
    )


def all_pairs(contenders: Sequence[Contender], alpha: float | None, *, seed: int = 0) -> tuple[Pair, ...]:
    """Every pair, tested on both sides and adjusted after Holm; intervals at a level divided by the number of pairs."""
    couples = list(combinations(contenders, 2))
    found = [compare(a, b, level=1 - 0.05 / len(couples), seed=seed) for a, b in couples]
    adjusted = holm([each.p_value for each in found])
    return tuple(
        Pair(compared=each, p_adjusted=p, different=alpha is not None and p <= alpha)
        for each, p in zip(found, adjusted, strict=True)
    )


def not_worse(
    contenders: Sequence[Contender], costs: dict[str, float], alpha: float | None, margin: float, *, seed: int = 0
) -> NonInferiority:
    """The cheapest model for which "worse than some other model by the margin or more" is refuted for every other
    model at once (an intersection-union test, so the best need not be known), adjusted over the models."""
    if len(contenders) < 2 or alpha is None:
        return NonInferiority(margin=margin, name=None, p_adjusted={})
    worst = [
        max(at_most_worse_p(one, other, margin, seed=seed) for other in contenders if other is not one)
        for one in contenders
    ]
    adjusted = dict(zip([one.name for one in contenders], holm(worst), strict=True))
    means = {one.name: fmean(one.scores) for one in contenders}
    shown = [name for name, p in adjusted.items() if p <= alpha]
    name = min(shown, key=lambda name: (costs[name], -means[name]), default=None)
    return NonInferiority(margin=margin, name=name, p_adjusted=adjusted)


def _entered(
    models: Sequence[ModelResult],
) -> tuple[list[tuple[ModelResult, SealedScores]], tuple[tuple[str, str], ...]]:
    """The models that answered all the examples that any answered; where every one was cut short, all of them on the
    examples that all answered."""
    measured = [(one, one.best_test) for one in models if one.best_test is not None and one.best_test.example_ids]
    out = [(one.name, one.why or "it was not benchmarked") for one in models if not _was_measured(one)]
    whole = [each for each in measured if each[1].complete]
    n = min((len(own.example_ids) for _, own in whole or measured), default=0)
    kept = [(one, _first(own, n)) for one, own in measured if len(own.example_ids) >= n]
    asked = {own.example_ids for _, own in kept}
    if len(asked) > 1:
        raise BadInput("the models of a session were measured on different examples, so they cannot be compared")
    out += [
        (one.name, f"only {len(own.example_ids)} of {n} sealed examples were answered: {one.why or 'cut short'}")
        for one, own in measured
        if len(own.example_ids) < n
    ]
    return kept, tuple(out)


def _was_measured(one: ModelResult) -> bool:
    return one.best_test is not None and bool(one.best_test.example_ids)


def _first(own: SealedScores, n: int) -> SealedScores:
    if len(own.example_ids) == n:
        return own
    return replace(
        own, example_ids=own.example_ids[:n], scores=own.scores[:n], latencies_ms=own.latencies_ms[:n],
        costs_usd=own.costs_usd[:n], tokens=own.tokens[:n], qualities=own.qualities[:n], errors=own.errors[:n],
        groups=own.groups[:n],
    )  # fmt: skip


def _ranking(entered: Sequence[tuple[ModelResult, SealedScores]], pairs: Sequence[Pair]) -> tuple[Ranked, ...]:
    found = [_ranked(one, own, pairs) for one, own in entered]
    ordered = sorted(found, key=lambda one: (-round(one.score, 9), one.cost_usd, _median(one)))
    return tuple(
        replace(one, place=at, beaten_by=tuple(other.name for other in ordered if _beats(other, one)))
        for at, one in enumerate(ordered, 1)
    )


def _ranked(one: ModelResult, own: SealedScores, pairs: Sequence[Pair]) -> Ranked:
    interval = mean_interval(group_means(own.scores, own.groups) if own.groups else own.scores)
    return Ranked(
        place=0,
        rank=1 + sum(each.different and each.compared.under == one.name for each in pairs),
        name=one.name,
        score=own.mean,
        low=interval.low,
        high=interval.high,
        method=interval.method,
        cost_usd=fmean(own.costs_usd),
        cost_per_quality=cost_per_quality(own),
        latency=latency_profile(answered_ms(own)),
        error_rate=one.spending.error_rate,
        failed=sum(error is not None for error in own.errors),
        beaten_by=(),
    )


def _median(one: Ranked) -> float:
    return one.latency.p50 if one.latency is not None else float("inf")


def _beats(other: Ranked, one: Ranked) -> bool:
    mine, theirs = (-one.score, one.cost_usd, _median(one)), (-other.score, other.cost_usd, _median(other))
    return all(b <= a for a, b in zip(mine, theirs, strict=True)) and mine != theirs


def _gains(result: SessionResult, seed: int) -> tuple[Gain, ...]:
    found = [_gain(one, result.looks, seed) for one in result.models]
    known = [gain for gain in found if gain is not None]
    adjusted = holm([gain.p_value for gain in known if gain.verdict != "UNCHANGED"])
    tested = iter(adjusted)
    return tuple(gain if gain.verdict == "UNCHANGED" else _adjusted(gain, next(tested), result.looks) for gain in known)


def _gain(one: ModelResult, look: int, seed: int) -> Gain | None:
    before, after = one.baseline_test, one.best_test
    if before is None or after is None or not before.scores or not after.scores:
        return None
    n = min(len(before.scores), len(after.scores))
    before, after = _first(before, n), _first(after, n)
    if one.best_state == one.baseline_state and one.best_prompt == one.baseline_prompt:
        return Gain(
            name=one.name, verdict="UNCHANGED", baseline=before.mean, optimized=after.mean, change=0.0, low=0.0,
            high=0.0, p_value=1.0, p_adjusted=1.0, method="", reason="nothing better than the first program was found",
        )  # fmt: skip
    found = judge_paired(before.scores, after.scores, look=look, clusters=after.groups or None, seed=seed)
    return Gain(
        name=one.name, verdict=found.verdict, baseline=before.mean, optimized=after.mean, change=found.change,
        low=found.ci95[0], high=found.ci95[1], p_value=found.p_value, p_adjusted=found.p_value, method=found.method,
        reason=with_true_minus(found.reason),
    )  # fmt: skip


def _adjusted(gain: Gain, p: float, look: int) -> Gain:
    """A claim must also hold among those of all models."""
    gain = replace(gain, p_adjusted=p)
    if gain.verdict in {"IMPROVED", "WORSE"} and p > look_alpha(look):
        said = f"p = {gain.p_value:.3g} alone, but {p:.3g} after Holm over the models"
        return replace(gain, verdict="NO EVIDENCE", reason=said)
    return gain
