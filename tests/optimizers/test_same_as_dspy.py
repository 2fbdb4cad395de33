"""Every algorithm ends with the program that DSPy's own class ends with, with warming on and off."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dspy
import pytest

from strop.programs import ProgramSpec, build, dump, running_on
from tests.optimizers.search_world import SPEC, TWO_STEPS, Oracle, World, dataset

Compile = Callable[[World, Any, list[Any], list[Any]], Any]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    level = logging.getLogger("dspy").level
    logging.getLogger("dspy").setLevel(logging.CRITICAL)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
    logging.getLogger("dspy").setLevel(level)


def metric(example: Any, pred: Any, trace: Any = None) -> Any:
    right = pred.colour == example.colour
    return float(right) if trace is None else right


def feedback(gold: Any, pred: Any, trace: Any = None, name: Any = None, pred_trace: Any = None) -> Any:
    right = pred.colour == gold.colour
    words = "right" if right else "wrong colour."
    return dspy.Prediction(score=float(right), feedback=f"{words} Expected: colour = {gold.colour!r}.")


def plain_labelled(world: World, lm: Any, train: list[Any], dev: list[Any]) -> Any:
    return dspy.LabeledFewShot(k=5).compile(build(world.spec), trainset=train)


def plain_bootstrap(world: World, lm: Any, train: list[Any], dev: list[Any]) -> Any:
    algorithm = dspy.BootstrapFewShot(metric=metric, max_bootstrapped_demos=3, max_labeled_demos=6, max_rounds=2)
    return algorithm.compile(build(world.spec), trainset=train)


def plain_search(world: World, lm: Any, train: list[Any], dev: list[Any]) -> Any:
    algorithm = dspy.BootstrapFewShotWithRandomSearch(metric=metric, num_candidate_programs=3, num_threads=4)
    return algorithm.compile(build(world.spec), trainset=train, valset=dev)


def plain_copro(world: World, lm: Any, train: list[Any], dev: list[Any]) -> Any:
    algorithm = dspy.COPRO(prompt_model=lm, metric=metric, breadth=3, depth=2)
    return algorithm.compile(build(world.spec), trainset=dev, eval_kwargs={"num_threads": 4})


def plain_mipro(world: World, lm: Any, train: list[Any], dev: list[Any]) -> Any:
    algorithm = dspy.MIPROv2(
        metric=metric, prompt_model=lm, task_model=lm, auto=None, num_candidates=4, num_threads=4, seed=world.seed
    )
    return algorithm.compile(
        build(world.spec), trainset=train, valset=dev, num_trials=9, minibatch_size=6, minibatch_full_eval_steps=3
    )


def plain_mipro_light(world: World, lm: Any, train: list[Any], dev: list[Any]) -> Any:
    algorithm = dspy.MIPROv2(metric=metric, prompt_model=lm, task_model=lm, num_threads=4, seed=world.seed)
    return algorithm.compile(build(world.spec), trainset=train, valset=dev)


def plain_mipro_instructions(world: World, lm: Any, train: list[Any], dev: list[Any]) -> Any:
    algorithm = dspy.MIPROv2(
        metric=metric, prompt_model=lm, task_model=lm, auto=None, num_candidates=3, num_threads=4, seed=world.seed,
        max_bootstrapped_demos=0, max_labeled_demos=0,
    )  # fmt: skip
    return algorithm.compile(build(world.spec), trainset=train, valset=dev, num_trials=4, minibatch_size=8)


def plain_gepa(world: World, lm: Any, train: list[Any], dev: list[Any]) -> Any:
    algorithm = dspy.GEPA(
        metric=feedback, max_metric_calls=120, reflection_lm=lm, reflection_minibatch_size=8, use_merge=False,
        num_threads=4, seed=world.seed,
    )  # fmt: skip
    return algorithm.compile(build(world.spec), trainset=train, valset=dev)


def plain_simba(world: World, lm: Any, train: list[Any], dev: list[Any]) -> Any:
    algorithm = dspy.SIMBA(metric=metric, bsize=6, num_candidates=3, max_steps=2, prompt_model=lm, num_threads=4)
    return algorithm.compile(build(world.spec), trainset=train, seed=world.seed)


CASES: dict[str, tuple[str, Mapping[str, Any], Compile]] = {
    "labeledfewshot": ("labeledfewshot", {"k": 5}, plain_labelled),
    "bootstrapfewshot": (
        "bootstrapfewshot",
        {"max_bootstrapped_demos": 3, "max_labeled_demos": 6, "max_rounds": 2},
        plain_bootstrap,
    ),
    "randomsearch": ("randomsearch", {"num_candidate_programs": 3}, plain_search),
    "copro": ("copro", {"breadth": 3, "depth": 2}, plain_copro),
    "mipro": (
        "miprov2",
        {"num_candidates": 4, "num_trials": 9, "minibatch_size": 6, "minibatch_full_eval_steps": 3},
        plain_mipro,
    ),
    "mipro light": ("miprov2", {}, plain_mipro_light),
    "mipro instructions": (
        "miprov2",
        {
            "num_candidates": 3,
            "num_trials": 4,
            "minibatch_size": 8,
            "max_bootstrapped_demos": 0,
            "max_labeled_demos": 0,
        },
        plain_mipro_instructions,
    ),
    "gepa": ("gepa", {"max_metric_calls": 120}, plain_gepa),
    "simba": ("simba", {"bsize": 6, "num_candidates": 3, "max_steps": 2}, plain_simba),
}


def own(compile: Compile, spec: ProgramSpec, **world_of: Any) -> tuple[dict[str, Any], World]:
    """What DSPy's class makes of the same world, with DSPy's own evaluator and threads."""
    with World(spec=spec, **world_of) as world:
        lm = world.lm()
        train, dev = (
            [_example(row) for row in dataset(*part)] for part in (("train", world.train), ("dev", world.dev))
        )
        with running_on(lm):
            return dump(compile(world, lm, train, dev)), world


def _example(row: Any) -> Any:
    return dspy.Example(**row.inputs, **row.labels).with_inputs(*row.inputs)


@pytest.mark.parametrize(
    ("case", "spec"),
    [(case, SPEC) for case in CASES] + [(case, TWO_STEPS) for case in ("bootstrapfewshot", "copro", "mipro", "gepa")],
    ids=lambda one: one if isinstance(one, str) else ("two steps" if one.factory else "one step"),
)
def test_the_final_program_is_dspys_own(case: str, spec: ProgramSpec) -> None:
    algorithm, settings, compile = CASES[case]
    expected, plain = own(compile, spec)
    for warm in (False, True):
        with World(spec=spec) as world:
            final = world.search(algorithm, settings, warm=warm)[-1]
            assert dump(final.program) == expected, f"warm={warm}"
            unused = sum(note["unused"] for note in world.noted("warmed"))
            assert plain.oracle.calls <= world.oracle.calls <= plain.oracle.calls + unused, f"warm={warm}"
            assert warm or world.oracle.calls == plain.oracle.calls
            assert unused <= world.concurrency


def test_mipros_seed_of_zero_is_zero() -> None:
    def compile(world: World, lm: Any, train: list[Any], dev: list[Any]) -> Any:
        return plain_mipro(world, lm, train, dev)

    algorithm, settings, _ = CASES["mipro"]
    expected, _ = own(compile, SPEC, seed=0)
    with World(seed=0) as world:
        assert dump(world.search(algorithm, settings)[-1].program) == expected


def test_examples_that_fail_are_scored_as_dspy_scores_them() -> None:
    """Some requests are refused by the provider; with DSPy's evaluator and with ours they are wrong answers."""
    from strop.errors import CallFailed
    from strop.gateway import FunctionProvider

    def picky(oracle: Oracle) -> FunctionProvider:
        def answer(request: Any, rollout: int | None, index: int) -> Any:
            if "dev text number 1" in str(request):
                raise CallFailed("sim/x", "bad_request", "no")
            return oracle(request, rollout, index)

        return FunctionProvider(answer)

    def compile(world: World, lm: Any, train: list[Any], dev: list[Any]) -> Any:
        world.gateway.offer("sim/x", picky(world.oracle))
        lm = world.lm()
        with running_on(lm):
            algorithm = dspy.BootstrapFewShotWithRandomSearch(
                metric=metric, num_candidate_programs=3, num_threads=4, max_errors=10_000
            )
            found = algorithm.compile(build(world.spec), trainset=train, valset=dev)
        scores.append([one["score"] / 100 for one in sorted(found.candidate_programs, key=lambda one: one["seed"])])
        return found

    scores: list[list[float]] = []
    expected, _ = own(compile, SPEC)
    with World() as world:
        world.gateway.offer("sim/x", picky(world.oracle))
        found = world.search("randomsearch", {"num_candidate_programs": 3})
    assert dump(found[-1].program) == expected
    assert [one.score for one in found[:-1]] == pytest.approx(scores[0])


