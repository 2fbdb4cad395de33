"""What a call costs in CPU: `dspy.Predict` on a model that answers at once, serially and from 32 threads.

Ours is recorded in a database file, priced, and fits two levels of budget; DSPy writes its disk cache, or nothing.
DSPy's history is off, except in the lines called "as it comes".
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from side_by_side import Figures, Line, Stopwatch, best, main

CALLS, QUICK_CALLS = 2000, 400


def ours(*, calls: int, threads: int) -> Figures:
    import dspy
    import sides

    from strop.programs import running_on

    program = dspy.Predict(sides.SIGNATURE)
    with tempfile.TemporaryDirectory() as directory, sides.our_side(Path(directory) / "strop.db") as side:
        with running_on(side.lm):
            program(question="warm")
            with Stopwatch() as watch:
                sides.ask_all(program, calls, threads)
                side.gateway.ledger.writer.flush()
        [line] = side.gateway.ledger.lines()
        if line.bought != calls + 1 or line.failed:
            raise RuntimeError(f"not what was asked for: {line}")
    return {"wall": watch.wall, "cpu": watch.cpu}


def theirs(*, calls: int, threads: int, disk: bool, history: bool) -> Figures:
    import dspy
    import sides

    program = dspy.Predict(sides.SIGNATURE)
    with tempfile.TemporaryDirectory() as directory:
        lm = sides.dspy_lm(cache_directory=Path(directory) if disk else None)
        with sides.dspy_side(lm, history=history):
            program(question="warm")
            with Stopwatch() as watch:
                sides.ask_all(program, calls, threads)
    return {"wall": watch.wall, "cpu": watch.cpu}


CASES = {"ours": ours, "theirs": theirs}


def measure(quick: bool) -> Iterator[Line]:
    calls = QUICK_CALLS if quick else CALLS
    for threads in (1, 32):
        arguments = {"calls": calls, "threads": threads}
        found = best(
            "per_call",
            {
                "ours": {"case": "ours", **arguments},
                "DSPy, bare": {"case": "theirs", "disk": False, "history": False, **arguments},
                "DSPy, disk cache": {"case": "theirs", "disk": True, "history": False, **arguments},
                "DSPy, disk cache, as it comes": {"case": "theirs", "disk": True, "history": True, **arguments},
            },
            repetitions=2 if quick else 5,
        )
        mine = found["ours"]
        where = "serial" if threads == 1 else f"{threads} threads"

        def line(against: str, figure: str, target: float | None = None, *, mine: Figures = mine,
                 found: dict[str, Figures] = found, where: str = where) -> Line:  # fmt: skip
            other = found[against][figure]
            return Line(
                what=f"one call, {where}, against {against}",
                unit="CPU µs" if figure == "cpu" else "wall µs",
                ours=mine[figure] / calls * 1e6,
                theirs=other / calls * 1e6,
                target="" if target is None else f"ratio ≤ {target:g} (hoped: {target / 2:g})",
                met=None if target is None else mine[figure] <= target * other,
            )

        yield line("DSPy, disk cache", "cpu", 1.0)
        yield line("DSPy, disk cache", "wall")
        yield line("DSPy, disk cache, as it comes", "cpu")
        yield line("DSPy, bare", "cpu")


if __name__ == "__main__":
    main(CASES, measure)
