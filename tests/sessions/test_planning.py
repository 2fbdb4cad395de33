"""The forecast of a session: rounds that the budget buys, and how near the figures come to a session that is run."""

from __future__ import annotations

from contextlib import closing

import pytest

from strop.errors import PriceUnknown
from strop.gateway import Gateway, PriceTable
from strop.runs import TaskSpec
from strop.sessions import TrainingConfig, TrainingSession
from strop.sessions.planning import forecast
from strop.sessions.problem import from_task
from strop.store import Store
from tests.sessions.sim_session import TASK, Sim, data, works


def plan(w, **changes):
    config = w.config(**changes)
    assert config.task is not None
    return config, forecast(config, from_task(config.task, data=data(40)), w.gateway.prices)


def test_without_a_budget_everything_is_bought():
    with works(Sim("a"), Sim("b")) as w:
        _, found = plan(w, optimization_rounds=4)
        assert found.enough
        assert [one.rounds for one in found.models] == [4, 4]
        assert [one.budget_iterations for one in found.models] == [None, None]
        assert (found.dev, found.benchmark_samples) == (40, 20)


def test_less_money_buys_fewer_rounds_and_the_dear_model_feels_it_first():
    with works(Sim("cheap", input_usd=0.1), Sim("dear", input_usd=10)) as w:
        rounds, cost = [], []
        whole = plan(w, optimization_rounds=5)[1].cost_usd
        for share in (0.0, 0.3, 0.7, 1.0, 3.0):
            _, found = plan(w, optimization_rounds=5, cost_budget=share * whole)
            cheap, dear = found.models
            assert cheap.rounds >= dear.rounds
            assert found.cost_usd <= share * whole + 1e-12
            assert share or [one.iterations for one in found.models] == [0, 0]
            rounds.append(dear.rounds)
            cost.append(found.cost_usd)
        assert rounds == sorted(rounds)
        assert rounds[0] == 0
        assert rounds[-1] == 5


def test_a_session_makes_about_as_many_calls_as_foreseen():
    with works(Sim("a", 0.5), Sim("b", 0.5)) as w:
        changes = {"optimization_rounds": 1, "algorithm": "copro", "enable_cross_learning": False}
        _, found = plan(w, **changes)
        result = w.run(40, **changes)
        calls = sum(one.spending.calls for one in result.models)
        assert 0.7 * calls <= sum(one.iterations for one in found.models) <= 1.5 * calls


def test_calls_and_dollars_of_what_no_search_decides_are_foretold_within_five_percent():
    models = ("embedded/small", "embedded/medium")
    task = TaskSpec.model_validate(TASK, strict=False)
    config = TrainingConfig(
        models=models, task=task, optimization_rounds=0, enable_cross_learning=False, benchmark_samples=30
    )
    examples = data(40)
    with Store.open(":memory:") as store, closing(Gateway(store, prices=PriceTable())) as gateway:
        found = forecast(config, from_task(task, data=examples), gateway.prices)
        result = TrainingSession(config, store=store, gateway=gateway, data=examples).run()
    for one, made in zip(found.models, result.models, strict=True):
        assert one.iterations == pytest.approx(made.spending.calls, rel=0.05)
        assert one.cost_usd == pytest.approx(made.spending.cost_usd, rel=0.05)


def test_an_unknown_price_is_an_error():
    with works(Sim("a")) as w:
        config = w.config()
        assert config.task is not None
        problem = from_task(config.task, data=data(12))
        with pytest.raises(PriceUnknown):
            forecast(config, problem, PriceTable())
