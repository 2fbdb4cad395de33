"""A search ends at once and truthfully: dead providers, hanging calls, readers that leave, metrics that break."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest

from strop.errors import CallFailed, MetricError, ProviderDown, RunStopped, SearchFailed
from strop.optimizers import find
from tests.optimizers.search_world import ColourMetric, Oracle, World

ALL: dict[str, Mapping[str, Any]] = {
    "bootstrapfewshot": {},
    "randomsearch": {"num_candidate_programs": 2},
    "copro": {"breadth": 3, "depth": 2},
    "miprov2": {"num_candidates": 3, "num_trials": 4, "minibatch_size": 6},
    "gepa": {"max_metric_calls": 90},
    "simba": {"bsize": 6, "max_steps": 2, "num_candidates": 3},
    "inferrules": {"num_candidates": 3},
}


class Dying:
    """Refuses every call from the given one on."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.refused = 0

    def __call__(self, number: int) -> None:
        if number >= self.first:
            self.refused += 1
            raise CallFailed("sim/x", "server", "down for good")


@pytest.mark.parametrize(
    ("algorithm", "first", "warm"),
    [(algorithm, first, True) for algorithm in ALL for first in (1, 30)]
    + [(algorithm, 30, False) for algorithm in ("miprov2", "simba", "inferrules")],
)
def test_a_dead_provider_ends_the_search_and_is_no_result(algorithm: str, first: int, warm: bool) -> None:
    dying = Dying(first)
    skill = -1 if algorithm == "bootstrapfewshot" else 0.45
    with World(oracle=Oracle(before=dying, skill=skill), train=40) as world:
        found = []
        with pytest.raises((RunStopped, ProviderDown)) as stopped:
            found.extend(find(algorithm).search(world.brief(algorithm, ALL[algorithm], warm=warm)))
        assert isinstance(stopped.value, ProviderDown) or stopped.value.cause == "provider_down"
        assert "down for good" in str(stopped.value)
        assert not [one for one in found if "best" in one.origin]
        # Five failures in a row are an outage; others may have been under way, and nothing is asked afterwards.
        assert dying.refused <= 5 + 2 * world.concurrency
        time.sleep(0.1)
        before = world.oracle.calls
        time.sleep(0.05)
        assert world.oracle.calls == before


@pytest.mark.parametrize("algorithm", ALL)
def test_a_hanging_call_does_not_hold_up_a_stop(algorithm: str) -> None:
    hang, hung = threading.Event(), threading.Event()

    def wait(number: int) -> None:
        if number >= 3:
            hung.set()
            hang.wait(20)

    with World(oracle=Oracle(before=wait)) as world:
        switch = world.account.switch
        threading.Thread(target=lambda: (hung.wait(10), switch.trip("cancelled", "enough")), daemon=True).start()
        with pytest.raises(RunStopped):
            world.search(algorithm, ALL[algorithm])
        tripped = time.monotonic()
        hang.set()
        assert hung.is_set()
        assert time.monotonic() - tripped < 10
        time.sleep(0.05)


@pytest.mark.parametrize("algorithm", ["randomsearch", "miprov2", "gepa"])
def test_a_reader_that_leaves_stops_the_spending(algorithm: str) -> None:
    with World(oracle=Oracle(sleep_s=0.01)) as world:
        search = find(algorithm).search(world.brief(algorithm, ALL[algorithm]))
        first = next(search)
        assert first.n == world.dev
        begin = time.monotonic()
        search.close()  # type: ignore[attr-defined]
        assert time.monotonic() - begin < 8
        time.sleep(0.1)
        after = world.oracle.calls
        time.sleep(0.15)
        assert world.oracle.calls == after
        assert world.account.switch.stopped is None


@pytest.mark.parametrize("algorithm", ALL)
def test_a_metric_that_cannot_be_applied_is_an_error_and_no_score(algorithm: str) -> None:
    class Broken(ColourMetric):
        def score(self, **_: Any) -> Any:
            raise MetricError("the label is missing")

    with World(metric=Broken()) as world, pytest.raises(MetricError, match="label is missing"):
        world.search(algorithm, ALL[algorithm])


def test_an_algorithm_that_breaks_is_a_failed_search() -> None:
    with World(train=0) as world, pytest.raises(SearchFailed, match="Trainset"):
        world.search("miprov2", {})


def test_a_prompt_that_is_too_long_and_a_long_error_are_told_in_few_words() -> None:
    def too_long(_number: int) -> None:
        raise CallFailed("sim/x", "context_window", "the request has 9 tokens, the context window holds 8")

    with World(oracle=Oracle(before=too_long)) as world, pytest.raises(SearchFailed) as failed:
        world.search("copro", ALL["copro"])
    assert failed.value.message == (
        "a prompt of the search does not fit the context window of sim/x (the request has 9 tokens, the context window "
        "holds 8): give fewer or shorter examples, or take a model with a larger window"
    )

    def wordy(_number: int) -> None:
        raise CallFailed("sim/x", "bad_request", "no\n\n" + "your prompt was: banana " * 500)

    with (
        World(oracle=Oracle(before=wordy)) as world,
        pytest.raises(SearchFailed, match="the algorithm broke") as failed,
    ):
        world.search("copro", ALL["copro"])
    assert len(failed.value.message) < 350
    assert "\n" not in failed.value.message


def test_what_was_found_before_a_stop_was_handed_over() -> None:
    with World(oracle=Oracle(before=Dying(60))) as world:
        found = []
        search = find("randomsearch").search(world.brief("randomsearch", {"num_candidate_programs": 6}))
        with pytest.raises(RunStopped):
            found.extend(search)
        assert found
        assert all(one.n == world.dev for one in found)


@pytest.mark.parametrize("algorithm", ALL)
def test_calls_in_flight_are_bounded_and_prompts_hold_no_ids(algorithm: str) -> None:
    with World(oracle=Oracle(sleep_s=0.002), concurrency=4) as world:
        world.search(algorithm, ALL[algorithm])
        assert 1 < world.oracle.most_in_flight <= 4
        assert any("text number" in text for text in world.oracle.seen)
        assert not [text for text in world.oracle.seen if "id-canary" in text]
