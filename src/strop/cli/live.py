"""The live view: a panel on a terminal, timestamped lines elsewhere, nothing when asked to be quiet."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, Self

from strop.cli.console import rich_console, tell
from strop.cli.story import Story, clock_face

if TYPE_CHECKING:
    from rich.live import Live
    from rich.panel import Panel
    from rich.text import Text

    from strop.events import Event
    from strop.gateway import Spending

FRAMES_A_SECOND = 8
LINES_EVERY_S = 2.0

Dial = Callable[[], "tuple[Spending, int] | None"]
"""Counters of this attempt, and the picodollars that earlier attempts of the run spent."""


class View(Protocol):
    """Hears events inside a `with` block; `say` is for what must not be overlooked."""

    def hear(self, event: Event) -> None: ...
    def say(self, text: str) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...


def view(dial: Dial, *, quiet: bool) -> View:
    """The view that fits where stderr goes."""
    if quiet:
        return Silent()
    drawable = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return PanelView(dial) if drawable else LineView(dial)


class Silent:
    """Says only what it is told to say."""

    def hear(self, event: Event) -> None:
        pass

    def say(self, text: str) -> None:
        tell(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class LineView:
    """A line for every stage and candidate, and one of progress now and then."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._story = Story(self.say)
        self._over = threading.Event()
        self._last = ""

    def hear(self, event: Event) -> None:
        self._story.hear(event)

    def say(self, text: str) -> None:
        tell(f"{self._story.elapsed_s:7.1f}s  {text}")

    def __enter__(self) -> Self:
        threading.Thread(target=self._tick, name="strop-lines", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _tick(self) -> None:
        while not self._over.wait(LINES_EVERY_S):
            now = self._dial()
            if now is None:
                continue
            line = f"{self._story.stage}: {progress_text(self._story, *now)}"
            if line != self._last:
                self._last = line
                self.say(line)


class PanelView:
    """A panel redrawn in place; stages leave a line above it."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._console = rich_console(sys.stderr)
        self._story = Story(lambda _line: None)
        self._live: Live | None = None
        self._echo: Callable[[], None] = lambda: None

    def hear(self, event: Event) -> None:
        self._story.hear(event)
        if event.name == "stage.finished" and self._story.recent:
            self.say(self._story.recent[-1])

    def say(self, text: str) -> None:
        self._console.print(text)

    def __enter__(self) -> Self:
        from rich.live import Live

        self._live = Live(
            console=self._console, get_renderable=self._panel, refresh_per_second=FRAMES_A_SECOND, transient=True,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        self._echo = _quiet_ctrl_c()
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
        self._echo()

    def _panel(self) -> Panel:
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        story, now = self._story, self._dial()
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row("phase", Text.assemble((story.stage, "bold"), f"  {story.detail}"))
        grid.add_row("best", Text(story.best_text()))
        grid.add_row("tried", Text(candidates_text(story)))
        if now is not None:
            spending, before = now
            grid.add_row("calls", Text(calls_text(story, spending)))
            grid.add_row("spent", _bar(before + spending.cost_pico, story.budget_usd))
            grid.add_row("time", Text(time_text(story, spending.calls)))
        for line in list(story.recent):
            grid.add_row("", Text(line, style="dim", no_wrap=True, overflow="ellipsis"))
        return Panel(grid, title=Text(story.title), title_align="left", border_style="dim")


def calls_text(story: Story, spending: Spending) -> str:
    """Calls so far against those expected."""
    expected = f" of about {story.expected_calls:,}" if story.expected_calls > spending.calls else ""
    parts = [f"{spending.calls:,}{expected}", f"{spending.replayed:,} replayed", f"{spending.in_flight} in flight"]
    if spending.failed:
        parts.append(f"{spending.failed:,} failed")
    return ", ".join(parts)


def candidates_text(story: Story) -> str:
    """How many programs were tried."""
    return f"{story.candidates} candidate{'' if story.candidates == 1 else 's'}"


def time_text(story: Story, calls: int) -> str:
    """Elapsed, and what is left where that can be said."""
    left = story.left_s(calls)
    return clock_face(story.elapsed_s) + ("" if left is None else f", about {clock_face(left)} left")


def progress_text(story: Story, spending: Spending, before: int) -> str:
    """Everything that moves, in one line."""
    from strop.gateway import show

    limit = "" if story.budget_usd is None else f" of ${story.budget_usd:,.2f}"
    best = "" if story.best is None else f", best {story.best[0]:.1%} on {story.best[1]}"
    return (
        f"{calls_text(story, spending)}, {show(before + spending.cost_pico)}{limit} spent, "
        f"{candidates_text(story)}{best}"
    )


def _bar(spent_pico: int, budget_usd: float | None) -> Text:
    from rich.text import Text

    from strop.gateway import show

    if budget_usd is None:
        return Text(f"{show(spent_pico)}, no limit")
    share = min(1.0, spent_pico / (budget_usd * 1e12)) if budget_usd else 1.0
    full = round(20 * share)
    return Text.assemble(
        ("█" * full, "green"), ("░" * (20 - full), "dim"), f" {show(spent_pico)} of ${budget_usd:,.2f}"
    )


def _quiet_ctrl_c() -> Callable[[], None]:
    """Keep the terminal from writing `^C` into the panel; the returned function undoes it."""
    import termios

    try:
        before = termios.tcgetattr(sys.stdin)
        now = list(before)
        now[3] &= ~termios.ECHOCTL
        termios.tcsetattr(sys.stdin, termios.TCSANOW, now)
    except (termios.error, OSError, ValueError):
        return lambda: None
    return lambda: termios.tcsetattr(sys.stdin, termios.TCSANOW, before)
