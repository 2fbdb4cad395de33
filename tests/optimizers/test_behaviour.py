"""What single settings do."""

from __future__ import annotations

from typing import Any

import pytest

from strop.metrics import Score
from strop.optimizers.diversity import chosen_by_value, mean_likeness
from strop.optimizers.selecting import likeness, spread_order, words
from strop.programs import ProgramSpec
from tests.optimizers.search_world import ColourMetric, Oracle, World, chance, colour_of, dataset

SHORT = {"num_candidates": 5, "num_trials": 4, "minibatch": False}


def written(world: World, settings: dict[str, Any]) -> list[str]:
    """Instructions that a MIPROv2 search of full evaluations tried."""
    found = world.search("miprov2", settings)
    return sorted({one.program.predictors()[0].signature.instructions for one in found})


def test_likeness_is_the_jaccard_index() -> None:
    assert likeness(words("a b c"), words("b c d")) == pytest.approx(2 / 4)
    assert likeness(words("Same words."), words("words, same")) == 1
    assert mean_likeness(["a b", "a b", "c d"]) == pytest.approx(1 / 3)


def test_a_diversity_penalty_lowers_the_mean_likeness() -> None:
    own = ["name the colour of this text now", "name the colour of this text well", "name the colour of this text"]
    extra = ["think of paint first", "which of three hues fits best", "name the colour of the text"]
    original = "Name the colour of the text."
    before = mean_likeness([original, *own])
    means = []
    for penalty in (0.0, 0.02, 0.1, 1.0):
        kept = chosen_by_value(original, own, extra, penalty)
        assert len(kept) == len(own)
        means.append(mean_likeness([original, *kept]))
    assert means[0] == before
    assert means == sorted(means, reverse=True)
    assert means[2] < before - 0.2


def test_the_penalty_is_at_work_in_a_search_and_zero_is_dspys_own_behaviour() -> None:
    class Writer(Oracle):
        """Half of its instructions repeat one sentence."""

        def _value(self, name: str, text: str, rollout: int | None, index: int) -> Any:
            value = super()._value(name, text, rollout, index)
            if name == "proposed_instruction":
                number = int(chance(text, rollout) * 1000)
                return "Say the colour of the given text." if number % 2 else f"w{number} x{number} y{number} z{number}"
            return value

    def tried(penalty: float) -> list[str]:
        with World(oracle=Writer(), seed=11, dev=4, train=8) as world:
            settings = {"num_candidates": 6, "num_trials": 10, "minibatch": False, "diversity_penalty": penalty}
            return written(world, settings)

    assert mean_likeness(tried(0.5)) < mean_likeness(tried(0.0))


def test_patience_ends_a_search_that_does_not_get_better() -> None:
    with World(oracle=Oracle(skill=1.1)) as world:
        found = world.search(
            "miprov2",
            {"num_candidates": 3, "num_trials": 30, "minibatch": False, "early_stopping": True, "patience": 4},
        )
        (note,) = world.noted("stopped early")
        assert note["trials"] == 4
        assert len(world.noted("trial")) == 4
        assert found[-1].score == 1.0
        assert found[-1].origin == "best of the trials"


def test_with_minibatches_patience_ends_the_search_only_after_a_full_evaluation() -> None:
    with World(oracle=Oracle(skill=1.1)) as world:
        settings = {
            "num_candidates": 3, "num_trials": 30, "minibatch_size": 5, "minibatch_full_eval_steps": 4,
            "early_stopping": True, "patience": 2,
        }  # fmt: skip
        found = world.search("miprov2", settings)
        assert world.noted("stopped early")[0]["trials"] % 4 in {0, 1}
        assert len(world.noted("trial")) <= 9
        assert found[-1].n == world.dev


def test_without_early_stopping_all_trials_are_made() -> None:
    with World(oracle=Oracle(skill=1.1)) as world:
        world.search("miprov2", {"num_candidates": 3, "num_trials": 12, "minibatch": False})
        assert len(world.noted("trial")) == 12


def test_spread_order_takes_what_is_unlike_the_rest_first() -> None:
    texts = ["red car", "red car fast", "blue sea", "red cars", "green tree leaf"]
    assert spread_order(texts, 3)[:3] == [0, 2, 3] or spread_order(texts, 3)[:3] == [0, 2, 4]
    assert sorted(spread_order(texts, 2)) == [0, 1, 2, 3, 4]


