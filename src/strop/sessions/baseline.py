"""Phase 1: every model answers the dev examples with the program as it was given."""

from __future__ import annotations

import time

from strop.programs import build
from strop.sessions.attempt import SessionAttempt
from strop.sessions.config import TrainingPhase
from strop.sessions.contestant import Contestant
from strop.sessions.money import node
from strop.sessions.steady import steadily
from strop.sessions.steps import iteration

PHASE = TrainingPhase.BASELINE


def measure_baselines(attempt: SessionAttempt) -> None:
    """All models at once. The dev examples are told in as many parts as there are baseline iterations."""
    attempt.enter(PHASE)
    attempt.each(attempt.alive, lambda one: _measure(attempt, one))


def _measure(attempt: SessionAttempt, one: Contestant) -> None:
    one.open_account(node(attempt, one), attempt.lease)
    program = steadily(lambda: build(attempt.problem.program))
    began = time.monotonic()
    dev = attempt.measure(one, program, attempt.dev, PHASE)
    seconds = time.monotonic() - began
    one.baseline = one.best = attempt.tried(program, dev, "as it was given")
    one.history.append(one.baseline)
    parts = min(attempt.config.baseline_iterations, len(dev.rows))
    for part in range(parts):
        rows = dev.rows[part::parts]
        share = seconds * len(rows) / len(dev.rows)
        attempt.done(one, iteration(attempt, one, PHASE, program, rows, seconds=share, variant="baseline"))
