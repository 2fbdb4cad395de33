"""Spent never exceeds the budget: random prices, failures, sizes and concurrency, in one process and in several."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strop.errors import CallFailed, RunStopped
from strop.gateway import Account, FunctionProvider, Gateway, PriceTable, pico
from strop.store import Store
from tests.support.simulated import ask, respond

KINDS = ["timeout", "server", "rate_limit", "bad_request", "connection", "garbage"]


@st.composite
def worlds(draw: st.DrawFn):
    return {
        "price_in": draw(st.sampled_from([0, 0.05, 1, 15, 75])),
        "price_out": draw(st.sampled_from([0, 0.4, 4, 75])),
        "budget": draw(st.sampled_from(["0", "0.000001", "0.0005", "0.004", "0.03"])),
        "threads": draw(st.integers(1, 64)),
        "calls": draw(st.integers(1, 80)),
        "failing": draw(st.sampled_from([0.0, 0.2, 0.9])),
        "phases": draw(st.lists(st.sampled_from(["0", "0.001", "0.01", None]), max_size=2)),
        "seed": draw(st.integers(0, 2**16)),
    }


def small_run(case) -> None:
    rng = random.Random(case["seed"])
    asked: list[str] = []

    def answer(request, rollout, index):
        asked.append("")
        time.sleep(rng.random() * 0.002)
        if rng.random() < case["failing"]:
            raise CallFailed("sim/y", rng.choice(KINDS), "scripted")
        limit = request.config.max_tokens or 1
        return respond("x", tokens_in=rng.randint(1, 60), tokens_out=rng.randint(0, limit))

    with Store.open(":memory:") as store:
        prices = PriceTable({"sim/y": {"input": case["price_in"], "output": case["price_out"]}})
        gateway = Gateway(store, prices=prices)
        gateway.offer("sim/y", FunctionProvider(answer))
        limits = {"run:p": pico(case["budget"])}
        gateway.budgets.open("run:p", limit_pico=limits["run:p"])
        leaf = "run:p"
        for number, phase in enumerate(case["phases"]):
            child = f"run:p/{number}"
            limits[child] = None if phase is None else pico(phase)
            gateway.budgets.open(child, limit_pico=limits[child], parent=leaf)
            leaf = child
        roles = ["task", "teacher", "prompt", "judge"]
        account = Account(scope="run:p", budget=leaf)
        lines = [
            gateway.lm({"model": "sim/y", "retries": 0}, account, phase="search", role=role).channel for role in roles
        ]
        todo = iter(range(case["calls"]))
        lock = threading.Lock()

        def work() -> None:
            while True:
                with lock:
                    number = next(todo, None)
                if number is None:
                    return
                request = ask(f"question {number}", max_tokens=1 + number % 50)
                try:
                    with contextlib.suppress(CallFailed):
                        gateway.complete(lines[number % 4], request, rollout=None, index=0)
                except RunStopped:
                    return

        crew = [threading.Thread(target=work) for _ in range(case["threads"])]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
        gateway.ledger.writer.flush()
        total = sum(line.cost_pico + line.uncertain_pico for line in gateway.ledger.lines("run:p"))
        for id, limit in limits.items():
            node = gateway.budgets.read(id)
            assert node is not None
            assert node.held == 0
            assert node.spent == total
            assert limit is None or node.spent <= limit
        if case["budget"] == "0" and case["price_in"] > 0:
            assert asked == []
        gateway.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_spent_never_exceeds_the_budget(case):
    small_run(case)


@pytest.mark.soak
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds())
def test_spent_never_exceeds_the_budget_in_500_runs(case):
    small_run(case)


SPENDER = """
import contextlib, pathlib, sys, threading, time
from strop.errors import RunStopped
from strop.gateway import Account, FunctionProvider, Gateway, PriceTable
from strop.store import Store
from tests.support.simulated import ask, respond
name, path = sys.argv[1:]
with Store.open(path) as store:
    gateway = Gateway(store, prices=PriceTable({"sim/y": {"input": 10, "output": 10}}))
    def answer(request, rollout, index):
        time.sleep(0.02)
        return respond("x", tokens_in=20, tokens_out=5)
    gateway.offer("sim/y", FunctionProvider(answer))
    account = Account(scope="run:" + name, budget="session:shared")
    line = gateway.lm("sim/y", account, phase="search").channel
    def work(part):
        with contextlib.suppress(RunStopped):
            for number in range(200):
                gateway.complete(line, ask(f"{name} {part} {number}", max_tokens=20), rollout=None, index=0)
    pathlib.Path(path + "." + name).touch()
    while len(list(pathlib.Path(path).parent.glob("shared.db.?"))) < 2: time.sleep(0.01)
    crew = [threading.Thread(target=work, args=(part,)) for part in range(8)]
    for thread in crew: thread.start()
    for thread in crew: thread.join()
    gateway.close()
"""


def test_two_processes_share_one_budget_and_keep_it(tmp_path: Path):
    path = tmp_path / "shared.db"
    limit = pico("0.05")
    with Store.open(path) as store:
        gateway = Gateway(store)
        gateway.budgets.open("session:shared", limit_pico=limit)
        root = Path(__file__).parents[2]
        env = {**os.environ, "PYTHONPATH": str(root)}
        spenders = [
            subprocess.Popen([sys.executable, "-c", SPENDER, name, str(path)], env=env, cwd=root) for name in ("a", "b")
        ]
        assert [spender.wait(timeout=120) for spender in spenders] == [0, 0]
        node = gateway.budgets.read("session:shared")
        assert node is not None
        spent = {scope: sum(x.cost_pico for x in gateway.ledger.lines(scope)) for scope in ("run:a", "run:b")}
        gateway.close()
    assert node.spent == sum(spent.values()) <= limit
    assert node.held == 0
    assert limit - node.spent < 5 * 10_000_000 * 200
    assert min(spent.values()) > 0


def test_a_call_that_waits_for_another_process_s_reservation_goes_on_when_that_is_settled(tmp_path: Path):
    path = tmp_path / "shared.db"
    asked, answer = threading.Event(), threading.Event()

    def slow(request, rollout, index):
        asked.set()
        answer.wait(20)
        return respond("x", tokens_in=20, tokens_out=5)

    with contextlib.ExitStack() as stack:
        lines = []
        for name, provider in (("a", slow), ("b", lambda request, rollout, index: respond("x", tokens_in=1))):
            store = stack.enter_context(Store.open(path))
            gateway = Gateway(store, prices=PriceTable({"sim/y": {"input": 10, "output": 10}}))
            stack.callback(gateway.close)
            gateway.offer("sim/y", FunctionProvider(provider))
            gateway.budgets.open("session:shared", limit_pico=pico("0.003"))
            lines.append(
                (gateway, gateway.lm("sim/y", Account(scope=name, budget="session:shared"), phase="s").channel)
            )
        crew = []
        for number, (gateway, line) in enumerate(lines):
            kwargs = {"rollout": None, "index": 0}
            request = ask(f"hello {number}", max_tokens=20)
            crew.append(threading.Thread(target=gateway.complete, args=(line, request), kwargs=kwargs, daemon=True))
        crew[0].start()
        assert asked.wait(20)
        crew[1].start()
        crew[1].join(0.5)
        assert crew[1].is_alive()
        answer.set()
        for thread in crew:
            thread.join(20)
            assert not thread.is_alive()
