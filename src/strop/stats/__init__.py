"""Intervals, tests and verdicts: numbers in, numbers out."""

from strop.stats.betting import betting_p_value
from strop.stats.intervals import Interval, bca, betting_interval, bonett_price, mean_interval, proportion, tango
from strop.stats.loading import load_ahead
from strop.stats.multiple import LOOKS_AT_MOST, holm, look_alpha
from strop.stats.paired import McNemar, PairedTest, mcnemar, paired_test
from strop.stats.power import detectable_gain, detectable_mean_gain, mcnemar_power, needed_n, needed_n_mean
from strop.stats.quantiles import percentile
from strop.stats.verdict import PairedVerdict, Verdict, judge_paired

__all__ = [
    "LOOKS_AT_MOST",
    "Interval",
    "McNemar",
    "PairedTest",
    "PairedVerdict",
    "Verdict",
    "bca",
    "betting_interval",
    "betting_p_value",
    "bonett_price",
    "detectable_gain",
    "detectable_mean_gain",
    "holm",
    "judge_paired",
    "load_ahead",
    "look_alpha",
    "mcnemar",
    "mcnemar_power",
    "mean_interval",
    "needed_n",
    "needed_n_mean",
    "paired_test",
    "percentile",
    "proportion",
    "tango",
]
