"""The one place that turns paired scores into a claim: IMPROVED, NO EVIDENCE, WORSE or INSUFFICIENT DATA."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from strop.errors import BadInput
from strop.stats.betting import betting_detectable_gain
from strop.stats.intervals import bonett_price
from strop.stats.multiple import LOOKS_AT_MOST, look_alpha
from strop.stats.paired import mcnemar, paired_test
from strop.stats.power import detectable_gain, detectable_mean_gain

Verdict = Literal["IMPROVED", "NO EVIDENCE", "WORSE", "INSUFFICIENT DATA"]

_EXAMPLES_AT_LEAST = 10
_POWER = 0.8


@dataclass(frozen=True, kw_only=True)
class PairedVerdict:
    """A verdict with everything it stands on. Scores and gains are shares (0.05 is 5 points).

    `n`, `fixed` and `broke` count examples, or clusters where clusters were given; with fractional scores fixed and
    broke count those that rose and fell. `p_value` is the gate's, one-sided: for a loss when the verdict is WORSE, for
    a gain otherwise; it is compared with `alpha`, the level of this look. `ci95` is two-sided and for display.
    `detectable_gain` is the smallest gain found with 80% power, None when there is none. `reason` is a sentence part
    for the report, without a final stop.
    """

    verdict: Verdict
    n: int
    baseline: float
    optimized: float
    change: float
    ci95: tuple[float, float]
    p_value: float
    method: str
    fixed: int
    broke: int
    look: int
    alpha: float
    detectable_gain: float | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class _Gate:
    """One direction's test. `doubt` is set when the only trustworthy test is too weak to be taken for an answer."""

    p_value: float
    method: str
    ci95: tuple[float, float]
    detectable: float | None
    doubt: str | None = None


def judge_paired(
    before: Sequence[float],
    after: Sequence[float],
    *,
    look: int = 1,
    clusters: Sequence[str] | None = None,
    min_gain: float = 0.0,
    seed: int = 0,
) -> PairedVerdict:
    """Judges scores in 0..1 of the same examples, aligned, before and after a change.

    `look` counts how often this test set has been opened, this time included: each look has a stricter level, and
    after five only fresh data will do. `clusters` names each example's group (a conversation, say); groups are
    averaged first and count once each. `min_gain` is the gain that would matter: a test that could not have found it
    answers INSUFFICIENT DATA instead of NO EVIDENCE. `seed` drives the bootstrap of fractional scores.

    Raises BadInput on scores outside 0..1 and on lengths that differ.
    """
    _check(before, after, clusters)
    if clusters is not None:
        before, after = _cluster_means(before, clusters), _cluster_means(after, clusters)
    n, alpha = len(before), look_alpha(look)
    differences = [new - old for old, new in zip(before, after, strict=True)]
    fixed, broke = sum(d > 1e-12 for d in differences), sum(d < -1e-12 for d in differences)
    baseline, optimized = math.fsum(before) / n, math.fsum(after) / n
    change = math.fsum(differences) / n
    binary = all(score in (0, 1) for score in (*before, *after))

    def gate(sign: int) -> _Gate:
        if binary:
            return _binary_gate(*((fixed, broke) if sign > 0 else (broke, fixed)), n, alpha)
        return _fractional_gate([sign * difference for difference in differences], alpha, seed)

    result, significant = gate(+1), False
    if change > 0:
        significant = result.p_value <= alpha
    elif change < 0 and (loss := gate(-1)).p_value <= alpha:
        low, high = loss.ci95
        result = _Gate(
            p_value=loss.p_value, method=f"{loss.method}, for a loss", ci95=(-high, -low), detectable=loss.detectable
        )
        significant = True
    verdict, reason = _decide(
        result, significant=significant, change=change, n=n, look=look, alpha=alpha, min_gain=min_gain
    )
    if clusters is not None:
        reason += f" (each of {n} clusters counts as one example)"
    return PairedVerdict(
        verdict=verdict,
        n=n,
        baseline=baseline,
        optimized=optimized,
        change=change,
        ci95=result.ci95,
        p_value=result.p_value,
        method=result.method,
        fixed=fixed,
        broke=broke,
        look=look,
        alpha=alpha,
        detectable_gain=result.detectable,
        reason=reason,
    )


