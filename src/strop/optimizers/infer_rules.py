"""InferRules: bootstrapped examples, and rules in words that a model finds in the training examples."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field

from strop.optimizers.bootstrap_fewshot import bootstrap_calls, bootstrap_class, told
from strop.optimizers.copies import rebuilt
from strop.optimizers.crew import Task
from strop.optimizers.measuring import StageEvaluate, warm
from strop.optimizers.optimizer import Brief, Candidate
from strop.optimizers.rebind import derived
from strop.optimizers.settings import AlgorithmSettings, percent
from strop.optimizers.stage import MAX_ERRORS, QUIET, Stage

if TYPE_CHECKING:
    import dspy


class InferRulesSettings(AlgorithmSettings):
    """Settings of InferRules."""

    num_candidates: int = Field(default=10, ge=1, le=1000)
    """Sets of rules tried."""
    num_rules: int = Field(default=10, ge=1, le=100)
    """Rules in a set."""
    max_bootstrapped_demos: int = Field(default=4, ge=0, le=1000)
    """Most examples made from the teacher's own good answers."""
    max_labeled_demos: int = Field(default=16, ge=0, le=1000)
    """Most examples in the prompt."""
    max_rounds: int = Field(default=1, ge=1, le=50)
    """Attempts at each training example."""
    metric_threshold: float = Field(default=1.0, ge=0, le=1)
    """Score from which an answer is good enough to become an example."""


class InferRules:
    """DSPy's InferRules, but keeping the program that scored best.

    DSPy writes each set of rules into one signature class that all its candidates share, so what it returns carries the
    rules of the last set, whichever set scored best. Here each candidate keeps its own.
    """

    name = "inferrules"
    title = "InferRules"
    settings = InferRulesSettings

    def search(self, brief: Brief) -> Iterator[Candidate]:
        """Yield each set of rules with its dev score, and at last the best again."""
        settings: InferRulesSettings = brief.settings
        return Stage(brief, threshold=settings.metric_threshold).results(partial(self._run, settings))

    def calls(self, settings: InferRulesSettings, n_train: int, n_dev: int, predictors: int = 1) -> tuple[int, int]:
        """One bootstrap loop, one call a predictor and set, all dev examples a set."""
        loop = bootstrap_calls(n_train, settings.max_bootstrapped_demos, settings.max_rounds, predictors)
        rest = settings.num_candidates * (predictors + n_dev * predictors)
        return loop[0] + rest, loop[1] + rest + settings.num_candidates * predictors * (n_train - 1)

    def written(self, settings: InferRulesSettings, n_train: int, n_dev: int, predictors: int = 1) -> int:  # noqa: ARG002 - the contract's signature
        """The rules of every predictor and set."""
        return settings.num_candidates * predictors

    def _run(self, settings: InferRulesSettings, stage: Stage) -> None:
        algorithm = _algorithm(settings, stage)
        stage.note("phase", name="bootstrap demos", examples=len(stage.train))
        algorithm.compile(stage.program, trainset=list(stage.train), valset=stage.dev)
        told(stage)
        score, program = algorithm.best
        stage.found(program, percent(score), len(stage.dev), "best rules")


def _algorithm(settings: InferRulesSettings, stage: Stage) -> Any:
    from dspy.teleprompt import InferRules as DspyInferRules

    def heard(program: dspy.Module, score: float, n: int, _metadata: Any) -> None:
        made.tried += 1
        stage.note("score", number=made.tried, of=settings.num_candidates, score=percent(score), n=n)
        stage.found(program, percent(score), n, f"rules {made.tried} of {settings.num_candidates}")
        if score > made.best[0]:
            made.best = (score, rebuilt(stage.brief.spec, program))

    rules: Any = derived(DspyInferRules, {**QUIET, "Evaluate": partial(StageEvaluate, stage, heard)})

    class StageInferRules(rules, bootstrap_class(stage)):
        tried = 0
        best: tuple[float, Any] = (-1.0, None)
        begun = False

        def induce_natural_language_rules(self, predictor: Any, trainset: Any) -> Any:
            if not self.begun:
                self.begun = True
                stage.note("phase", name="infer rules", sets=settings.num_candidates)
                if stage.looks_ahead:
                    _look_ahead(self, stage, trainset)
            return super().induce_natural_language_rules(predictor, trainset)

    made = StageInferRules(
        num_candidates=settings.num_candidates,
        num_rules=settings.num_rules,
        num_threads=stage.brief.concurrency,
        teacher_settings=stage.teacher_settings,
        metric=stage.metric,
        max_bootstrapped_demos=settings.max_bootstrapped_demos,
        max_labeled_demos=settings.max_labeled_demos,
        max_rounds=settings.max_rounds,
        max_errors=MAX_ERRORS,
    )
    made.rules_induction_program.teacher_settings = {"lm": stage.prompt}
    return made


def _look_ahead(algorithm: Any, stage: Stage, trainset: Any) -> None:
    """Ask for all sets of rules at once, and measure each set as soon as it is there."""
    program = rebuilt(stage.brief.spec, algorithm.student)
    predictors = program.predictors()
    rng = random.Random(0)
    for number in range(algorithm.num_candidates):
        found: list[str | None] = [None] * len(predictors)

        def then(task: Task, index: int, found: list[str | None] = found, number: int = number) -> None:
            found[index] = task.result if task.state == "done" else None
            if all(text is not None for text in found):
                one = rebuilt(stage.brief.spec, program)
                for predictor, text in zip(one.predictors(), found, strict=True):
                    algorithm.update_program_instructions(predictor, text)
                warm(stage, one, stage.dev, rank=number)

        for index, predictor in enumerate(predictors):
            demos = algorithm.get_predictor_demos(trainset, predictor)
            text = algorithm.format_examples(demos, predictor.signature)
            rules = algorithm.rules_induction_program.deepcopy()
            rules.teacher_settings = algorithm.rules_induction_program.teacher_settings
            rules.rng = _Draw(rng.randint(0, 10**9))
            stage.ahead(partial(rules, text), rank=number, then=partial(then, index=index))


class _Draw:
    """The one number that a shadow of the rules program is to draw."""

    def __init__(self, value: int) -> None:
        self._value = value

    def randint(self, _low: int, _high: int) -> int:
        return self._value
