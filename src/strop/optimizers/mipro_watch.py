"""Hears the evaluations of a MIPROv2 search: tells of them, and ends the search when it has stopped getting better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from strop.optimizers.rebind import Overlay
from strop.optimizers.settings import percent
from strop.optimizers.stage import Stage

if TYPE_CHECKING:
    import dspy

    from strop.optimizers.mipro import MIPROv2Settings, Shape


class Watch:
    """Counts trials and full evaluations as DSPy makes them, in the thread that makes them."""

    def __init__(self, stage: Stage, settings: MIPROv2Settings, shape: Shape) -> None:
        self._stage = stage
        self._settings = settings
        self._shape = shape
        self._study: Any = None
        self._since_best = 0
        self.best = -1.0
        self.trials = 0
        self.devset: Any = ()

    def optuna(self) -> Any:
        """Optuna as DSPy sees it; the study it makes is remembered, so that it can be asked to stop."""
        import optuna

        def create_study(**arguments: Any) -> Any:
            self._study = optuna.create_study(**arguments)
            return self._study

        return Overlay(optuna, create_study=create_study)

    def heard(self, program: dspy.Module, score: float, n: int, _metadata: Any) -> None:
        """One evaluation is done."""
        full = n >= self._shape.dev
        first = self.best < 0
        trial = not first and (not full or not self._shape.minibatch)
        if trial:
            self.trials += 1
            self._since_best += 1
            self._stage.note("trial", number=self.trials, of=self._shape.trials, score=percent(score), n=n)
        if not full:
            return
        if score > self.best:
            self.best, self._since_best = score, 0
        self._stage.note("score", number=self.trials, of=self._shape.trials, score=percent(score), n=n)
        origin = "the program as it came" if first else f"after trial {self.trials} of {self._shape.trials}"
        self._stage.found(program, percent(score), n, origin)
        if self._settings.early_stopping and self._since_best >= self._settings.patience and self._study is not None:
            self._stage.note("stopped early", trials=self.trials, patience=self._settings.patience)
            self._study.stop()

    @property
    def certain_trials(self) -> int:
        """Trials that are made whatever the scores: all of them, or those before the search may end early."""
        if not self._settings.early_stopping:
            return self._shape.trials
        return self._settings.minibatch_full_eval_steps if self._shape.minibatch else self._settings.patience
