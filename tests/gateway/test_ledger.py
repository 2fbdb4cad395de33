"""The ledger: sums that agree to the picodollar, pages, lost calls, and a writer that forgets nothing paid for."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from strop.errors import CallFailed, RunStopped, StoreError
from strop.gateway import FunctionProvider, Gateway, PriceTable, pico
from strop.store import Lease, Store
from tests.support.simulated import MODEL, PRICES, Simulation, World, ask, respond, world


def call(w: World, account: Any, text: str, *, phase: str = "search", role: Any = "task", **settings: Any) -> Any:
    lm = w.gateway.lm({"model": MODEL, "retries": 0, **settings}, account, phase=phase, role=role)
    return w.gateway.complete(lm.channel, ask(text, max_tokens=50), rollout=None, index=0)


class TestSums:
    def test_lines_rows_budget_and_dial_agree(self) -> None:
        chance = random.Random(5)

        def answer(request: Any, rollout: Any, index: Any) -> Any:
            kind = chance.choice(["ok"] * 6 + ["bad_request", "timeout", "refused_content"])
            if kind != "ok":
                raise CallFailed(MODEL, kind, "scripted")  # type: ignore[arg-type]  # one of the kinds
            return respond("x", tokens_in=chance.randint(1, 10), tokens_out=chance.randint(0, 50))

        with world(answer) as w:
            account = w.account(budget_usd=1)
            asked = [chance.randint(0, 60) for _ in range(200)]
            for number in asked:
                with contextlib.suppress(CallFailed):
                    call(
                        w,
                        account,
                        f"q{number}",
                        phase=chance.choice(["search", "proof"]),
                        role=chance.choice(["task", "judge"]),
                    )
            lines, rows = w.gateway.ledger.lines("run:t"), list(w.gateway.ledger.every_row("run:t"))
            bought = [row for row in rows if row["source"] == "paid"]
            assert len(rows) == sum(line.calls for line in lines) == 200
            assert len(bought) == sum(line.bought for line in lines) == len(set(asked))
            assert sum(line.replayed for line in lines) == 200 - len(set(asked))
            cost = sum(row["cost_pico"] or 0 for row in rows)
            uncertain = sum(row["worst_pico"] for row in bought if row["cost_pico"] is None)
            assert cost == sum(line.cost_pico for line in lines) > 0
            assert uncertain == sum(line.uncertain_pico for line in lines) > 0
            tokens = [(row["tokens_in"] or 0, row["tokens_out"] or 0) for row in bought]
            assert (
                cost == sum(one * PRICES[MODEL]["input"] + two * PRICES[MODEL]["output"] for one, two in tokens) * 10**6
            )
            assert sum(one for one, _ in tokens) == sum(line.tokens_in for line in lines)
            assert sum(two for _, two in tokens) == sum(line.tokens_out for line in lines)
            assert w.gateway.budgets.read("run:t").spent == cost + uncertain == account.counters.read().cost_pico
            for line in lines:
                mine = [row for row in rows if (row["phase"], row["role"]) == (line.phase, line.role)]
                assert line.cost_pico == sum(row["cost_pico"] or 0 for row in mine)
                assert line.failed == sum(row["status"] == "failed" for row in mine)
            assert w.gateway.ledger.lines() == lines
            assert w.gateway.ledger.lines("run:other") == []

    def test_pages_are_the_whole_in_order(self) -> None:
        with world() as w:
            account = w.account()
            for number in range(25):
                call(w, account, f"q{number}")
            call(w, w.account("run:other"), "elsewhere")
            whole = w.gateway.ledger.rows("run:t")
            paged, after = [], ""
            while page := w.gateway.ledger.rows("run:t", after=after, limit=7):
                assert len(page) <= 7
                paged += page
                after = page[-1]["id"]
            assert paged == whole == list(w.gateway.ledger.every_row("run:t"))
            assert [row["request"].split('"q')[1].split('"')[0] for row in whole] == [
                str(number) for number in range(25)
            ]
            assert w.gateway.ledger.rows("run:t", status=["failed", "lost"]) == []


class Died(BaseException):
    """The process ends in the middle of a call."""


def dying(request: Any, rollout: Any, index: Any) -> Any:
    if "last" in request.messages[-1].text:
        raise Died
    return respond("x")


class TestLost:
    @pytest.fixture(autouse=True)
    def _the_dead_settle_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        settle = Gateway._settle

        def settled(gateway: Gateway, channel: Any, row: Any, response: Any, error: Any, **named: Any) -> Any:
            return None if str(error).endswith("Died") else settle(gateway, channel, row, response, error, **named)

        monkeypatch.setattr(Gateway, "_settle", settled)

    def test_calls_of_a_dead_process_are_lost_and_spent_at_their_worst(self, tmp_path: Path) -> None:
        with world(dying, path=tmp_path / "a.db") as w:
            w.gateway._process = "elsewhere:1:beef"
            account = w.account(budget_usd=1)
            call(w, account, "first")
            for number in range(3):
                with pytest.raises(Died):
                    call(w, account, f"last {number}")
        with world(path=tmp_path / "a.db") as w:
            account = w.account(budget_usd=1)
            with contextlib.suppress(RunStopped):
                call(w, account, "mine")
            opened = w.gateway.ledger.rows("run:t", status=["open"])
            node = w.gateway.budgets.read("run:t")
            assert node.held == sum(row["worst_pico"] for row in opened) > 0
            assert w.gateway.ledger.settle_lost("run:t") == 3
            after = w.gateway.budgets.read("run:t")
            assert (after.held, after.spent) == (0, node.spent + node.held)
            assert w.gateway.ledger.settle_lost("run:t") == 0
            (line,) = w.gateway.ledger.lines("run:t")
            assert (line.lost, line.cost_pico + line.uncertain_pico) == (3, after.spent)
            call(w, account, "last 0")  # an unanswered call is no answer
            assert len(w.simulation.asked) == 2

    def test_calls_of_this_process_and_of_other_scopes_are_not(self) -> None:
        with world(dying) as w:
            with pytest.raises(Died):
                call(w, w.account(), "last")
            assert w.gateway.ledger.settle_lost("run:t") == 0
            w.gateway._process = "elsewhere:1:beef"
            with pytest.raises(Died):
                call(w, w.account("run:other"), "last of another")
            assert w.gateway.ledger.settle_lost("run:t") == 0
            assert w.gateway.ledger.settle_lost("run:other") == 1

    def test_forgotten_failures_leave_the_answers(self) -> None:
        def answer(request: Any, rollout: Any, index: Any) -> Any:
            if "bad" in request.messages[-1].text:
                raise CallFailed(MODEL, "bad_request", "no")
            return respond("x")

        with world(answer) as w:
            account = w.account()
            for _ in range(2):
                call(w, account, "good")
                with pytest.raises(CallFailed):
                    call(w, account, "bad")
                w.gateway.ledger.forget_failures("run:t")
            assert len(w.simulation.asked) == 3
            assert sum(line.cost_pico for line in w.gateway.ledger.lines()) == 120_000_000


class Flaky:
    """A store whose writes fail while `broken` is set."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.broken = threading.Event()
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        if self.broken.is_set():
            self.refused += 1
            raise StoreError("the disk is full")
        with self._store.write() as connection:
            yield connection


