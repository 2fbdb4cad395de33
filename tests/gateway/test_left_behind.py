"""What is left behind when a call, its caller or its run ends at the wrong moment: no money held, nobody waiting."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import strop.gateway.writer as writing
from strop.errors import CallFailed, RunStopped
from strop.gateway import Account, FunctionProvider, Gateway, PriceTable, Switch
from strop.gateway.writer import Intent
from strop.store import Lease, Store
from tests.gateway.test_ledger import Late
from tests.support.simulated import MODEL, PRICES, World, ask, respond, world


def call(w: World, account: Account, text: str, *, retries: int = 0) -> Any:
    channel = w.gateway.lm({"model": MODEL, "retries": retries}, account, phase="search").channel
    return w.gateway.complete(channel, ask(text, max_tokens=20), rollout=None, index=0)


def begun(job: Callable[[], Any], ends: list[BaseException | None] | None = None) -> threading.Thread:
    """`job` in a thread; how it ended is added to `ends`."""

    def work() -> None:
        end: BaseException | None = None
        try:
            job()
        except BaseException as error:
            end = error
        if ends is not None:
            ends.append(end)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def held(w: World, id: str = "run:t") -> int:
    w.gateway.ledger.writer.flush()
    node = w.gateway.budgets.read(id)
    assert node is not None
    return node.held


class Slow:
    """Answers when it may."""

    def __init__(self) -> None:
        self.asked, self.may = threading.Event(), threading.Event()

    def __call__(self, *_: Any) -> Any:
        self.asked.set()
        self.may.wait(30)
        return respond("x", tokens_in=1, tokens_out=1)


def ctrl_c(seconds: float) -> None:
    threading.Timer(seconds, lambda: os.kill(os.getpid(), signal.SIGINT)).start()


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_run_resumed_in_its_process_is_not_short_of_the_money_of_calls_left_behind(
    comes_back: bool, tmp_path: Path
) -> None:
    slow = Slow()
    with world(path=tmp_path / "a.db") as w:
        w.gateway.offer(MODEL, FunctionProvider(slow))
        first = Lease.acquire(w.store, "run:t", "first", 60)
        account = w.account(budget_usd=1, lease=first)
        left = begun(lambda: call(w, account, "slow"))
        assert slow.asked.wait(10)
        worst = held(w)
        account.switch.trip("cancelled", "stopped")
        first.release()
        if comes_back:
            slow.may.set()
            left.join(10)
            w.gateway.ledger.writer.flush()
        # Of two calls' worst cases and a half the lost one takes one for good, an answer next to nothing.
        w.gateway.budgets.open("run:t", limit_pico=5 * worst // 2)
        second = Lease.acquire(w.store, "run:t", "second", 60)
        assert w.gateway.ledger.settle_lost("run:t", second) == 1
        assert held(w) == 0
        w.gateway.offer(MODEL, FunctionProvider(lambda *_: respond("x", tokens_in=1, tokens_out=1)))
        again = Account(scope="run:t", budget="run:t", lease=second)
        ends: list[BaseException | None] = []
        begun(lambda: call(w, again, "next"), ends).join(10)
        assert ends == [None]
        slow.may.set()
        left.join(10)
        assert held(w) == 0
        rows = w.gateway.ledger.rows("run:t")
        assert sorted(row["status"] for row in rows) == ["lost", "ok"]
        assert not any(w.gateway.ledger.writer._held_here.values())
        assert w.gateway.ledger.writer._open == 0


def test_an_answer_that_cannot_be_recorded_is_a_failed_call_and_holds_no_money() -> None:
    with world(lambda *_: respond("half a pair: \ud83d")) as w:
        account = w.account(budget_usd=1)
        with pytest.raises(CallFailed, match="garbage"):
            call(w, account, "hi")
        assert held(w) == 0
        (row,) = w.gateway.ledger.rows("run:t")
        assert (row["status"], row["cost_pico"]) == ("failed", None)
        assert w.gateway.budgets.read("run:t").spent == row["worst_pico"]


def test_ctrl_c_in_a_call_leaves_no_money_held() -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    with world(interrupted) as w:
        account = w.account(budget_usd=1)
        with pytest.raises(KeyboardInterrupt):
            call(w, account, "hi")
        assert held(w) == 0
        (row,) = w.gateway.ledger.rows("run:t")
        assert (row["status"], row["final"]) == ("failed", False)
        assert w.gateway.budgets.read("run:t").spent == row["worst_pico"]


def test_ctrl_c_in_a_caller_that_waits_for_money_reserves_none_for_it_later() -> None:
    slow = Slow()
    with world(slow) as w:
        account = w.account(budget_usd=1)
        holder = begun(lambda: call(w, account, "holds"))
        assert slow.asked.wait(10)
        w.gateway.budgets.open("run:t", limit_pico=held(w) * 3 // 2)
        ctrl_c(0.3)
        with pytest.raises(KeyboardInterrupt):
            call(w, account, "waits")
        slow.may.set()
        holder.join(10)
        assert held(w) == 0
        assert [row["status"] for row in w.gateway.ledger.rows("run:t")] == ["ok"]


def test_ctrl_c_after_a_commit_is_told_by_a_row_that_was_written(tmp_path: Path) -> None:
    """The first intent of the transaction is refused, so it is no sign of whether the others were granted."""
    with Store.open(tmp_path / "a.db") as store:
        late = Late(store)
        gateway = Gateway(late, prices=PriceTable(PRICES))  # type: ignore[arg-type]  # interrupted after the commit
        gateway.offer(MODEL, FunctionProvider(lambda *_: respond("x")))
        w = World.__new__(World)
        w.gateway = gateway
        account, stopped = w.account(budget_usd=1), Switch()
        stopped.trip("cancelled", "stopped")
        call(w, account, "a row to copy")
        gateway.ledger.writer.flush()
        row = {**gateway.ledger.rows("run:t")[0], "status": "open"}
        intents = [
            Intent(row={**row, "id": name * 32}, budget="run:t", worst=1000, switch=switch, lease=None)
            for name, switch in (("a", stopped), ("b", Switch()))
        ]
        gateway.ledger.writer._urgent.extend(intents)
        late.armed = True
        with pytest.raises(KeyboardInterrupt):
            gateway.ledger.writer.flush()
        assert held(w) == 1000
        gateway.close()


def test_ctrl_c_in_who_gathers_a_crowd_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "GATHER_S", 1.0)
    with world() as w:
        writer = w.gateway.ledger.writer
        writer._open = writing.CROWD + 1
        ends: list[BaseException | None] = []
        waiter: list[threading.Thread] = []
        threading.Timer(0.2, lambda: waiter.append(begun(writer.flush, ends))).start()
        ctrl_c(0.5)
        with pytest.raises(KeyboardInterrupt):
            writer.flush()
        writer._open = 0
        waiter[0].join(5)
        assert ends == [None]


def test_a_closed_ledger_lets_everybody_go_once() -> None:
    slow = Slow()
    with world(slow) as w:
        account = w.account(budget_usd=1)
        ends: list[BaseException | None] = []
        holder = begun(lambda: call(w, account, "holds"), ends)
        assert slow.asked.wait(10)
        w.gateway.budgets.open("run:t", limit_pico=held(w) * 3 // 2)
        waiter = begun(lambda: call(w, account, "waits"), ends)
        waiter.join(0.3)
        w.gateway.close()
        waiter.join(10)
        assert isinstance(ends[0], RunStopped)
        assert not w.gateway.ledger.writer._waiting
        slow.may.set()
        holder.join(10)
        assert ends[1:] == [None]
        node = w.gateway.budgets.read("run:t")
        assert node is not None
        assert node.held == 0


def test_a_busy_run_does_not_keep_another_waiting_for_money_that_a_dead_process_holds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(writing, "FOREIGN_WAIT_S", 0.3)
    slow, dead = Slow(), Slow()
    with world(dead, path=tmp_path / "a.db") as gone, world(slow, path=tmp_path / "a.db") as w:
        theirs = gone.account("run:poor", budget_usd=1)
        begun(lambda: call(gone, theirs, "never comes back"))
        assert dead.asked.wait(10)
        w.gateway.budgets.open("run:poor", limit_pico=held(w, "run:poor") * 3 // 2)
        busy, poor = w.account("run:busy"), Account(scope="run:poor", budget="run:poor")
        holder = begun(lambda: call(w, busy, "a long call"))
        assert slow.asked.wait(10)
        ends: list[BaseException | None] = []
        begun(lambda: call(w, poor, "refused"), ends).join(5)
        assert [getattr(end, "cause", None) for end in ends] == ["budget_exceeded"]
        slow.may.set()
        dead.may.set()
        holder.join(10)


def test_one_failed_call_that_six_share_is_one_failure() -> None:
    def odd(*_: Any) -> Any:
        time.sleep(0.3)
        raise CallFailed(MODEL, "garbage", "odd")

    with world(odd) as w:
        account = w.account()
        ends: list[BaseException | None] = []
        crew = [begun(lambda: call(w, account, "same"), ends) for _ in range(6)]
        for thread in crew:
            thread.join(10)
        assert len(w.simulation.asked) == 1
        assert [type(end) for end in ends] == [CallFailed] * 6
        assert account.switch.stopped is None


def test_replayed_answers_do_not_hide_that_the_provider_is_down() -> None:
    def answer(*_: Any) -> Any:
        if len(w.simulation.asked) > 8:
            raise CallFailed(MODEL, "timeout", "nobody there")
        return respond("x")

    with world(answer) as w:
        account = w.account()
        for number in range(8):
            call(w, account, f"known {number}")
        with contextlib.suppress(RunStopped):
            for number in range(20):
                with contextlib.suppress(CallFailed):
                    call(w, account, f"new {number}")
                for other in range(8):
                    call(w, account, f"known {other}")
        assert account.switch.stopped is not None
        assert account.switch.stopped.cause == "provider_down"
        assert len(w.simulation.asked) == 13


def test_who_shares_a_call_heeds_its_own_stop() -> None:
    slow = Slow()
    with world(slow) as w:
        one, two = w.account("run:one"), w.account("run:two")
        ends: list[BaseException | None] = []
        maker = begun(lambda: call(w, one, "same"))
        assert slow.asked.wait(10)
        sharer = begun(lambda: call(w, two, "same"), ends)
        sharer.join(0.2)
        two.switch.trip("timeout", "its time is over")
        sharer.join(5)
        assert [getattr(end, "cause", None) for end in ends] == ["timeout"]
        slow.may.set()
        maker.join(10)


def test_ctrl_c_in_one_run_is_not_told_to_another_that_shares_its_call() -> None:
    slow = Slow()

    def interrupted_once(*asked: Any) -> Any:
        if not slow.asked.is_set():
            slow(*asked)
            raise KeyboardInterrupt
        return respond("x")

    with world(interrupted_once) as w:
        one, two = w.account("run:one"), w.account("run:two")
        first: list[BaseException | None] = []
        second: list[BaseException | None] = []
        maker = begun(lambda: call(w, one, "same"), first)
        assert slow.asked.wait(10)
        sharer = begun(lambda: call(w, two, "same"), second)
        sharer.join(0.2)
        slow.may.set()
        maker.join(10)
        sharer.join(10)
        assert [type(end) for end in first] == [KeyboardInterrupt]
        assert second == [None]


def test_an_answer_that_came_after_its_run_was_given_up_is_asked_again(tmp_path: Path) -> None:
    """It is not in the ledger, so that a replay would miss it."""
    slow = Slow()
    with world(slow, path=tmp_path / "a.db") as w:
        first = Lease.acquire(w.store, "run:t", "first", 60)
        account = w.account(lease=first)
        left = begun(lambda: call(w, account, "same"))
        assert slow.asked.wait(10)
        account.switch.trip("cancelled", "stopped")
        first.release()
        slow.may.set()
        left.join(10)
        second = Lease.acquire(w.store, "run:t", "second", 60)
        w.gateway.ledger.settle_lost("run:t", second)
        call(w, Account(scope="run:t", budget="run:t", lease=second), "same")
    with world(path=tmp_path / "a.db", replay=True) as w:
        assert call(w, w.account(), "same").message.text == "x"
