"""Every timing side by side with DSPy, in one table, which it can also write into the documentation.

    python benchmarks/run.py [PART ...] [--quick] [--markdown docs/benchmarks.md]

Exit code 1 when a target is missed. `optimizers` prints a table of its own.
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
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from side_by_side import Line, markdown_table, text_table, told

PARTS = ("door", "per_call", "replay", "evaluation", "memory")
OPTIMIZERS = "optimizers"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def optimizers(quick: bool) -> str:
    """The table of the part that compares whole searches."""
    told("optimizers: whole searches")
    command = [sys.executable, str(Path(__file__).with_name("optimizers.py"))]
    if not quick:
        command += ["--repeat", "3"]
    # DSPy's own chatter on standard error stays off the terminal; a failure is shown by its traceback.
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout.strip()


def conditions(quick: bool) -> str:
    """What was measured, where and when; a busy machine says so itself."""
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: Strop {version('strop')}, DSPy {version('dspy')}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} CPUs, load average at the start {load}"
        + (", quick (a tenth of the work, two repetitions: a trial of the scripts, not a result)." if quick else ".")
    )


def written(file: Path, where: str, lines: Sequence[Line], searches: str) -> None:
    """Put the tables between the file's markers."""
    text = file.read_text("utf-8")
    parts = [BEGIN, "", where, ""]
    if lines:
        parts += [markdown_table(lines), ""]
    if searches:
        parts += ["Whole searches:", "", "```text", searches, "```", ""]
    found, times = re.subn(f"{BEGIN}.*?{END}", lambda _: "\n".join([*parts, END]), text, count=1, flags=re.DOTALL)
    if not times:
        raise SystemExit(f"{file} has no {BEGIN} ... {END}")
    file.write_text(found, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join((*PARTS, OPTIMIZERS))}; all of them")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, for trying the scripts out")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables between FILE's markers")
    args = parser.parse_args()
    unknown = set(args.parts) - {*PARTS, OPTIMIZERS}
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    wanted = args.parts or [*PARTS, OPTIMIZERS]
    where = conditions(args.quick)
    lines = [line for part in PARTS if part in wanted for line in importlib.import_module(part).measure(args.quick)]
    searches = optimizers(args.quick) if OPTIMIZERS in wanted else ""
    print(where, *([text_table(lines)] if lines else []), *([searches] if searches else []), sep="\n\n")
    if args.markdown is not None:
        written(args.markdown, where, lines, searches)
    missed = [line for line in lines if line.met is False]
    for line in missed:
        told(f"missed: {line.what}, {line.unit}: {line.target}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
