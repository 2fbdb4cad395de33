"""Phase 4: the sealed examples are opened, for every model's best program and for the one it began with."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence

from strop.datasets import Example
from strop.errors import RunStopped
from strop.evaluation import Evaluation, Row, partial_of
from strop.sessions.attempt import SessionAttempt, at_once
from strop.sessions.config import TrainingPhase
from strop.sessions.contestant import Contestant, Tried
from strop.sessions.events import BenchmarkProgress
from strop.sessions.money import affordable, node
from strop.sessions.result import SealedScores
from strop.sessions.steps import iteration, sealed

PHASE = TrainingPhase.BENCHMARK


class Progress:
    """Counts the answers of all models; told every tenth and at the end, where completed is total."""

    def __init__(self, attempt: SessionAttempt, total: int) -> None:
        self._attempt = attempt
        self._total = total
        self._lock = threading.Lock()
        self._done = 0

    def add(self, n: int = 1) -> None:
        """So many more were answered."""
        with self._lock:
            self._done += n
            done = self._done
            if done % 10 == 0 or done >= self._total:
                self._attempt.tell(BenchmarkProgress(completed=min(done, self._total), total=self._total))


def benchmark(attempt: SessionAttempt) -> None:
    """All models at once, each on the same examples: as many as were asked for, or as the budget still allows."""
    attempt.enter(PHASE)
    wanted = min(attempt.config.benchmark_samples, len(attempt.problem.split.test))
    n = affordable(attempt, wanted)
    if n < wanted:
        attempt.over_budget(f"what is left buys {n} of {wanted} sealed examples for every model")
    examples = attempt.problem.split.test.examples[:n]
    models = [one for one in attempt.alive if one.best is not None]
    programs = sum(1 if one.best is one.baseline else 2 for one in models)
    progress = Progress(attempt, programs * n)
    attempt.each(models if n else (), lambda one: _measure(attempt, one, examples, progress))


def _measure(attempt: SessionAttempt, one: Contestant, examples: Sequence[Example], progress: Progress) -> None:
    """Best first: when money or time end it, the better program is the one worth knowing about. The first program
    follows when so few answers are left that places would stand empty."""
    assert one.baseline is not None
    assert one.best is not None
    first, best = one.baseline, one.best
    one.open_account(node(attempt, one), attempt.lease)
    if best is first:
        one.test_before = one.test_after = _sealed(attempt, one, best, examples, progress.add, best=True)
        return
    turn, problems = threading.Event(), list[BaseException]()
    last = len(examples) - attempt.config.max_concurrency // max(1, len(attempt.alive))
    answers = itertools.count(1)

    def answered() -> None:
        progress.add()
        if next(answers) >= last:
            turn.set()

    def after() -> None:
        try:
            one.test_after = _sealed(attempt, one, best, examples, answered, best=True)
        except BaseException as problem:  # noqa: BLE001 - raised again in the caller's thread
            problems.append(problem)
        finally:
            turn.set()

    def before() -> None:
        turn.wait()
        if problems:
            return
        try:
            one.test_before = _sealed(attempt, one, first, examples, progress.add, best=False)
        except BaseException as problem:  # noqa: BLE001 - raised again in the caller's thread
            problems.append(problem)

    at_once([after, before])
    for problem in problems:
        raise problem


def _sealed(
    attempt: SessionAttempt,
    one: Contestant,
    tried: Tried,
    examples: Sequence[Example],
    answered: Callable[[], None],
    *,
    best: bool,
) -> SealedScores:
    began = time.monotonic()
    try:
        found = attempt.measure(one, tried.program, examples, PHASE, progress=lambda _done, _wanted, _mean: answered())
    except RunStopped as stop:
        partial = partial_of(stop)
        if partial is not None and partial.rows:
            scores = sealed(attempt, _first(partial, examples), len(examples))
            if best:
                one.test_after = scores
            else:
                one.test_before = scores
        raise
    seconds = time.monotonic() - began
    for row in found.rows if best else ():
        share = seconds / len(found.rows)
        attempt.done(one, iteration(attempt, one, PHASE, tried.program, [row], seconds=share, variant="best"))
    return sealed(attempt, found.rows, len(examples))


def _first(partial: Evaluation, examples: Sequence[Example]) -> list[Row]:
    """The answered examples up to the first gap, so that all models' arrays begin alike."""
    rows = {row.example_id: row for row in partial.rows}
    kept: list[Row] = []
    for example in examples:
        if example.id not in rows:
            break
        kept.append(rows[example.id])
    return kept
