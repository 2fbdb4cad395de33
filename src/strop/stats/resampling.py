"""The bootstrap for means: resampled means and standard errors, and the two procedures that stand on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DRAWS = 10_000
_NUMBERS_AT_MOST = 20_000_000  # in total: beyond it fewer resamples are drawn, never under 2,000
_NUMBERS_AT_ONCE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Resampled:
    """Values, and the mean and standard error of each sample drawn from them with replacement."""

    values: "NDArray[np.float64]"
    means: "NDArray[np.float64]"
    errors: "NDArray[np.float64]"


def resample(values: Sequence[float], seed: int) -> Resampled:
    """Draws in slices that keep memory small; at least two values."""
    import numpy as np

    data = np.asarray(values, dtype=float)
    n, mean = len(data), data.mean()
    centred = data - mean
    draws = min(_DRAWS, max(2_000, _NUMBERS_AT_MOST // n))
    slice_of = max(1, _NUMBERS_AT_ONCE // n)
    rng = np.random.default_rng(seed)
    shifts, squares = np.empty(draws), np.empty(draws)
    for start in range(0, draws, slice_of):
        stop = min(start + slice_of, draws)
        sample = centred[rng.integers(0, n, size=(stop - start, n), dtype=np.int32)]
        shifts[start:stop] = sample.mean(axis=1)
        squares[start:stop] = np.einsum("ij,ij->i", sample, sample)
    variances = np.maximum(0.0, squares - n * shifts**2) / (n - 1)
    return Resampled(values=data, means=mean + shifts, errors=np.sqrt(variances / n))


def bca_bounds(drawn: Resampled, level: float) -> tuple[float, float]:
    """Bias-corrected accelerated bounds of the mean (Efron 1987); the values must not be all equal."""
    import numpy as np
    from scipy.stats import norm

    data, means = drawn.values, drawn.means
    centred = data - data.mean()
    # For a mean the jackknife is known in closed form.
    acceleration = (centred**3).sum() / (6 * (centred**2).sum() ** 1.5)
    below = ((means < data.mean()).mean() + (means <= data.mean()).mean()) / 2
    bias = norm.ppf(np.clip(below, 0.5 / len(means), 1 - 0.5 / len(means)))
    z = bias + norm.ppf([(1 - level) / 2, (1 + level) / 2])
    low, high = np.quantile(means, norm.cdf(bias + z / (1 - acceleration * z)))
    return float(low), float(high)


def bootstrap_t(drawn: Resampled, alpha: float) -> tuple[float, float]:
    """One-sided p of "the mean is at most 0" and the mean's lower bound at `alpha`, by the bootstrap of Student's t.

    The p and the bound agree: the bound is above 0 when p <= alpha, save for the last resample.
    """
    import numpy as np

    data = drawn.values
    mean, error = data.mean(), data.std(ddof=1) / np.sqrt(len(data))
    shifts = drawn.means - mean
    with np.errstate(divide="ignore", invalid="ignore"):
        ts = np.where(np.abs(shifts) < 1e-12, 0.0, shifts / drawn.errors)
    p_value = (1 + np.count_nonzero(ts >= mean / error)) / (1 + len(ts))
    # A resample without spread has t = inf and must stay an order statistic: interpolating would give nan.
    quantile = np.quantile(ts, 1 - alpha, method="higher")
    return float(p_value), float(mean - quantile * error)
