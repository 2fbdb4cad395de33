"""How every part measures: each side in a fresh process, the sides taking turns, the best of several repetitions.

A part is a file with `CASES` (name -> function that measures one side and returns figures) and `measure(quick)` (yields
the lines of the table). A fresh process a measurement: one side must not warm, patch or fill the other's caches.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Figures = dict[str, float]
Case = Callable[..., Figures]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the table. `ours` and `theirs` share a unit; `target` bounds `ours`, or their ratio where so said."""

    what: str
    unit: str
    ours: float
    theirs: float | None
    target: str = ""
    met: bool | None = None

    @property
    def ratio(self) -> float | None:
        return None if not self.theirs else self.ours / self.theirs


HEADS = ("What", "Unit", "Strop", "DSPy", "Strop / DSPy", "Target", "Met")


def cells(line: Line) -> tuple[str, ...]:
    met = {None: "", True: "yes", False: "no"}[line.met]
    ratio = "" if line.ratio is None else f"{line.ratio:.2f}"
    theirs = "" if line.theirs is None else shown(line.theirs)
    return line.what, line.unit, shown(line.ours), theirs, ratio, line.target, met


def shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 20 else f"{value:.2f}"


def text_table(lines: Sequence[Line]) -> str:
    rows = [HEADS, *map(cells, lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    padded = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([padded[0], "-" * max(map(len, padded)), *padded[1:]])


def markdown_table(lines: Sequence[Line]) -> str:
    right = " | ".join("---:" if head in HEADS[2:5] else "---" for head in HEADS)
    return "\n".join(
        [f"| {' | '.join(HEADS)} |", f"| {right} |", *(f"| {' | '.join(cells(line))} |" for line in lines)]
    )


def best(part: str, cases: Mapping[str, Mapping[str, Any]], *, repetitions: int) -> dict[str, Figures]:
    """Measure the cases in turns (label -> arguments, the case's name under `case`) and keep each figure's minimum.

    The minimum, because whatever else the machine does only ever adds.
    """
    found: dict[str, Figures] = {}
    for repetition in range(repetitions):
        for label, arguments in cases.items():
            told(f"{part}: {label}, {repetition + 1} of {repetitions}")
            figures = in_fresh_process(part, **arguments)
            known = found.setdefault(label, figures)
            found[label] = {name: min(known[name], value) for name, value in figures.items()}
    return found


def in_fresh_process(part: str, *, case: str, **arguments: Any) -> Figures:
    """The figures of one case, measured by a process of its own."""
    file = Path(__file__).with_name(f"{part}.py")
    command = [sys.executable, str(file), "--case", case, "--arguments", json.dumps(arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


class Stopwatch:
    """Wall and CPU seconds of a block; CPU is that of the whole process, all threads."""

    def __enter__(self) -> Stopwatch:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu


def told(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def main(cases: Mapping[str, Case], measure: Callable[[bool], Iterable[Line]]) -> None:
    """The command line of one part: a case for the parent process, or the part's own table; exit code 1 when a target
    is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, for trying the script out")
    parser.add_argument("--case", choices=cases, help=argparse.SUPPRESS)
    parser.add_argument("--arguments", type=json.loads, default={}, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case is None:
        lines = list(measure(args.quick))
        print(text_table(lines))
        sys.exit(1 if any(line.met is False for line in lines) else 0)
    else:
        print(json.dumps(cases[args.case](**args.arguments)))
