"""How fast recorded calls are answered again: 3,000 calls, by our ledger and by DSPy's disk cache.

Each replay runs in a process that has never seen the calls, on a copy of what one earlier process recorded. DSPy's
memory cache is off; ours notes every replayed answer in the ledger again.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from side_by_side import Figures, Line, Stopwatch, best, in_fresh_process, main

CALLS, QUICK_CALLS = 3000, 600


def ours(*, calls: int, threads: int, recorded: str, replay: bool) -> Figures:
    import dspy
    import sides

    from strop.programs import running_on

    program = dspy.Predict(sides.SIGNATURE)
    with tempfile.TemporaryDirectory() as directory:
        here = Path(directory) / "recorded"
        if replay:
            shutil.copytree(recorded, here)
        with sides.our_side((here if replay else Path(recorded)) / "strop.db") as side, running_on(side.lm):
            program(question="warm")
            with Stopwatch() as watch:
                sides.ask_all(program, calls, threads)
                side.gateway.ledger.writer.flush()
            [line] = side.gateway.ledger.lines()
        if line.bought != calls + 1 or line.replayed != (calls + 1) * replay:
            raise RuntimeError(f"not what was asked for: {line}")
    return {"wall": watch.wall, "cpu": watch.cpu}


def theirs(*, calls: int, threads: int, recorded: str, replay: bool) -> Figures:
    import dspy
    import sides

    program = dspy.Predict(sides.SIGNATURE)
    with tempfile.TemporaryDirectory() as directory:
        here = Path(directory) / "recorded"
        if replay:
            shutil.copytree(recorded, here)
        lm = sides.dspy_lm(cache_directory=here if replay else Path(recorded), memory=False)
        with sides.dspy_side(lm):
            program(question="warm")
            with Stopwatch() as watch:
                sides.ask_all(program, calls, threads)
    return {"wall": watch.wall, "cpu": watch.cpu}


CASES = {"ours": ours, "theirs": theirs}


def measure(quick: bool) -> Iterator[Line]:
    calls = QUICK_CALLS if quick else CALLS
    with tempfile.TemporaryDirectory() as directory:
        recorded = {side: str(Path(directory) / side) for side in CASES}
        for side, place in recorded.items():
            in_fresh_process("replay", case=side, calls=calls, threads=1, recorded=place, replay=False)
        for threads in (1, 32):
            found = best(
                "replay",
                {
                    side: {"case": side, "calls": calls, "threads": threads, "recorded": place, "replay": True}
                    for side, place in recorded.items()
                },
                repetitions=2 if quick else 5,
            )
            where = "serial" if threads == 1 else f"{threads} threads"
            for figure, unit in (("wall", "wall µs"), ("cpu", "CPU µs")):
                mine, other = found["ours"][figure] / calls * 1e6, found["theirs"][figure] / calls * 1e6
                judged = figure == "wall"
                yield Line(
                    what=f"replay of {calls:,} calls, {where}",
                    unit=f"{unit} a call",
                    ours=mine,
                    theirs=other,
                    target="ratio < 1" if judged else "",
                    met=mine < other if judged else None,
                )


if __name__ == "__main__":
    main(CASES, measure)
