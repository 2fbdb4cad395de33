"""One recommendation in a sentence that follows from the tests, and the decision as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from strop.sessions.comparing import Compared
from strop.sessions.decision import EXAMPLES_AT_LEAST, MARGIN, Comparison, Ranked, examine
from strop.sessions.result import SessionResult
from strop.sessions.wording import count, listed, money, p_value, percent, plain_points, points
from strop.stats import LOOKS_AT_MOST, needed_n_mean

Basis = Literal["not worse", "best", "cheaper, no difference shown", "highest measured", "only one", "none"]
CHEAPER = 0.9
"""A model is recommended for its price only if a request costs at most this share of the leader's."""
HINT = 0.10
"""One-sided p, unadjusted, from which the data hint that the leader is better after all."""
LARGEST_RISK = 0.15
"""A cheaper model that could be so much worse (one-sided 95% bound) is not recommended for its price."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What follows from a session. `recommended` is None when nothing follows; `proven` when the sentence rests on a
    passed test and not only on what was measured."""

    comparison: Comparison
    recommended: str | None
    basis: Basis
    sentence: str
    non_inferiority: str

    @property
    def proven(self) -> bool:
        """Whether a test was passed."""
        return self.basis in {"not worse", "best"}

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "recommended": self.recommended,
            "basis": self.basis,
            "proven": self.proven,
            "sentence": self.sentence,
            "non_inferiority": self.non_inferiority,
            "comparison": self.comparison.to_dict(),
        }


def decide(result: SessionResult, *, margin: float = MARGIN) -> Decision:
    """The decision of a session, whole or partial."""
    found = examine(result, margin=margin)
    name, basis, sentence = _recommend(found)
    return Decision(
        comparison=found, recommended=name, basis=basis, sentence=sentence, non_inferiority=_non_inferiority(found)
    )


def _recommend(found: Comparison) -> tuple[str | None, Basis, str]:
    if not found.ranking:
        return None, "none", "No model was measured on the sealed examples, so none is recommended."
    leader = found.ranking[0]
    if leader.score <= 0:
        return None, "none", f"No model can be recommended: none of {found.n} sealed examples was answered well by any."
    if len(found.ranking) == 1:
        return (
            leader.name,
            "only one",
            f"Only {leader.name} was measured ({_score(leader)}): nothing to compare it with.",
        )
    if found.alpha is None:
        return None, "none", f"No model can be recommended: {_no_claim(found)}"
    return _among(found, leader)


def _among(found: Comparison, leader: Ranked) -> tuple[str, Basis, str]:
    """Of several models, measured well enough to make claims: proof first, then price, then the measured score."""
    cheapest = next((one for one in found.ranking if one.name == found.non_inferior.name), None)
    ahead = all(found.pair(leader.name, other.name).different for other in found.ranking[1:])
    if ahead and cheapest in {leader, None}:
        return leader.name, "best", _best(found, leader)
    if cheapest is not None:
        return cheapest.name, "not worse", _not_worse(found, cheapest, leader)
    saving = _saving(found, leader)
    if saving is not None:
        return saving.name, "cheaper, no difference shown", _cheaper(found, saving, leader)
    return leader.name, "highest measured", _highest(found, leader)


def _no_claim(found: Comparison) -> str:
    if found.look > LOOKS_AT_MOST:
        return (
            f"these sealed examples have been opened {found.look} times, and after {LOOKS_AT_MOST} only fresh ones can "
            f"show a difference."
        )
    return f"{found.n} sealed examples cannot show a difference ({EXAMPLES_AT_LEAST} independent ones at least)."


def _not_worse(found: Comparison, one: Ranked, leader: Ranked) -> str:
    margin = plain_points(found.non_inferior.margin)
    p = p_value(found.non_inferior.p_adjusted[one.name])
    if one is leader:
        said = f"Take {one.name}: it has the highest measured score ({_score(one)}), and of the models shown to be not "
        said += f"worse than the best by more than {margin} points it is the cheapest (p {p})."
        better = _shown_better(found, one)
        return f"{said} It is shown to be better than {listed(better)}." if better else said
    pair = found.pair(one.name, leader.name)
    said = (
        f"Take {one.name}: it is shown to be not worse than the best by more than {margin} points (p {p}), and "
        f"{_price(one, leader)}."
    )
    if pair.different:
        said += f" Within that margin {leader.name} is better, by {_gap(pair.compared)}."
    return said


