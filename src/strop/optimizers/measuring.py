"""DSPy's `Evaluate` and `Parallel`, on the crew of the search: bounded, one pass, no second call for a slow one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from strop.optimizers.bridge import measured
from strop.optimizers.copies import same_prompts
from strop.optimizers.crew import Task
from strop.optimizers.stage import Stage

if TYPE_CHECKING:
    import dspy

Listener = Callable[["dspy.Module", float, int, Any], None]
_log = logging.getLogger("strop.optimizers.evaluate")
_log.addHandler(logging.NullHandler())


class StageEvaluate:
    """Measures as DSPy does: an example that fails scores `failure_score`; the mean is a percentage with two decimals.

    `heard(program, score, n, metadata)` is told each result. An evaluation that was warmed is not made again.
    """

    def __init__(
        self,
        stage: Stage,
        heard: Listener | None = None,
        *,
        devset: Sequence[dspy.Example],
        metric: Callable[..., Any] | None = None,
        failure_score: float = 0.0,
        **_unused: Any,
    ) -> None:
        self._stage = stage
        self._heard = heard
        self._devset = devset
        self._metric = metric
        self._failure_score = failure_score

    def __call__(
        self,
        program: dspy.Module,
        metric: Callable[..., Any] | None = None,
        devset: Sequence[dspy.Example] | None = None,
        callback_metadata: Mapping[str, Any] | None = None,
        **_unused: Any,
    ) -> Any:
        import dspy
        from dspy.evaluate.evaluate import EvaluationResult

        devset = self._devset if devset is None else devset
        if not devset:
            raise ValueError("there is no example to evaluate on")
        metric = metric or self._metric
        assert metric is not None
        prepared = self._stage.prepared
        key = same_prompts(program) if prepared else b""
        tasks: list[Task] = []
        for example in devset:
            task = prepared.pop((key, id(example)), None) if prepared else None
            if task is None or task.state in {"failed", "dropped"}:
                task = self._stage.crew.submit(partial(answered, program, example, metric))
            tasks.append(task)
        self._stage.crew.wait(tasks)
        results: list[Any] = []
        for example, task in zip(devset, tasks, strict=True):
            if task.error is not None:
                _log.debug("an example failed: %s", task.error)
            prediction, score = (dspy.Prediction(), self._failure_score) if task.error is not None else task.result
            results.append((example, prediction, score))
        total = sum(score for *_, score in results)
        percent = round(100 * total / len(devset), 2)
        if self._heard is not None:
            self._heard(program, float(percent), len(devset), callback_metadata)
        return EvaluationResult(score=percent, results=results)


class StageParallel:
    """`dspy.Parallel` for pairs of a function and its argument; what fails is None."""

    def __init__(self, stage: Stage, **_unused: Any) -> None:
        self._stage = stage

    def __call__(self, pairs: Sequence[tuple[Callable[[Any], Any], Any]], **_unused: Any) -> list[Any]:
        def job(function: Callable[[Any], Any], item: Any) -> Any:
            with measured():
                return function(item)

        tasks = self._stage.crew.run([partial(job, function, item) for function, item in pairs])
        return [task.result for task in tasks]


def answered(program: dspy.Module, example: dspy.Example, metric: Callable[..., Any]) -> tuple[Any, Any]:
    """One example answered and scored."""
    with measured():
        prediction = program(**example.inputs())
        return prediction, metric(example, prediction)


def warm(stage: Stage, program: dspy.Module, devset: Sequence[dspy.Example], *, rank: int) -> None:
    """Begin the evaluation of `program` now; `StageEvaluate` picks it up when the algorithm asks for it.

    Only for evaluations that are certain to be asked for. `program` must not change afterwards.
    """
    key = same_prompts(program)
    for example in devset:
        if (key, id(example)) not in stage.prepared:
            job = partial(answered, program, example, stage.metric)
            stage.prepared[key, id(example)] = stage.ahead(job, rank=rank)
