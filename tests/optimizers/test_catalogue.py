"""Names, aliases and settings."""

from __future__ import annotations

from typing import Any

import pytest

from strop.errors import SettingsError
from strop.optimizers import find, names, settings_of
from strop.optimizers.mipro import AUTO


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MIPROv2", "miprov2"), ("mipro", "miprov2"), ("MIPRO_V2", "miprov2"),
        ("BootstrapFewShot", "bootstrapfewshot"), ("bootstrap", "bootstrapfewshot"),
        ("bootstrap_random_search", "bootstrap_random_search"), ("RandomSearch", "bootstrap_random_search"),
        ("BootstrapFewShotWithRandomSearch", "bootstrap_random_search"),
        ("LabeledFewShot", "labeledfewshot"), ("COPRO", "copro"), ("Gepa", "gepa"), ("SIMBA", "simba"),
        ("InferRules", "inferrules"), ("infer_rules", "inferrules"),
    ],
)  # fmt: skip
def test_aliases(name: str, meant: str) -> None:
    assert find(name).name == meant


def test_every_algorithm_is_found_by_its_own_name() -> None:
    assert len(names()) == 8
    assert [find(name).name for name in names()] == list(names())
    assert [find(find(name).title).name for name in names()] == list(names())


@pytest.mark.parametrize(
    ("wrong", "near"), [("miprov3", "miprov2"), ("gepaa", "gepa"), ("bootstrp", "bootstrapfewshot")]
)
def test_an_unknown_name_is_answered_with_the_nearest(wrong: str, near: str) -> None:
    with pytest.raises(SettingsError, match=wrong) as error:
        find(wrong)
    assert f"did you mean {near!r}" in str(error.value.hint)


@pytest.mark.parametrize(
    ("algorithm", "key", "near"),
    [("miprov2", "num_candidate", "num_candidates"), ("gepa", "max_metric_cals", "max_metric_calls"),
     ("bootstrapfewshot", "bootstrap_round", "bootstrap_rounds")],
)  # fmt: skip
def test_an_unknown_key_is_named_with_the_nearest(algorithm: str, key: str, near: str) -> None:
    with pytest.raises(SettingsError, match=f"has no setting '{key}'") as error:
        settings_of(algorithm, {key: 3})
    assert f"did you mean {near!r}" in str(error.value.hint)


@pytest.mark.parametrize(
    ("algorithm", "given", "said"),
    [
        ("miprov2", {"num_trials": 0}, "num_trials = 0"),
        ("miprov2", {"num_trials": 5, "num_iterations": 6}, "two names of one setting"),
        ("miprov2", {"auto": "light", "num_trials": 5}, "exclude each other"),
        ("gepa", {"auto": "light", "max_metric_calls": 5}, "a budget of its own"),
        ("bootstrap", {"selection_strategy": "best"}, "selection_strategy = 'best'"),
        ("copro", {"breadth": 1}, "breadth = 1"),
    ],
)
def test_values_that_cannot_be_used_are_named(algorithm: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        settings_of(algorithm, given)


def test_the_guides_keys_for_miprov2() -> None:
    given = {
        "num_candidates": 20, "num_iterations": 10, "temperature": 0.7, "diversity_penalty": 0.1,
        "early_stopping": True, "patience": 3,
    }  # fmt: skip
    read = settings_of("miprov2", given)
    assert (read.auto, read.num_candidates, read.num_trials, read.init_temperature) == (None, 20, 10, 0.7)
    assert (read.diversity_penalty, read.early_stopping, read.patience) == (0.1, True, 3)


def test_the_guides_keys_for_bootstrapfewshot() -> None:
    given = {"num_examples": 5, "bootstrap_rounds": 3, "selection_strategy": "diverse", "max_bootstrapped": 50}
    read = settings_of("bootstrapfewshot", given)
    assert (read.max_labeled_demos, read.max_rounds, read.max_bootstrapped_demos) == (5, 3, 50)
    assert read.demos == 5
    assert settings_of("bootstrapfewshot", {"num_examples": 5, "include_reasoning": True}).include_reasoning
    assert settings_of("bootstrapfewshot").demos == 4


def test_the_guides_keys_for_gepa_set_its_budget() -> None:
    given = {
        "population_size": 30, "num_generations": 15, "mutation_rate": 0.2, "crossover_rate": 0.7,
        "elite_size": 5, "tournament_size": 3,
    }  # fmt: skip
    read = settings_of("gepa", given)
    assert (read.auto, read.max_metric_calls) == (None, 450)
    assert read.genetic == given
    assert settings_of("gepa").genetic == {}
    assert settings_of("gepa").reflection_minibatch_size == 8


def test_defaults_are_dspys_own() -> None:
    import inspect

    import dspy
    from dspy.teleprompt import mipro_optimizer_v2

    classes: dict[str, Any] = {
        "labeledfewshot": dspy.LabeledFewShot, "bootstrapfewshot": dspy.BootstrapFewShot, "miprov2": dspy.MIPROv2,
        "bootstrap_random_search": dspy.BootstrapFewShotWithRandomSearch, "copro": dspy.COPRO, "simba": dspy.SIMBA,
        "inferrules": dspy.InferRules,
    }  # fmt: skip
    for name, cls in classes.items():
        read = settings_of(name)
        theirs = {**inspect.signature(cls.compile).parameters, **inspect.signature(cls.__init__).parameters}
        for key in type(read).model_fields:
            if key in theirs and key not in {"metric_threshold", "num_candidates"}:
                assert getattr(read, key) == theirs[key].default, (name, key)
    assert settings_of("simba").num_candidates == 6
    assert settings_of("inferrules").num_candidates == 10
    table = mipro_optimizer_v2.AUTO_RUN_SETTINGS
    assert {key: (row["n"], row["val_size"]) for key, row in table.items()} == AUTO


def test_every_setting_is_explained() -> None:
    for name in names():
        for key, field in find(name).settings.model_fields.items():
            assert field.description, (name, key)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        settings_of("copro").breadth = 3
