"""Gives orders to `child.py`."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CHILD = Path(__file__).with_name("child.py")


class Children:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def order(self, *words: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()

    def told(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def rest(self) -> list[str]:
        """What is said until the order is done, that last line included."""
        lines = [self.told()]
        while lines[-1] and not lines[-1].startswith("done"):
            lines.append(self.told())
        return lines


@contextmanager
def children() -> Iterator[Children]:
    process = subprocess.Popen(
        [sys.executable, str(_CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    with process:
        try:
            yield Children(process)
        finally:
            process.kill()
