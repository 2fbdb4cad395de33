"""Whether memory stays flat: resident size after 10,000, 50,000 and 100,000 evaluated calls, all of them different.

Ours is evaluated a thousand examples at a time, recorded in a database file. DSPy is evaluated the same way with its
cache as it comes (disk and memory), which is its own way to remember a call.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from side_by_side import Figures, Line, best, main

MARKS = (10_000, 50_000, 100_000)
THREADS, AT_A_TIME = 16, 1000
FLAT_MB = 10.0


def resident_mb() -> float:
    """Resident size of this process; Linux only."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def walk(evaluate: Callable[[range], None], marks: Sequence[int]) -> Figures:
    figures: Figures = {}
    for start in range(0, marks[-1], AT_A_TIME):
        evaluate(range(start, start + AT_A_TIME))
        if start + AT_A_TIME in marks:
            figures[str(start + AT_A_TIME)] = resident_mb()
    return figures


def ours(*, marks: Sequence[int]) -> Figures:
    import dspy
    import sides

    from strop.datasets import Example
    from strop.evaluation import evaluate
    from strop.metrics import build

    metric, program = build("accuracy"), dspy.Predict(sides.SIGNATURE)

    def evaluated(numbers: range) -> None:
        rows = [
            Example(id=str(number), inputs={"question": f"question {number}"}, labels={"answer": "hello"})
            for number in numbers
        ]
        evaluate(program, rows, metric, side.lm, concurrency=THREADS)

    with tempfile.TemporaryDirectory() as directory, sides.our_side(Path(directory) / "strop.db") as side:
        return walk(evaluated, marks)


def theirs(*, marks: Sequence[int]) -> Figures:
    import dspy
    import sides

    program = dspy.Predict(sides.SIGNATURE)

    def metric(example: Any, prediction: Any, trace: Any = None) -> float:  # noqa: ARG001 - DSPy's protocol
        return float(example.answer == prediction.answer)

    def evaluated(numbers: range) -> None:
        rows = [
            dspy.Example(question=f"question {number}", answer="hello").with_inputs("question") for number in numbers
        ]
        dspy.Evaluate(devset=rows, metric=metric, num_threads=THREADS)(program)

    with tempfile.TemporaryDirectory() as directory:
        lm = sides.dspy_lm(cache_directory=Path(directory))
        with sides.dspy_side(lm):
            return walk(evaluated, marks)


CASES = {"ours": ours, "theirs": theirs}


def measure(quick: bool) -> Iterator[Line]:
    marks = [mark // 10 for mark in MARKS] if quick else list(MARKS)
    cases = {side: {"case": side, "marks": marks} for side in CASES}
    found = best("memory", cases, repetitions=1)
    for mark in marks:
        yield Line(
            what=f"resident after {mark:,} evaluated calls",
            unit="MB",
            ours=found["ours"][str(mark)],
            theirs=found["theirs"][str(mark)],
        )
    first, last = str(marks[0]), str(marks[-1])
    grown = found["ours"][last] - found["ours"][first]
    yield Line(
        what=f"growth from {marks[0]:,} to {marks[-1]:,}",
        unit="MB",
        ours=grown,
        theirs=found["theirs"][last] - found["theirs"][first],
        target=f"Strop ≤ {FLAT_MB:g} (flat)",
        met=grown <= FLAT_MB,
    )


if __name__ == "__main__":
    main(CASES, measure)
