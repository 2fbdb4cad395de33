"""The live view's state: what the events of a run add up to."""

from typing import Any

import pytest
from scipy.stats import binomtest

from strop.cli.live import LineView, progress_text
from strop.cli.story import Story, clock_face, interval, note_text
from strop.events import Event
from strop.gateway import Spending


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def story(clock: Clock, lines: list[str]) -> Story:
    told = Story(lines.append, clock)
    estimate = {"search_calls": 900, "measuring_calls": 100}
    hear(told, "run.started", task="t", algorithm="gepa", why="few examples", resumed=False, lost=0, budget_usd=2.0,
         estimate=estimate, train=40, dev=100, test=100)  # fmt: skip
    return told


def hear(story: Story, name: str, **data: Any) -> None:
    story.hear(Event(name=name, scope="run:abc", data=data))


def test_a_run_tells_how_it_began(story: Story, lines: list[str]) -> None:
    assert lines == ["run abc started: t with gepa (few examples); 40 train, 100 dev, 100 sealed test examples"]
    assert story.title == "t · gepa · run abc"


def test_a_resumed_run_tells_what_was_lost(lines: list[str]) -> None:
    hear(Story(lines.append), "run.started", task="t", algorithm="a", why="w", resumed=True, lost=3, budget_usd=None,
         estimate={"search_calls": 1, "measuring_calls": 1}, train=1, dev=1, test=1)  # fmt: skip
    assert "resumed" in lines[0]
    assert lines[0].endswith("; 3 calls were in flight when it was interrupted")


def test_a_few_lucky_examples_do_not_look_best(story: Story) -> None:
    hear(story, "stage.finished", stage="baseline", score=0.6, n=100)
    hear(story, "candidate.found", number=1, score=0.8, n=5, origin="lucky")
    assert story.best == (0.6, 100)
    hear(story, "candidate.found", number=2, score=0.75, n=100, origin="good")
    assert story.best == (0.75, 100)
    assert story.candidates == 2
    low, high = binomtest(75, 100).proportion_ci(method="wilson")
    assert f"95% CI {100 * low:.1f} to {100 * high:.1f}; baseline 60.0%" in story.best_text()


def test_the_chosen_program_is_shown_even_when_it_measures_lower(story: Story) -> None:
    hear(story, "candidate.found", number=1, score=0.9, n=50, origin="a")
    hear(story, "candidate.chosen", number=1, origin="a", baseline=0.5, optimized=0.7, n=100)
    assert story.best == (0.7, 100)


def test_time_left_follows_the_calls(story: Story, clock: Clock) -> None:
    clock.now = 10
    assert story.left_s(0) is None
    assert story.left_s(250) == pytest.approx(30)
    assert story.left_s(1000) is None


def test_unknown_events_and_odd_texts_do_no_harm(story: Story, lines: list[str]) -> None:
    hear(story, "version.activated", number=1)
    hear(story, "candidate.found", number=1, score=None, n=0, origin="\x1b[31mred\x1b[0m")
    assert "\x1b" not in lines[-1]
    assert "not scored" in lines[-1]


def test_notes_in_words() -> None:
    assert note_text({"kind": "phase", "name": "bootstrap demos", "examples": 318}) == "bootstrap demos (examples 318)"
    assert note_text({"kind": "score", "number": 3, "of": 12, "score": 0.66, "n": 50}) == "score 3 of 12: 66.0% on 50"


def test_the_interval_of_fractional_scores_is_that_of_right_and_wrong() -> None:
    assert interval(0.755, 100) == interval(0.76, 100)


@pytest.mark.parametrize(("seconds", "text"), [(7, "0:07"), (760.9, "12:40"), (3723, "1:02:03")])
def test_clock_face(seconds: float, text: str) -> None:
    assert clock_face(seconds) == text


def test_progress_in_one_line(story: Story) -> None:
    spending = Spending(calls=250, bought=200, replayed=50, in_flight=8, cost_pico=10**12)
    assert progress_text(story, spending, 5 * 10**11) == (
        "250 of about 1,000, 50 replayed, 8 in flight, $1.50 of $2.00 spent, 0 candidates"
    )


def test_plain_lines_go_to_stderr_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with LineView(lambda: None) as seen:
        seen.hear(Event(name="stage.started", scope="run:x", data={"stage": "test", "n": 12}))
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.strip().endswith("sealed test started on 12 examples")
