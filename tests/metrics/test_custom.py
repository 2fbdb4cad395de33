"""User functions: how they are found, called, checked, scaled and fingerprinted."""

import functools
import math
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strop.errors import BudgetExceeded, MetricError
from strop.metrics import CustomMetric, Judged, Metric, Score, build, fingerprint

EXPECTED, ANSWER = {"label": "spam"}, {"label": "ham"}


def run(metric: Metric, expected: dict[str, Any] | None = None, answer: dict[str, Any] | None = None) -> Score:
    return metric.score(
        inputs={"text": "buy"},
        expected=EXPECTED if expected is None else expected,
        answer=ANSWER if answer is None else answer,
        usage=None,
    )


def custom(returned: Any, **settings: Any) -> Metric:
    return build(CustomMetric(name="mine", evaluation_function=lambda prediction, ground_truth: returned, **settings))


def test_the_guides_own_example():
    def custom_relevance_scorer(prediction: str, ground_truth: str) -> float:
        truth = set(ground_truth.lower().split())
        return len(truth & set(prediction.lower().split())) / len(truth)

    metric = CustomMetric(
        name="relevance_score",
        evaluation_function=custom_relevance_scorer,
        higher_is_better=True,
        min_value=0.0,
        max_value=1.0,
    )
    built = build("relevance_score", custom=[metric])
    assert run(built, {"y": "red green"}, {"y": "GREEN"}).value == 0.5
    assert built.name == "relevance_score"


def test_every_call_shape_gets_its_arguments():
    def values(prediction: str, ground_truth: str):
        return prediction == "ham" and ground_truth == "spam"

    def turned(expected: str, predicted: str):
        return predicted == "ham" and expected == "spam"

    def dspy_plain(example: Any, prediction: Any):
        return example.text == "buy" and example.label == "spam" and prediction.label == "ham"

    def dspy_trace(example: Any, pred: Any, trace: Any = None):
        return dspy_plain(example, pred) and trace is None and dict(example.inputs()) == {"text": "buy"}

    def gepa(gold: Any, pred: Any, trace: Any, pred_name: Any, pred_trace: Any):
        return dspy_trace(gold, pred, trace) and pred_name is None

    def tuned(prediction: str, ground_truth: str, sharpness: float = 2.0):
        return values(prediction, ground_truth) and sharpness == 2.0

    for function in (values, turned, dspy_plain, dspy_trace, gepa, tuned):
        assert run(build(function)).value == 1, function.__name__


def test_two_unnamed_parameters_are_the_guides_order_for_a_custom_metric_and_refused_otherwise():
    def unnamed(a: str, b: str):
        return a == "ham" and b == "spam"

    assert run(build(CustomMetric(name="mine", evaluation_function=unnamed))).value == 1
    with pytest.raises(MetricError, match=r"what its parameters \(a, b\) mean") as caught:
        build(unnamed)
    assert "fn(prediction, ground_truth)" in str(caught.value.hint)


def test_functions_that_cannot_be_metrics_are_refused():
    async def later(prediction: str, ground_truth: str) -> float:
        return 1.0

    def three(prediction: str, ground_truth: str, mood: str):
        return 1

    for function in (later, three, max):
        with pytest.raises(MetricError):
            build(function)
    with pytest.raises(MetricError):
        build(CustomMetric(name="mine", evaluation_function=three))


def test_several_fields_come_as_dicts_and_one_can_be_chosen():
    def whole(prediction: dict[str, str], ground_truth: dict[str, str]):
        return prediction == {"a": "1", "b": "2"} and ground_truth == {"a": "3", "b": "4"}

    assert run(build(whole), {"a": "3", "b": "4"}, {"a": "1", "b": "2", "reasoning": "so"}).value == 1

    metric = CustomMetric(name="mine", evaluation_function=lambda prediction, ground_truth: prediction == "2")
    assert run(build({"name": "mine", "field": "b"}, custom=[metric]), {"a": "3", "b": "4"}, {"b": "2"}).value == 1


def test_a_missing_field_scores_0_without_calling():
    assert run(custom(1.0), answer={"other": 1}).value == 0


@pytest.mark.parametrize(
    ("returned", "value", "reason"),
    [
        (True, 1, "mine returned True"),
        (0.25, 0.25, "mine returned 0.25"),
        ((0.5, "half right"), 0.5, "half right"),
        (Score(value=0.75, reason="fine", parts={"a": 0.75}), 0.75, "fine"),
        (1.0 + 1e-12, 1, "mine returned 1.000000000001"),
    ],
)
def test_what_a_function_may_return(returned: Any, value: float, reason: str):
    found = run(custom(returned))
    assert (found.value, found.reason) == (pytest.approx(value), reason)
    assert 0 <= found.value <= 1


