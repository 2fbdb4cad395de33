"""The decision against scipy and statsmodels, and by simulation: what it finds, and what it must not claim."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from scipy import stats as reference
from statsmodels.stats.multitest import multipletests

from strop.errors import BadInput
from strop.sessions.comparing import Contender, at_most_worse_p, compare, differences
from strop.sessions.decision import MARGIN, all_pairs, examine, not_worse
from strop.sessions.recommending import decide
from strop.sessions.wording import with_true_minus
from strop.stats import look_alpha
from tests.sessions.made_results import answers, model, rich_session, sealed, session

ALPHA = look_alpha(1)


def contender(name: str, scores, groups=()) -> Contender:
    return Contender(name=name, scores=tuple(map(float, scores)), groups=tuple(groups))


def table(won: int, lost: int, both: int, neither: int) -> tuple[list[float], list[float]]:
    """Two score arrays with so many examples of each kind."""
    a = [1.0] * won + [0.0] * lost + [1.0] * both + [0.0] * neither
    b = [0.0] * won + [1.0] * lost + [1.0] * both + [0.0] * neither
    return a, b


def test_right_and_wrong_by_mcnemar_bonett_price_and_tango():
    """Reference values of 15 against 5 in 100: exact two-sided .041389465, Bonett-Price [.009942, .186136]."""
    a, b = table(15, 5, 60, 20)
    found = compare(contender("b", b), contender("a", a), level=0.95)
    assert (found.over, found.under, found.gap, found.n) == ("a", "b", pytest.approx(0.1), 100)
    assert found.p_value == pytest.approx(0.041389465, abs=1e-8)
    assert (found.low, found.high) == pytest.approx((0.009942, 0.186136), abs=1e-6)
    assert found.sd == pytest.approx(np.std(np.subtract(a, b), ddof=1))
    # Tango's 95% interval is [.013447, .192396]: its upper end is where the one-sided p is .025.
    assert at_most_worse_p(contender("b", b), contender("a", a), 0.192396) == pytest.approx(0.025, abs=1e-4)
    assert at_most_worse_p(contender("b", b), contender("a", a), 0.05) == 1.0
    assert at_most_worse_p(contender("a", a), contender("b", b), MARGIN) < 0.01


def test_fractional_scores_by_the_paired_t_test():
    rng = np.random.default_rng(4)
    b = rng.uniform(0.2, 0.8, 150)
    a = np.clip(b + rng.normal(0.02, 0.1, 150), 0, 1)
    found = compare(contender("a", a), contender("b", b), level=0.95)
    assert found.method == "t and bootstrap-t"
    assert found.p_value == pytest.approx(reference.ttest_rel(a, b).pvalue, abs=0.02)
    low, high = reference.bootstrap((a - b,), np.mean, method="BCa", rng=np.random.default_rng(1)).confidence_interval
    assert (found.low, found.high) == pytest.approx((low, high), abs=2e-3)
    p = at_most_worse_p(contender("b", b), contender("a", a), 0.05)
    assert p == pytest.approx(reference.ttest_1samp(b - a, -0.05, alternative="greater").pvalue, abs=0.02)


def test_members_of_a_group_count_once():
    a, b = contender("a", [1, 1, 1, 0], "xxxy"), contender("b", [0, 0, 0, 0], "xxxy")
    assert differences(a, b) == [1.0, 0.0]
    assert compare(a, b, level=0.95).n == 2


def test_equal_answers_are_no_difference():
    same = contender("a", [0.5] * 60), contender("b", [0.5] * 60)
    assert compare(*same, level=0.95).p_value == 1.0
    right = contender("a", [1] * 60), contender("b", [1] * 60)
    assert compare(*right, level=0.95).p_value == 1.0


def test_pairs_are_adjusted_after_holm_as_statsmodels_does():
    rng = random.Random(11)
    four = [
        contender(name, answers(120, skill, rng)) for name, skill in zip("abcd", (0.9, 0.8, 0.75, 0.5), strict=True)
    ]
    pairs = all_pairs(four, ALPHA)
    assert len(pairs) == 6
    _, adjusted, _, _ = multipletests([each.compared.p_value for each in pairs], method="holm")
    assert [each.p_adjusted for each in pairs] == pytest.approx(list(adjusted))
    assert all(each.different == (each.p_adjusted <= ALPHA) for each in pairs)
    assert all(each.compared.level == pytest.approx(1 - 0.05 / 6) for each in pairs)


@pytest.mark.parametrize("skill", [0.6, 0.95])
def test_equal_models_are_called_different_in_at_most_five_of_a_hundred(skill):
    """200 sessions of four equal models; the promise is 3 of 100 (look 1), the 99.9% bound of chance allows 15."""
    rng = random.Random(int(100 * skill))
    false = sum(
        any(each.different for each in all_pairs([contender(x, answers(100, skill, rng)) for x in "abcd"], ALPHA))
        for _ in range(200)
    )
    assert false <= 10


def test_equal_models_with_fractional_scores_are_not_called_different():
    rng = np.random.default_rng(7)
    false = 0
    for _ in range(20):
        hard = rng.uniform(0, 0.6, 60)
        three = [contender(x, np.clip(hard + rng.beta(2, 3, 60) * 0.4, 0, 1)) for x in "abc"]
        false += any(each.different for each in all_pairs(three, ALPHA))
    assert false <= 4


def test_a_model_that_is_worse_by_the_margin_is_rarely_called_not_worse():
    """True loss exactly 2 points: 100 draws, at most 3 of 100 promised; the 99.9% bound of chance allows 10."""
    rng, false = random.Random(2), 0
    for _ in range(100):
        good = contender("good", answers(150, 0.80, rng))
        bad = contender("bad", answers(150, 0.78, rng))
        false += not_worse([good, bad], {"good": 2.0, "bad": 1.0}, ALPHA, MARGIN).name == "bad"
    assert false <= 10


def two(n: int, seed: int, dear: float, cheap: float, **changes):
    rng = random.Random(seed)
    return session(
        model("dear", sealed(answers(n, dear, rng), cost=0.02)),
        model("cheap", sealed(answers(n, cheap, rng), cost=0.002)),
        **changes,
    )


def test_a_planted_cheaper_equal_model_is_recommended():
    found = Counter(decide(two(200, seed, 0.8, 0.8)).recommended for seed in range(20))
    assert found["cheap"] >= 16


def test_a_planted_better_model_is_found_and_its_price_does_not_hide_it():
    found = [decide(two(200, seed, 0.93, 0.75)) for seed in range(20)]
    assert sum(each.recommended == "dear" and each.proven for each in found) >= 18
    assert all("shown to be better than the other" in each.sentence for each in found if each.basis == "best")


def test_a_sentence_claims_no_more_than_the_tests():
    for seed in range(0, 40, 2):
        decision = decide(two(100, seed, 0.8, 0.8 - 0.005 * seed))
        (pair,) = decision.comparison.pairs
        shown = decision.comparison.non_inferior.name
        assert ("is shown to be better" in decision.sentence) <= pair.different
        assert ("is shown to be not worse" in decision.sentence) <= (shown is not None)
        assert decision.proven == (decision.basis in {"best", "not worse"})
        assert decision.proven <= (pair.different or shown is not None)
        assert ("none shown" in decision.non_inferiority) == (shown is None)


def test_the_same_answers_at_a_tenth_of_the_price_are_shown_to_be_enough():
    scores = answers(400, 0.8, random.Random(1))
    result = session(model("dear", sealed(scores, cost=0.02)), model("cheap", sealed(scores, cost=0.002)))
    decision = decide(result)
    assert (decision.recommended, decision.basis) == ("cheap", "not worse")
    assert decision.comparison.non_inferior.name == "cheap"
    assert decision.non_inferiority.startswith(
        "The cheapest model that is not worse than the best by more than 2 points: cheap (p "
    )
    assert [one.rank for one in decision.comparison.ranking] == [1, 1]
    assert decision.comparison.ranking[0].name == "cheap"  # of equals the cheaper


def test_a_cheap_model_that_may_be_far_worse_is_not_recommended_for_its_price():
    a, b = table(8, 2, 15, 5)
    decision = decide(session(model("dear", sealed(a, cost=0.02)), model("cheap", sealed(b, cost=0.002))))
    assert not decision.comparison.pairs[0].different
    assert (decision.recommended, decision.basis, decision.proven) == ("dear", "highest measured", False)
    assert decision.sentence.startswith("If one must be taken now, take dear:")


def test_equal_scores_are_called_the_same():
    a, b = table(6, 6, 15, 5)
    decision = decide(session(model("one", sealed(a, cost=0.02)), model("other", sealed(b, cost=0.02))))
    assert decision.basis == "highest measured"
    assert "it is not shown to be better than other: other has the same measured score, p = 1.00" in decision.sentence
    assert "behind" not in decision.sentence


def test_every_minus_is_the_same():
    before, after = table(5, 8, 15, 2)
    (gain,) = examine(session(model("a", sealed(after), sealed(before)))).gains
    assert gain.reason.startswith("could be −")
    assert "-" not in gain.reason
    assert with_true_minus("p = 1e-05, two-sided, -8.3 to +33.3") == "p = 1e-05, two-sided, −8.3 to +33.3"


@pytest.mark.parametrize(
    ("changes", "n", "words"), [({}, 9, "9 sealed examples cannot"), ({"looks": 6}, 200, "opened 6")]
)
def test_without_enough_fresh_examples_nothing_is_recommended(changes, n, words):
    decision = decide(two(n, 1, 1.0, 0.0, **changes))
    assert (decision.recommended, decision.basis) == (None, "none")
    assert words in decision.sentence
    assert not any(each.different for each in decision.comparison.pairs)
    assert "none shown" in decision.non_inferiority


def test_where_nobody_is_right_nobody_is_recommended():
    decision = decide(session(model("a", sealed([0.0] * 300, cost=0.001)), model("b", sealed([0.0] * 300))))
    assert (decision.recommended, decision.basis) == (None, "none")
    assert "none of 300 sealed examples was answered well" in decision.sentence


def test_the_front_counts_score_cost_and_latency():
    same = [1.0] * 12 + [0.0] * 8
    less = [1.0] * 10 + [0.0] * 10
    found = examine(
        session(
            model("best", sealed(same, cost=0.02, latency=500)),
            model("cheap", sealed(less, cost=0.001, latency=500)),
            model("fast", sealed(less, cost=0.03, latency=50)),
            model("beaten", sealed(less, cost=0.025, latency=600)),
        )
    )
    assert set(found.front) == {"best", "cheap", "fast"}
    beaten = next(one for one in found.ranking if one.name == "beaten")
    assert set(beaten.beaten_by) == {"best", "cheap"}
    assert found.ranking[0].cost_per_quality == pytest.approx(20 * 0.02 / 12)
    assert found.ranking[0].error_rate == pytest.approx(0.03)  # failed calls over calls


def test_intervals_of_the_ranking_are_wilsons():
    found = examine(session(model("a", sealed([1.0] * 85 + [0.0] * 15)), model("b", sealed([0.0] * 100))))
    assert (found.ranking[0].low, found.ranking[0].high) == pytest.approx((0.767164, 0.906940), abs=1e-6)
    assert [one.rank for one in found.ranking] == [1, 2]


def test_partial_sessions_compare_what_all_answered_and_leave_out_the_rest():
    whole, cut = sealed([1.0] * 40), sealed([0.0] * 15, complete=False)
    found = examine(
        session(model("a", whole), model("b", cut, why="it was stopped"), model("c", None, why="key refused"))
    )
    assert [one.name for one in found.ranking] == ["a"]
    assert dict(found.unranked) == {
        "b": "only 15 of 40 sealed examples were answered: it was stopped", "c": "key refused",
    }  # fmt: skip
    both = examine(session(model("a", sealed([1.0] * 30, complete=False)), model("b", cut)))
    assert (both.n, len(both.ranking), both.unranked) == (15, 2, ())
    assert decide(session(model("a", whole))).basis == "only one"
    nothing = decide(session(model("a", None)))
    assert (nothing.recommended, nothing.basis) == (None, "none")


def test_models_measured_on_different_examples_are_not_compared():
    from dataclasses import replace

    other = replace(sealed([1.0] * 20), example_ids=tuple(f"x{k}" for k in range(20)))
    with pytest.raises(BadInput, match="different examples"):
        examine(session(model("a", sealed([1.0] * 20)), model("b", other)))


def test_gains_are_adjusted_over_the_models():
    before, after = table(2, 9, 30, 59)  # 9 fixed, 2 broke: p = .0327 alone, above the level of look 1
    strong = table(1, 20, 40, 39)
    found = examine(session(
        model("weak", sealed(after), sealed(before)),
        model("strong", sealed(strong[1]), sealed(strong[0])),
        model("same", sealed(before), sealed(before), best_state={}, best_prompt="Say it."),
    ))  # fmt: skip
    gains = {gain.name: gain for gain in found.gains}
    assert gains["strong"].verdict == "IMPROVED"
    assert gains["strong"].p_adjusted == pytest.approx(2 * reference.binomtest(20, 21, 0.5, "greater").pvalue)
    assert gains["weak"].verdict == "NO EVIDENCE"
    assert gains["same"].verdict == "UNCHANGED"
    # 13 fixed, 4 broke: p = .0245 alone is a gain, but not when two were tried for it.
    before, after = table(4, 13, 40, 43)
    alone = examine(session(model("a", sealed(after), sealed(before)))).gains[0]
    assert alone.verdict == "IMPROVED"
    tried = examine(session(model("a", sealed(after), sealed(before)), model("b", sealed(before), sealed(after)))).gains
    assert [gain.verdict for gain in tried] == ["NO EVIDENCE", "NO EVIDENCE"]
    assert "after Holm" in tried[0].reason


def test_the_decision_is_the_same_every_time_and_plain_json():
    import json

    once, again = (decide(rich_session()).to_dict() for _ in range(2))
    assert json.dumps(once) == json.dumps(again)
    assert once["comparison"]["front"] == ["strong", "cheap"]
