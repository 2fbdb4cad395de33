"""The evaluator: every example once, in order, bounded, stopped at once, and nothing finished is lost."""

from __future__ import annotations

import gc
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import dspy
import pytest

from strop import metrics
from strop.datasets import Example
from strop.errors import CallFailed, MetricError, RunStopped
from strop.evaluation import Evaluation, evaluate, partial_of
from strop.programs import ProgramSpec, build
from tests.support.simulated import MODEL, World, last_text, respond, world

SPEC = ProgramSpec(signature="question -> answer")


def examples(count: int) -> list[Example]:
    return [Example(id=f"e{i}", inputs={"question": f"q{i}"}, labels={"answer": f"a{i}"}) for i in range(count)]


def number_of(request: Any) -> int:
    found = re.search(r"question.*?q(\d+)", last_text(request), re.DOTALL)
    assert found is not None
    return int(found[1])


def told(text: str) -> Any:
    return respond(f"[[ ## answer ## ]]\n{text}\n\n[[ ## completed ## ]]")


def echo(request: Any, rollout: Any, index: Any) -> Any:
    return told(f"a{number_of(request)}")


def lm_of(w: World, account: Any = None, **settings: Any) -> Any:
    return w.gateway.lm({"model": MODEL, "retries": 0, **settings}, account or w.account(), phase="dev")


EXACT = metrics.build("exact_match")


def run(
    w: World, count: int = 20, *, lm: Any = None, program: Any = None, metric: Any = EXACT, **options: Any
) -> Evaluation:
    return evaluate(program or build(SPEC), examples(count), metric, lm or lm_of(w), **options)


class TestPass:
    def test_rows_are_in_the_order_of_the_examples_with_what_they_took(self) -> None:
        def answer(request: Any, rollout: Any, index: Any) -> Any:
            number = number_of(request)
            time.sleep(0.02 if number % 3 == 0 else 0)
            return told(f"a{number}" if number % 4 else "wrong")

        with world(answer) as w:
            found = run(w, 24, concurrency=8)
            assert [row.example_id for row in found.rows] == [f"e{i}" for i in range(24)]
            assert found.scores == tuple(float(i % 4 != 0) for i in range(24))
            assert (found.mean, found.complete, len(found.errors)) == (18 / 24, True, 0)
            assert {(row.calls, row.cost_pico, row.tokens_in, row.tokens_out) for row in found.rows} == {
                (1, 120_000_000, 100, 10)
            }
            assert all(row.latency_us >= 20_000 for row in found.rows[::3])
            again = run(w, 24)
            assert again.rows == found.rows  # replayed: the same latency and cost, nothing asked
            assert len(w.simulation.asked) == 24

    def test_every_example_is_asked_once_however_slow_the_last_one_is(self) -> None:
        def answer(request: Any, rollout: Any, index: Any) -> Any:
            time.sleep(0.3 if number_of(request) == 9 else 0)
            return echo(request, rollout, index)

        with world(answer) as w:
            assert run(w, 10, concurrency=10).mean == 1.0
            assert Counter(number_of(request) for request in w.simulation.asked) == Counter(range(10))

    @pytest.mark.parametrize("concurrency", [1, 3, 16])
    def test_so_many_calls_are_in_flight_and_no_more(self, concurrency: int) -> None:
        full = threading.Barrier(concurrency)

        def answer(request: Any, rollout: Any, index: Any) -> Any:
            full.wait(timeout=10)
            return echo(request, rollout, index)

        with world(answer) as w:
            assert run(w, concurrency * 3, concurrency=concurrency).mean == 1.0
            assert w.simulation.peak == concurrency

    def test_no_examples_are_a_complete_nothing(self) -> None:
        with world(echo) as w:
            found = run(w, 0)
            assert (found.rows, found.mean, found.complete, found.latency_ms(0.5)) == ((), 0.0, True, 0.0)

    def test_progress_counts_up_to_all_with_the_mean_so_far(self) -> None:
        seen: list[tuple[int, int, float]] = []
        with world(echo) as w:
            run(w, 30, concurrency=6, progress=lambda *told: seen.append(told))
        assert sorted(done for done, _, _ in seen) == list(range(1, 31))
        assert {wanted for _, wanted, _ in seen} == {30}
        assert {mean for _, _, mean in seen} == {1.0}

    def test_a_display_that_breaks_is_heard_of(self) -> None:
        def broken(done: int, wanted: int, mean: float) -> None:
            raise BrokenPipeError("no terminal")

        with world(echo) as w, pytest.raises(BrokenPipeError) as error:
            run(w, 20, concurrency=4, progress=broken)
        assert partial_of(error.value) is not None

    def test_dspys_settings_and_history_stay_as_they_were(self) -> None:
        before = dict(dspy.settings.config)
        with world(echo) as w:
            lm = lm_of(w)
            program = build(SPEC)
            run(w, 20, lm=lm, program=program)
            assert lm.history == []
            assert getattr(program, "history", []) == []
        assert dict(dspy.settings.config) == before


