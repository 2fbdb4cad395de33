import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from strop.errors import BadInput
from strop.stats import PairedVerdict, judge_paired, look_alpha


def pairs(fixed: int, broke: int, n: int) -> tuple[list[float], list[float]]:
    same = n - fixed - broke
    before = [0.0] * fixed + [1.0] * broke + [1.0] * same
    return before, [1.0] * fixed + [0.0] * broke + [1.0] * same


def binary(fixed: int, broke: int, n: int, **rest: float) -> PairedVerdict:
    return judge_paired(*pairs(fixed, broke, n), **rest)  # type: ignore[arg-type]


def test_a_gain_is_reported_with_its_numbers() -> None:
    result = binary(41, 23, 240)
    assert result.verdict == "IMPROVED"
    assert (result.n, result.fixed, result.broke, result.look) == (240, 41, 23, 1)
    assert result.change == pytest.approx(result.optimized - result.baseline) == pytest.approx(18 / 240)
    assert result.p_value == pytest.approx(stats.binomtest(41, 64, 0.5, "greater").pvalue)
    assert result.alpha == pytest.approx(0.0304, abs=1e-4)
    assert result.method == "exact McNemar, one-sided"
    assert result.detectable_gain == pytest.approx(0.09, abs=0.02)


def test_a_loss_is_the_mirror_of_a_gain() -> None:
    gain, loss = binary(30, 8, 150), binary(8, 30, 150)
    assert (gain.verdict, loss.verdict) == ("IMPROVED", "WORSE")
    assert loss.p_value == gain.p_value
    assert loss.ci95 == pytest.approx((-gain.ci95[1], -gain.ci95[0]))
    assert loss.method.endswith("for a loss")


def test_no_evidence_says_what_could_be() -> None:
    result = binary(14, 9, 200)
    low, high = (f"{100 * bound:+.1f}" for bound in result.ci95)
    assert result.verdict == "NO EVIDENCE"
    assert result.reason == f"could be {low} to {high} points"


def test_a_p_value_between_the_level_and_five_percent_is_explained() -> None:
    result = binary(18, 8, 120)
    assert result.alpha < result.p_value < 0.05
    assert result.verdict == "NO EVIDENCE"
    assert result.reason.endswith("p = 0.0378 against 0.0304, the level of look 1")


def test_nothing_changed_is_no_evidence() -> None:
    result = binary(0, 0, 100)
    assert (result.verdict, result.p_value, result.change) == ("NO EVIDENCE", 1.0, 0.0)
    assert result.ci95[0] < 0 < result.ci95[1]


def test_the_gate_is_stricter_at_each_look_and_closes_after_five() -> None:
    assert binary(15, 5, 100).verdict == "IMPROVED"
    second = binary(15, 5, 100, look=2)
    assert second.verdict == "NO EVIDENCE"
    assert "the gate decides" in second.reason
    assert binary(60, 0, 100, look=5).verdict == "IMPROVED"
    sixth = binary(60, 0, 100, look=6)
    assert sixth.verdict == "INSUFFICIENT DATA"
    assert "fresh" in sixth.reason


def test_fewer_than_ten_examples_are_never_enough() -> None:
    assert binary(9, 0, 9).verdict == "INSUFFICIENT DATA"
    assert binary(10, 0, 10).verdict == "IMPROVED"
    assert judge_paired([0.3], [0.6]).verdict == "INSUFFICIENT DATA"


def test_a_test_too_small_for_the_gain_sought_says_so() -> None:
    assert binary(6, 4, 50).verdict == "NO EVIDENCE"
    result = binary(6, 4, 50, min_gain=0.05)
    assert result.verdict == "INSUFFICIENT DATA"
    assert "5.0 was asked for" in result.reason
    assert binary(6, 4, 50, min_gain=0.5).verdict == "NO EVIDENCE"
    assert binary(20, 4, 50, min_gain=0.05).verdict == "IMPROVED"


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_verdict_p_value_and_interval_agree(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 120))
    fixed = data.draw(st.integers(0, n))
    broke = data.draw(st.integers(0, n - fixed))
    result = binary(fixed, broke, n, look=data.draw(st.integers(1, 7)), min_gain=data.draw(st.sampled_from([0.0, 0.1])))
    low, high = result.ci95
    assert 0 <= result.p_value <= 1
    assert -1 <= low <= result.change <= high <= 1
    if result.verdict == "IMPROVED":
        assert result.change > 0
        assert high > 0
    if result.verdict == "WORSE":
        assert result.change < 0
        assert low < 0
    if result.verdict in ("IMPROVED", "WORSE"):
        assert result.p_value <= result.alpha
        assert (low <= 0 <= high) == ("touches zero" in result.reason)
    if result.verdict == "NO EVIDENCE":
        assert result.p_value > result.alpha
        assert (not low <= 0 <= high or result.p_value <= 0.05) == ("the gate decides" in result.reason)


