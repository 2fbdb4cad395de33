import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from strop.errors import BadInput
from strop.stats import mcnemar, paired_test
from strop.stats.resampling import bootstrap_t, resample


def test_mcnemar_gives_the_published_values() -> None:
    test = mcnemar(15, 5)
    assert test.two_sided == pytest.approx(0.041389465, abs=1e-9)
    assert test.improved == pytest.approx(0.020694733, abs=1e-9)
    assert test.mid_p_improved == pytest.approx(0.013301849, abs=1e-9)


@pytest.mark.parametrize(("fixed", "broke"), [(0, 0), (1, 0), (0, 4), (3, 3), (12, 30), (200, 170)])
def test_mcnemar_agrees_with_scipy_and_statsmodels(fixed: int, broke: int) -> None:
    test = mcnemar(fixed, broke)
    table = [[10, fixed], [broke, 10]]
    assert test.two_sided == pytest.approx(min(1.0, float(statsmodels_mcnemar(table, exact=True).pvalue)))
    if fixed + broke:
        assert test.improved == pytest.approx(stats.binomtest(fixed, fixed + broke, 0.5, "greater").pvalue)
        assert test.worse == pytest.approx(stats.binomtest(broke, fixed + broke, 0.5, "greater").pvalue)
    assert test.mid_p_improved == pytest.approx(1 - mcnemar(broke, fixed).mid_p_improved)


def test_ordinary_differences_get_t_and_bootstrap_t() -> None:
    differences = np.random.default_rng(1).choice([-0.25, 0, 0.25, 0.5], 100, p=[0.25, 0.35, 0.3, 0.1])
    test = paired_test(differences.tolist(), alpha=0.05)
    expected = stats.ttest_1samp(differences, 0, alternative="greater")
    assert test.method == "t and bootstrap-t"
    assert test.t_p_value == pytest.approx(expected.pvalue)
    assert test.t_lower == pytest.approx(expected.confidence_interval(0.95).low)
    assert test.p_value >= expected.pvalue
    assert test.bootstrap_t_lower == pytest.approx(test.t_lower, abs=0.01)


def test_bootstrap_t_is_the_textbook_one() -> None:
    """Against a loop written out: t of each resample, their upper quantile, turned into the lower bound."""
    values = np.random.default_rng(2).exponential(0.2, 60) - 0.1
    error = values.std(ddof=1) / np.sqrt(60)
    rng = np.random.default_rng(99)
    ts = []
    for _ in range(5_000):
        sample = rng.choice(values, 60)
        ts.append((sample.mean() - values.mean()) / (sample.std(ddof=1) / np.sqrt(60)))
    p_value, lower = bootstrap_t(resample(values.tolist(), 0), 0.05)
    assert lower == pytest.approx(values.mean() - np.quantile(ts, 0.95) * error, abs=0.006)
    assert p_value == pytest.approx(np.mean(np.array(ts) >= values.mean() / error), abs=0.01)


def test_bound_and_p_value_of_the_bootstrap_agree() -> None:
    rng = np.random.default_rng(4)
    for seed in range(20):
        p_value, lower = bootstrap_t(resample(rng.normal(0.05, 0.2, 50).tolist(), seed), 0.05)
        assert (lower > 0) == (p_value <= 0.05)


def test_resamples_without_spread_do_not_break_the_bootstrap() -> None:
    p_value, lower = bootstrap_t(resample([0.0] * 59 + [0.4], 0), 0.05)
    assert 0.05 < p_value <= 1
    assert lower < 0


@pytest.mark.parametrize(
    ("differences", "caution"),
    [
        ([0.1, 0.2] * 24, "48 examples are too few"),
        ([0.1, 0.05] * 49 + [-0.5, -0.9], "2 examples lose half a point or more"),
        ([0.1, 0.05] * 49 + [0.0, -0.9], "1 example loses half a point"),
        ([0.1] * 80, "same amount"),
    ],
)
def test_the_betting_test_takes_over_where_t_overclaims(differences: list[float], caution: str) -> None:
    test = paired_test(differences)
    assert test.method == "betting"
    assert caution in str(test.caution)
    assert test.t_lower is None


def test_large_losses_beside_a_large_gain_are_left_to_t() -> None:
    assert paired_test([0.4, 0.2] * 49 + [-0.5, -0.9]).method == "t and bootstrap-t"


@pytest.mark.parametrize("n", [20, 50, 100])
def test_rare_large_losses_do_not_become_a_gain(n: int) -> None:
    """6% lose .8, 48% gain .1, true mean 0: t alone is wrong in .26/.10/.07 of samples at a level of .025."""
    rng = np.random.default_rng(n)
    claimed = 0
    for _ in range(150):
        where = rng.random(n)
        sample = np.where(where < 0.06, -0.8, np.where(where < 0.54, 0.1, 0.0))
        claimed += paired_test(sample.tolist()).p_value <= 0.025
    # At n = 50, 4.5% of samples hold no loss at all; no test of the data can see it.
    assert claimed <= stats.binom.ppf(0.999, 150, 0.025 + 0.94**n * (n >= 50))


def test_differences_out_of_range_are_refused() -> None:
    for differences in ([], [0.1, 1.2], [float("nan")]):
        with pytest.raises(BadInput):
            paired_test(differences)
    with pytest.raises(BadInput):
        mcnemar(-1, 2)