def test_a_dspy_prediction_with_feedback_is_understood():
    import dspy

    found = run(custom(dspy.Prediction(score=0.5, feedback="look at the date")))
    assert (found.value, found.reason) == (0.5, "look at the date")


@pytest.mark.parametrize("returned", [None, math.nan, "0.5", 1.5, -0.1, math.inf, [1], (None, "why"), 10])
def test_no_score_is_invented_from_what_is_none(returned: Any):
    with pytest.raises(MetricError, match=r"metric 'mine' returned .*on example .*'spam'"):
        run(custom(returned))
    with pytest.raises(MetricError, match="metric 'mine' returned"):
        run(custom(Score(value=2.0, reason="too good")))


@given(
    low=st.floats(-1e6, 1e6), width=st.floats(1e-3, 1e6), share=st.floats(0, 1), higher=st.booleans()
)  # fmt: skip
def test_range_and_direction(low: float, width: float, share: float, higher: bool):
    high = low + width
    returned = min(high, low + share * (high - low))
    found = run(custom(returned, min_value=low, max_value=high, higher_is_better=higher)).value
    assert 0 <= found <= 1
    assert found == pytest.approx(share if higher else 1 - share, abs=1e-6)


@pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1), (0, math.inf), (math.nan, 1)])
def test_an_impossible_range_is_refused(low: float, high: float):
    with pytest.raises(MetricError, match="must be below"):
        custom(1, min_value=low, max_value=high)


def test_an_error_of_the_function_names_metric_and_example():
    def broken(prediction: str, ground_truth: str):
        raise KeyError(ground_truth)

    with pytest.raises(MetricError, match=r"metric 'broken' raised KeyError: 'spam', on example .*'buy'") as caught:
        run(build(broken))
    assert isinstance(caught.value.__cause__, KeyError)

    def stopped(prediction: str, ground_truth: str):
        raise BudgetExceeded("no money left")

    with pytest.raises(BudgetExceeded):
        run(build(stopped))


def test_binary_is_read_from_the_annotation():
    def promised(prediction: str, ground_truth: str) -> bool:
        return True

    def silent(prediction: str, ground_truth: str):
        return True

    assert build(promised).binary
    assert not build(silent).binary


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A task's folder; what is imported from it is forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("strop_trial_"):
            del sys.modules[name]


def test_a_function_is_loaded_by_name_with_its_settings(folder: Path):
    (folder / "strop_trial_a.py").write_text("def distance(prediction, ground_truth):\n    return 2\n")
    metric = build({"name": "strop_trial_a:distance", "max_value": 8, "higher_is_better": False}, root=folder)
    assert run(metric).value == 0.75
    assert metric.name == "strop_trial_a:distance"


def test_what_can_be_wrong_with_a_function_by_name(folder: Path):
    (folder / "strop_trial_b.py").write_text("def score_it(prediction, ground_truth):\n    return 1\nlimit = 3\n")
    (folder / "strop_trial_c.py").write_text("import strop_trial_missing\n")
    (folder / "strop_trial_d.py").write_text("def broken(:\n")
    for spec, message, hint in [
        ("strop_trial_nowhere:f", "there is no module 'strop_trial_nowhere'", "strop_trial_nowhere.py beside"),
        ("strop_trial_b:scoreit", "has no 'scoreit'", "did you mean 'score_it'?"),
        ("strop_trial_b:limit", "is a int, not a function", ""),
        ("strop_trial_b:", "write it as module:function", ""),
        ("strop_trial_c:f", "importing 'strop_trial_c' failed: No module named 'strop_trial_missing'", ""),
        ("strop_trial_d:f", "importing 'strop_trial_d' failed: SyntaxError", ""),
    ]:
        with pytest.raises(MetricError) as caught:
            build(spec, root=folder)
        assert message in caught.value.message
        assert hint in (caught.value.hint or "")


def test_a_module_of_the_same_name_from_elsewhere_is_not_taken_for_ours(folder: Path):
    for place in ("one", "two"):
        (folder / place).mkdir()
        (folder / place / "strop_trial_e.py").write_text("def f(prediction, ground_truth):\n    return 1\n")
    build("strop_trial_e:f", root=folder / "one")
    with pytest.raises(MetricError, match="loaded already"):
        build("strop_trial_e:f", root=folder / "two")


