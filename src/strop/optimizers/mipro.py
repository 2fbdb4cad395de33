"""MIPROv2: demo sets and instructions are proposed, and a Bayesian search finds the best pair of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from strop.optimizers.bootstrap_fewshot import bootstrap_calls, told
from strop.optimizers.mipro_stage import mipro_class
from strop.optimizers.mipro_watch import Watch
from strop.optimizers.optimizer import Brief, Candidate
from strop.optimizers.settings import AlgorithmSettings, percent
from strop.optimizers.stage import MAX_ERRORS, Stage

if TYPE_CHECKING:
    import dspy

AUTO = {"light": (6, 100), "medium": (12, 300), "heavy": (18, 1000)}
"""DSPy's own: candidates, and dev examples at most. A test holds them to DSPy's table."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The numbers of one search."""

    dev: int
    minibatch: bool
    instructions: int
    demo_sets: int
    trials: int

    def full_evaluations(self, steps: int) -> int:
        """With minibatches: of the program as it came, after every few trials, and at the end."""
        return 1 + self.trials // steps + (1 if self.trials % steps else 0)


class MIPROv2Settings(AlgorithmSettings):
    """Settings of MIPROv2. With no setting it is DSPy's own `auto="light"`."""

    other_names = {"num_iterations": "num_trials", "temperature": "init_temperature"}  # noqa: RUF012 - ClassVar in the base

    auto: Literal["light", "medium", "heavy"] | None = "light"
    """How much to try. Excludes `num_candidates` and `num_trials`, and is off when one of them is given."""
    num_candidates: int | None = Field(default=None, ge=2, le=1000)
    """Demo sets and instructions proposed (10 when only `num_trials` is given)."""
    num_trials: int | None = Field(default=None, ge=1, le=10_000)
    """Pairs of them tried. Also called `num_iterations`. Unset: DSPy's formula."""
    max_bootstrapped_demos: int = Field(default=4, ge=0, le=1000)
    """Most examples made from the teacher's own good answers."""
    max_labeled_demos: int = Field(default=4, ge=0, le=1000)
    """Most labelled examples; with both 0 only instructions are searched."""
    init_temperature: float = Field(default=1.0, ge=0, le=2)
    """Sampling temperature of the instructions. Also called `temperature`."""
    minibatch: bool = True
    """Try each pair on a few dev examples, and the best of them on all; DSPy decides itself with `auto`."""
    minibatch_size: int = Field(default=35, ge=1, le=10_000)
    """Dev examples of one trial; with no more than these a trial is a full evaluation."""
    minibatch_full_eval_steps: int = Field(default=5, ge=1, le=1000)
    """Trials between full evaluations."""
    metric_threshold: float = Field(default=1.0, ge=0, le=1)
    """Score from which an answer is good enough to become an example."""
    diversity_penalty: float = Field(default=0.0, ge=0, le=1)
    """How much likeness to the others lowers the value of an instruction. Above 0 twice as many are proposed, and those
    of most value enter the trials; 0 is DSPy's own behaviour."""
    early_stopping: bool = False
    """End when `patience` trials have brought nothing better."""
    patience: int = Field(default=3, ge=1, le=1000)
    """Trials without a better full evaluation after which the search ends. With minibatches it ends only right after a
    full evaluation, so that nothing promising stays unverified."""

    @model_validator(mode="before")
    @classmethod
    def _one_budget(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        counted = [key for key in ("num_candidates", "num_trials") if given.get(key) is not None]
        if counted and given.get("auto") is not None:
            raise ValueError(f"auto and {counted[0]} exclude each other: auto chooses it")
        if counted or ("auto" in given and given["auto"] is None):
            return {**given, "auto": None, "num_candidates": given.get("num_candidates") or 10}
        return given

    @property
    def zeroshot(self) -> bool:
        return self.max_bootstrapped_demos == 0 and self.max_labeled_demos == 0

    def trials(self, predictors: int) -> int:
        """Trials that will be made."""
        if self.num_trials is not None:
            return self.num_trials
        candidates = self.num_candidates if self.auto is None else AUTO[self.auto][0]
        assert candidates is not None
        variables = predictors if self.zeroshot else 2 * predictors
        return int(max(2 * variables * math.log2(candidates), 1.5 * candidates))

    def shape(self, n_dev: int, predictors: int) -> Shape:
        """What the settings come to for so many dev examples."""
        if self.auto is not None:
            candidates, most = AUTO[self.auto]
            n = min(n_dev, most)
            instructions = candidates if self.zeroshot else candidates // 2
            return Shape(
                dev=n,
                minibatch=n > 50,
                instructions=instructions,
                demo_sets=candidates,
                trials=self.trials(predictors),
            )
        assert self.num_candidates is not None
        return Shape(
            dev=n_dev,
            minibatch=self.minibatch and n_dev > self.minibatch_size,
            instructions=self.num_candidates,
            demo_sets=self.num_candidates,
            trials=self.trials(predictors),
        )


class MIPROv2:
    """DSPy's MIPROv2. A seed of 0 is 0 here; DSPy's `compile(seed=0)` means 9."""

    name = "miprov2"
    title = "MIPROv2"
    settings = MIPROv2Settings

    def search(self, brief: Brief) -> Iterator[Candidate]:
        """Yield each fully evaluated program with its dev score, and at last the best again."""
        settings: MIPROv2Settings = brief.settings
        return Stage(brief, threshold=settings.metric_threshold).results(partial(self._run, settings))

    def calls(self, settings: MIPROv2Settings, n_train: int, n_dev: int, predictors: int = 1) -> tuple[int, int]:
        """Demo sets, a summary of the data, three calls an instruction, trials and full evaluations."""
        shape = settings.shape(n_dev or n_train, predictors)
        size = settings.max_bootstrapped_demos or (3 if settings.zeroshot else 0)
        sizes = [size, *[(1 + size) / 2] * max(0, shape.demo_sets - 3)]
        loops = [bootstrap_calls(n_train, math.ceil(one), 1, predictors) for one in sizes]
        proposals = self.written(settings, n_train, n_dev, predictors)
        if shape.minibatch:
            batch = min(settings.minibatch_size, shape.dev)
            measured = shape.trials * batch + shape.full_evaluations(settings.minibatch_full_eval_steps) * shape.dev
        else:
            measured = (shape.trials + 1) * shape.dev
        # Equal pairs of demos and instruction on equal examples are one call: TPE comes back to what was good.
        pairs = shape.instructions * (1 if settings.zeroshot else shape.demo_sets)
        fresh = _distinct(shape, settings, pairs) * predictors
        expected = sum(loop[0] for loop in loops) + proposals + min(fresh, measured * predictors)
        return round(expected), sum(loop[1] for loop in loops) + 2 * proposals + measured * predictors

    def written(self, settings: MIPROv2Settings, n_train: int, n_dev: int, predictors: int = 1) -> int:
        """A summary of the data, and three calls an instruction."""
        summary = 1 + min(9, max(0, math.ceil(n_train / 10) - 1)) + 1
        instructions = settings.shape(n_dev or n_train, predictors).instructions
        return summary + 3 * predictors * instructions * (2 if settings.diversity_penalty else 1)

    def _run(self, settings: MIPROv2Settings, stage: Stage) -> None:
        dev = stage.dev or stage.train
        predictors = len(stage.program.predictors())
        shape = settings.shape(len(dev), predictors)
        watch = Watch(stage, settings, shape)
        algorithm = mipro_class(stage, settings, watch)(
            metric=stage.metric,
            prompt_model=stage.prompt,
            task_model=stage.task,
            teacher_settings=stage.teacher_settings,
            max_bootstrapped_demos=settings.max_bootstrapped_demos,
            max_labeled_demos=settings.max_labeled_demos,
            auto=settings.auto,
            num_candidates=settings.num_candidates,
            num_threads=stage.brief.concurrency,
            max_errors=MAX_ERRORS,
            seed=stage.brief.seed,
            init_temperature=settings.init_temperature,
        )
        program: dspy.Module = algorithm.compile(
            stage.program,
            trainset=stage.train,
            valset=dev,
            num_trials=None if settings.auto else shape.trials,
            minibatch=shape.minibatch,
            minibatch_size=min(settings.minibatch_size, shape.dev),
            minibatch_full_eval_steps=settings.minibatch_full_eval_steps,
        )
        told(stage)
        stage.found(program, percent(watch.best), shape.dev, "best of the trials", trials=watch.trials)


def _distinct(shape: Shape, settings: MIPROv2Settings, pairs: int) -> float:
    """Expected distinct (pair, example) couples: the default on all, then trials spread evenly over the pairs."""
    default = float(shape.dev)
    if not shape.minibatch:
        tried = pairs * (1 - (1 - 1 / pairs) ** shape.trials)
        return round(default + (tried - 1 / pairs) * shape.dev)
    batch = min(settings.minibatch_size, shape.dev) / shape.dev
    fulls = shape.full_evaluations(settings.minibatch_full_eval_steps) - 1
    seen_in_trials = pairs * shape.dev * (1 - (1 - batch / pairs) ** shape.trials)
    in_full = fulls * shape.dev * (1 - batch)
    return round(default + seen_in_trials + in_full)
