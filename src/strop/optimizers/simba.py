"""SIMBA: rules and examples drawn from where the program's own answers differ most."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

from pydantic import Field

from strop.optimizers.measuring import StageParallel
from strop.optimizers.optimizer import Brief, Candidate
from strop.optimizers.rebind import Overlay, derived, rebound
from strop.optimizers.settings import AlgorithmSettings
from strop.optimizers.stage import QUIET, Stage


class SIMBASettings(AlgorithmSettings):
    """Settings of SIMBA."""

    other_names = {"num_iterations": "max_steps"}  # noqa: RUF012 - ClassVar in the base

    bsize: int = Field(default=32, ge=1, le=10_000)
    """Examples of one step; at most as many as there are training examples."""
    num_candidates: int = Field(default=6, ge=2, le=100)
    """Samples of each example, and new programs of one step."""
    max_steps: int = Field(default=8, ge=1, le=1000)
    """Steps. Also called `num_iterations`."""
    max_demos: int = Field(default=4, ge=0, le=100)
    """Most examples in the prompt; 0 leaves only rules."""
    temperature_for_sampling: float = Field(default=0.2, gt=0)
    """How often worse programs are sampled from."""
    temperature_for_candidates: float = Field(default=0.2, gt=0)
    """How often worse programs are built upon."""


class SIMBA:
    """DSPy's SIMBA. It learns from and selects by the training examples; the dev score is left to whoever reads it."""

    name = "simba"
    title = "SIMBA"
    settings = SIMBASettings

    def search(self, brief: Brief) -> Iterator[Candidate]:
        """Yield the programs that were measured on all training examples, best last."""
        return Stage(brief).results(partial(self._run, brief.settings))

    def calls(self, settings: SIMBASettings, n_train: int, n_dev: int, predictors: int = 1) -> tuple[int, int]:
        """Half of the new programs of a step are expected to need a rule from the prompt model."""
        bsize, new = min(settings.bsize, n_train), settings.num_candidates + 1
        sampled = settings.max_steps * bsize * (settings.num_candidates + new)
        final = n_train * min(new, settings.max_steps + 1)
        rules = settings.max_steps * new
        expected = (sampled + final) * predictors + self.written(settings, n_train, n_dev, predictors)
        return expected, (sampled + final) * predictors + bsize * rules

    def written(self, settings: SIMBASettings, n_train: int, n_dev: int, predictors: int = 1) -> int:  # noqa: ARG002 - the contract's signature
        """A rule for half of the new programs."""
        return math.ceil(settings.max_steps * (settings.num_candidates + 1) / 2)

    def _run(self, settings: SIMBASettings, stage: Stage) -> None:
        import dspy
        from dspy.teleprompt import SIMBA as DspySIMBA  # noqa: N811 - DSPy's spelling
        from dspy.teleprompt import simba_utils

        steps = 0

        class Steps(StageParallel):
            def __call__(self, pairs: Any, **unused: Any) -> list[Any]:
                nonlocal steps
                steps += 1
                step, part = divmod(steps + 1, 2)
                name = "final" if step > settings.max_steps else ("sample" if part == 0 else "measure")
                stage.note("phase", name=name, number=min(step, settings.max_steps), of=settings.max_steps)
                return super().__call__(pairs, **unused)

        names = {
            **QUIET,
            "dspy": Overlay(dspy, Parallel=partial(Steps, stage)),
            "wrap_program": rebound(simba_utils.wrap_program, QUIET),
            "append_a_demo": rebound(simba_utils.append_a_demo, QUIET),
            "append_a_rule": rebound(simba_utils.append_a_rule, QUIET),
        }
        other_teacher = stage.brief.models.teacher.model != stage.brief.models.task.model
        algorithm = derived(DspySIMBA, names)(
            metric=stage.metric,
            prompt_model=stage.prompt,
            # A teacher replaces one of the samples, so it is only given when it is another model.
            teacher_settings=stage.teacher_settings if other_teacher else None,
            num_threads=stage.brief.concurrency,
            **{**settings.model_dump(), "bsize": min(settings.bsize, len(stage.train))},
        )
        program = algorithm.compile(stage.program, trainset=stage.train, seed=stage.brief.seed)
        ranked = program.candidate_programs
        for place, one in reversed(list(enumerate(ranked, 1))):
            stage.note("score", number=place, of=len(ranked), score=float(one["score"]), n=len(stage.train))
            if place > 1:
                stage.found(one["program"], None, 0, f"place {place} on the training examples", **_train(one, stage))
        stage.found(program, None, 0, "best on the training examples", **_train(ranked[0], stage))


def _train(one: Any, stage: Stage) -> dict[str, Any]:
    return {"train_score": float(one["score"]), "train_n": len(stage.train)}
