"""Our examples and metrics as DSPy wants them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from strop.datasets import Dataset
from strop.errors import MetricError
from strop.evaluation import answer_of, usage_of
from strop.gateway import Tapped, tap
from strop.metrics import Metric, Score

if TYPE_CHECKING:
    import dspy

_calls: ContextVar[list[Tapped] | None] = ContextVar("strop_search_calls", default=None)


def dspy_examples(data: Dataset) -> list[dspy.Example]:
    """The rows as DSPy examples: inputs and labels and nothing else, for what an example holds may reach a prompt."""
    import dspy

    return [dspy.Example(**row.inputs, **row.labels).with_inputs(*row.inputs) for row in data]


@contextmanager
def measured() -> Generator[list[Tapped]]:
    """Inside the block a metric sees the cost and the latency of the calls made in it."""
    with tap() as calls:
        token = _calls.set(calls)
        try:
            yield calls
        finally:
            _calls.reset(token)


class ScoreMetric:
    """Our metric as DSPy's function: a float; with a trace (when bootstrapping), whether the answer is good enough."""

    def __init__(
        self, metric: Metric, *, threshold: float = 1.0, broken: Callable[[MetricError], BaseException]
    ) -> None:
        self._metric = metric
        self._threshold = threshold
        self._broken = broken

    def __call__(self, example: dspy.Example, pred: dspy.Prediction | None, trace: Any = None) -> float | bool:
        if pred is None:
            return 0.0
        value = self.score(example, pred).value
        return value if trace is None else value >= self._threshold

    def score(self, example: dspy.Example, pred: dspy.Prediction) -> Score:
        """Score one answer. A metric that cannot be applied ends the search; DSPy would call it a wrong answer."""
        calls = _calls.get()
        try:
            return self._metric.score(
                inputs=_plain(example.inputs()),
                expected=_plain(example.labels()),
                answer=answer_of(pred),
                usage=None if calls is None else usage_of(calls),
            )
        except MetricError as error:
            raise self._broken(error) from error


class FeedbackMetric(ScoreMetric):
    """The form that GEPA asks for: the score with words that a reflecting model can use."""

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride] # GEPA calls with five arguments
        self,
        gold: Any,
        pred: Any,
        trace: Any = None,  # noqa: ARG002 - GEPA asks for it
        pred_name: str | None = None,  # noqa: ARG002 - the same
        pred_trace: Any = None,  # noqa: ARG002 - the same
    ) -> Any:
        import dspy

        if pred is None:
            return dspy.Prediction(score=0.0, feedback="There was no answer.")
        score = self.score(gold, pred)
        expected = ", ".join(f"{name} = {value!r}" for name, value in _plain(gold.labels()).items())
        return dspy.Prediction(score=score.value, feedback=f"{score.reason} Expected: {expected}.")


def _plain(part: Any) -> Mapping[str, Any]:
    return dict(part.items())
