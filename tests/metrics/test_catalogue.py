"""What people write, and what they get: names, settings, limits, composites, fingerprints."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strop.errors import MetricError
from strop.metrics import CATALOGUE, CustomMetric, Judged, Metric, MetricType, Score, Usage, build, fingerprint

MINIMAL: dict[str, Any] = {"latency": {"limit": 2.0}, "cost": {"limit": 0.01}}


def run(metric: Metric, expected: Any = "net", answer: Any = "net", usage: Usage | None = None) -> Score:
    return metric.score(inputs={}, expected={"y": expected}, answer={"y": answer}, usage=usage)


@pytest.mark.parametrize("kind", [kind for kind in MetricType if kind is not MetricType.CUSTOM])
def test_every_type_of_the_guide_can_be_built(kind: MetricType):
    settings = MINIMAL.get(kind.value, {})
    assert build({"name": kind, **settings}).name == kind.value.removesuffix("_score")
    assert build({"name": kind.value.upper(), **settings}).name == kind.value.removesuffix("_score")


def test_f1_is_another_name_of_f1_score():
    assert MetricType.F1 is MetricType.F1_SCORE
    assert MetricType("f1_score") is MetricType.F1


@pytest.mark.parametrize(
    ("spelling", "spec"),
    [
        ("Exact-Match", {"name": "exact_match"}),
        ("EM", {"name": "exact_match"}),
        ("macro f1", {"name": "f1", "average": "macro"}),
        ("rougeL", {"name": "rouge", "variant": "rougeL"}),
        ("ROUGE-2", {"name": "rouge", "variant": "rouge2"}),
        ("chrF++", {"name": "chrf", "word_order": 2}),
    ],
)
def test_spellings(spelling: str, spec: dict[str, Any]):
    assert fingerprint(build(spelling)) == fingerprint(build(spec))


@pytest.mark.parametrize(
    ("spec", "message", "hint"),
    [
        ("acuracy", "there is no metric 'acuracy'", "did you mean 'accuracy'?"),
        ("zzz", "there is no metric 'zzz'", "known are accuracy, bleu"),
        ("custom", "says only that it is yours", "module:function"),
        ("latency", "metric 'latency' needs the setting 'limit'", "Seconds at which"),
        ({"name": "f1", "averge": "macro"}, "has no setting 'averge'", "did you mean 'average'?"),
        ({"name": "f1", "average": "micro"}, "average: Input should be 'token' or 'macro', got 'micro'", ""),
        ({"name": "ndcg", "k": 0}, "k: Input should be greater", ""),
        ({"name": "cost", "limit": 0}, "limit: Input should be greater than 0", ""),
        ({"average": "macro"}, "needs a name", "{name: f1"),
        ({"name": "f1", "parts": []}, "metric 'f1' has no parts", ""),
        ({"parts": []}, "metric 'composite': parts", ""),
        ({"parts": [{"metric": "em", "weight": 0}]}, "parts.0.weight", ""),
        ({"parts": [{"metric": "emm"}]}, "there is no metric 'emm'", "'em'"),
        ({"name": "em", "guardrails": [{"metric": "f1", "at_least": 2}]}, "guardrails.0.at_least", ""),
    ],
)
def test_what_is_wrong_is_named(spec: Any, message: str, hint: str):
    with pytest.raises(MetricError) as caught:
        build(spec)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_custom_names_come_first_and_are_suggested():
    mine = CustomMetric(name="accuracy", evaluation_function=lambda prediction, ground_truth: 0.5)
    assert run(build("accuracy", custom=[mine])).value == 0.5
    other = CustomMetric(name="kindness", evaluation_function=lambda prediction, ground_truth: 1)
    with pytest.raises(MetricError) as caught:
        build("kindnes", custom=[other])
    assert caught.value.hint == "did you mean 'kindness'?"
    with pytest.raises(MetricError, match="same name"):
        build("kindness", custom=[other, other])


@pytest.mark.parametrize(("used", "value"), [(0.0, 1.0), (0.5, 0.75), (2.0, 0.0), (9.0, 0.0)])
def test_latency_and_cost_fall_straight_to_the_limit(used: float, value: float):
    found = run(build({"name": "latency", "limit": 2}), usage=Usage(latency_s=used, cost_usd=7))
    assert (found.value, found.reason) == (pytest.approx(value), f"{used:g} s of 2 s")
    found = run(build({"name": "cost", "limit": 2}), usage=Usage(latency_s=7, cost_usd=used))
    assert (found.value, found.reason) == (pytest.approx(value), f"{used:g} USD of 2 USD")


def test_what_nobody_measured_is_not_guessed():
    metric = build({"name": "cost", "limit": 2})
    with pytest.raises(MetricError, match="no usage"):
        run(metric)
    with pytest.raises(MetricError, match="measured amount is nan"):
        run(metric, usage=Usage(latency_s=1, cost_usd=float("nan")))


def test_a_composite_weighs_its_parts():
    metric = build({"parts": [{"metric": "em", "weight": 3}, {"metric": {"name": "cost", "limit": 1}}]})
    found = run(metric, usage=Usage(latency_s=0, cost_usd=0.5))
    assert found.value == pytest.approx((3 * 1 + 0.5) / 4)
    assert found.parts == {"exact_match": 1, "cost": 0.5}
    assert "0.5 USD of 1 USD" in found.reason
    assert not metric.binary


def test_a_breached_guardrail_makes_the_score_0_and_says_why():
    spec = {"name": "accuracy", "guardrails": [{"metric": {"name": "latency", "limit": 4}, "at_least": 0.5}]}
    metric = build(spec)
    assert metric.binary
    assert run(metric, usage=Usage(latency_s=2, cost_usd=0)).value == 1
    found = run(metric, usage=Usage(latency_s=3, cost_usd=0))
    assert found.value == 0
    assert found.reason == "latency 0.25 is below the guardrail 0.50 (3 s of 4 s)"
    assert found.parts == {"accuracy": 1, "latency": 0.25}


def test_parts_of_the_same_name_are_kept_apart():
    found = run(build({"parts": [{"metric": "rouge1"}, {"metric": "rouge2"}]}), "a b c", "a b d")
    assert found.parts == {"rouge": pytest.approx(2 / 3), "rouge_2": pytest.approx(1 / 2)}
    assert found.value == pytest.approx((2 / 3 + 1 / 2) / 2)


@given(weights=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=4), answer=st.text("ab ,.", max_size=12))
def test_a_composite_stays_in_0_to_1(weights: list[float], answer: str):
    names = ["accuracy", "f1", "exact_match", "map"]
    parts = [{"metric": names[i], "weight": weight} for i, weight in enumerate(weights)]
    metric = build({"parts": parts})
    assert 0 <= run(metric, "a b", answer).value <= 1
    assert run(metric, "a b", "a b").value == pytest.approx(1)


class Constant:
    """A metric from another room."""

    name = "constant"
    binary = True

    def score(
        self,
        *,
        inputs: Mapping[str, Any],
        expected: Mapping[str, Any],
        answer: Mapping[str, Any],
        usage: Usage | None,
    ) -> Score:
        return Score(value=1.0, reason="always")

    def summary(self, rows: Sequence[Judged]) -> float:
        return 1.0


def test_a_metric_that_is_one_already_is_kept():
    metric = Constant()
    assert build(metric) is metric
    assert fingerprint(metric) == fingerprint(Constant())
    with pytest.raises(MetricError, match="is a type, not a function"):
        build(Constant)


def test_fingerprints_tell_metrics_and_settings_apart():
    specs: list[Any] = [{"name": name, **MINIMAL.get(name, {})} for name in CATALOGUE]
    specs += [
        "macro_f1",
        {"name": "cost", "limit": 0.02},
        {"name": "accuracy", "field": "y"},
        {"parts": [{"metric": "em"}]},
        {"parts": [{"metric": "em", "weight": 2}, {"metric": "f1"}]},
        {"parts": [{"metric": "em", "weight": 3}, {"metric": "f1"}]},
        {"name": "em", "guardrails": [{"metric": "f1", "at_least": 0.5}]},
    ]
    assert len({fingerprint(build(spec)) for spec in specs}) == len(specs)


def test_a_fingerprint_is_the_same_in_another_process():
    code = "from strop.metrics import build, fingerprint; print(fingerprint(build({'name': 'f1', 'average': 'macro'})))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert told == fingerprint(build("macro_f1"))


def test_the_door_is_cheap():
    heavy = ["rouge_score", "sacrebleu", "sklearn", "nltk", "dspy", "numpy", "scipy"]
    code = f"import sys, strop.metrics; print([m for m in {heavy} if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert told == "[]"
