"""How near to ideal an evaluation runs: 2,000 examples on a model that takes 50 ms, 32 and 64 in flight.

Ideal is the latency of all calls divided by the calls in flight. DSPy's evaluator runs on a plain model and records
nothing; ours runs through the gateway: every call looked up, priced, budgeted and recorded in a database file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from side_by_side import Figures, Line, Stopwatch, best, main

LATENCY_S = 0.05
EXAMPLES, QUICK_EXAMPLES = 2000, 500
TARGETS = {32: 1.10, 64: 1.30}


def ours(*, examples: int, threads: int) -> Figures:
    import dspy
    import sides

    from strop.datasets import Example
    from strop.evaluation import evaluate
    from strop.metrics import build

    metric = build("accuracy")
    rows = [
        Example(id=f"e{number}", inputs={"question": f"question {number}"}, labels={"answer": "hello"})
        for number in range(examples)
    ]
    warm = [Example(id="w", inputs={"question": "warm"}, labels={"answer": "hello"})]
    program = dspy.Predict(sides.SIGNATURE)
    with (
        tempfile.TemporaryDirectory() as directory,
        sides.our_side(Path(directory) / "strop.db", latency_s=LATENCY_S) as side,
    ):
        evaluate(program, warm, metric, side.lm, concurrency=1)
        with Stopwatch() as watch:
            found = evaluate(program, rows, metric, side.lm, concurrency=threads)
            side.gateway.ledger.writer.flush()
        [line] = side.gateway.ledger.lines()
        if found.mean != 1.0 or line.bought != examples + 1 or line.failed:
            raise RuntimeError(f"not what was asked for: {found.mean} {line}")
    return {"wall": watch.wall, "cpu": watch.cpu}


def theirs(*, examples: int, threads: int) -> Figures:
    import dspy
    import sides

    def metric(example: Any, prediction: Any, trace: Any = None) -> float:  # noqa: ARG001 - DSPy's protocol
        return float(example.answer == prediction.answer)

    rows = [
        dspy.Example(question=f"question {number}", answer="hello").with_inputs("question")
        for number in range(examples)
    ]
    program = dspy.Predict(sides.SIGNATURE)
    with sides.dspy_side(sides.dspy_lm(latency_s=LATENCY_S)):
        dspy.Evaluate(devset=rows[:1], metric=metric, num_threads=1)(program)
        evaluator = dspy.Evaluate(devset=rows, metric=metric, num_threads=threads)
        with Stopwatch() as watch:
            found = evaluator(program)
        if found.score != 100:
            raise RuntimeError(f"not what was asked for: {found.score}")
    return {"wall": watch.wall, "cpu": watch.cpu}


CASES = {"ours": ours, "theirs": theirs}


def measure(quick: bool) -> Iterator[Line]:
    examples = QUICK_EXAMPLES if quick else EXAMPLES
    for threads, target in TARGETS.items():
        arguments = {"examples": examples, "threads": threads}
        found = best(
            "evaluation",
            {
                f"ours at {threads}": {"case": "ours", **arguments},
                f"DSPy at {threads}": {"case": "theirs", **arguments},
            },
            repetitions=2 if quick else 5,
        )
        mine, other = found[f"ours at {threads}"], found[f"DSPy at {threads}"]
        ideal = examples * LATENCY_S / threads
        what = f"evaluation of {examples:,} at 50 ms, {threads} in flight"
        yield Line(
            what=what,
            unit="wall / ideal",
            ours=mine["wall"] / ideal,
            theirs=other["wall"] / ideal,
            target=f"Strop ≤ {target:.2f}",
            met=mine["wall"] / ideal <= target,
        )
        yield Line(
            what=what,
            unit="CPU µs an example",
            ours=mine["cpu"] / examples * 1e6,
            theirs=other["cpu"] / examples * 1e6,
        )


if __name__ == "__main__":
    main(CASES, measure)