class TestWriter:
    def test_a_paid_outcome_is_kept_while_the_store_fails_and_written_when_it_works(self) -> None:
        with Store.open(":memory:") as store:
            flaky = Flaky(store)

            def answer(request: Any, rollout: Any, index: Any) -> Any:
                flaky.broken.set()  # the disk fills up while the call is under way
                return respond("paid for")

            gateway = Gateway(flaky, prices=PriceTable(PRICES))  # type: ignore[arg-type]  # a store that fails
            gateway.offer(MODEL, FunctionProvider(Simulation(answer)))
            w = World.__new__(World)
            w.gateway = gateway
            account = w.account(budget_usd=1)
            assert call(w, account, "hi").message.text == "paid for"
            with pytest.raises(StoreError, match="the disk is full"):
                gateway.ledger.writer.flush()
            with pytest.raises(RunStopped) as stop:
                call(w, account, "another")
            assert stop.value.cause == "store_failed"
            assert flaky.refused >= 2
            flaky.broken.clear()
            (row,) = gateway.ledger.rows("run:t")
            assert (row["status"], row["cost_pico"]) == ("ok", 120_000_000)
            node = gateway.budgets.read("run:t")
            assert (node.spent, node.held) == (120_000_000, 0)
            gateway.close()

    def test_a_writer_that_is_closed_writes_what_it_has(self, tmp_path: Path) -> None:
        with world(path=tmp_path / "a.db") as w:
            for number in range(300):
                call(w, w.account(), f"q{number}")
            w.gateway.close()
            with w.store.read() as connection:
                count = connection.exec_driver_sql("select count(*) from calls where status = 'ok'").scalar()
        assert count == 300

    def test_the_outcome_of_a_fenced_owner_is_not_written_and_counts_as_lost(self, tmp_path: Path) -> None:
        clock = [1000.0]
        with world(path=tmp_path / "a.db") as w, Store.open(tmp_path / "a.db") as other:
            lease = Lease.acquire(w.store, "run:t", "first", 60, clock=lambda: clock[0])

            def answer(request: Any, rollout: Any, index: Any) -> Any:
                clock[0] += 100
                Lease.acquire(other, "run:t", "second", 60, clock=lambda: clock[0])
                return respond("too late")

            w.gateway.offer(MODEL, FunctionProvider(answer))
            w.gateway._process = "elsewhere:1:beef"
            account = w.account(budget_usd=1, lease=lease)
            call(w, account, "hi")
            w.gateway.ledger.writer.flush()
            (row,) = w.gateway.ledger.rows("run:t")
            assert (row["status"], row["response"]) == ("open", None)
            node = w.gateway.budgets.read("run:t")
            assert (node.spent, node.held) == (0, row["worst_pico"])
            with world(path=tmp_path / "a.db") as new:
                assert new.gateway.ledger.settle_lost("run:t") == 1
                assert new.gateway.budgets.read("run:t").spent == row["worst_pico"] <= pico(1)

    def test_ctrl_c_in_the_thread_that_commits_loses_nothing_of_the_others(self, tmp_path: Path) -> None:
        with world(path=tmp_path / "a.db") as w:
            account, writer = w.account(budget_usd=1), w.gateway.ledger.writer

            def interrupted(connection: Connection) -> None:
                raise KeyboardInterrupt

            call(w, account, "before")
            with pytest.raises(KeyboardInterrupt):
                writer.flush(also=interrupted)
            call(w, account, "after")
            writer.flush()
            rows = w.gateway.ledger.rows("run:t")
            assert [row["status"] for row in rows] == ["ok", "ok"]
            node = w.gateway.budgets.read("run:t")
            assert (node.spent, node.held) == (sum(row["cost_pico"] for row in rows), 0)

    def test_ctrl_c_after_the_commit_counts_nothing_twice(self, tmp_path: Path) -> None:
        with Store.open(tmp_path / "a.db") as store:
            late = Late(store)
            gateway = Gateway(late, prices=PriceTable(PRICES))  # type: ignore[arg-type]  # interrupted after the commit
            gateway.offer(MODEL, FunctionProvider(Simulation(lambda *_: respond("x"))))
            w = World.__new__(World)
            w.gateway = gateway
            account = w.account(budget_usd=1)
            call(w, account, "before")
            late.armed = True
            with pytest.raises(KeyboardInterrupt):
                gateway.ledger.writer.flush()
            call(w, account, "after")
            gateway.ledger.writer.flush()
            rows = gateway.ledger.rows("run:t")
            node = gateway.budgets.read("run:t")
            assert [row["status"] for row in rows] == ["ok", "ok"]
            assert (node.spent, node.held) == (sum(row["cost_pico"] for row in rows), 0)
            gateway.close()

    def test_whoever_commits_serves_the_others_and_no_one_waits_for_ever(self, tmp_path: Path) -> None:
        with world(path=tmp_path / "a.db") as w:
            account = w.account(budget_usd=100)

            def work(name: int) -> None:
                for number in range(40):
                    call(w, account, f"{name} {number}")
                    if number % 7 == 0:
                        w.gateway.ledger.writer.flush()

            crew = [threading.Thread(target=work, args=(name,), daemon=True) for name in range(12)]
            for thread in crew:
                thread.start()
            for thread in crew:
                thread.join(timeout=60)
            assert not any(thread.is_alive() for thread in crew)
            assert len(list(w.gateway.ledger.every_row("run:t"))) == 480
            node = w.gateway.budgets.read("run:t")
            assert node.held == 0


