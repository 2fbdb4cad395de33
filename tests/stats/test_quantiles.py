import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strop.errors import BadInput
from strop.stats import percentile


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30), st.sampled_from([0, 50, 95, 99, 100, 33.3]))
def test_percentile_is_numpys(values: list[float], q: float) -> None:
    assert percentile(values, q) == pytest.approx(float(np.percentile(values, q)))


def test_percentile_refuses_what_has_no_answer() -> None:
    for values, q in (([], 50), ([1.0], 101), ([1.0], -1)):
        with pytest.raises(BadInput):
            percentile(values, q)
