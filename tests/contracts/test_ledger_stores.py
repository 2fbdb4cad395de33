"""The gateway keeps its promises on every database: the same calls, the same money, the same recovery."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import update

from strop.errors import RunStopped
from strop.gateway import Account, pico
from strop.gateway.tables import calls
from strop.store import Lease
from tests.runs.test_runner import Works, knows_with_demos
from tests.support.simulated import MODEL, ask, slowly, world


def test_record_budget_replay_and_recover(store_url: str):
    with world(slowly(0.005), path=store_url) as w:
        w.gateway.budgets.open("session:s", limit_pico=pico(1))
        w.gateway.budgets.open("run:r", limit_pico=pico("0.5"), parent="session:s")
        lease = Lease.acquire(w.store, "run:r", "test", 60)
        account = Account(scope="run:r", budget="run:r", lease=lease)
        channel = w.gateway.lm(MODEL, account, phase="search").channel

        def complete(text: str) -> str | None:
            return w.gateway.complete(channel, ask(text, max_tokens=20), rollout=None, index=0).message.text

        crew = [threading.Thread(target=complete, args=(f"question {i % 90}",)) for i in range(100)]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
        assert complete("question 3") == "to question 3"
        (line,) = w.gateway.ledger.lines("run:r")
        assert (line.calls, line.bought, line.cost_pico) == (101, 90, 90 * 120_000_000)
        for id in ("run:r", "session:s"):
            node = w.gateway.budgets.read(id)
            assert node is not None
            assert (node.spent, node.held) == (line.cost_pico, 0)
        row = w.gateway.ledger.rows("run:r")[0]
        with w.store.write() as connection:
            connection.execute(
                update(calls).where(calls.c.id == row["id"]).values(status="open", owner="gone:1:x", cost_pico=None)
            )
        assert w.gateway.ledger.settle_lost("run:r", lease) == 1
        assert w.gateway.ledger.rows("run:r", status=("lost",))[0]["id"] == row["id"]


def test_a_refusal_is_one_on_every_database(store_url: str):
    with world(path=store_url) as w:
        account = w.account(budget_usd="0.0009")
        channel = w.gateway.lm(MODEL, account, phase="search").channel
        with pytest.raises(RunStopped):
            [w.gateway.complete(channel, ask(f"q{i}", max_tokens=20), rollout=None, index=0) for i in range(50)]
        node = w.gateway.budgets.read("run:t")
        assert node is not None
        assert 0 < node.spent <= pico("0.0009")
        assert node.held == 0


def test_a_whole_run_is_the_same_on_every_database(store_url: str):
    with world(knows_with_demos, path=store_url) as made:
        w = Works(made)
        first, again = w.run(w.plan()), w.run(w.plan())
        assert (first.status, first.verdict, first.data["active_version"]) == ("completed", "IMPROVED", 2)
        assert again.data["test"] == first.data["test"]
        assert again.data["cost"]["new_calls"] == 0
        assert [version.number for version in w.registry.versions("parity")] == [1, 2]
