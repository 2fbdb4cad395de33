"""What it costs to knock: CPU of `strop --help` and of `import strop` in fresh processes, beside `import dspy`."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator

from side_by_side import Line, main, told

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "strop --help": [sys.executable, "-m", "strop", "--help"],
    "import strop": [sys.executable, "-c", "import strop"],
    "import dspy": [sys.executable, "-c", "import dspy"],
}


def cpu(command: list[str]) -> float:
    """CPU seconds of a command, children included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(quick: bool) -> Iterator[Line]:
    found: dict[str, float] = {}
    for repetition in range(4 if quick else 11):
        for name, command in COMMANDS.items():
            told(f"door: {name}, {repetition + 1}")
            took = cpu(command)
            # The first round writes and reads byte code; it is nobody's everyday.
            if repetition:
                found[name] = min(found.get(name, took), took)
    dspy = found["import dspy"] * 1000
    for name, target in (("strop --help", 200), ("import strop", 100)):
        ours = found[name] * 1000
        yield Line(
            what=f"{name}, against import dspy",
            unit="CPU ms",
            ours=ours,
            theirs=dspy,
            target=f"Strop < {target}",
            met=ours < target,
        )
    yield Line(what="python -c pass, for comparison", unit="CPU ms", ours=found["python -c pass"] * 1000, theirs=None)


if __name__ == "__main__":
    main({}, measure)
