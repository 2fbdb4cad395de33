"""nDCG and average precision against scikit-learn and numbers worked out by hand."""

import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score

from strop.errors import MetricError
from strop.metrics import Metric, build


def score(metric: Metric, expected: Any, answer: Any) -> float:
    return metric.score(inputs={}, expected={"y": expected}, answer={"y": answer}, usage=None).value


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("k", [None, 1, 3, 5])
def test_equal_to_scikit_learn_without_ties(seed: int, k: int | None):
    rng = random.Random(seed)
    items = [f"d{i}" for i in range(8)]
    grades = {item: rng.randint(0, 3) for item in items} | {"d0": 2}
    order = rng.sample(items, k=8)
    truth = np.array([[grades[item] for item in order]])
    falling = np.arange(8, 0, -1)
    linear, exponential = (build({"name": "ndcg", "k": k, "gain": gain}) for gain in ("linear", "exp"))
    assert score(linear, grades, order) == pytest.approx(ndcg_score(truth, [falling], k=k))
    assert score(exponential, grades, order) == pytest.approx(ndcg_score(2**truth - 1, [falling], k=k))
    if k is None:
        assert score(build("map"), grades, order) == pytest.approx(average_precision_score(truth[0] > 0, falling))


def test_by_hand():
    ideal = 1 + 1 / math.log2(3)
    assert score(build("ndcg"), ["a", "b"], ["x", "A", "b"]) == pytest.approx((1 / math.log2(3) + 0.5) / ideal)
    assert score(build("map"), ["a", "b"], ["x", "a", "b"]) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert score(build("map"), ["a", "b"], ["a"]) == pytest.approx(1 / 2)  # what was not found counts 0
    assert score(build({"name": "map", "k": 1}), ["a", "b"], ["a", "x"]) == 1


def test_an_item_named_twice_gains_once_and_keeps_its_rank():
    assert score(build("map"), ["a", "b"], ["a", "a", "b"]) == pytest.approx((1 + 2 / 3) / 2)
    assert score(build("ndcg"), {"a": 3}, ["a", "a"]) == 1


def test_unjudged_items_are_irrelevant_or_skipped():
    grades = {"a": 1, "b": 0}
    assert score(build("map"), grades, ["x", "b", "a"]) == pytest.approx(1 / 3)
    assert score(build({"name": "map", "unjudged": "skip"}), grades, ["x", "b", "a"]) == pytest.approx(1 / 2)
    with pytest.raises(MetricError, match="needs graded labels"):
        score(build({"name": "ndcg", "unjudged": "skip"}), ["a"], ["x", "a"])


@pytest.mark.parametrize("answer", ["b, a", '["b", "a"]', "1. b\n2. a", "- b\n- A\n", ("b", "a")])
def test_rankings_are_read_from_text(answer: Any):
    assert score(build("map"), "a", answer) == pytest.approx(1 / 2)


def test_nothing_relevant():
    assert score(build("ndcg"), {"a": 0}, ["a"]) == 0
    assert score(build("map"), [], []) == 1


@pytest.mark.parametrize("grade", [-1, float("nan"), "high", None, 10**9])
def test_a_grade_that_is_none_is_refused(grade: Any):
    with pytest.raises(MetricError, match="the grade of 'a' is"):
        score(build("ndcg"), {"a": grade}, ["a"])


def test_a_set_is_no_ranking():
    with pytest.raises(MetricError, match="has an order"):
        score(build("ndcg"), ["a"], {"a", "b"})


NAMES = st.lists(st.sampled_from("abcdef"), max_size=8)


@given(
    grades=st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 1000)),
    order=NAMES,
    k=st.none() | st.integers(1, 9),
    name=st.sampled_from(["map", "ndcg"]),
)
def test_scores_lie_in_0_to_1_and_the_best_order_scores_1(
    grades: dict[str, float], order: list[str], k: int | None, name: str
):
    metric = build({"name": name, "k": k})
    assert 0 <= score(metric, grades, order) <= 1
    best = sorted((item for item in grades if grades[item] > 0), key=lambda item: -grades[item])
    assert score(metric, grades, best) == pytest.approx(1)
