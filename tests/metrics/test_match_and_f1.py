"""Accuracy, exact match and F1 against hand-computed values, SQuAD's own cases and scikit-learn."""

import random
from enum import Enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from strop.errors import MetricError
from strop.metrics import Judged, Metric, build


class Colour(Enum):
    RED = "red"


def score(metric: Metric, expected: Any, answer: Any) -> float:
    return metric.score(inputs={}, expected={"y": expected}, answer={"y": answer}, usage=None).value


def judged(metric: Metric, pairs: list[tuple[Any, Any]]) -> list[Judged]:
    rows: list[Judged] = []
    for wanted, got in pairs:
        expected = {"y": wanted}
        answer: dict[str, Any] = {} if got is None else {"y": got}
        found = metric.score(inputs={}, expected=expected, answer=answer, usage=None)
        rows.append(Judged(expected=expected, answer=answer, score=found))
    return rows


@pytest.mark.parametrize(
    ("expected", "answer", "right"),
    [
        ("net", " NET\n", True),
        ("net", "net.", False),
        ("New York", "new  york", True),
        ("STRASSE", "straße", True),
        ("e\u0301t\u00e9", "\u00e9te\u0301", True),
        (True, "yes", True),
        (False, "No", True),
        ("true", True, True),
        (True, "maybe", False),
        (1, True, True),
        (3, "3.0", True),
        (0.1 + 0.2, "0.3", True),
        (1234, "1,234", True),
        (3, "three", False),
        ("1.0", "1", False),
        (10**20, str(10**20 + 1), False),
        (10**400, 1.5, False),
        (Colour.RED, "RED", True),
        ("red", Colour.RED, True),
        (["a", "b"], ["A", "b"], True),
        (["a", "b"], ["b", "a"], False),
        (["a", "b"], ["a"], False),
        (["a", "b"], "B", True),
        ("a", ["a"], False),
        ({"a", "b"}, ["b", "a", "B"], True),
        ({"k": [1]}, {"k": ["1"]}, True),
        ({"k": 1}, {"k": 1, "l": 2}, False),
        (None, "", False),
        (None, None, True),
        ("", "", True),
    ],
)
def test_accuracy_means_the_same_as_a_person_would(expected: Any, answer: Any, right: bool):
    assert score(build("accuracy"), expected, answer) == right


@pytest.mark.parametrize(
    ("expected", "answer", "right"),
    [
        ("The Eiffel Tower", "eiffel tower!", True),
        ("330 meters", "330 metres", False),
        ("well-known", "wellknown", True),
        ("another", "other", False),
        (["Paris", "City of Paris"], "the city of paris.", True),
        (7, "7.0", True),
    ],
)
def test_exact_match_normalises_like_squad(expected: Any, answer: Any, right: bool):
    assert score(build("em"), expected, answer) == right


def test_empty_match_decides_when_normalisation_leaves_nothing():
    assert score(build("exact_match"), "the", "a") == 1
    assert score(build({"name": "exact_match", "empty_match": False}), "the", "a") == 0
    assert score(build("f1"), "the", "a") == 1
    assert score(build({"name": "f1", "empty_match": False}), "the", "a") == 0
    assert score(build("f1"), "the", "cat") == 0


@pytest.mark.parametrize(
    ("expected", "answer", "value"),
    [
        ("the cat sat", "a cat", 2 / 3),  # precision 1, recall 1/2
        ("a b b c", "b b b", 2 * (2 / 3) * (2 / 3) / (4 / 3)),  # articles go: "b b c" against "b b b"
        ("x y", "z", 0),
        (["x", "y z"], "y", 2 / 3),
        ("x", None, 0),
    ],
)
def test_token_f1_by_hand(expected: Any, answer: Any, value: float):
    assert score(build("f1_score"), expected, answer) == pytest.approx(value)


def test_reason_tells_both_values():
    found = build("accuracy").score(inputs={}, expected={"y": "net"}, answer={"y": "admin"}, usage=None)
    assert found.reason == "expected 'net', got 'admin'"