def test_a_custom_metric_goes_through_json(folder: Path):
    (folder / "strop_trial_f.py").write_text("def f(prediction, ground_truth):\n    return 3\n")
    build("strop_trial_f:f", root=folder)
    text = '{"name":"mine","evaluation_function":"strop_trial_f:f","higher_is_better":true,'
    text += '"min_value":1.0,"max_value":5.0}'
    metric = CustomMetric.model_validate_json(text)
    assert metric.model_dump_json() == text
    assert run(build(metric)).value == 0.5


def module(folder: Path, name: str, source: str) -> str:
    """Fingerprint of `f` when `source` is what a file holds."""
    (folder / f"{name}.py").write_text(source)
    return fingerprint(build(CustomMetric(name="m", evaluation_function=f"{name}:f"), root=folder))


def test_fingerprint_follows_the_code_and_not_its_layout(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(folder)
    base = "LIMIT = 2\ndef used(x):\n    return x * LIMIT\ndef f(prediction, ground_truth):\n    return used(0.5)\n"
    first = module(folder, "strop_trial_g", base)
    assert module(folder, "strop_trial_h", "# said more\n" + base.replace("\ndef", "\n\n\ndef")) == first
    changed = [
        base.replace("0.5", "0.4"),
        base.replace("x * LIMIT", "x / LIMIT"),
        base.replace("LIMIT = 2", "LIMIT = 1"),
    ]
    found = {module(folder, f"strop_trial_i{i}", text) for i, text in enumerate(changed)}
    assert len(found | {first}) == 4


def test_fingerprint_tells_closures_and_settings_apart():
    def of(limit: float, **settings: Any) -> str:
        def f(prediction: str, ground_truth: str) -> float:
            return limit

        return fingerprint(build(CustomMetric(name="m", evaluation_function=f, **settings)))

    assert of(1) == of(1)
    assert len({of(1), of(2), of(1, max_value=2), of(1, higher_is_better=False)}) == 4


def test_fingerprint_of_a_function_without_source():
    def of(text: str) -> str:
        space: dict[str, Any] = {}
        exec(text, space)
        return fingerprint(build(space["f"]))

    one = "def f(prediction, ground_truth):\n    return 1"
    assert of(one) == of(one)
    assert of(one) != of(one.replace("return 1", "return 0"))


class Tolerant:
    """A metric as an object that is called."""

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def __call__(self, prediction: str, ground_truth: str) -> float:
        return self.limit


def partly(prediction: str, ground_truth: str, limit: float) -> float:
    return limit


def test_objects_and_partial_functions_are_metrics_too():
    assert run(build(Tolerant(0.25))).value == 0.25
    assert run(build(functools.partial(partly, limit=0.5))).value == 0.5
    found = [Tolerant(0.25), Tolerant(0.5), functools.partial(partly, limit=0.5), functools.partial(partly, limit=1)]
    assert len({fingerprint(build(one)) for one in found}) == 4
    assert fingerprint(build(Tolerant(0.25))) == fingerprint(build(found[0]))
    assert fingerprint(build(functools.partial(partly, limit=1))) == fingerprint(build(found[3]))


def test_a_module_may_hold_a_ready_metric(folder: Path):
    (folder / "strop_trial_j.py").write_text(
        "from strop.metrics import CustomMetric, build\n"
        "mine = CustomMetric(name='mine', evaluation_function=lambda p, g: 3, max_value=4)\n"
        "ready = build('exact_match')\n"
    )
    assert run(build("strop_trial_j:mine", root=folder)).value == 0.75
    assert build("strop_trial_j:ready", root=folder).name == "exact_match"
    with pytest.raises(MetricError, match="takes no settings"):
        build({"name": "strop_trial_j:ready", "max_value": 2}, root=folder)


def test_scores_are_the_same_from_many_threads():
    bleu, texts = build("bleu"), [f"a b c {i} d e f" for i in range(200)]

    def one(text: str) -> float:
        return run(bleu, {"y": "a b c d e f"}, {"y": text}).value

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, texts)) == [one(text) for text in texts]


def test_summary_is_the_mean():
    rows = [Judged(expected={}, answer={}, score=Score(value=v, reason="")) for v in (0.0, 0.5, 1.0, 1.0)]
    assert custom(1).summary(rows) == 0.625
