from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strop.datasets import advise, requirement
from strop.errors import DataError


def chosen(train: int, dev: int, kind: str = "categorical", calls: int | None = None, prompt_model: bool = True) -> Any:
    cost = None if calls is None else 0.001
    budget = None if calls is None else calls * 0.001
    return advise(train, dev, labels_kind=kind, budget_usd=budget, cost_per_call_usd=cost, prompt_model=prompt_model)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("given_", "algorithm"),
    [
        ((2, 0), "labeledfewshot"),
        ((5, 4), "bootstrapfewshot"),
        ((5, 4, "categorical", 10), "labeledfewshot"),
        ((6, 4), "bootstrap_random_search"),
        ((28, 21), "bootstrap_random_search"),
        ((28, 22), "miprov2"),
        ((28, 22, "categorical", 600), "miprov2"),
        ((28, 22, "categorical", 599), "bootstrap_random_search"),
        ((28, 22, "categorical", 60), "bootstrapfewshot"),
        ((28, 22, "categorical", 5), "labeledfewshot"),
        ((317, 239, "categorical", 700), "miprov2"),
        ((28, 22, "text"), "gepa"),
        ((28, 22, "text", 100), "bootstrapfewshot"),
        ((28, 22, "text", None, False), "miprov2"),
        ((15, 0), "bootstrapfewshot"),
        ((28, 22, "number", 0), "labeledfewshot"),
    ],
)
def test_choice(given_: tuple[Any, ...], algorithm: str) -> None:
    assert chosen(*given_).algorithm == algorithm


def test_why_is_one_sentence_with_the_numbers() -> None:
    why = chosen(28, 22, "categorical", 1250).why
    assert "50 examples" in why
    assert "1,250 calls" in why
    assert why.endswith(".")
    assert why.count(". ") == 0


def test_free_calls_are_no_limit() -> None:
    advice = advise(28, 22, labels_kind="categorical", budget_usd=0, cost_per_call_usd=0, prompt_model=False)
    assert advice.algorithm == "miprov2"
    with pytest.raises(DataError):
        chosen(0, 5)


@settings(deadline=None)
@given(
    st.integers(1, 400), st.integers(0, 400), st.sampled_from(["categorical", "number", "text"]),
    st.none() | st.integers(0, 9000), st.booleans(),
)  # fmt: skip
def test_what_is_advised_has_enough_rows_and_fits_the_calls(
    train: int, dev: int, kind: str, calls: int | None, prompt_model: bool
) -> None:
    advice = chosen(train, dev, kind, calls, prompt_model)
    need = requirement(advice.algorithm)
    assert need is not None
    assert (train if need.counts == "train" else train + dev) >= need.minimum
    if calls is not None and advice.algorithm == "bootstrap_random_search":
        assert (advice.settings["num_candidate_programs"] + 3) * dev <= calls
    if calls is not None and advice.algorithm == "gepa":
        assert advice.settings["max_metric_calls"] <= calls
