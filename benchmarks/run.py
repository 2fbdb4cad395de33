"""Every timing side by side with DSPy, in one table, which it can also write into the documentation.

    python benchmarks/run.py [PART ...] [--quick] [--markdown docs/benchmarks.md]

Exit code 1 when a target is missed. `optimizers`, `imports` and `sessions` print tables of their own; the last two take
minutes, compare with another party or another way of working, and run only when they are named.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import re
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from side_by_side import Line, markdown_table, text_table, told

PARTS = ("door", "per_call", "replay", "evaluation", "memory")
APART = {
    "optimizers": ("Whole searches:", ("--repeat", "3")),
    "imports": ("Imports, beside orjson alone on the same bytes:", ()),
    "sessions": ("Whole sessions:", ()),
}
"""Parts with a table of their own: its heading, and what they are given unless it is quick."""
USUAL = (*PARTS, "optimizers")
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def apart(part: str, quick: bool) -> tuple[str, bool]:
    """What a part prints that has a table of its own, and whether its targets are met."""
    told(part)
    options = ("--quick",) if quick and part != "optimizers" else () if quick else APART[part][1]
    # DSPy's own chatter on standard error stays off the terminal; a failure is shown by its traceback.
    command = [sys.executable, str(Path(__file__).with_name(f"{part}.py")), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and (done.returncode > 1 or "Traceback" in done.stderr):
        raise SystemExit(done.stderr)
    return done.stdout.strip(), done.returncode == 0


def conditions(quick: bool) -> str:
    """What was measured, where and when; a busy machine says so itself."""
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: Strop {version('strop')}, DSPy {version('dspy')}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} CPUs, load average at the start {load}"
        + (", quick (a tenth of the work, two repetitions: a trial of the scripts, not a result)." if quick else ".")
    )


def written(file: Path, where: str, lines: Sequence[Line], tables: Mapping[str, str]) -> None:
    """Put the tables between the file's markers."""
    text = file.read_text("utf-8")
    parts = [BEGIN, "", where, ""]
    if lines:
        parts += [markdown_table(lines), ""]
    for part, table in tables.items():
        parts += [APART[part][0], "", "```text", table, "```", ""]
    found, times = re.subn(f"{BEGIN}.*?{END}", lambda _: "\n".join([*parts, END]), text, count=1, flags=re.DOTALL)
    if not times:
        raise SystemExit(f"{file} has no {BEGIN} ... {END}")
    file.write_text(found, "utf-8")


def main() -> None:
    known = (*PARTS, *APART)
    also = " and ".join(part for part in known if part not in USUAL)
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"default: {', '.join(USUAL)}; also {also}")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, for trying the scripts out")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables between FILE's markers")
    args = parser.parse_args()
    unknown = set(args.parts) - {*known}
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    wanted = args.parts or USUAL
    where = conditions(args.quick)
    lines = [line for part in PARTS if part in wanted for line in importlib.import_module(part).measure(args.quick)]
    found = {part: apart(part, args.quick) for part in APART if part in wanted}
    tables = {part: table for part, (table, _) in found.items()}
    shown = [f"{APART[part][0]}\n\n{table}" for part, table in tables.items()]
    print(where, *([text_table(lines)] if lines else []), *shown, sep="\n\n")
    if args.markdown is not None:
        written(args.markdown, where, lines, tables)
    missed = [line for line in lines if line.met is False]
    for line in missed:
        told(f"missed: {line.what}, {line.unit}: {line.target}")
    short = [part for part, (_, met) in found.items() if not met]
    for part in short:
        told(f"missed: a target of {part}, see its table")
    sys.exit(1 if missed or short else 0)


if __name__ == "__main__":
    main()
