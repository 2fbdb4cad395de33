"""The models behind strop.yaml: short forms, closedness, limits, and the journal's way there and back."""

import json

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from pydantic import ValidationError

from strop.errors import SettingsError
from strop.gateway import ModelSettings
from strop.runs.task import AlgorithmSpec, TaskSpec

LEAST = {
    "task": "t",
    "signature": "text -> label",
    "data": "d.jsonl",
    "metric": "accuracy",
    "models": "embedded/small",
}


def spec(**more: object) -> TaskSpec:
    return TaskSpec.model_validate(LEAST | more)


def test_short_forms_mean_the_same_as_the_long_ones() -> None:
    long = spec(
        data={"file": "d.jsonl"},
        models={"task": {"model": "embedded/small"}},
        algorithm={"name": "gepa"},
        gate={"policy": "manual"},
    )
    assert spec(algorithm="gepa", gate="manual") == long


def test_a_newcomer_gets_a_budget_a_time_limit_and_bounded_concurrency() -> None:
    plain = spec()
    assert (plain.budget_usd, plain.timeout_s, plain.concurrency, plain.algorithm.name) == (1.0, 3600.0, 16, "auto")
    assert plain.warm_ahead
    assert plain.gate.policy == "auto"


def test_a_models_entry_is_what_the_gateway_takes() -> None:
    models = spec(models={"task": "openai/gpt-4o-mini", "prompt": {"model": "embedded/large", "latency_ms": 5}}).models
    assert isinstance(models.task, ModelSettings)
    assert models.prompt == models.prompt.model_copy()
    assert models.prompt.latency_ms == 5
    assert models.teacher is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"task": "a b"},
        {"task": "../up"},
        {"task": ""},
        {"signature": "no arrow"},
        {"signature": "-> label"},
        {"signature": "module:"},
        {"strategy": "chain"},
        {"budget_usd": -0.01},
        {"budget_usd": float("inf")},
        {"budget_usd": float("nan")},
        {"budget_usd": "1"},
        {"budget_usd": True},
        {"concurrency": 0},
        {"concurrency": 257},
        {"concurrency": 2.0},
        {"seed": -1},
        {"seed": 2**32},
        {"max_iterations": 0},
        {"timeout_s": 0},
        {"metric": ""},
        {"metric": {}},
        {"metric": 3},
        {"models": {"prompt": "embedded/large"}},
        {"models": "small"},
        {"models": {"task": {"model": "openai/x", "latency_ms": 10}}},
        {"models": {"task": {"model": "openai/x", "temperature": "0.5"}}},
        {"models": {"task": {"model": "openai/x", "api_key": "x"}}},
        {"data": {}},
        {"data": {"file": "a", "train": "b"}},
        {"data": {"file": "a", "test": "b"}},
        {"data": {"train": "a"}},
        {"data": {"dev": "a", "test": "b"}},
        {"data": {"file": "a", "split": {"train": 0.5, "dev": 0.3, "test": 0.3}}},
        {"data": {"file": "a", "split": {"train": 1.0, "dev": 0.0, "test": 0.0}}},
        {"algorithm": {"num_candidates": 3}},
        {"algorithm": 3},
        {"constraints": {"min_accuracy": 1.5}},
        {"constraints": {"max_latency": 5}},
        {"gate": "never"},
        {"gate": {"min_gain": 2}},
        {"tools": ["a:b"]},
        {"tools": ["os.system"], "strategy": "react"},
        {"fields": {"text": 3}},
        {"warm_ahead": "yes"},
        {"budget": 3},
    ],
)
def test_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        spec(**wrong)


@pytest.mark.parametrize(
    "right",
    [
        {"budget_usd": 0},
        {"budget_usd": None},
        {"timeout_s": None},
        {"concurrency": 256},
        {"signature": "pkg.mod:Class"},
        {"signature": "text -> label: Literal['a', 'b']"},
        {"signature": "a, b ->\n  c: int"},
        {"tools": ["pkg.mod:look"], "strategy": "react"},
        {"data": {"train": "a", "test": "b"}},
        {"data": {"train": "a", "dev": "b", "test": "c", "id": "i", "group": "g"}},
        {"metric": {"parts": [{"metric": "f1", "weight": 2}]}},
        {"metric": "my_module:score"},
    ],
)
def test_accepted(right: dict[str, object]) -> None:
    spec(**right)


def test_an_algorithms_settings_are_kept_as_they_are() -> None:
    algorithm = spec(algorithm={"name": "miprov2", "num_candidates": 6, "settings": {"deep": [1, None, "x"]}}).algorithm
    assert algorithm.settings == {"num_candidates": 6, "settings": {"deep": [1, None, "x"]}}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@effort(deadline=None, max_examples=60)
@given(
    settings=st.dictionaries(st.text(min_size=1, max_size=8).filter(lambda key: key != "name"), JSON, max_size=4),
    budget=st.none() | st.floats(0, 1e6),
    fields=st.dictionaries(st.text(max_size=5), st.text(min_size=1, max_size=5), max_size=3),
    metric=st.text(min_size=1) | st.dictionaries(st.text(max_size=5), JSON, min_size=1, max_size=3),
)
def test_the_journal_gives_back_the_same_task(settings, budget, fields, metric) -> None:
    task = spec(algorithm={"name": "x", **settings}, budget_usd=budget, fields=fields, metric=metric)
    for stored in (task.model_dump(mode="json"), task.model_dump(mode="json", exclude_unset=True)):
        again = TaskSpec.model_validate(json.loads(json.dumps(stored)))
        assert again == task
        assert again.algorithm.settings == settings


def test_changed_is_checked_and_keeps_the_rest() -> None:
    task = spec(seed=7, algorithm={"name": "gepa", "k": 1})
    other = task.changed(budget_usd=0.5, models="embedded/large")
    assert (other.seed, other.algorithm, other.budget_usd) == (
        7,
        AlgorithmSpec.model_validate({"name": "gepa", "k": 1}),
        0.5,
    )
    assert other.models.task.model == "embedded/large"
    assert task.budget_usd == 1.0
    with pytest.raises(SettingsError, match="concurrency"):
        task.changed(concurrency=0)


def test_a_task_cannot_be_altered() -> None:
    with pytest.raises(ValidationError):
        spec().seed = 3  # type: ignore[misc]
