"""Works around a fault of CPython 3.11 (gh-106905, seen in 3.11.7): parsing in several threads may fail for no reason.

DSPy parses a signature's text whenever a program is built. A session builds programs for all its models at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from strop.errors import ProgramError

FAULT = "recursion depth mismatch"
TRIES = 10
T = TypeVar("T")


def steadily(job: Callable[[], T]) -> T:
    """Do a job that builds programs, again when only that fault stopped it; its recorded calls are free.

    Raises:
        ProgramError: the program cannot be built, for a reason of its own.
    """
    for _ in range(TRIES - 1):
        try:
            return job()
        except ProgramError as error:
            if FAULT not in error.message:
                raise
    return job()
