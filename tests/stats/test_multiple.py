import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from strop.errors import BadInput
from strop.stats import holm, look_alpha


def test_holm_gives_the_published_values() -> None:
    assert holm([0.01, 0.02, 0.03, 0.2]) == pytest.approx([0.04, 0.06, 0.06, 0.2])
    assert holm([]) == []


@pytest.mark.parametrize("seed", range(10))
def test_holm_agrees_with_statsmodels_in_any_order(seed: int) -> None:
    p_values = (np.random.default_rng(seed).random(1 + seed) ** 3).tolist()
    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


def test_looks_get_the_published_levels_and_sum_to_alpha() -> None:
    assert [round(look_alpha(look), 4) for look in (1, 2, 3)] == [0.0304, 0.0076, 0.0034]
    assert 0.049 < sum(look_alpha(look) for look in range(1, 1000)) < 0.05
    with pytest.raises(BadInput):
        look_alpha(0)