def _best(found: Comparison, leader: Ranked) -> str:
    pairs = [found.pair(leader.name, other.name) for other in found.ranking[1:]]
    closest = min(pairs, key=lambda each: each.compared.gap)
    largest = max(each.p_adjusted for each in pairs)
    return (
        f"Take {leader.name}: it is shown to be better than {'each of the others' if len(pairs) > 1 else 'the other'} "
        f"({_score(leader)}; p {p_value(largest)} {'at most, ' if len(pairs) > 1 else ''}after Holm); the closest is "
        f"{closest.compared.under}, {_gap(closest.compared)} behind."
    )


def _saving(found: Comparison, leader: Ranked) -> Ranked | None:
    """The cheapest of the models against which nothing speaks but the measured score, if it saves anything."""
    able: list[Ranked] = []
    for one in found.ranking[1:]:
        compared = found.pair(one.name, leader.name).compared
        hint = compared.p_value / 2 <= HINT
        if one.rank == 1 and one.cost_usd <= CHEAPER * leader.cost_usd and not hint and compared.most <= LARGEST_RISK:
            able.append(one)
    return min(able, key=lambda one: (one.cost_usd, one.place), default=None)


def _cheaper(found: Comparison, one: Ranked, leader: Ranked) -> str:
    compared = found.pair(one.name, leader.name).compared
    margin = plain_points(found.non_inferior.margin)
    return (
        f"Take {one.name} for its price: {_price(one, leader)}, and no difference in score is shown ({_score(one)}, "
        f"against {percent(leader.score)}; p {p_value(compared.p_value)}). It could still be up to "
        f"{plain_points(compared.most)} points worse; that it is within {margin} points of the best is not shown"
        f"{_more_examples(compared, found)}."
    )


def _highest(found: Comparison, leader: Ranked) -> str:
    others = [one for one in found.ranking[1:] if not found.pair(one.name, leader.name).different]
    closest = min(others, key=lambda one: found.pair(one.name, leader.name).compared.gap)
    compared = found.pair(closest.name, leader.name).compared
    better = _shown_better(found, leader)
    lowest = leader.cost_usd > 0 and all(leader.cost_usd <= one.cost_usd for one in found.ranking)
    said = f"Take {leader.name}: of" if lowest else f"If one must be taken now, take {leader.name}: of"
    said += f" all models it has the highest measured score ({_score(leader)})" + (
        " and the lowest price" if lowest else ""
    )
    said += f" and is shown to be better than {listed(better)}, but" if better else ", but"
    names = listed([one.name for one in others])
    said += f" it is not shown to be better than {names}: {closest.name} {_behind(compared)}, "
    return f"{said}p {p_value(compared.p_value)}{_more_examples(compared, found)}."


def _shown_better(found: Comparison, one: Ranked) -> list[str]:
    return [
        each.compared.under for each in found.pairs if each.different and each.compared.over == one.name
    ]  # fmt: skip


def _more_examples(compared: Compared, found: Comparison) -> str:
    """How many examples could settle it, where that can be said."""
    if compared.sd < 1e-9 or found.alpha is None:
        return ""
    wanted = needed_n_mean(found.non_inferior.margin, compared.sd, alpha=found.alpha)
    if wanted <= found.n:
        return ""
    digits = 10 ** max(0, len(str(wanted)) - 2)
    return f" (about {count(-(-wanted // digits) * digits)} examples could tell)"


def _score(one: Ranked) -> str:
    return f"{percent(one.score)}, 95% interval {percent(one.low)} to {percent(one.high)}"


def _behind(compared: Compared) -> str:
    if plain_points(compared.gap) != "0":
        return f"is {_gap(compared)} behind"
    return f"has {'the same' if compared.gap < 1e-9 else 'nearly the same'} measured score"


def _gap(compared: Compared) -> str:
    return f"{plain_points(compared.gap)} points [{points(compared.low)}, {points(compared.high)}]"


def _price(one: Ranked, leader: Ranked) -> str:
    mine, theirs = 1000 * one.cost_usd, 1000 * leader.cost_usd
    said = f"1,000 requests cost {money(mine)}"
    if theirs <= 0:
        return said
    return f"{said} against {money(theirs)} with {leader.name} ({points(mine / theirs - 1).removesuffix('.0')}%)"


def _non_inferiority(found: Comparison) -> str:
    margin = plain_points(found.non_inferior.margin)
    lead = f"The cheapest model that is not worse than the best by more than {margin} points"
    name = found.non_inferior.name
    if name is None:
        return f"{lead}: none shown."
    return f"{lead}: {name} (p {p_value(found.non_inferior.p_adjusted[name])}, adjusted over the models)."
