"""Processes that may be killed, frozen and interrupted. They are forked from one that has everything imported."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["strop.app", "strop.optimizers", "strop.gateway.lm", "strop.cli.optimize", "strop.cli.running", "strop.embedded",
     "dspy.teleprompt", "optuna", "gepa.api", "scipy.stats", "scipy.optimize", "alembic.context", "alembic.command",
     "jinja2", "rich.table", "rich.live", "rich.console", "ruamel.yaml"]
)  # fmt: skip
PATIENCE_S = 120.0


class Child:
    """One process that runs `function(*arguments)`; what it prints goes to a file."""

    def __init__(
        self, function: Callable[..., Any], *arguments: Any, output: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.output = output
        self._process = _context.Process(target=_main, args=(function, arguments, output, dict(environment or {})))

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.is_alive():
            self.send(signal.SIGCONT)
            self._process.kill()
        self._process.join()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def text(self) -> str:
        """What it has printed, on both streams."""
        return self.output.read_text("utf-8", errors="replace") if self.output.exists() else ""

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self._process.kill()
        self._process.join()

    def wait(self, seconds: float = PATIENCE_S) -> int:
        """Its exit code once it has ended by itself."""
        self._process.join(seconds)
        code = self._process.exitcode
        assert code is not None, f"still running after {seconds:g} s:\n{self.text[-3000:]}"
        return code

    def wait_frozen(self, seconds: float = PATIENCE_S) -> None:
        """Return when every thread of it stands still."""
        deadline = time.monotonic() + seconds
        while self.alive:
            if self._states() == {"T"}:
                return
            assert time.monotonic() < deadline, f"not frozen:\n{self.text[-3000:]}"
            time.sleep(0.005)
        raise AssertionError(f"it ended instead of standing still:\n{self.text[-3000:]}")

    def _states(self) -> set[str]:
        """The states of its threads, as proc(5) letters; empty when one has just ended."""
        try:
            stats = [path.read_text() for path in Path(f"/proc/{self.pid}/task").glob("*/stat")]
        except OSError:
            return set()
        return {stat.rpartition(")")[2].split()[0] for stat in stats}

    def wait_until(self, condition: Callable[[], bool], seconds: float = PATIENCE_S) -> bool:
        """Whether `condition` came true while it was alive."""
        deadline = time.monotonic() + seconds
        while self.alive:
            if condition():
                return True
            assert time.monotonic() < deadline, f"it did not come so far:\n{self.text[-3000:]}"
            time.sleep(0.01)
        return False


def command(*words: str, output: Path, environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> Child:
    """The command line as a process of its own."""
    return Child(_command, words, cwd, output=output, environment=environment)


def strop(
    *words: str, output: Path, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> tuple[int, str]:
    """Run a command to its end: exit code and everything that it printed."""
    with command(*words, output=output, environment=environment, cwd=cwd) as child:
        code = child.wait()
    return code, child.text


def _main(function: Callable[..., Any], arguments: Sequence[Any], output: Path, environment: dict[str, str]) -> None:
    # The last printed line must be there whatever happens to the process: no buffer of Python's own.
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdout, sys.stderr = (os.fdopen(n, "w", buffering=1, encoding="utf-8", closefd=False) for n in (1, 2))
    os.environ.update(environment)
    function(*arguments)


def _command(words: Sequence[str], cwd: Path | None) -> None:
    from strop.cli.main import main

    if cwd is not None:
        os.chdir(cwd)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["strop", *words]
    main()
