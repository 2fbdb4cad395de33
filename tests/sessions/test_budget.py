"""One budget for everything: small random sessions with failures never spend more than they may."""

from __future__ import annotations

import random

import pytest

from tests.sessions.sim_session import Sim, works


def spent_on_paper(w) -> float:
    """What the ledger says of all models, summed by hand: known costs, and worst cases where no answer came."""
    total = 0
    for record in w.told("start"):
        for index in range(len(w.sims)):
            for row in w.gateway.ledger.every_row(f"session:{record.session_id}:{index}"):
                if row["source"] in {"paid", "embedded"}:
                    total += row["worst_pico"] if row["cost_pico"] is None else row["cost_pico"]
    return total / 1e12


@pytest.mark.parametrize("seed", range(5))
def test_never_more_than_the_budget_whatever_fails(seed):
    draw = random.Random(seed)
    sims = [
        Sim(
            name, draw.random(), learns=draw.random() < 0.5, error_rate=draw.choice([0, 0, 0.1, 0.4]),
            input_usd=draw.choice([0.5, 2, 20]), tokens_out=draw.choice([1, 10, 40]),
        )
        for name in "abc"[: draw.randint(1, 3)]
    ]  # fmt: skip
    budget = draw.choice([0.0, 0.0008, 0.004, 0.02, 0.06])
    with works(*sims) as w:
        result = w.run(
            10, cost_budget=budget, max_concurrency=draw.choice([1, 4, 16]), benchmark_samples=10,
            algorithm=draw.choice(["labeledfewshot", "copro"]), optimization_rounds=draw.randint(0, 2),
        )  # fmt: skip
        paper = spent_on_paper(w)
        assert paper <= budget + 1e-12
        assert result.total_cost_usd == pytest.approx(paper, abs=1e-12)
        assert len(w.told("budget_exceeded")) <= 1
        assert len(w.told("report")) == 1
        if result.status == "budget_exceeded":
            assert len(w.told("budget_exceeded")) == 1
        w.gateway.ledger.writer.flush()
        root = w.gateway.budgets.read(f"session:{result.session_id}")
        assert root is not None
        assert (root.held, root.spent / 1e12 <= budget) == (0, True)


def test_nothing_buys_nothing():
    with works(Sim("a"), Sim("b")) as w:
        result = w.run(cost_budget=0)
        assert (w.calls, result.total_cost_usd, result.status) == (0, 0.0, "budget_exceeded")
        (told,) = w.told("budget_exceeded")
        assert told.payload == 0.0
        assert result.best_model is None


def test_a_budget_that_ends_the_search_still_pays_for_the_benchmark_of_all_models():
    with works(Sim("a", 0.7), Sim("b", 0.3)) as w:
        free = w.run(algorithm="copro")
    with works(Sim("a", 0.7), Sim("b", 0.3)) as w:
        base = sum(m.spending.by_phase_usd["baseline"] + m.spending.by_phase_usd["benchmark"] for m in free.models)
        result = w.run(algorithm="copro", cost_budget=2.2 * base)
        assert len(w.told("budget_exceeded")) == 1
        tests = [model.best_test for model in result.models]
        assert all(test is not None and len(test.scores) == len(tests[0].scores) > 0 for test in tests)
        assert result.best_model == "a"
        assert result.total_cost_usd <= 2.2 * base