def _binary_gate(fixed: int, broke: int, n: int, alpha: float) -> _Gate:
    interval = bonett_price(fixed, broke, n)
    return _Gate(
        p_value=mcnemar(fixed, broke).improved,
        method="exact McNemar, one-sided",
        ci95=(interval.low, interval.high),
        detectable=detectable_gain(n, (fixed + broke) / n, alpha, _POWER),
    )


def _fractional_gate(differences: Sequence[float], alpha: float, seed: int) -> _Gate:
    test = paired_test(differences, alpha=alpha, seed=seed)
    ci95 = (test.interval.low, test.interval.high)
    if test.method == "betting":
        # A t test claims more easily. Where even t sees nothing, rare losses hide no gain: that is no evidence.
        blind = test.n < 50 or (test.t_p_value is not None and test.t_p_value <= alpha)
        return _Gate(
            p_value=test.p_value,
            method="betting test, one-sided",
            ci95=ci95,
            detectable=betting_detectable_gain(differences, alpha, _POWER),
            doubt=test.caution if blind else None,
        )
    sd = math.sqrt(math.fsum((d - test.mean) ** 2 for d in differences) / (test.n - 1))
    return _Gate(
        p_value=test.p_value,
        method="paired t and bootstrap-t, one-sided",
        ci95=ci95,
        detectable=detectable_mean_gain(test.n, sd, alpha, _POWER),
    )


def _decide(
    gate: _Gate, *, significant: bool, change: float, n: int, look: int, alpha: float, min_gain: float
) -> tuple[Verdict, str]:
    low, high = gate.ci95
    could_be = f"could be {_points(low)} to {_points(high)} points"
    if look > LOOKS_AT_MOST:
        return "INSUFFICIENT DATA", (
            f"this is look {look} at the same test set, and after {LOOKS_AT_MOST} only fresh examples can show a gain"
        )
    if n < _EXAMPLES_AT_LEAST:
        return "INSUFFICIENT DATA", f"{n} examples cannot show a gain ({_EXAMPLES_AT_LEAST} at least); {could_be}"
    against = f"p = {gate.p_value:.3g} against {alpha:.3g}, the level of look {look}"
    if significant:
        reason = against
        if low <= 0 <= high:
            reason += "; the two-sided interval touches zero because it asks for more than the one-sided gate"
        return ("IMPROVED" if change > 0 else "WORSE"), reason
    if gate.doubt is not None:
        return "INSUFFICIENT DATA", f"{gate.doubt}, and the test that holds for them finds no gain; {could_be}"
    if min_gain > 0 and (gate.detectable is None or gate.detectable > min_gain):
        finds = "no gain" if gate.detectable is None else f"only gains from {100 * gate.detectable:.1f} points"
        return "INSUFFICIENT DATA", (
            f"{n} examples find {finds} with 80% power, and {100 * min_gain:.1f} was asked for; {could_be}"
        )
    if low > 0 or high < 0 or gate.p_value <= 0.05:
        # A reader who looks at the interval or for p < .05 would expect another verdict.
        could_be += f"; the gate decides, and was not passed: {against}"
    return "NO EVIDENCE", could_be


def _points(share: float) -> str:
    return f"{round(100 * share, 1) + 0.0:+.1f}"  # + 0.0 turns -0.0 into 0.0


def _cluster_means(scores: Sequence[float], clusters: Sequence[str]) -> list[float]:
    members: dict[str, list[float]] = {}
    for score, cluster in zip(scores, clusters, strict=True):
        members.setdefault(cluster, []).append(score)
    return [math.fsum(group) / len(group) for group in members.values()]


def _check(before: Sequence[float], after: Sequence[float], clusters: Sequence[str] | None) -> None:
    if not before:
        raise BadInput("a verdict needs at least one example")
    if len(before) != len(after) or (clusters is not None and len(clusters) != len(before)):
        raise BadInput(
            f"scores must be aligned by example, got {len(before)} before, {len(after)} after"
            + (f" and {len(clusters)} clusters" if clusters is not None else "")
        )
    for score in (*before, *after):
        if not 0 <= score <= 1:
            raise BadInput(f"scores lie in 0..1, got {score!r}")
