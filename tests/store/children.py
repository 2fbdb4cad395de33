"""Starts `child.py`."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CHILD = Path(__file__).with_name("child.py")


class Child:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def told(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def rest(self) -> list[str]:
        """What it still said before it was killed, but for a line cut off."""
        assert self.process.stdout is not None
        return [line.strip() for line in self.process.stdout if line.endswith("\n")]

    def tell(self, word: str = "go") -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def ask(self, word: str = "go") -> str:
        self.tell(word)
        return self.told()

    def wait(self) -> int:
        return self.process.wait(60)


@contextmanager
def child(verb: str, url: str, number: int = 0) -> Iterator[Child]:
    process = subprocess.Popen(
        [sys.executable, str(_CHILD), verb, url, str(number)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        try:
            yield Child(process)
        finally:
            process.kill()
