"""Random search: many bootstrapped programs, each measured, the best one kept."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from strop.optimizers.bootstrap_fewshot import bootstrap_calls, bootstrap_class, bootstrap_key, told
from strop.optimizers.measuring import StageEvaluate, warm
from strop.optimizers.optimizer import Brief, Candidate
from strop.optimizers.rebind import derived
from strop.optimizers.settings import AlgorithmSettings, percent
from strop.optimizers.stage import MAX_ERRORS, QUIET, Stage

if TYPE_CHECKING:
    import dspy


class RandomSearchSettings(AlgorithmSettings):
    """Settings of BootstrapFewShotWithRandomSearch."""

    other_names: ClassVar[Mapping[str, str]] = {
        "num_candidates": "num_candidate_programs",
        "num_examples": "max_labeled_demos",
        "bootstrap_rounds": "max_rounds",
        "max_bootstrapped": "max_bootstrapped_demos",
    }

    max_bootstrapped_demos: int = Field(default=4, ge=1, le=1000)
    """Most examples made from the teacher's own good answers."""
    max_labeled_demos: int = Field(default=16, ge=0, le=1000)
    """Most examples in the prompt."""
    max_rounds: int = Field(default=1, ge=1, le=50)
    """Attempts at each training example."""
    num_candidate_programs: int = Field(default=16, ge=0, le=1000)
    """Programs with shuffled examples, beside the plain one, the labelled one and the unshuffled one."""
    stop_at_score: float | None = Field(default=None, ge=0, le=1)
    """Dev score with which the search is content."""
    metric_threshold: float = Field(default=1.0, ge=0, le=1)
    """Score from which an answer is good enough to become an example."""


class RandomSearch:
    """DSPy's BootstrapFewShotWithRandomSearch."""

    name = "bootstrap_random_search"
    title = "BootstrapFewShotWithRandomSearch"
    settings = RandomSearchSettings

    def search(self, brief: Brief) -> Iterator[Candidate]:
        """Yield each program with its dev score, and at last the best again."""
        settings: RandomSearchSettings = brief.settings
        return Stage(brief, threshold=settings.metric_threshold).results(partial(self._run, settings))

    def calls(self, settings: RandomSearchSettings, n_train: int, n_dev: int, predictors: int = 1) -> tuple[int, int]:
        """Every program is measured on all dev examples; all but two are bootstrapped first."""
        sizes = [settings.max_bootstrapped_demos, *(size for _, size in _draws([], settings))]
        loops = [bootstrap_calls(n_train, size, settings.max_rounds, predictors) for size in sizes]
        measured = (settings.num_candidate_programs + 3) * n_dev * predictors
        return measured + sum(expected for expected, _ in loops), measured + sum(worst for _, worst in loops)

    def written(self, *_: object, **__: object) -> int:
        """It writes no instructions."""
        return 0

    def _run(self, settings: RandomSearchSettings, stage: Stage) -> None:
        from dspy.teleprompt import BootstrapFewShotWithRandomSearch

        total = settings.num_candidate_programs + 3
        seen: list[float] = []

        def heard(program: dspy.Module, score: float, n: int, _metadata: Any) -> None:
            seen.append(score)
            stage.note("score", number=len(seen), of=total, score=percent(score), n=n)
            stage.found(program, percent(score), n, f"candidate {len(seen)} of {total}")

        bootstrap = bootstrap_class(stage)
        names = {**QUIET, "BootstrapFewShot": bootstrap, "Evaluate": partial(StageEvaluate, stage, heard)}
        stop = None if settings.stop_at_score is None else 100 * settings.stop_at_score
        common: dict[str, Any] = {
            "metric": stage.metric,
            "teacher_settings": stage.teacher_settings,
            "max_labeled_demos": settings.max_labeled_demos,
            "max_rounds": settings.max_rounds,
            "max_errors": MAX_ERRORS,
        }
        algorithm = derived(BootstrapFewShotWithRandomSearch, names)(
            **common,
            max_bootstrapped_demos=settings.max_bootstrapped_demos,
            num_candidate_programs=settings.num_candidate_programs,
            num_threads=stage.brief.concurrency,
            stop_at_score=stop,
        )
        if stage.looks_ahead and stop is None:
            _warm(stage, settings, bootstrap, common)
        stage.note("phase", name="search", candidates=total)
        program = algorithm.compile(stage.program, trainset=stage.train, valset=stage.dev)
        told(stage)
        stage.found(program, percent(max(seen)), len(stage.dev), "best of random search")


def _draws(train: list[Any], settings: RandomSearchSettings) -> Iterator[tuple[list[Any], int]]:
    """The shuffled training sets and sizes that DSPy draws, one for each seed from 0."""
    for seed in range(settings.num_candidate_programs):
        copy = list(train)
        random.Random(seed).shuffle(copy)
        yield copy, random.Random(seed).randint(1, settings.max_bootstrapped_demos)


def _warm(stage: Stage, settings: RandomSearchSettings, bootstrap: type[Any], common: dict[str, Any]) -> None:
    """Begin all candidates at once: none depends on another."""
    from dspy.teleprompt import LabeledFewShot

    warm(stage, stage.program.reset_copy(), stage.dev, rank=0)
    labelled = LabeledFewShot(k=settings.max_labeled_demos).compile(stage.program, trainset=list(stage.train))
    warm(stage, labelled, stage.dev, rank=1)
    plans = [(list(stage.train), settings.max_bootstrapped_demos), *_draws(stage.train, settings)]
    for number, (train, size) in enumerate(plans):
        algorithm = bootstrap(**common, max_bootstrapped_demos=size)

        def compiled(algorithm: Any = algorithm, train: list[Any] = train, rank: int = number + 2) -> dspy.Module:
            program = algorithm.compile_now(stage.program, train)
            warm(stage, program, stage.dev, rank=rank)
            return program

        stage.prepared[bootstrap_key(size, train)] = stage.shadow(f"candidate-{number}", compiled)
