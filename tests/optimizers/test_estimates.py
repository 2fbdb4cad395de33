"""What a dry run promises: within a third of what a search really calls, and never above the worst case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from strop.optimizers import max_calls_estimate, settings_of
from strop.programs import ProgramSpec
from tests.optimizers.search_world import SPEC, TWO_STEPS, Oracle, World

TOLERANCE = 1 / 3
CASES: list[tuple[str, Mapping[str, Any], ProgramSpec]] = [
    ("labeledfewshot", {}, SPEC),
    ("bootstrapfewshot", {}, SPEC),
    ("bootstrapfewshot", {"selection_strategy": "hard"}, SPEC),
    ("randomsearch", {"num_candidate_programs": 3}, SPEC),
    ("randomsearch", {"num_candidate_programs": 3}, TWO_STEPS),
    ("copro", {"breadth": 4, "depth": 2}, SPEC),
    ("miprov2", {}, SPEC),
    ("miprov2", {"num_candidates": 5, "num_trials": 10, "minibatch_size": 10}, SPEC),
    ("miprov2", {"num_candidates": 5, "num_trials": 6, "minibatch": False, "diversity_penalty": 0.2}, SPEC),
    ("gepa", {"max_metric_calls": 200}, SPEC),
    ("simba", {"bsize": 8, "num_candidates": 3, "max_steps": 3}, SPEC),
    ("inferrules", {"num_candidates": 4}, SPEC),
]


@pytest.mark.parametrize(("algorithm", "given", "spec"), CASES, ids=lambda one: str(one)[:40])
def test_an_estimate_is_near_the_truth(algorithm: str, given: Mapping[str, Any], spec: ProgramSpec) -> None:
    predictors = 2 if spec is TWO_STEPS else 1
    with World(oracle=Oracle(skill=0.5), spec=spec, train=24, dev=18) as world:
        world.search(algorithm, given, warm=False)
        counted = world.oracle.calls
        expected, worst = max_calls_estimate(settings_of(algorithm, given), world.train, world.dev, predictors)
    assert expected * (1 - TOLERANCE) <= counted <= expected * (1 + TOLERANCE) + 2, (expected, counted)
    assert counted <= worst