class TestFailure:
    def test_a_failing_example_is_a_row_with_its_reason_and_counts_as_nothing(self) -> None:
        class Odd(dspy.Module):
            def __init__(self) -> None:
                super().__init__()
                self.ask = dspy.Predict("question -> answer")

            def forward(self, question: str) -> Any:
                if question == "q3":
                    raise ValueError("not this one\nsecond line")
                return self.ask(question=question)

        def answer(request: Any, rollout: Any, index: Any) -> Any:
            number = number_of(request)
            if number == 1:
                raise CallFailed(MODEL, "bad_request", "too odd")
            return respond("no fields at all") if number == 2 else echo(request, rollout, index)

        with world(answer) as w:
            found = run(w, 5, program=Odd())
        assert found.scores == (1.0, 0.0, 0.0, 0.0, 1.0)
        assert found.complete
        reasons = [row.error or "" for row in found.rows]
        assert "too odd" in reasons[1]
        assert "AdapterParseError" in reasons[2]
        assert reasons[3] == "ValueError: not this one"
        assert [row.score.reason.startswith("no answer") for row in found.rows] == [False, True, True, True, False]
        assert [row.calls for row in found.rows] == [1, 1, 2, 0, 1]  # DSPy asks once more, for JSON
        assert found.mean == 0.4

    def test_a_stopped_run_keeps_its_finished_rows(self) -> None:
        with world(echo) as w:
            account = w.account(budget_usd="0.005")
            with pytest.raises(RunStopped) as stop:
                run(w, 500, lm=lm_of(w, account), concurrency=4)
            partial = partial_of(stop.value)
            assert stop.value.cause == "budget_exceeded"
            assert partial is not None
            assert not partial.complete
            assert partial.wanted == 500
            assert partial.mean == 1.0
            # A call that was let through when another was refused still finishes its row.
            assert 0 <= len(w.simulation.asked) - len(partial.rows) <= 4
            assert len(partial.rows) > 5

    def test_a_metric_that_cannot_be_applied_ends_the_evaluation(self) -> None:
        class Refusing:
            name, binary = "refusing", True

            def score(self, *, inputs: Mapping[str, Any], **_: Any) -> Any:
                if inputs["question"] == "q5":
                    raise MetricError("cannot be applied")
                return EXACT.score(inputs=inputs, **_)

            def summary(self, rows: Any) -> float:
                return 0.0

        with world(echo) as w, pytest.raises(MetricError, match="cannot be applied") as error:
            run(w, 40, metric=Refusing(), concurrency=2)
        partial = partial_of(error.value)
        assert partial is not None
        assert 5 <= len(partial.rows) < 40

    @pytest.mark.parametrize("concurrency", [1, 32])
    def test_cancel_does_not_wait_for_calls_that_hang(self, concurrency: int) -> None:
        release = threading.Event()

        def answer(request: Any, rollout: Any, index: Any) -> Any:
            if number_of(request) >= 4:
                release.wait(60)
            return echo(request, rollout, index)

        with world(answer) as w:
            account = w.account()
            cancelled: list[float] = []
            done = [0]

            def progress(number: int, wanted: int, mean: float) -> None:
                done[0] = number

            def cancel() -> None:
                while w.simulation.in_flight < concurrency or done[0] < 4:
                    time.sleep(0.005)
                cancelled.append(time.monotonic())
                account.switch.trip("cancelled", "by the user")

            threading.Thread(target=cancel).start()
            with pytest.raises(RunStopped) as stop:
                run(w, 100, lm=lm_of(w, account), concurrency=concurrency, switch=account.switch, progress=progress)
            took = time.monotonic() - cancelled[0]
            release.set()
            partial = partial_of(stop.value)
            assert (stop.value.cause, took < 5) == ("cancelled", True), took
            assert partial is not None
            assert [row.example_id for row in partial.rows] == [f"e{i}" for i in range(4)]


def test_memory_does_not_grow_with_what_was_evaluated() -> None:
    with world(echo) as w:
        lm, program = lm_of(w), build(SPEC)
        run(w, 300, lm=lm, program=program)
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(6):
            run(w, 300, lm=lm, program=program)
        gc.collect()
        # Replayed calls leave rows in the database, not objects: 1,800 of them kept would be tens of thousands.
        assert sys.getallocatedblocks() - before < 9000


def test_two_evaluations_that_one_switch_stops_keep_their_own_rows() -> None:
    both = threading.Barrier(2)
    raised: dict[str, RunStopped] = {}

    with world(echo) as w:
        account = w.account()

        def measure(name: str, count: int) -> None:
            def progress(done: int, wanted: int, mean: float) -> None:
                if done == wanted - 1:
                    both.wait(10)
                    account.switch.trip("budget_exceeded", "gone")
                    time.sleep(0.4)  # so that it is the evaluation that notices first

            try:
                run(w, count, lm=lm_of(w, account), concurrency=1, progress=progress, switch=account.switch)
            except RunStopped as stop:
                raised[name] = stop

        crew = [threading.Thread(target=measure, args=each) for each in (("short", 3), ("long", 9))]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join(20)
        found = {name: partial_of(stop) for name, stop in raised.items()}
        assert {name: each and each.wanted for name, each in found.items()} == {"short": 3, "long": 9}
