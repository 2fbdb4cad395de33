"""What is known of a run while it goes on, put together from its events: the state behind the live view."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from strop.cli.console import printable
from strop.events import Event

RECENT = 5
EARLY_SHARE = 0.03
STAGES = {"baseline": "baseline", "search": "search", "test": "sealed test"}


class Story:
    """Hears a run's events from any thread. `line` gets what is worth a line of its own."""

    def __init__(self, line: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._line = line
        self._clock = clock
        self._lock = threading.Lock()
        self._started = clock()
        self.title = ""
        self.stage: str = "preparing"
        self.detail: str = ""
        self.baseline: float | None = None
        self.best: tuple[float, int] | None = None
        self.candidates = 0
        self.dev = 0
        self.budget_usd: float | None = None
        self.expected_calls = 0
        self.recent: deque[str] = deque(maxlen=RECENT)

    @property
    def elapsed_s(self) -> float:
        return self._clock() - self._started

    def hear(self, event: Event) -> None:
        """Take in one event."""
        told = getattr(self, "_" + event.name.replace(".", "_"), None)
        if told is None:
            return
        with self._lock:
            line = told(event.data, event.scope)
            if line:
                self.recent.append(f"{clock_face(self.elapsed_s)}  {printable(line)}")
        if line:
            self._line(printable(line))

    def left_s(self, calls: int) -> float | None:
        """Seconds left when the calls go on as they went; None where nothing can be said yet, or any more."""
        if not self.expected_calls or not EARLY_SHARE < calls / self.expected_calls < 1:
            return None
        return self.elapsed_s * (self.expected_calls - calls) / calls

    def best_text(self) -> str:
        """The best dev score with its interval, and the baseline's."""
        if self.best is None:
            return "not measured yet"
        score, n = self.best
        low, high = interval(score, n)
        told = f"{score:.1%} on {n} dev examples, 95% CI {100 * low:.1f} to {100 * high:.1f}"
        return told if self.baseline is None else f"{told}; baseline {self.baseline:.1%}"

    def _run_started(self, data: Mapping[str, Any], scope: str) -> str:
        run = scope.removeprefix("run:")
        self.title = f"{data['task']} · {data['algorithm']} · run {run}"
        self.dev, self.budget_usd = data["dev"], data["budget_usd"]
        self.expected_calls = data["estimate"]["search_calls"] + data["estimate"]["measuring_calls"]
        again = "resumed" if data["resumed"] else "started"
        lost = f"; {data['lost']} calls were in flight when it was interrupted" if data["lost"] else ""
        return (
            f"run {run} {again}: {data['task']} with {data['algorithm']} ({data['why']}); {data['train']} train, "
            f"{data['dev']} dev, {data['test']} sealed test examples{lost}"
        )

    def _stage_started(self, data: Mapping[str, Any], _scope: str) -> str:
        self.stage, self.detail = STAGES.get(data["stage"], str(data["stage"])), ""
        on = f" on {data['n']} examples" if "n" in data else ""
        return f"{self.stage} started{on}"

    def _stage_finished(self, data: Mapping[str, Any], _scope: str) -> str:
        name = STAGES.get(data["stage"], str(data["stage"]))
        if data["stage"] == "baseline":
            self.baseline = data["score"]
            self._better(data["score"], data["n"])
            return f"baseline {data['score']:.1%} on {data['n']} dev examples"
        if data["stage"] == "search":
            ended = f", ended early: {data['ended']}" if data["ended"] else ""
            return f"search finished: {data['candidates']} candidates{ended}"
        return f"{name} finished: {data.get('verdict')}"

    def _evaluation_progress(self, data: Mapping[str, Any], _scope: str) -> None:
        self.detail = f"{data['done']} of {data['wanted']} examples, {data['mean']:.1%} so far"

    def _search_note(self, data: Mapping[str, Any], _scope: str) -> str | None:
        self.detail = note_text(data)
        return f"search: {self.detail}" if data.get("kind") == "phase" else None

    def _candidate_found(self, data: Mapping[str, Any], _scope: str) -> str:
        self.candidates = max(self.candidates, data["number"])
        score = data["score"]
        if score is not None and data["n"]:
            self._better(score, data["n"])
        shown = "not scored" if score is None else f"{score:.1%} on {data['n']}"
        return f"candidate {data['number']}: {shown} ({data['origin']})"

    def _candidate_chosen(self, data: Mapping[str, Any], _scope: str) -> str:
        self.best = (data["optimized"], data["n"])
        who = "the baseline" if data["number"] == 0 else f"candidate {data['number']} ({data['origin']})"
        return f"chosen: {who}, {data['optimized']:.1%} on {data['n']} dev examples"

    def _run_finished(self, data: Mapping[str, Any], _scope: str) -> str:
        verdict = f": {data['verdict']}" if data.get("verdict") else ""
        return f"run {data['status']}{verdict}"

    def _better(self, score: float, n: int) -> None:
        """Compared by the lower end of the interval: a score on few examples is flattered by chance."""
        if self.best is None or interval(score, n)[0] > interval(*self.best)[0]:
            self.best = (score, n)


def note_text(data: Mapping[str, Any]) -> str:
    """A note of an algorithm in words: `bootstrap demos (examples 318)`, `score 3 of 12: 66.0%`."""
    rest = {key: value for key, value in data.items() if key not in {"kind", "name", "number", "of", "score", "n"}}
    told = str(data.get("name") or data.get("kind") or "")
    if "number" in data:
        told += f" {data['number']}" + (f" of {data['of']}" if "of" in data else "")
    if data.get("score") is not None:
        told += f": {data['score']:.1%}" + (f" on {data['n']}" if data.get("n") else "")
    extra = ", ".join(f"{key} {value}" for key, value in rest.items() if isinstance(value, int | float | str))
    return told + (f" ({extra})" if extra else "")


@lru_cache(maxsize=64)
def interval(score: float, n: int) -> tuple[float, float]:
    """95 % interval of a mean score. For fractional scores it is the one of right/wrong, which can only be wider."""
    from strop.stats import proportion

    found = proportion(min(n, round(score * n)), n)
    return found.low, found.high


def clock_face(seconds: float) -> str:
    """`0:07`, `12:40`, `1:02:03`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
