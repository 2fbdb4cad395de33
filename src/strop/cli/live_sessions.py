"""The live view of a session: a row a model on a terminal, timestamped lines elsewhere, nothing when asked."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any, Protocol, Self

from strop.cli.console import printable, rich_console, tell
from strop.cli.live import FRAMES_A_SECOND, LINES_EVERY_S
from strop.cli.story import clock_face
from strop.cli.verdict import dollars

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

    from strop.sessions import SessionEvent

Z = 1.96
TITLES = ("model", "phase", "round", "score (95% interval)", "examples", "spent", "in flight")
SPARE = ("examples", "round", "in flight", "phase")
"""Left out in this order on a narrow terminal."""
LAST_PHASE = "report"
"""Nothing moves any more; the result follows at once."""


@dataclass(frozen=True, kw_only=True)
class Dial:
    """What is measured rather than told: calls in flight by model, USD by model, USD of the whole session."""

    in_flight: Mapping[str, int]
    spent: Mapping[str, float]
    total: float


Read = Callable[[], Dial]


@dataclass(kw_only=True)
class Row:
    """One model as it stands. `score` is (mean, examples) of its best program, on `where`."""

    state: str = "waiting"
    round: int = 0
    score: tuple[float, int] | None = None
    where: str = "dev"
    failed: bool = False


class SessionView(Protocol):
    """Hears events inside a `with` block; `say` is for what must not be overlooked."""

    def hear(self, event: SessionEvent) -> None: ...
    def say(self, text: str) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...


def session_view(read: Read, *, quiet: bool, verbose: bool, own_metric: bool) -> SessionView:
    """The view that fits where stderr goes. `own_metric`: scores are the task's metric, else the quality."""
    if quiet:
        return SilentSession()
    story = SessionStory(own_metric=own_metric, verbose=verbose)
    drawable = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return SessionPanel(story, read) if drawable else SessionLines(story, read)


