"""The live view of a session says what the events said: rows, phases, scores with their interval, money."""

from __future__ import annotations

import io
import time

import pytest

from strop.cli.console import rich_console
from strop.cli.live_sessions import (
    Dial,
    SessionLines,
    SessionPanel,
    SessionStory,
    budget_text,
    cells,
    fitting,
    score_text,
)
from strop.errors import ProviderDown
from strop.sessions import IterationResult, ModelProvider, PerformanceMetrics, QualityMetrics, TrainingPhase
from strop.sessions.events import (
    BenchmarkProgress,
    Error,
    Iteration,
    OptimizationRound,
    Phase,
    SessionEvent,
    Start,
)
from strop.sessions.result import now

DIAL = Dial(in_flight={"a": 3}, spent={"a": 0.25, "b": 0.5}, total=0.75)


def step(model: str, phase: TrainingPhase, accuracy: float, n: int, *, variant: str = "candidate", kept: bool = True):
    quality = QualityMetrics(score=0.9, accuracy=accuracy, coherence=1, relevance=1, diversity=1, creativity=1)
    performance = PerformanceMetrics(latency=1, throughput=1, tokens_used=1, cost=0, memory_usage=1, error_rate=0)
    result = IterationResult(
        iteration=1, phase=phase, model=model, model_provider=ModelProvider.OTHER, quality=quality,
        performance=performance, timestamp=now(), prompt="", output="", optimizations=("tried it",), variant=variant,  # type: ignore[arg-type]
        kept=kept, n=n,
    )  # fmt: skip
    return Iteration(model=model, result=result)


EVENTS: list[SessionEvent] = [
    Start(session_id="s1", phase=TrainingPhase.BASELINE, models=("a", "b"), budget_usd=3.0),
    Phase(phase=TrainingPhase.BASELINE),
    step("a", TrainingPhase.BASELINE, 0.2, 5, variant="baseline"),
    step("a", TrainingPhase.BASELINE, 0.8, 5, variant="baseline"),
    step("b", TrainingPhase.BASELINE, 0.5, 10, variant="baseline"),
    Phase(phase=TrainingPhase.OPTIMIZATION),
    OptimizationRound(model="a", round=2, provider=ModelProvider.OTHER),
    step("a", TrainingPhase.OPTIMIZATION, 0.9, 10),
    step("b", TrainingPhase.OPTIMIZATION, 0.1, 10, kept=False),
    Error(model="b", error=ProviderDown("sim/b", "it is \x1b[31mbroken")),
]


def drawn(panel: SessionPanel) -> str:
    out = io.StringIO()
    rich_console(out).print(panel.drawn())
    return out.getvalue()


def test_wilsons_interval_as_computed_elsewhere() -> None:
    assert score_text(0.5, 10) == "50.0% [23.7%, 76.3%]"
    assert score_text(0.0, 20) == "0.0% [0.0%, 16.1%]"


def test_rows_follow_the_events() -> None:
    story = SessionStory(own_metric=True)
    lines = [story.hear(event) for event in EVENTS]
    assert cells(story.rows["a"], "a", DIAL) == (
        "optimization", "round 2", score_text(0.9, 10), "10 dev", "$0.25", "3",
    )  # fmt: skip
    assert cells(story.rows["b"], "b", DIAL) == ("failed", "", score_text(0.5, 10), "10 dev", "$0.50", "")
    assert lines[0] == "session s1 begins: a, b; budget $3.00"
    assert lines[-1] is not None
    assert "b failed and ends alone" in lines[-1]
    assert "\x1b" not in lines[-1]
    story.hear(Phase(phase=TrainingPhase.BENCHMARK))
    for accuracy in (1.0, 0.0, 1.0, 1.0):
        story.hear(step("a", TrainingPhase.BENCHMARK, accuracy, 1, variant="best"))
    assert cells(story.rows["a"], "a", DIAL)[2:4] == (score_text(0.75, 4), "4 sealed")
    assert story.rows["b"].state == "failed"


def test_the_parts_of_a_baseline_add_up_and_quality_is_shown_without_a_metric() -> None:
    story = SessionStory(own_metric=True)
    quality = SessionStory(own_metric=False)
    for event in EVENTS[:4]:
        story.hear(event)
        quality.hear(event)
    assert story.rows["a"].score == pytest.approx((0.5, 10))
    assert quality.rows["a"].score == pytest.approx((0.9, 10))


def test_the_panel_has_a_row_a_model_the_phase_and_the_budget() -> None:
    panel = SessionPanel(SessionStory(own_metric=True), lambda: DIAL)
    panel.say = lambda text: None  # type: ignore[method-assign]
    for event in [*EVENTS, BenchmarkProgress(completed=10, total=40)]:
        panel.hear(event)
    text = drawn(panel)
    assert "session s1  optimization  10 of 40 sealed answers" in text
    rows = [line for line in text.splitlines() if line.startswith(("a ", "b "))]
    assert len(rows) == 2
    assert "round 2" in rows[0]
    assert "90.0% [59.6%, 98.2%]  10 dev" in rows[0]
    assert "█████░░░░░░░░░░░░░░░ $0.75 of $3.00" in text


def test_before_the_session_begins_nothing_is_said_of_its_money() -> None:
    panel = SessionPanel(SessionStory(own_metric=True), lambda: DIAL)
    assert drawn(panel).split() == ["session", "preparing", "0:00"]


def test_a_narrow_terminal_gets_fewer_columns_and_no_broken_ones() -> None:
    titles, rows = ("model", "phase", "score", "spent"), [("a", "optimization", "50.0%", "$1.00")]
    assert fitting(titles, rows, 7 + 14 + 7 + 7, ("phase", "spent")) == [0, 1, 2, 3]
    assert fitting(titles, rows, 7 + 14 + 7 + 6, ("phase", "spent")) == [0, 2, 3]
    assert fitting(titles, rows, 5, ("phase", "spent")) == [0, 2]


def test_lines_when_piped(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strop.cli.live_sessions.LINES_EVERY_S", 0.02)
    view = SessionLines(SessionStory(own_metric=True), lambda: DIAL)
    with view:
        for event in EVENTS:
            view.hear(event)
        time.sleep(0.2)
    err = capsys.readouterr().err
    assert "phase: optimization" in err
    assert err.count("  a: optimization, round 2, 90.0%") == 1
    assert "90.0% [59.6%, 98.2%] on 10 dev, $0.25, 3 in flight" in err
    assert "b: failed, 50.0% [23.7%, 76.3%] on 10 dev, $0.50\n" in err


@pytest.mark.parametrize(
    ("spent", "budget", "text"),
    [(0.5, None, "$0.50 spent, no limit"), (0.0, 0.0, "█" * 20 + " $0.00 of $0.00"), (1.0, 2.0, "█" * 10 + "░" * 10)],
)
def test_the_budget_as_a_bar(spent: float, budget: float | None, text: str) -> None:
    assert text in budget_text(spent, budget)