def test_infer_rules_keeps_the_rules_that_scored_best() -> None:
    """DSPy returns the rules of its last candidate under the score of its best one; the candidates are the same."""
    seen: list[tuple[float, str]] = []

    class Watched(dspy.InferRules):
        def evaluate_program(self, program: Any, dataset: Any) -> Any:
            score = super().evaluate_program(program, dataset)
            seen.append((score / 100, program.predictors()[0].signature.instructions))
            return score

    def compile(world: World, lm: Any, train: list[Any], dev: list[Any]) -> Any:
        return Watched(metric=metric, num_candidates=4, num_threads=4).compile(
            build(world.spec), trainset=train, valset=dev
        )

    returned, plain = own(compile, SPEC)
    assert returned["signature"]["instructions"] == seen[-1][1]
    for warm in (False, True):
        with World() as world:
            brief_program = build(world.spec)
            found = world.search("inferrules", {"num_candidates": 4}, warm=warm)
            texts = [one.program.predictors()[0].signature.instructions for one in found]
            assert list(zip([one.score for one in found[:-1]], texts[:-1], strict=True)) == seen
            best = max(seen, key=lambda pair: pair[0])
            assert (found[-1].score, texts[-1]) == best
            assert dump(brief_program) == dump(build(world.spec))
            unused = sum(note["unused"] for note in world.noted("warmed"))
            assert plain.oracle.calls <= world.oracle.calls <= plain.oracle.calls + unused
