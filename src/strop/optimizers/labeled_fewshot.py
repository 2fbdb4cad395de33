"""LabeledFewShot: labelled examples as they are; no model is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import ClassVar

from pydantic import Field

from strop.optimizers.optimizer import Brief, Candidate
from strop.optimizers.settings import AlgorithmSettings
from strop.optimizers.stage import Stage


class LabeledFewShotSettings(AlgorithmSettings):
    """Settings of LabeledFewShot."""

    other_names: ClassVar[Mapping[str, str]] = {"num_examples": "k"}

    k: int = Field(default=16, ge=0, le=1000)
    """Most examples in the prompt. Also called `num_examples`."""
    sample: bool = True
    """Draw the examples (DSPy's draw is the same for every seed) instead of taking the first ones."""


class LabeledFewShot:
    """DSPy's LabeledFewShot."""

    name = "labeledfewshot"
    title = "LabeledFewShot"
    settings = LabeledFewShotSettings

    def search(self, brief: Brief) -> Iterator[Candidate]:
        """Yield the one program; it is not scored."""
        return Stage(brief).results(partial(self._run, brief.settings))

    def calls(self, *_: object, **__: object) -> tuple[int, int]:
        """It makes no call."""
        return 0, 0

    def written(self, *_: object, **__: object) -> int:
        """It writes no instructions."""
        return 0

    def _run(self, settings: LabeledFewShotSettings, stage: Stage) -> None:
        from dspy.teleprompt import LabeledFewShot as DspyLabeledFewShot

        program = DspyLabeledFewShot(k=settings.k).compile(stage.program, trainset=stage.train, sample=settings.sample)
        stage.found(program, None, 0, f"{min(settings.k, len(stage.train))} labelled examples")