def test_strategies_pick_different_and_predicted_examples() -> None:
    picked: dict[str | None, list[str]] = {}
    for strategy in (None, "diverse", "hard", "random"):
        with World(oracle=Oracle(skill=0.6), train=30) as world:
            settings = {"max_bootstrapped_demos": 3, "max_labeled_demos": 3, "selection_strategy": strategy}
            (found,) = world.search("bootstrapfewshot", settings)
            picked[strategy] = [demo["text"] for demo in found.program.predictors()[0].demos]
            assert len(picked[strategy]) == 3
    assert len({tuple(texts) for texts in picked.values()}) >= 3
    with World(oracle=Oracle(skill=0.6), train=30) as world:
        brief = world.brief("bootstrapfewshot", {})
        from strop.evaluation import evaluate

        failed = [
            row.inputs["text"]
            for row in evaluate(brief.program, list(brief.train), brief.metric, brief.models.task).rows
            if row.score.value == 0
        ]
    assert picked["hard"][0] in failed


def test_reasoning_can_be_left_out_of_the_examples() -> None:
    spec = ProgramSpec(signature="text -> colour", strategy="cot")
    for keep in (True, False):
        with World(spec=spec) as world:
            settings = {"max_bootstrapped_demos": 2, "max_labeled_demos": 2, "include_reasoning": keep}
            (found,) = world.search("bootstrapfewshot", settings)
            demos = [demo for demo in found.program.predictors()[0].demos if "augmented" in demo]
            assert demos
            assert all(("reasoning" in demo) is keep for demo in demos)


def test_gepa_says_that_it_is_no_genetic_algorithm() -> None:
    with World() as world:
        world.search("gepa", {"population_size": 4, "num_generations": 10})
        (note,) = world.noted("mapped")
        assert note["max_metric_calls"] == 40
        assert "no genetic algorithm" in note["text"]


def test_gepa_reflects_on_the_reason_and_the_expected_values() -> None:
    with World() as world:
        world.search("gepa", {"max_metric_calls": 80})
        reflections = [text for text in world.oracle.seen if "wrong colour. Expected: colour = '" in text]
        assert reflections


def test_candidates_are_scored_on_all_dev_examples_and_the_best_comes_last() -> None:
    for algorithm, settings in (("randomsearch", {"num_candidate_programs": 3}), ("copro", {"breadth": 3, "depth": 2})):
        with World() as world:
            found = world.search(algorithm, settings)
            assert {one.n for one in found} == {world.dev}
            assert found[-1].score == max(one.score or 0 for one in found)
            scores = [one.score for one in found]
            assert all(score is not None and 0 <= score <= 1 for score in scores)


def test_a_score_is_what_our_own_evaluator_measures() -> None:
    from strop.evaluation import evaluate

    with World() as world:
        for one in world.search("randomsearch", {"num_candidate_programs": 2}):
            measured = evaluate(one.program, list(dataset("dev", world.dev)), world.metric, world.lm())
            assert one.score == pytest.approx(measured.mean, abs=5e-5)


def test_the_callers_program_is_never_changed() -> None:
    from strop.programs import dump

    for algorithm, settings in (("inferrules", {"num_candidates": 2}), ("copro", {"breadth": 2, "depth": 1})):
        with World() as world:
            brief = world.brief(algorithm, settings)
            before = dump(brief.program)
            from strop.optimizers import find

            found = list(find(algorithm).search(brief))
            assert dump(brief.program) == before
            assert found[-1].program is not brief.program
            signatures = [one.program.predictors()[0].signature for one in found]
            assert len({id(one) for one in signatures}) == len(found)


def test_metrics_see_what_the_answer_took() -> None:
    seen: list[Any] = []

    class Watching(ColourMetric):
        def score(self, *, usage: Any, **given: Any) -> Score:
            seen.append(usage)
            return super().score(usage=usage, **given)

    with World(metric=Watching()) as world:
        world.search("randomsearch", {"num_candidate_programs": 1})
    assert seen
    assert all(usage is not None and usage.tokens_in == 100 for usage in seen)


def test_a_program_with_demos_of_its_own_keeps_them() -> None:
    import dspy

    from strop.optimizers import find

    with World() as world:
        brief = world.brief("copro", {"breadth": 2, "depth": 1})
        demo = dspy.Example(text="demo text", colour=colour_of("demo text"))
        brief.program.predictors()[0].demos = [demo]
        found = list(find("copro").search(brief))
        assert [dict(one) for one in found[-1].program.predictors()[0].demos] == [dict(demo)]
