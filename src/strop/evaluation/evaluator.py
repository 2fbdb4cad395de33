"""Measures a program on examples: bounded concurrency, one pass, stopped at once, nothing finished is lost."""

from __future__ import annotations

import contextvars
import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from strop.datasets import Example
from strop.errors import RunStopped, StropError
from strop.evaluation.evaluation import Evaluation, Row
from strop.gateway import Lanes, Switch, Tapped, lanes, tap, usd
from strop.metrics import Metric, Score, Usage
from strop.programs import running_on

if TYPE_CHECKING:
    import dspy

GRACE_S = 0.5
"""How long all calls in flight together may still take once the work is stopped."""

Progress = Callable[[int, int, float], None]


@dataclass
class _Work:
    """What the workers of one evaluation share."""

    next_index: Any
    rows: dict[int, Row] = field(default_factory=dict[int, Row])
    total: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


def evaluate(
    program: dspy.Module,
    examples: Sequence[Example],
    metric: Metric,
    lm: dspy.LM,
    *,
    concurrency: int = 16,
    progress: Progress | None = None,
    switch: Switch | None = None,
) -> Evaluation:
    """Run `program` on every example and score each answer.

    `progress(done, wanted, mean_so_far)` is called after each example, from any worker. An example that fails (an
    answer that cannot be parsed, a call without an answer) becomes a row with score 0 and its reason. Once `switch` is
    tripped the evaluation ends within a second, whatever the calls in flight are doing.

    Raises:
        RunStopped: the gateway stopped the run; the finished rows are in `partial_of(error)`.
        MetricError: the metric cannot be applied.
    """
    work = _Work(next_index=itertools.count())

    def worker() -> None:
        while not work.stop.is_set():
            index = next(work.next_index)
            if index >= len(examples):
                return
            try:
                row = answer_and_score(program, examples[index], metric)
                with work.lock:
                    work.rows[index] = row
                    work.total += row.score.value
                    done, mean = len(work.rows), work.total / len(work.rows)
                if progress is not None:
                    progress(done, len(examples), mean)
            except BaseException as error:  # noqa: BLE001 - told to the caller, who raises it
                work.error = work.error or error
                work.stop.set()
                return

    with running_on(lm), lanes(Lanes(concurrency)) as limit:
        crew = [
            threading.Thread(target=contextvars.copy_context().run, args=(worker,), daemon=True, name=f"strop-eval-{i}")
            for i in range(min(limit.workers, len(examples)))
        ]
        try:
            for thread in crew:
                thread.start()
            _await(crew, work, switch)
        except BaseException:
            work.stop.set()
            raise
    with work.lock:
        finished = tuple(work.rows[index] for index in sorted(work.rows))
    evaluation = Evaluation(rows=finished, metric=metric, wanted=len(examples))
    if work.error is not None:
        error = work.error
        if isinstance(error, RunStopped):
            # The switch hands the same one to everybody whom it stops; the rows are of this evaluation alone.
            error = RunStopped(error.cause, error.detail)
        error.__dict__["partial"] = evaluation
        raise error
    return evaluation


def partial_of(error: BaseException) -> Evaluation | None:
    """The rows that were finished when `error` ended an evaluation."""
    partial = error.__dict__.get("partial")
    return partial if isinstance(partial, Evaluation) else None


def answer_and_score(program: dspy.Module, example: Example, metric: Metric) -> Row:
    """Answer one example on the model of this context and score it."""
    error: str | None = None
    answer: Mapping[str, Any] = {}
    with tap() as calls:
        try:
            answer = answer_of(program(**example.inputs))
        except StropError as problem:
            error = problem.message
        except Exception as problem:  # noqa: BLE001 - DSPy's and the program's own errors are this example's outcome
            error = f"{type(problem).__name__}: {problem}".splitlines()[0][:300]
    usage = usage_of(calls)
    if error is not None:
        score = Score(value=0.0, reason=f"no answer: {error}")
    else:
        score = metric.score(inputs=example.inputs, expected=example.labels, answer=answer, usage=usage)
    return Row(
        example_id=example.id,
        inputs=example.inputs,
        expected=example.labels,
        answer=answer,
        score=score,
        error=error,
        calls=len(calls),
        latency_us=sum(one.call.latency_us for one in calls),
        cost_pico=sum(one.call.cost_pico or 0 for one in calls),
        tokens_in=usage.tokens_in,
        tokens_out=usage.tokens_out,
    )


def answer_of(prediction: dspy.Prediction) -> dict[str, Any]:
    """The output fields of a prediction."""
    return dict(prediction.items())


def usage_of(calls: Sequence[Tapped]) -> Usage:
    """What the calls behind one answer took and cost."""
    uses = [one.call.use for one in calls if one.call.use is not None]
    return Usage(
        latency_s=sum(one.call.latency_us for one in calls) / 1e6,
        cost_usd=usd(sum(one.call.cost_pico or 0 for one in calls)),
        tokens_in=sum(use.input for use in uses),
        tokens_out=sum(use.output for use in uses),
    )


def _await(crew: Sequence[threading.Thread], work: _Work, switch: Switch | None) -> None:
    """Wait for the workers; once the work is stopped, calls that hang are left behind (their threads are daemons)."""
    for thread in crew:
        while thread.is_alive() and not work.stop.is_set():
            thread.join(timeout=0.1)
            if switch is not None and switch.stopped is not None:
                work.error = work.error or switch.stopped
                work.stop.set()
    patience = time.monotonic() + GRACE_S
    for thread in crew:
        thread.join(timeout=max(0.0, patience - time.monotonic()))
