"""Phase 1: every model answers the dev examples with the program as it was given."""

from __future__ import annotations

import time

from strop.errors import RunFailed
from strop.evaluation import Evaluation
from strop.programs import build
from strop.sessions.attempt import SessionAttempt
from strop.sessions.config import TrainingPhase
from strop.sessions.contestant import Contestant
from strop.sessions.money import node
from strop.sessions.steady import steadily
from strop.sessions.steps import iteration

PHASE = TrainingPhase.BASELINE
TOO_LONG = "ContextWindowExceededError: "
"""How the error of an example begins whose prompt is too long for the model."""


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
    _fits(one, dev)
    one.baseline = one.best = attempt.tried(program, dev, "as it was given")
    one.history.append(one.baseline)
    parts = min(attempt.config.baseline_iterations, len(dev.rows))
    for part in range(parts):
        rows = dev.rows[part::parts]
        share = seconds * len(rows) / len(dev.rows)
        attempt.done(one, iteration(attempt, one, PHASE, program, rows, seconds=share, variant="baseline"))


def _fits(one: Contestant, dev: Evaluation) -> None:
    """Raises RunFailed when not one prompt fits the model's context window: there is nothing to begin with."""
    errors = [row.error or "" for row in dev.rows]
    if errors and all(TOO_LONG in error for error in errors):
        raise RunFailed(
            f"no prompt of the baseline fits the context window of {one.settings.model} "
            f"({errors[0].rpartition(TOO_LONG)[2]}): give a shorter prompt, or take a model with a larger window"
        )
