import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from strop.errors import BadInput
from strop.stats import Interval, bca, betting_interval, bonett_price, mean_interval, proportion, tango
from strop.stats.betting import betting_bounds, log_capital


def bounds(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


def test_wilson_and_clopper_pearson_give_the_published_values() -> None:
    assert bounds(proportion(85, 100)) == pytest.approx((0.767164, 0.906940), abs=1e-6)
    assert bounds(proportion(85, 100, method="clopper-pearson")) == pytest.approx((0.76469, 0.91355), abs=1e-5)
    assert bounds(proportion(18, 20, method="wilson")) == pytest.approx((0.698966, 0.972134), abs=1e-6)


@pytest.mark.parametrize(
    ("successes", "n", "method"),
    [
        (18, 20, "beta"),
        (29, 29, "beta"),
        (15, 30, "wilson"),
        (0, 200, "beta"),
        (200, 200, "beta"),
        (199, 200, "wilson"),
    ],
)
def test_small_and_extreme_samples_get_the_exact_interval(successes: int, n: int, method: str) -> None:
    for level in (0.9, 0.95):
        expected = proportion_confint(successes, n, alpha=1 - level, method=method)
        assert bounds(proportion(successes, n, level)) == pytest.approx(expected, abs=1e-9)


def test_mean_interval_is_students_t_for_fractional_scores() -> None:
    scores = np.random.default_rng(0).beta(2, 2, 60)
    expected = stats.ttest_1samp(scores, 0).confidence_interval(0.9)
    assert bounds(mean_interval(scores.tolist(), 0.9)) == pytest.approx((expected.low, expected.high))


def test_mean_interval_of_binary_scores_is_that_of_a_proportion() -> None:
    assert mean_interval([1.0] * 85 + [0.0] * 15) == proportion(85, 100)


@pytest.mark.parametrize("scores", [[0.4], [0.5] * 30])
def test_mean_interval_without_spread_still_has_width_and_stays_in_bounds(scores: list[float]) -> None:
    interval = mean_interval(scores)
    assert 0 <= interval.low < scores[0] - 0.05
    assert scores[0] + 0.05 < interval.high <= 1


def test_bonett_price_and_tango_give_the_published_values() -> None:
    assert bounds(bonett_price(15, 5, 100)) == pytest.approx((0.009942, 0.186136), abs=1e-6)
    assert bounds(tango(15, 5, 100)) == pytest.approx((0.013447, 0.192396), abs=1e-6)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_paired_intervals_hold_at_the_edges(n: int) -> None:
    for fixed in range(n + 1):
        for broke in range(n + 1 - fixed):
            for interval in (tango(fixed, broke, n), bonett_price(fixed, broke, n)):
                assert -1 <= interval.low < interval.high <= 1
            assert tango(fixed, broke, n).low - 1e-9 <= (fixed - broke) / n <= tango(fixed, broke, n).high + 1e-9
            mirrored = tango(broke, fixed, n)
            assert bounds(tango(fixed, broke, n)) == pytest.approx((-mirrored.high, -mirrored.low), abs=1e-9)


def test_bca_agrees_with_scipy_on_skewed_differences() -> None:
    rng = np.random.default_rng(3)
    differences = np.where(rng.random(120) < 0.1, -0.7, rng.random(120) * 0.3)
    expected = stats.bootstrap((differences,), np.mean, method="BCa", n_resamples=20_000).confidence_interval
    found = bca(differences.tolist(), seed=1)
    assert bounds(found) == pytest.approx((expected.low, expected.high), abs=0.004)
    assert found == bca(differences.tolist(), seed=1)


def test_bca_of_equal_differences_is_not_a_point() -> None:
    interval = bca([0.0] * 100)
    assert interval.low < -0.01
    assert interval.high > 0.01


def test_capital_of_a_single_bet_gives_the_published_value() -> None:
    ten = [1, 0, 1, 1, 0, 1, 1, 1, 0, 1]
    assert math.exp(log_capital([x - 0.5 for x in ten], bets=(0.5,))) == pytest.approx(2.0116568, abs=1e-7)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40))
def test_betting_interval_contains_the_mean_and_mirrors(differences: list[float]) -> None:
    interval = betting_interval(differences)
    assert -1 <= interval.low <= interval.estimate + 1e-9
    assert interval.estimate - 1e-9 <= interval.high <= 1
    mirrored = betting_interval([-d for d in differences])
    assert bounds(interval) == pytest.approx((-mirrored.high, -mirrored.low), abs=1e-6)


def test_betting_interval_covers_where_rare_losses_fool_t() -> None:
    """6% lose .8 and 48% gain .1: the true mean is 0, and t's lower bound passes it in a quarter of samples of 20."""
    rng = np.random.default_rng(5)
    above = 0
    for _ in range(150):
        where = rng.random(20)
        sample = np.where(where < 0.06, -0.8, np.where(where < 0.54, 0.1, 0.0))
        above += betting_bounds(sample.tolist())[0] > 0
    assert above <= stats.binom.ppf(0.999, 150, 0.025)


@pytest.mark.parametrize("call", [lambda: proportion(3, 2), lambda: proportion(0, 0), lambda: mean_interval([])])
def test_impossible_counts_are_refused(call) -> None:
    with pytest.raises(BadInput):
        call()


@pytest.mark.parametrize("value", [1.01, -0.01, math.nan])
def test_scores_outside_their_range_are_refused(value: float) -> None:
    with pytest.raises(BadInput, match="expected values"):
        mean_interval([0.5, value])


@pytest.mark.parametrize("counts", [(1, 1, 1), (-1, 0, 5), (0, 0, 0)])
def test_discordant_counts_must_fit(counts: tuple[int, int, int]) -> None:
    with pytest.raises(BadInput, match="fixed"):
        tango(*counts)
