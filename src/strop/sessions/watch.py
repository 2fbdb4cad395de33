"""Watches a session from the side: deadline, a request to stop, a lost lease, hanging calls. It only trips switches."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

from strop.errors import ProviderDown, StropError
from strop.sessions.attempt import SessionAttempt
from strop.sessions.judge_calls import WHO

TICK_S = 0.1
ASK_S = 1.0


@contextmanager
def watching(attempt: SessionAttempt) -> Generator[None]:
    """Watch from a thread while the block runs."""
    done = threading.Event()
    thread = threading.Thread(target=_run, args=(attempt, done), name="strop-session-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(timeout=5)


def _run(attempt: SessionAttempt, done: threading.Event) -> None:
    limit, asked = attempt.config.timeout_s, time.monotonic()
    while not done.wait(TICK_S):
        now = time.monotonic()
        if attempt.lease.lost.is_set():
            attempt.stop("fenced", "another process owns this session now")
        if limit is not None and now - attempt.started >= limit:
            attempt.stop("timeout", f"the session took {limit:g} s")
        _end_hanging(attempt)
        if now - asked >= ASK_S:
            asked = now
            _heed_request(attempt)


def _end_hanging(attempt: SessionAttempt) -> None:
    for name, seconds in attempt.traffic.in_flight.overdue().items():
        if attempt.judge is not None and name == WHO:
            attempt.judge.failed(f"a call has not come back for {seconds:.0f} s")
            continue
        one = next(each for each in attempt.contestants if each.name == name)
        error = ProviderDown(
            one.settings.model, f"a call has not come back for {seconds:.0f} s",
            hint="raise timeout_per_iteration, or look at the provider",
        )  # fmt: skip
        for account in one.accounts:
            account.switch.trip("provider_down", error.message, error=error)
        one.stop("provider_down", error.message)
        attempt.traffic.abandon(name)


def _heed_request(attempt: SessionAttempt) -> None:
    try:
        if attempt.journal.get(attempt.record.id).cancel_requested:
            attempt.stop("cancelled", "stopped by request")
    except StropError:
        return