def test_fractional_scores_use_t_and_bootstrap_t() -> None:
    rng = np.random.default_rng(0)
    before = rng.choice([0, 0.25, 0.5, 0.75], 120)
    after = np.clip(before + rng.choice([-0.25, 0, 0.25], 120, p=[0.15, 0.45, 0.4]), 0, 1)
    result = judge_paired(before.tolist(), after.tolist())
    assert result.verdict == "IMPROVED"
    assert result.method == "paired t and bootstrap-t, one-sided"
    assert result.p_value >= stats.ttest_rel(after, before, alternative="greater").pvalue
    assert (result.fixed, result.broke) == (int((after > before).sum()), int((after < before).sum()))
    back = judge_paired(after.tolist(), before.tolist())
    assert back.verdict == "WORSE"
    assert back.ci95[1] < 0
    assert result == judge_paired(before.tolist(), after.tolist())


def test_fractional_scores_of_few_examples_are_insufficient_unless_the_gain_is_large() -> None:
    before = [0.2, 0.3, 0.4, 0.35] * 10
    small = judge_paired(before, [score + 0.04 for score in before])
    assert small.verdict == "INSUFFICIENT DATA"
    assert "too few" in small.reason
    large = judge_paired(before, [score + 0.5 for score in before])
    assert (large.verdict, large.method) == ("IMPROVED", "betting test, one-sided")
    assert large.ci95[0] > 0


def test_rare_large_losses_hold_back_a_claim_that_t_would_make() -> None:
    before = [0.8] * 100
    after = [0.9] * 48 + [0.88] * 48 + [0.0] * 4
    result = judge_paired(before, after)
    assert stats.ttest_rel(after, before, alternative="greater").pvalue < look_alpha(1)
    assert result.verdict == "INSUFFICIENT DATA"
    assert "4 examples lose half a point or more" in result.reason


def test_rare_losses_without_a_gain_are_no_evidence() -> None:
    rng = np.random.default_rng(2)
    before = rng.random(300)
    after = rng.permutation(before)
    assert judge_paired(before.tolist(), after.tolist()).verdict == "NO EVIDENCE"


def test_clusters_count_once_each() -> None:
    """Ten rows of one conversation are one piece of evidence: 8 conversations of 8, not 80 examples of 80."""
    before, after = [0.0] * 80, [1.0] * 80
    clusters = [f"conversation {i // 10}" for i in range(80)]
    assert judge_paired(before, after).verdict == "IMPROVED"
    result = judge_paired(before, after, clusters=clusters)
    assert (result.verdict, result.n, result.fixed) == ("INSUFFICIENT DATA", 8, 8)
    assert "8 clusters" in result.reason


def test_cluster_means_are_judged_as_fractions() -> None:
    before = [0.0, 1.0, 0.0, 1.0] * 30
    after = [1.0, 1.0, 0.0, 1.0] * 30
    result = judge_paired(before, after, clusters=[str(i // 2) for i in range(120)])
    assert result.n == 60
    assert result.change == pytest.approx(0.25)
    assert result.method.startswith("paired t")


def test_no_gain_is_rarely_called_one() -> None:
    """1,000 sets without a true change: the exact gate promises alpha at most (.0304 at look 1), gain or loss."""
    rng = np.random.default_rng(20)
    found = {"IMPROVED": 0, "WORSE": 0}
    for _ in range(1000):
        fixed, broke, _ = rng.multinomial(200, [0.1, 0.1, 0.8])
        verdict = binary(int(fixed), int(broke), 200).verdict
        if verdict in found:
            found[verdict] += 1
    allowed = stats.binom.ppf(0.9999, 1000, look_alpha(1))
    assert allowed < 55
    assert max(found.values()) <= allowed


def test_fractional_scores_without_gain_are_rarely_called_one() -> None:
    rng = np.random.default_rng(8)
    claims = 0
    for _ in range(120):
        before, after = rng.choice([0.25, 0.5, 0.75], (2, 80))
        claims += judge_paired(before.tolist(), after.tolist()).verdict == "IMPROVED"
    assert claims <= stats.binom.ppf(0.999, 120, look_alpha(1))


def test_a_planted_gain_is_found() -> None:
    """20% fixed, 5% broken, n = 200: the exact power at look 1 is over .99."""
    rng = np.random.default_rng(11)
    found = 0
    for _ in range(200):
        fixed, broke, _ = rng.multinomial(200, [0.2, 0.05, 0.75])
        found += binary(int(fixed), int(broke), 200).verdict == "IMPROVED"
    assert found >= 194


@pytest.mark.parametrize(
    ("before", "after", "clusters"),
    [
        ([], [], None),
        ([1.0], [1.0, 0.0], None),
        ([1.0], [1.1], None),
        ([math.nan], [0.5], None),
        ([1.0], [1.0], ["a", "b"]),
    ],
)
def test_unusable_scores_are_refused(before: list[float], after: list[float], clusters: list[str] | None) -> None:
    with pytest.raises(BadInput):
        judge_paired(before, after, clusters=clusters)
