"""The door: recorded, replayed, shared, refused, retried, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from pathlib import Path

import pytest
from dspy import lm15

from strop.errors import CallFailed, PriceUnknown, RunStopped
from strop.gateway import Account, Gateway, Lanes, PriceTable, lanes, pico, tap
from strop.store import Lease, Store
from tests.support.simulated import MODEL, Simulation, ask, last_text, respond, slowly, world


def channel(w, account, **settings):
    return w.gateway.lm({"model": MODEL, "retries": 0, **settings}, account, phase="search").channel


def complete(w, account, text, rollout=None, index=0, **settings):
    return w.gateway.complete(channel(w, account, **settings), ask(text, max_tokens=50), rollout=rollout, index=index)


def ask_many(w, account, n):
    """Different questions one after another, whatever comes of each."""
    for i in range(n):
        with contextlib.suppress(CallFailed):
            complete(w, account, f"q{i}")


def test_a_call_is_recorded_with_its_price_and_settled_to_the_token():
    with world() as w:
        account = w.account(budget_usd=1)
        complete(w, account, "hello")
        (row,) = w.gateway.ledger.rows("run:t")
        assert (row["status"], row["source"], row["attempt"], bool(row["final"])) == ("ok", "paid", 0, True)
        assert (row["tokens_in"], row["tokens_out"]) == (100, 10)
        assert row["cost_pico"] == 100 * 1_000_000 + 10 * 2_000_000
        assert row["worst_pico"] >= row["cost_pico"]
        assert row["queued_us"] <= row["started_us"] <= row["finished_us"]
        node = w.gateway.budgets.read("run:t")
        assert (node.spent, node.held) == (row["cost_pico"], 0)


def test_the_same_request_is_replayed_also_by_another_process_and_scope(tmp_path: Path):
    with world(path=tmp_path / "a.db") as w:
        first = complete(w, w.account(), "hello")
    with world(path=tmp_path / "a.db") as w:
        account = w.account("run:other")
        with tap() as seen:
            again = complete(w, account, "hello")
        assert w.simulation.asked == []
        assert again.message.text == first.message.text
        assert [one.source for one in seen] == ["replayed"]
        assert seen[0].call.cost_pico == 120_000_000
        lines = w.gateway.ledger.lines("run:other")
        assert (lines[0].replayed, lines[0].bought, lines[0].cost_pico) == (1, 0, 0)


def test_rollout_and_index_are_separate_samples():
    with world() as w:
        account = w.account()
        for rollout, index in [(None, 0), (1, 0), (2, 0), (None, 1), (1, 0)]:
            complete(w, account, "hello", rollout, index)
        assert len(w.simulation.asked) == 4


def test_equal_calls_in_flight_are_one_call():
    with world(slowly(0.2)) as w:
        account = w.account()
        threads = [threading.Thread(target=complete, args=(w, account, "hello")) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(w.simulation.asked) == 1
        line = w.gateway.ledger.lines("run:t")[0]
        assert (line.calls, line.bought, line.shared) == (16, 1, 15)


def test_dspy_reaches_the_gateway_with_rollouts_and_n_both_ways():
    with world() as w:
        lm = w.gateway.lm(MODEL, w.account(), phase="search")
        assert lm("hi") == ["to hi"]
        assert lm("hi", n=3, temperature=1.0) == ["to hi"] * 3
        lm("hi", rollout_id=5, temperature=1.0)
        assert len(w.simulation.asked) == 5
        assert lm.copy(rollout_id=5, temperature=1.0)("hi") == ["to hi"]
        assert asyncio.run(lm.acall("hi")) == ["to hi"]
        assert len(w.simulation.asked) == 5


def test_a_stopped_run_does_not_stop_another_that_waits_for_the_same_call():
    asked = threading.Event()

    def answer(request, rollout, index):
        asked.set()
        time.sleep(0.2)
        if len(w.simulation.asked) == 1:
            raise CallFailed(MODEL, "auth", "wrong key")
        return respond("fine")

    with world(answer) as w:
        first, second = w.account("run:a"), w.account("run:b")
        answers: list[str | None] = []

        def fail() -> None:
            with contextlib.suppress(RunStopped):
                complete(w, first, "hello")

        leader = threading.Thread(target=fail)
        leader.start()
        asked.wait()
        first.switch.trip("cancelled", "by hand")
        follower = threading.Thread(target=lambda: answers.append(complete(w, second, "again").message.text))
        follower.start()
        leader.join()
        follower.join()
        assert answers == ["fine"]
        assert second.switch.stopped is None


def test_a_refused_leader_leaves_the_call_to_the_follower():
    held, release = threading.Event(), threading.Event()

    def answers(request, rollout, index):
        if last_text(request) == "holds the money":
            held.set()
            release.wait(60)
        return respond(f"to {last_text(request)}")

    with world(answers) as w:
        poor, rich = w.account("run:poor", budget_usd="0.0005"), w.account("run:rich", budget_usd=1)
        holder = threading.Thread(target=complete, args=(w, poor, "holds the money"))
        holder.start()
        assert held.wait(60)
        outcomes: dict[str, object] = {}

        def ask_for(name, account):
            try:
                outcomes[name] = complete(w, account, "same").message.text
            except RunStopped as stop:
                outcomes[name] = stop.cause

        leader = threading.Thread(target=ask_for, args=("poor", poor))
        leader.start()
        time.sleep(0.05)
        follower = threading.Thread(target=ask_for, args=("rich", rich))
        follower.start()
        time.sleep(0.05)
        poor.switch.trip("budget_exceeded", "spent")
        leader.join()
        follower.join()
        release.set()
        holder.join()
        assert outcomes == {"poor": "budget_exceeded", "rich": "to same"}


def test_a_budget_of_zero_makes_no_call_and_the_refusal_is_sticky():
    with world() as w:
        account = w.account(budget_usd=0)
        with pytest.raises(RunStopped) as stop:
            complete(w, account, "hello")
        assert stop.value.cause == "budget_exceeded"
        before = time.perf_counter()
        for _ in range(1000):
            with contextlib.suppress(RunStopped):
                complete(w, account, "hello again")
        assert time.perf_counter() - before < 10
        assert w.simulation.asked == []


def test_a_recorded_answer_is_free_even_when_the_budget_is_spent(tmp_path: Path):
    with world(path=tmp_path / "a.db") as w:
        complete(w, w.account(), "hello")
    with world(path=tmp_path / "a.db") as w:
        assert complete(w, w.account("run:poor", budget_usd=0), "hello").message.text == "to hello"


def test_reservations_wait_for_calls_in_flight_instead_of_refusing():
    with world(slowly(0.02)) as w:
        account = w.account(budget_usd="0.005")
        worst = []
        threads = [threading.Thread(target=complete, args=(w, account, f"q{i}")) for i in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        worst = [row["worst_pico"] for row in w.gateway.ledger.rows("run:t")]
        assert len(worst) == 24
        assert sum(worst) > pico("0.005")
        assert w.gateway.budgets.read("run:t").spent == 24 * 120_000_000


def test_a_child_budget_cannot_spend_more_than_its_parent():
    with world() as w:
        w.gateway.budgets.open("session:s", limit_pico=pico("0.001"))
        w.gateway.budgets.open("run:a", limit_pico=pico(1), parent="session:s")
        account = Account(scope="run:a", budget="run:a")
        with pytest.raises(RunStopped):
            ask_many(w, account, 100)
        top, child = w.gateway.budgets.read("session:s"), w.gateway.budgets.read("run:a")
        assert top.spent == child.spent <= pico("0.001")
        assert len(w.simulation.asked) >= 5


def test_transient_failures_are_retried_each_attempt_on_its_own_row():
    failures = iter(
        [CallFailed(MODEL, "rate_limit", "slow down", retry_after=0.01), CallFailed(MODEL, "server", "500")]
    )

    def answer(request, rollout, index):
        for failure in failures:
            raise failure
        return respond("fine")

    with world(answer) as w:
        account = w.account()
        assert complete(w, account, "hello", retries=3).message.text == "fine"
        rows = w.gateway.ledger.rows("run:t")
        assert [(r["attempt"], r["status"], bool(r["final"])) for r in rows] == [
            (0, "failed", False), (1, "failed", False), (2, "ok", True),
        ]  # fmt: skip
        assert w.gateway.ledger.lines("run:t")[0].cost_pico == 120_000_000


def test_a_final_failure_is_an_answer_for_its_own_run_only():
    def answer(request, rollout, index):
        raise CallFailed(MODEL, "bad_request", "no")

    with world(answer) as w:
        for _ in range(2):
            with pytest.raises(CallFailed):
                complete(w, w.account(), "hello")
        assert len(w.simulation.asked) == 1
        with pytest.raises(CallFailed):
            complete(w, w.account("run:other"), "hello")
        assert len(w.simulation.asked) == 2


def test_forgotten_failures_are_asked_again():
    broken = threading.Event()
    broken.set()

    def answer(request, rollout, index):
        if broken.is_set():
            raise CallFailed(MODEL, "server", "down")
        return respond("up")

    with world(answer) as w:
        with pytest.raises(CallFailed):
            complete(w, w.account(), "hello")
        broken.clear()
        w.gateway.ledger.forget_failures("run:t")
        assert complete(w, w.account(), "hello").message.text == "up"


def test_what_may_have_been_charged_stays_spent_at_its_worst_case():
    def answer(request, rollout, index):
        raise CallFailed(MODEL, "timeout", "no answer in 1 s")

    with world(answer) as w:
        with pytest.raises(CallFailed):
            complete(w, w.account(budget_usd=1), "hello")
        (row,) = w.gateway.ledger.rows("run:t")
        assert row["cost_pico"] is None
        assert w.gateway.budgets.read("run:t").spent == row["worst_pico"] > 0
        line = w.gateway.ledger.lines("run:t")[0]
        assert (line.cost_pico, line.uncertain_pico) == (0, row["worst_pico"])


@pytest.mark.parametrize("kind", ["auth", "not_found"])
def test_a_wrong_key_or_model_ends_the_run_at_once(kind):
    def answer(request, rollout, index):
        raise CallFailed(MODEL, kind, "denied")

    with world(answer) as w:
        account = w.account()
        with pytest.raises(RunStopped) as stop:
            complete(w, account, "hello")
        assert stop.value.cause == "provider_down"
        assert "denied" in str(account.switch.cause)


def test_a_provider_that_dies_ends_the_run_after_a_few_calls():
    def answer(request, rollout, index):
        if len(w.simulation.asked) > 70:
            raise CallFailed(MODEL, "connection", "refused", unsent=True)
        return respond("fine")

    with world(answer) as w:
        account = w.account()
        with pytest.raises(RunStopped) as stop:
            ask_many(w, account, 200)
        assert stop.value.cause == "provider_down"
        assert len(w.simulation.asked) <= 76


def test_a_half_dead_provider_ends_the_run():
    def answer(request, rollout, index):
        if len(w.simulation.asked) % 2:
            raise CallFailed(MODEL, "server", "500")
        return respond("fine")

    with world(answer) as w:
        account = w.account()
        with pytest.raises(RunStopped) as stop:
            ask_many(w, account, 200)
        assert "of the last 50 calls failed" in stop.value.detail


def test_replay_answers_from_the_ledger_alone(tmp_path: Path):
    with world(path=tmp_path / "a.db") as w:
        complete(w, w.account(), "known")
    with world(path=tmp_path / "a.db", replay=True) as w:
        account = w.account()
        assert complete(w, account, "known").message.text == "to known"
        with pytest.raises(RunStopped) as stop:
            complete(w, account, "unknown")
        assert stop.value.cause == "replay_miss"
        assert w.simulation.asked == []


def test_a_fenced_owner_writes_nothing(tmp_path: Path):
    clock = [1000.0]
    with world(path=tmp_path / "a.db") as w, Store.open(tmp_path / "a.db") as other:
        lease = Lease.acquire(w.store, "run:t", "first", 60, clock=lambda: clock[0])
        account = w.account(lease=lease)
        complete(w, account, "one")
        w.gateway.ledger.writer.flush()
        clock[0] += 100
        Lease.acquire(other, "run:t", "second", 60, clock=lambda: clock[0])
        with pytest.raises(RunStopped) as stop:
            complete(w, account, "two")
        assert stop.value.cause == "fenced"
        assert len(w.simulation.asked) == 1
        assert len(w.gateway.ledger.rows("run:t")) == 1


def test_an_unknown_price_is_an_error_before_any_call():
    with Store.open(":memory:") as store:
        gateway = Gateway(store, prices=PriceTable())
        with pytest.raises(PriceUnknown, match="no price is known for model 'acme/secret-1'"):
            gateway.lm("acme/secret-1", Account(scope="run:t"), phase="search")
        gateway.close()


def test_concurrency_of_a_model_is_kept():
    with world(slowly(0.02)) as w:
        account = w.account()
        line = channel(w, account, concurrency=3)
        threads = [
            threading.Thread(
                target=w.gateway.complete, args=(line, ask(f"q{i}", max_tokens=5)), kwargs={"rollout": None, "index": 0}
            )
            for i in range(24)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert w.simulation.peak == 3


def test_a_canary_key_is_nowhere_in_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    canary = "canary-0123456789abcdef"
    monkeypatch.setenv("CANARY_API_KEY", canary)

    def answer(request, rollout, index):
        if "fail" in last_text(request):
            raise CallFailed(MODEL, "bad_request", "bad request")
        return respond(f"you sent {canary}")

    path = tmp_path / "a.db"
    with world(answer, path=path) as w:
        complete(w, w.account(), f"the key is {canary} and sk-abcdefghijklmnop1234567890")
        with pytest.raises(CallFailed):
            complete(w, w.account(), f"fail {canary}")
    for file in tmp_path.iterdir():
        content = file.read_bytes()
        assert canary.encode() not in content
        assert b"sk-abcdefghijklmnop" not in content


def test_streaming_gives_the_same_text():
    with world() as w:
        lm = w.gateway.lm(MODEL, w.account(), phase="search")
        events = list(lm.engine.stream(ask("hi", max_tokens=5)))
        assert lm15.materialize_response(iter(events), ask("hi", max_tokens=5)).message.text == "to hi"


def test_tokens_a_minute_are_kept():
    with world() as w:
        account = w.account()
        line = channel(w, account, requests_per_minute=5)
        line.pace._window_s = 0.5
        before = time.monotonic()
        for i in range(11):
            w.gateway.complete(line, ask(f"q{i}", max_tokens=5), rollout=None, index=0)
        assert time.monotonic() - before >= 0.95
        assert isinstance(w.simulation, Simulation)


def test_the_short_way_sends_what_dspy_would_send(monkeypatch: pytest.MonkeyPatch):
    import dspy

    from strop.programs import running_on

    seen = []

    def answer(request, rollout, index):
        seen.append((request, rollout, index))
        return respond("[[ ## reasoning ## ]]\nsum\n\n[[ ## answer ## ]]\nfour\n\n[[ ## completed ## ]]")

    class Listener(dspy.utils.BaseCallback):
        """Its presence sends DSPy the long way."""

    program = dspy.ChainOfThought("question -> answer")
    program.predict.demos = [dspy.Example(question="1+1", reasoning="easy", answer="two")]
    with world(answer) as w:
        lm = w.gateway.lm({"model": MODEL, "temperature": 0.7}, w.account(), phase="search")
        for options in ({}, {"temperature": 1.0, "rollout_id": 3}, {"temperature": 1.0, "n": 2}):
            with running_on(lm):
                short = program(question="2+2", config=options)
            with dspy.context(lm=lm, callbacks=[Listener()], disable_history=False):
                long = program(question="2+2", config=options)
            assert dict(short) == dict(long)
        rows = w.gateway.ledger.rows("run:t")
        assert len(seen) == 4
        assert len([row for row in rows if row["source"] == "replayed"]) == len(rows) - 4


def test_a_declared_call_that_waits_when_the_provider_is_given_up_is_taken_back():
    all_there = threading.Barrier(4)

    def refuse(request, rollout, index):
        all_there.wait(timeout=10)
        raise CallFailed(MODEL, "auth", "no such key")

    with world(refuse) as w:
        account = w.account(budget_usd=1)

        def work(number):
            with contextlib.suppress(CallFailed, RunStopped), lanes(limit):
                complete(w, account, f"q{number}")

        limit = Lanes(4)
        threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(w.simulation.asked) == 4
        rows = w.gateway.ledger.rows("run:t")
        assert [(row["status"], row["error_kind"], row["cost_pico"]) for row in rows] == [("failed", "auth", 0)] * 4
        assert account.counters.read().bought == 4
        assert w.gateway.budgets.read("run:t").held == 0
