"""Compares a new program with the one that a model has, on the dev examples; ends early where it shows no promise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from strop.errors import RunStopped
from strop.evaluation import Evaluation, Row
from strop.sessions.attempt import SessionAttempt, at_once
from strop.sessions.config import TrainingPhase
from strop.sessions.contestant import Contestant
from strop.stats import mcnemar, paired_test

if TYPE_CHECKING:
    import dspy

SCREEN_LEAST, SCREEN_SHARE = 12, 8
LUCK = 0.35
"""One-sided p above which a lead is no reason to spend most of a measurement on it."""
T = TypeVar("T")


def screen_size(n_dev: int) -> int:
    """Dev examples on which a candidate must first show promise: an eighth, at least a dozen."""
    return min(n_dev, max(SCREEN_LEAST, n_dev // SCREEN_SHARE))


@dataclass(frozen=True, kw_only=True)
class Race:
    """A candidate's measurement, whole or ended early, beside the incumbent's on the same examples."""

    dev: Evaluation
    before: float
    after: float

    @property
    def whole(self) -> bool:
        return self.dev.complete


def screened(
    attempt: SessionAttempt, one: Contestant, programs: Sequence[dspy.Module], phase: TrainingPhase
) -> list[Evaluation | None]:
    """Each program on the first dev examples, all at once; None for one that the budget did not allow.

    Raises:
        RunStopped: the model was stopped by anything but the budget.
    """
    first = attempt.dev[: screen_size(len(attempt.dev))]
    return _together(one, [partial(attempt.measure, one, program, first, phase) for program in programs])


def halving(
    attempt: SessionAttempt,
    one: Contestant,
    rivals: Sequence[tuple[dspy.Module, Evaluation | None]],
    incumbent: Evaluation,
    phase: TrainingPhase,
) -> list[Race | None]:
    """Rivals for one place, each with its screen: the better half is measured on as many more, the best on all.

    Whoever is behind the incumbent drops out, after the screen also who is not ahead, and before the last and longest
    part who is ahead by luck alone. All see the same examples, so that luck is shared.

    Raises:
        RunStopped: the model was stopped by anything but the budget.
    """
    n, first = len(attempt.dev), screen_size(len(attempt.dev))
    rows: list[tuple[Row, ...]] = [() if begun is None else begun.rows for _, begun in rivals]
    ends = sorted({first, min(2 * first, n), min(4 * first, n), n})
    left, begin = list(range(len(rivals))), first
    for end in ends:
        part = attempt.dev[begin:end]
        jobs = [partial(attempt.measure, one, rivals[index][0], part, phase) for index in left] if part else []
        for index, block in zip(left, _together(one, jobs), strict=False):
            rows[index] += () if block is None else block.rows
        before = mean(incumbent.scores[:end])
        ranked = sorted(
            (index for index in left if len(rows[index]) == end), key=lambda index: (-_mean(rows[index]), index)
        )
        least = before - 1e-12 if end == first else before + 1e-12
        ahead = [index for index in ranked if _mean(rows[index]) >= least]
        if 4 * first <= end < n:
            known = incumbent.scores[:end]
            ahead = [index for index in ahead if gain_p_value(known, _scores(rows[index])) <= LUCK]
        left, begin = sorted(ahead[: (len(ahead) + 1) // 2]), end
        if end == ends[-2:][0]:
            left = ahead[:1]
    return [_race(attempt, incumbent, found) for found in rows]


def _race(attempt: SessionAttempt, incumbent: Evaluation, rows: tuple[Row, ...]) -> Race | None:
    if not rows:
        return None
    dev = Evaluation(rows=rows, metric=attempt.problem.metric, wanted=len(attempt.dev))
    return Race(dev=dev, before=mean(incumbent.scores[: len(rows)]), after=dev.mean)


def _together(one: Contestant, jobs: Sequence[Callable[[], T]]) -> list[T | None]:
    """Do all jobs at once; None for one that the budget did not allow."""
    found: list[T | None] = [None] * len(jobs)
    stops: list[BaseException] = []

    def run(index: int) -> None:
        try:
            found[index] = jobs[index]()
        except BaseException as problem:  # noqa: BLE001 - raised again in the caller's thread
            stops.append(problem)

    at_once([partial(run, index) for index in range(len(jobs))])
    for stop in stops:
        if not isinstance(stop, RunStopped) or stop.cause != "budget_exceeded":
            raise stop
        one.money_ended = stop.detail
    return found


def _scores(rows: Sequence[Row]) -> list[float]:
    return [row.score.value for row in rows]


def _mean(rows: Sequence[Row]) -> float:
    return mean(_scores(rows))


def gain_p_value(before: Sequence[float], after: Sequence[float], *, seed: int = 0) -> float:
    """One-sided p-value for "after is better", of the same examples: exact where scores are 0 or 1."""
    if all(score in (0, 1) for score in (*before, *after)):
        fixed = sum(new > old for old, new in zip(before, after, strict=True))
        broke = sum(new < old for old, new in zip(before, after, strict=True))
        return mcnemar(fixed, broke).improved
    return paired_test([new - old for old, new in zip(before, after, strict=True)], seed=seed).p_value


def mean(scores: Sequence[float]) -> float:
    """Mean; 0 without scores."""
    return sum(scores) / len(scores) if scores else 0.0
