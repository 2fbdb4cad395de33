"""From a request of the guide to a task: what is inferred, what is refused, what the figures mean."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from strop.errors import BadInput, DataError, MetricError
from strop.metrics import CustomMetric, MetricType, build
from strop.programs import ProgramSpec, fields
from strop.registry.version import check_name
from strop.runs.asked import field_name, full_model_name, instructions_of, metric_of, shape_of, task_name, task_of
from strop.runs.guide import OptimizationConstraints, OptimizationObjective, OptimizationRequest, PerformanceMetrics
from strop.runs.told import figures, improvement, too_few


def request(**changes: Any) -> OptimizationRequest:
    return OptimizationRequest(**{"target": "t", "evaluation_metric": "accuracy", "algorithm": "auto", **changes})


def test_defaults_are_those_of_the_guide() -> None:
    asked = request()
    assert (asked.max_iterations, asked.timeout_seconds) == (50, 3600)
    assert (asked.enable_analytics, asked.track_costs, asked.log_predictions) == (True, True, False)
    assert (asked.training_examples, asked.validation_examples, asked.algorithm_config) == ([], None, {})
    assert request(constraints=None).constraints == OptimizationConstraints()


def test_requests_can_be_changed_and_stay_checked() -> None:
    asked = request()
    asked.constraints.target_model = "gpt-5-mini"
    asked.algorithm_config["patience"] = 2
    asked.max_iterations = 25
    assert request().algorithm_config == {}
    with pytest.raises(ValidationError):
        asked.max_iterations = 0
    with pytest.raises(ValidationError):
        request(max_iteration=3)


def test_a_request_survives_json() -> None:
    asked = request(
        evaluation_metric=MetricType.F1_SCORE,
        training_examples=[{"text": "a", "label": "b"}],
        constraints={"max_cost_usd": 5.0, "min_accuracy": 0.75},
        custom_metrics=[{"name": "own", "evaluation_function": "operator:eq"}],
    )
    assert OptimizationRequest.model_validate_json(asked.model_dump_json()) == asked


CASES = [
    ([{"text": "t1", "label": "l"}, {"text": "t2", "label": "m"}], "text -> label"),
    ([{"text": f"t{i}", "label": "ab"[i % 2]} for i in range(4)], "text -> label: Literal['a', 'b']"),
    ([{"answer": "330 meters", "context": "c", "question": "q"}], "context, question -> answer"),
    ([{"input": "long", "expected_output": "short"}], "input -> expected_output"),
    ([{"Label": "x", "text": "y"}], "text -> Label"),
    ([{"flower": "round", "species": "rose"}], "flower -> species"),
    ([{"id": 1, "text": "y", "label": "x"}], "text -> label"),
    ([{"age": 4, "share": 0.5, "tags": ["a"], "ok": True}], "age: int, share: float, tags: list[str] -> ok: bool"),
    ([{"price": 1}, {"price": 2.5}], None),
    ([{"x": f"{i}", "label": ["a->b", "c"][i % 2]} for i in range(4)], "x -> label"),
    ([{"class": "c", "2 words": "w", "copy": "k", "label": "l"}], "class_, field_2_words, copy_ -> label"),
]


@pytest.mark.parametrize(("examples", "signature"), CASES)
def test_signature(examples: list[dict[str, Any]], signature: str | None) -> None:
    if signature is None:
        with pytest.raises(BadInput, match="needs an input and an answer"):
            shape_of(examples)
        return
    shape = shape_of(examples)
    assert shape.signature == signature
    assert fields(ProgramSpec(signature=signature)) == (tuple(shape.inputs), tuple(shape.output))
    assert len(shape.dataset(examples)) == len(examples)


def test_without_examples_there_is_still_a_program() -> None:
    assert shape_of([]).signature == "input -> output"


def test_renamed_fields_keep_their_values() -> None:
    examples = [{"from": "c", "wanted answer": "w"}]
    (example,) = shape_of(examples).dataset(examples)
    assert example.inputs == {"from_": "c"}
    assert example.labels == {"wanted_answer": "w"}


def test_an_example_that_lacks_a_field_is_refused() -> None:
    with pytest.raises(DataError, match="label"):
        shape_of([{"text": "a", "label": "b"}, {"text": "c"}])


def test_fields_that_become_one_name_are_refused() -> None:
    with pytest.raises(BadInput, match="same name"):
        shape_of([{"a b": "1", "a-b": "2", "label": "3"}])


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=40))
@example("¹")
@example("ﬁrst")
@example("model_config")
def test_field_names_can_stand_in_a_signature(key: str) -> None:
    name = field_name(key)
    assert fields(ProgramSpec(signature=f"{name} -> the_answer")) == ((name,), ("the_answer",))
    assert field_name(name) in {name, f"{name}_"}


@given(st.lists(st.text(min_size=1, max_size=120), min_size=2, max_size=2, unique=True))
def test_task_names_are_allowed_and_do_not_meet(targets: list[str]) -> None:
    one, two = (task_name(target) for target in targets)
    assert one != two
    for name in (one, two):
        check_name(name)
        assert task_name(name) == name


def test_target_becomes_the_instructions() -> None:
    shape = shape_of([{"text": "a", "label": "b"}])
    assert (
        instructions_of("sentiment_classifier", shape)
        == "Task: sentiment classifier. Given the text, produce the label."
    )
    assert instructions_of("Say how the writer feels.", shape) == "Say how the writer feels."


@pytest.mark.parametrize(
    ("given", "full"),
    [("gpt-5-mini", "openai/gpt-5-mini"), ("claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
     ("gemini-2.5-flash", "gemini/gemini-2.5-flash"), ("o3-mini", "openai/o3-mini"),
     ("embedded/small", "embedded/small")],
)  # fmt: skip
def test_bare_model_names(given: str, full: str) -> None:
    assert full_model_name(given) == full


def test_a_model_of_nobody_is_refused() -> None:
    with pytest.raises(BadInput, match="provider"):
        full_model_name("mistral-large")


def test_task_takes_over_every_limit() -> None:
    asked = request(
        constraints={"max_tokens": 500, "max_cost_usd": 10.0, "min_accuracy": 0.7, "max_latency_ms": 2000},
        budget_usd=4, max_iterations=7, timeout_seconds=30, seed=3, algorithm="miprov2",
        few_shot_config={"max_labeled_demos": 1}, algorithm_config={"num_candidates": 5},
    )  # fmt: skip
    task = task_of(asked, shape_of([]), model={"model": "embedded/small"}, prompt_model=None)
    assert task.budget_usd == 4
    assert (task.max_iterations, task.timeout_s, task.seed) == (7, 30, 3)
    assert (task.constraints.max_tokens, task.constraints.min_accuracy, task.constraints.max_latency_ms) == (
        500,
        0.7,
        2000,
    )
    assert task.constraints.max_cost_usd_per_request is None
    assert (task.algorithm.name, task.algorithm.settings) == ("miprov2", {"max_labeled_demos": 1, "num_candidates": 5})
    unsaid = task_of(request(), shape_of([]), model={"model": "embedded/small"}, prompt_model=None)
    assert (unsaid.budget_usd, unsaid.max_iterations) == (1.0, None)


def test_a_bad_model_setting_is_bad_input() -> None:
    with pytest.raises(BadInput, match="temperature"):
        task_of(request(), shape_of([]), model={"model": "embedded/small", "temperature": 9}, prompt_model=None)


def test_f1_means_classes_where_there_are_classes() -> None:
    asked = request(evaluation_metric=MetricType.F1_SCORE)
    assert metric_of(asked, categorical=True) == {"name": "f1", "average": "macro"}
    assert metric_of(asked, categorical=False) == "f1_score"


def test_metrics_with_a_limit_take_it_from_the_constraints() -> None:
    asked = request(evaluation_metric=MetricType.LATENCY, constraints={"max_latency_ms": 1500})
    assert metric_of(asked, categorical=False) == {"name": "latency", "limit": 1.5}
    with pytest.raises(BadInput, match="cost can be judged only against a limit"):
        metric_of(request(evaluation_metric="cost"), categorical=False)


def test_custom_is_the_only_custom_metric() -> None:
    own = CustomMetric(name="own", evaluation_function=lambda prediction, ground_truth: 1.0)
    assert metric_of(request(evaluation_metric=MetricType.CUSTOM, custom_metrics=[own]), categorical=False) == "own"
    with pytest.raises(MetricError, match="there are 0 custom_metrics"):
        metric_of(request(evaluation_metric="custom"), categorical=False)


def test_objectives_add_cost_and_latency() -> None:
    asked = request(
        objective=OptimizationObjective.BALANCED,
        constraints={"max_cost_usd_per_request": 0.001, "max_latency_ms": 800},
    )
    built = build(metric_of(asked, categorical=False))
    weights = {part.metric.name: part.weight for part in built.parts}  # pyright: ignore[reportAttributeAccessIssue]
    assert weights == {"accuracy": 0.5, "cost": 0.25, "latency": 0.25}
    with pytest.raises(BadInput, match="latency can be judged only against a limit"):
        metric_of(request(objective="minimize_latency"), categorical=False)
    with pytest.raises(BadInput, match="min_accuracy"):
        metric_of(
            request(objective="minimize_cost", constraints={"min_accuracy": 0.5, "max_cost_usd_per_request": 1}),
            categorical=False,
        )


def _figures(metric: Any, score: float, *, usd: float = 0.0, ms: float = 0.0) -> PerformanceMetrics:
    return figures(metric, score, n=10, on="test", usd=usd, latency_ms=ms)


def test_improvement_is_relative() -> None:
    metric = build("accuracy")
    assert improvement(metric, _figures(metric, 0.65), _figures(metric, 0.82)) == (
        pytest.approx(26.1538, abs=1e-4),
        False,
    )
    assert improvement(metric, _figures(metric, 0.5), _figures(metric, 0.4)) == (pytest.approx(-20.0), False)
    assert improvement(metric, _figures(metric, 0.0), _figures(metric, 0.4)) == (pytest.approx(40.0), True)


def test_improvement_follows_the_metrics_own_direction_and_unit() -> None:
    errors = build(CustomMetric(name="e", evaluation_function=lambda p, t: 0, higher_is_better=False, max_value=20))
    before, after = _figures(errors, 0.5), _figures(errors, 0.75)
    assert (before.value, after.value) == (10, 5)
    assert improvement(errors, before, after) == (pytest.approx(50.0), False)
    cost = build({"name": "cost", "limit": 1})
    assert improvement(cost, _figures(cost, 0.9, usd=0.1), _figures(cost, 0.95, usd=0.05))[0] == pytest.approx(50.0)
    latency = build({"name": "latency", "limit": 1})
    assert improvement(latency, _figures(latency, 0.9, ms=100), _figures(latency, 0.8, ms=200))[0] == pytest.approx(
        -100.0
    )


def test_nothing_measured_is_no_improvement() -> None:
    metric = build("accuracy")
    none = PerformanceMetrics(metric="accuracy", score=None)
    assert improvement(metric, none, _figures(metric, 1.0)) == (0.0, False)
    assert none.accuracy is None


@pytest.mark.parametrize(
    ("algorithm", "n", "least"),
    [("miprov2", 3, "about 34"), ("bootstrapfewshot", 1, "about 34"), ("simba", 0, "about 80")],
)
def test_too_few_says_how_many_are_needed(algorithm: str, n: int, least: str) -> None:
    assert least in too_few(algorithm, n)
