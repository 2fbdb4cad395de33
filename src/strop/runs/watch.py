"""Watches a run from the side: deadlines, a cancel request, a lost lease. It only ever trips switches."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

from strop.errors import StropError
from strop.gateway import Switch
from strop.runs.journal import Journal
from strop.store import Lease

TICK_S = 0.1
ASK_S = 1.0


class Watch:
    """`whole` ends the run, `search` ends the search alone and leaves time and money for the verdict."""

    def __init__(self, journal: Journal, run_id: str, lease: Lease, *, timeout_s: float | None) -> None:
        self.whole = Switch()
        self.search = Switch()
        self._journal = journal
        self._run_id = run_id
        self._lease = lease
        self._started = time.monotonic()
        self._deadline = None if timeout_s is None else self._started + timeout_s
        self._search_deadline = self._deadline
        self._timeout_s = timeout_s

    @property
    def elapsed_s(self) -> float:
        """Seconds since this attempt began."""
        return time.monotonic() - self._started

    def leave_time(self, seconds: float) -> None:
        """End the search so early that `seconds` are left for the verdict; at least half the time is the search's."""
        if self._deadline is not None and self._timeout_s is not None:
            self._search_deadline = self._deadline - min(seconds, self._timeout_s / 2)

    def cancel(self, detail: str) -> None:
        """Stop everything now."""
        self.whole.trip("cancelled", detail)
        self.search.trip("cancelled", detail)

    @contextmanager
    def watching(self) -> Generator[None]:
        """Watch from a thread while the block runs."""
        done = threading.Event()
        thread = threading.Thread(target=self._run, args=(done,), name="strop-watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(timeout=5)

    def _run(self, done: threading.Event) -> None:
        asked = time.monotonic()
        while not done.wait(TICK_S):
            now = time.monotonic()
            if self._lease.lost.is_set():
                for switch in (self.whole, self.search):
                    switch.trip("fenced", "another process owns this run now")
            if self._deadline is not None and now >= self._deadline:
                for switch in (self.whole, self.search):
                    switch.trip("timeout", f"the run took {self._timeout_s:g} s")
            if self._search_deadline is not None and now >= self._search_deadline:
                self.search.trip("timeout", "the search was ended to leave time for the verdict")
            if now - asked >= ASK_S:
                asked = now
                self._heed_cancel()

    def _heed_cancel(self) -> None:
        try:
            if self._journal.get(self._run_id).cancel_requested:
                self.cancel("cancelled by `strop runs cancel`")
        except StropError:
            return