class SessionStory:
    """What is known of a session from its events; `hear` returns a line where one is worth telling."""

    def __init__(self, *, own_metric: bool, verbose: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._own_metric = own_metric
        self._verbose = verbose
        self._clock = clock
        self._started = clock()
        self.phase = "preparing"
        self.title = "session"
        self.budget_usd: float | None = None
        self.rows: dict[str, Row] = {}
        self.progress: tuple[int, int] | None = None

    @property
    def elapsed_s(self) -> float:
        return self._clock() - self._started

    def hear(self, event: SessionEvent) -> str | None:
        """Take in one event."""
        told = getattr(self, f"_{event.name}", None)
        line = None if told is None else told(event)
        return None if line is None else printable(line)

    def _row(self, event: SessionEvent) -> Row:
        return self.rows.setdefault(event.model or "", Row())

    def _start(self, event: Any) -> str:
        self.title, self.budget_usd = f"session {event.session_id}", event.budget_usd
        self.rows = {name: Row() for name in event.models}
        limit = "no limit" if event.budget_usd is None else f"${event.budget_usd:,.2f}"
        verb = "goes on" if event.resumed else "begins"
        return f"session {event.session_id} {verb}: {', '.join(event.models)}; budget {limit}"

    def _phase(self, event: Any) -> str:
        self.phase = str(event.phase).replace("_", " ")
        for row in self.rows.values():
            if not row.failed:
                row.state = self.phase
        return f"phase: {self.phase}"

    def _optimization_round(self, event: Any) -> None:
        self._row(event).round = event.round

    def _iteration(self, event: Any) -> str | None:
        step, row = event.result, self._row(event)
        mean = step.quality.accuracy if self._own_metric else step.quality.score
        sealed = str(step.phase) == "benchmark"
        adds = sealed or step.variant == "baseline"
        where = "sealed" if sealed else "dev"
        if adds and row.score is not None and row.where == where:
            before, n = row.score
            row.score = ((before * n + mean * step.n) / (n + step.n), n + step.n)
        elif adds or step.kept:
            row.score = (mean, step.n)
        row.where = where if adds or step.kept else row.where
        if not self._verbose and (adds or not step.optimizations):
            return None
        changed = f"; {'; '.join(step.optimizations)}" if step.optimizations else ""
        phase = "round" if str(step.phase) == "optimization" else str(step.phase).replace("_", " ")
        number = f"{phase} {step.iteration}"
        return f"{step.model}: {number}: {mean:.3f} on {step.n}{changed}"

    def _converged(self, event: Any) -> str:
        row, found = self._row(event), event.convergence
        row.state = "converged"
        return f"{event.model}: converged ({found.reason}) after round {found.round} with {found.score:.3f}"

    def _benchmark_progress(self, event: Any) -> None:
        self.progress = (event.completed, event.total)

    def _budget_exceeded(self, event: Any) -> str:
        return f"the budget does not allow more of this: {event.why or dollars(event.total_cost)}"

    def _error(self, event: Any) -> str:
        if event.model is None:
            return f"failed: {event.error.message}"
        row = self._row(event)
        row.state, row.failed = "failed", True
        return f"{event.model} failed and ends alone: {event.error.message}"

    def _hooks_integration(self, event: Any) -> str | None:
        hook = getattr(event, "hook", None)
        if hook is None or (event.ok and not self._verbose):
            return None
        return f"hook {hook}: {'done' if event.ok else 'failed'}: {event.detail}"

    def _complete(self, event: Any) -> str:
        return f"complete: best model {event.best_model or 'none'}, {dollars(event.total_cost)}"

    def _stopped(self, _event: Any) -> str:
        return "stopped"


class SilentSession:
    """Says only what it is told to say."""

    def hear(self, event: SessionEvent) -> None:
        pass

    def say(self, text: str) -> None:
        tell(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class SessionLines:
    """A line for what happened, and one for every model that moved now and then."""

    def __init__(self, story: SessionStory, read: Read) -> None:
        self._story = story
        self._read = read
        self._over = threading.Event()
        self._last: dict[str, str] = {}

    def hear(self, event: SessionEvent) -> None:
        line = self._story.hear(event)
        if line is not None:
            self.say(line)

    def say(self, text: str) -> None:
        tell(f"{self._story.elapsed_s:7.1f}s  {text}")

    def __enter__(self) -> Self:
        threading.Thread(target=self._tick, name="strop-session-lines", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _tick(self) -> None:
        while not self._over.wait(LINES_EVERY_S):
            dial = self._read()
            if self._story.phase == LAST_PHASE:
                continue
            for name, row in list(self._story.rows.items()):
                phase, number, score, examples, spent, calls = cells(row, name, dial)
                words = (phase, number, score and f"{score} on {examples}", spent, calls and f"{calls} in flight")
                line = ", ".join(filter(None, words))
                if self._last.get(name) != line:
                    self._last[name] = line
                    self.say(f"{name}: {line}")


class SessionPanel:
    """A table redrawn in place: a row a model, the phase above, the budget below; events leave lines above it."""

    def __init__(self, story: SessionStory, read: Read) -> None:
        self._story = story
        self._read = read
        self._console = rich_console(sys.stderr)
        self._live: Live | None = None

    def hear(self, event: SessionEvent) -> None:
        line = self._story.hear(event)
        if line is not None and event.name != "phase":
            self.say(line)

    def say(self, text: str) -> None:
        self._console.print(text)

    def __enter__(self) -> Self:
        from rich.live import Live

        self._live = Live(
            console=self._console, get_renderable=self.drawn, refresh_per_second=FRAMES_A_SECOND, transient=True,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def drawn(self) -> Group:
        """The picture of this moment."""
        from rich import box
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        story, dial = self._story, self._read()
        done = f"  {story.progress[0]} of {story.progress[1]} sealed answers" if story.progress else ""
        head = Text.assemble(
            (story.title, "dim"), "  ", (story.phase, "bold"), done, f"  {clock_face(story.elapsed_s)}"
        )
        if not story.rows:
            return Group(head)
        rows = [(name, *cells(row, name, dial)) for name, row in list(story.rows.items())]
        shown = fitting(TITLES, rows, self._console.width, SPARE)
        grid = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), header_style="dim")
        for at in shown:
            right = TITLES[at] in {"spent", "in flight"}
            grid.add_column(TITLES[at], no_wrap=True, justify="right" if right else "left")
        for row in rows:
            style = "red" if story.rows[row[0]].failed else ""
            grid.add_row(*(Text(printable(row[at]), style=style) for at in shown))
        return Group(head, grid, Text(budget_text(dial.total, story.budget_usd)))


def cells(row: Row, name: str, dial: Dial) -> tuple[str, str, str, str, str, str]:
    """Phase, round, score with its interval, on which examples, spend, calls in flight of one model, in words."""
    calls = dial.in_flight.get(name, 0)
    return (
        row.state,
        f"round {row.round}" if row.round else "",
        "" if row.score is None else score_text(*row.score),
        "" if row.score is None else f"{row.score[1]} {row.where}",
        dollars(dial.spent.get(name, 0.0)),
        str(calls) if calls else "",
    )


def fitting(titles: Sequence[str], rows: Sequence[Sequence[str]], width: int, spare: Sequence[str]) -> list[int]:
    """Which columns of a table fit side by side, two blanks between them: those in `spare` are left out in that order
    until they do."""
    widths = [max(map(len, column)) + 2 for column in zip(titles, *rows, strict=True)]
    shown = list(range(len(titles)))
    for title in spare:
        if sum(widths[at] for at in shown) <= width:
            break
        shown.remove(titles.index(title))
    return shown


def score_text(mean: float, n: int) -> str:
    """A mean of scores in 0..1 with Wilson's interval: no such scores vary more than zeros and ones of that mean."""
    middle = (mean + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * sqrt(max(0.0, mean * (1 - mean)) / n + Z * Z / (4 * n * n))
    return f"{mean:.1%} [{max(0.0, middle - half):.1%}, {min(1.0, middle + half):.1%}]"


def budget_text(spent: float, budget: float | None) -> str:
    """The money as a bar."""
    if budget is None:
        return f"{dollars(spent)} spent, no limit"
    full = round(20 * (min(1.0, spent / budget) if budget else 1.0))
    return f"{'█' * full}{'░' * (20 - full)} {dollars(spent)} of ${budget:,.2f}"
