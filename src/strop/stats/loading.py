"""Loads SciPy's distributions, which takes about a second, while something else is waited for."""

from __future__ import annotations

import importlib
import sys
import threading

DISTRIBUTIONS = "scipy.stats"


def load_ahead() -> None:
    """Begin to load what the tests need, in a thread; whoever needs it sooner waits for it as for any import."""
    if DISTRIBUTIONS not in sys.modules:
        threading.Thread(target=importlib.import_module, args=(DISTRIBUTIONS,), name="strop-stats", daemon=True).start()
