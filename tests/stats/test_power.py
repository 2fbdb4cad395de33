import math

import pytest
from scipy.stats import binom
from statsmodels.stats.power import TTestPower

from strop.errors import BadInput
from strop.stats import detectable_gain, detectable_mean_gain, look_alpha, mcnemar_power, needed_n, needed_n_mean


def power_written_out(n: int, gain: float, disagreement: float, alpha: float) -> float:
    """Every outcome (fixed, broke) of n pairs, its probability, and whether the exact test rejects."""
    total = 0.0
    for differing in range(n + 1):
        weight = binom.pmf(differing, n, disagreement)
        for fixed in range(differing + 1):
            if sum(math.comb(differing, k) for k in range(fixed, differing + 1)) / 2**differing <= alpha:
                total += weight * binom.pmf(fixed, differing, (1 + gain / disagreement) / 2)
    return total


@pytest.mark.parametrize(("n", "gain", "disagreement", "alpha"), [(30, 0.2, 0.4, 0.05), (45, 0.1, 0.2, 0.0304)])
def test_power_counts_every_outcome(n: int, gain: float, disagreement: float, alpha: float) -> None:
    expected = power_written_out(n, gain, disagreement, alpha)
    assert mcnemar_power(n, gain, disagreement, alpha) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("n", "powers"), [(100, (0.12, 0.23, 0.68)), (200, (0.20, 0.42, 0.93)), (500, (0.40, 0.78, 1.0))]
)
def test_the_published_power_table(n: int, powers: tuple[float, ...]) -> None:
    assert [round(mcnemar_power(n, gain, 0.2), 2) for gain in (0.03, 0.05, 0.1)] == list(powers)


@pytest.mark.parametrize(
    ("disagreement", "gain", "published"),
    [(0.1, 0.05, 269), (0.2, 0.03, 1433), (0.2, 0.05, 529), (0.2, 0.1, 135), (0.3, 0.05, 778), (0.3, 0.1, 202)],
)
def test_needed_n_is_the_published_one_or_up_to_three_pairs_fewer(
    disagreement: float, gain: float, published: int
) -> None:
    n = needed_n(gain, disagreement)
    assert published - 3 <= n <= published
    assert mcnemar_power(n, gain, disagreement) >= 0.8 > mcnemar_power(n - 1, gain, disagreement)


@pytest.mark.parametrize(("n", "disagreement"), [(20, 0.2), (200, 0.0), (240, 0.27), (2000, 0.1)])
def test_detectable_gain_is_where_power_reaches_the_goal(n: int, disagreement: float) -> None:
    gain = detectable_gain(n, disagreement, 0.0304)
    assert gain is not None
    assert mcnemar_power(n, gain, disagreement, 0.0304) >= 0.8
    assert mcnemar_power(n, gain - 2e-4, disagreement, 0.0304) < 0.8


def test_too_few_pairs_detect_nothing() -> None:
    assert detectable_gain(4, 0.5) is None
    assert detectable_gain(5, 0.5) is not None
    assert detectable_mean_gain(1, 0.3) is None


@pytest.mark.parametrize(("n", "sd"), [(20, 0.3), (200, 0.15)])
def test_t_power_agrees_with_statsmodels(n: int, sd: float) -> None:
    gain = detectable_mean_gain(n, sd)
    assert gain is not None
    assert TTestPower().power(gain / sd, n, 0.05, alternative="larger") == pytest.approx(0.8, abs=0.01)
    assert needed_n_mean(gain, sd) == n


@pytest.mark.parametrize("look", [1, 3, 5])
def test_without_a_gain_the_gate_is_passed_less_often_than_its_level(look: int) -> None:
    for n in (10, 57, 400):
        for disagreement in (0.02, 0.2, 0.9):
            assert mcnemar_power(n, 0.0, disagreement, look_alpha(look)) <= look_alpha(look)


def test_nonsense_is_refused() -> None:
    for call in (lambda: needed_n(0, 0.2), lambda: needed_n_mean(0, 0.2), lambda: mcnemar_power(0, 0.1, 0.2)):
        with pytest.raises(BadInput):
            call()
    assert mcnemar_power(50, 0.0, 0.0) == 0.0