@pytest.mark.parametrize("seed", range(20))
def test_accuracy_and_macro_f1_equal_scikit_learn(seed: int):
    rng = random.Random(seed)
    wanted = [rng.choice("abcd") for _ in range(60)]
    got = [rng.choice([label, rng.choice("abcdxyz")]) for label in wanted]
    pairs: list[tuple[Any, Any]] = list(zip(wanted, [text.upper() for text in got], strict=True))
    accuracy, macro, seen = (
        build("accuracy"), build("macro_f1"), build({"name": "f1", "average": "macro", "classes": "seen"}),
    )  # fmt: skip
    assert accuracy.summary(judged(accuracy, pairs)) == pytest.approx(accuracy_score(wanted, got))
    assert seen.summary(judged(seen, pairs)) == pytest.approx(f1_score(wanted, got, average="macro", zero_division=0))
    reference = f1_score(wanted, got, average="macro", labels=sorted(set(wanted)), zero_division=0)
    assert macro.summary(judged(macro, pairs)) == pytest.approx(reference)


def test_macro_f1_counts_a_missing_answer_as_a_miss():
    macro = build("macro_f1")
    rows = judged(macro, [("a", "a"), ("a", None), ("b", "b")])
    assert [row.score.value for row in rows] == [1, 0, 1]
    assert macro.summary(rows) == pytest.approx((2 / 3 + 1) / 2)


def test_macro_f1_joins_spellings_of_a_typed_label():
    macro = build("macro_f1")
    assert macro.summary(judged(macro, [(True, "yes"), (False, "true"), (1, "1.0")])) == pytest.approx(
        f1_score(["true", "false", "one"], ["true", "true", "one"], average="macro")
    )


def test_several_fields_all_have_to_be_right_for_accuracy_and_average_for_f1():
    expected, answer = {"x": "a", "y": "b c", "id": 7}, {"x": "a", "y": "b"}
    found = build("accuracy").score(inputs={}, expected=expected, answer=answer, usage=None)
    assert (found.value, found.parts) == (0, {"x": 1, "y": 0})
    assert found.reason == "y: expected 'b c', got 'b'"
    mean = build("f1").score(inputs={}, expected=expected, answer=answer, usage=None)
    assert mean.value == pytest.approx((1 + 2 / 3) / 2)
    assert mean.parts == {"x": 1, "y": pytest.approx(2 / 3)}
    one = build({"name": "accuracy", "field": "x"})
    assert one.score(inputs={}, expected=expected, answer=answer, usage=None).value == 1


def test_an_answer_without_the_label_is_wrong_and_says_so():
    found = build("accuracy").score(inputs={}, expected={"y": None}, answer={"z": 1}, usage=None)
    assert (found.value, found.reason) == (0, "the answer has no field 'y'")


def test_an_example_without_labels_is_refused():
    with pytest.raises(MetricError, match="no label field"):
        build("accuracy").score(inputs={}, expected={}, answer={"y": 1}, usage=None)
    with pytest.raises(MetricError, match="no label field 'z'; the example has \\['y'\\]"):
        build({"name": "em", "field": "z"}).score(inputs={}, expected={"y": 1}, answer={"y": 1}, usage=None)
    for name in ("accuracy", "macro_f1", "bleu"):
        with pytest.raises(MetricError, match="no scores"):
            build(name).summary([])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(Colour),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("name", ["accuracy", "exact_match", "f1", "macro_f1", "rouge2", "bleu", "chrf"])
@settings(max_examples=40)
@given(value=VALUES, other=VALUES)
def test_scores_lie_in_0_to_1_and_the_label_itself_scores_1(name: str, value: Any, other: Any):
    metric = METRICS[name]
    assert score(metric, value, value) == 1
    found = score(metric, value, other)
    assert 0 <= found <= 1
    assert not metric.binary or found in (0, 1)
    rows = judged(metric, [(value, value), (value, other)])
    assert 0 <= metric.summary(rows) <= 1


METRICS = {name: build(name) for name in ["accuracy", "exact_match", "f1", "macro_f1", "rouge2", "bleu", "chrf"]}