class Late:
    """A store whose next transaction is interrupted right after it was committed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.armed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        with self._store.write() as connection:
            yield connection
        if self.armed and threading.current_thread() is threading.main_thread():
            self.armed = False
            raise KeyboardInterrupt


class TestShelf:
    """What the writer remembers of budgets is good only while nobody else changes them."""

    def test_another_process_spending_meanwhile_is_seen(self, tmp_path: Path) -> None:
        with world(path=tmp_path / "a.db") as one, world(path=tmp_path / "a.db") as two:
            mine, theirs = one.account(budget_usd=1), two.account(budget_usd=1)
            for number in range(5):
                call(one, mine, f"mine {number}")
                call(two, theirs, f"theirs {number}")
            one.gateway.ledger.writer.flush()
            two.gateway.ledger.writer.flush()
            rows = one.gateway.ledger.rows("run:t")
            node = one.gateway.budgets.read("run:t")
            assert len(rows) == 10
            assert (node.spent, node.held) == (sum(row["cost_pico"] for row in rows), 0)

    def test_a_limit_lowered_in_this_process_holds_at_once(self, tmp_path: Path) -> None:
        with world(path=tmp_path / "a.db") as w:
            account = w.account(budget_usd=1)
            call(w, account, "first")
            w.gateway.ledger.writer.flush()
            w.gateway.budgets.open("run:t", limit_pico=w.gateway.budgets.read("run:t").spent)
            with pytest.raises(RunStopped) as stop:
                call(w, account, "second")
            assert stop.value.cause == "budget_exceeded"
