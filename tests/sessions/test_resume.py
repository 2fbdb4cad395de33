"""A session that is interrupted anywhere and resumed ends as the uninterrupted one, and pays nothing twice."""

from __future__ import annotations

import time

import pytest

from strop.errors import BadInput, LeaseHeld, NotFound, SettingsError
from strop.sessions import SessionJournal, TrainingSession
from strop.store import Lease
from tests.sessions.sim_session import Sim, data, decision, works


def sims(**more) -> tuple[Sim, ...]:
    return (
        Sim("a", 0.6, learns=True, writes="A", **more), Sim("b", 0.4, loves="A", writes="B", **more),
        Sim("c", 0.2, input_usd=9, latency_s=0.002, **more),
    )  # fmt: skip


CHANGES = {"algorithm": "copro", "optimization_rounds": 2, "convergence_threshold": 1.0, "plateau_patience": None}


@pytest.fixture(scope="module")
def uninterrupted():
    with works(*sims()) as w:
        return decision(w.run(12, **CHANGES)), w.calls


@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_stopped_after_any_call_and_resumed_it_is_the_same_session(share, uninterrupted):
    wanted, calls = uninterrupted
    with works(*sims()) as w:
        session = w.session(12, **CHANGES)

        def count() -> None:
            if w.calls >= share * calls:
                session.stop()

        for one in w.sims:
            one.before = count
        first = session.run()
        assert first.status == "stopped"
        for one in w.sims:
            one.before = None
        again = TrainingSession(session.config, store=w.store, gateway=w.gateway, data=data(12))
        result = again.resume(first.session_id)
        assert decision(result) == wanted
        assert max(n for one in w.sims for n in one.paid.values()) == 1
        assert result.total_cost_usd == pytest.approx(sum(one.spending.cost_usd for one in result.models), abs=1e-12)
        assert SessionJournal(w.store).get(first.session_id).attempts == 2


def test_a_session_is_resumed_from_the_database_alone(tmp_path):
    rows = "\n".join(f"{i},{('even', 'odd')[i % 2]}" for i in range(60))
    (tmp_path / "n.csv").write_text(f"number,kind\n{rows}\n", "utf-8")
    task = {
        "task": "parity", "signature": "number -> kind: Literal['even', 'odd']", "data": "n.csv", "metric": "accuracy",
        "models": "embedded/small",
    }  # fmt: skip
    from strop.sessions import TrainingConfig

    config = TrainingConfig(
        models=[{"model": "sim/a", "max_tokens": 40}], task=task, algorithm="labeledfewshot", benchmark_samples=5
    )
    with works(Sim("a", 0.6)) as w:
        session = TrainingSession(config, store=w.store, gateway=w.gateway, directory=tmp_path)
        session.on("phase", lambda phase: session.stop() if phase == "optimization" else None)
        first = session.run()
        assert first.status == "stopped"
        record = SessionJournal(w.store).get("last")
        calls = w.calls
        result = TrainingSession.of(record, store=w.store, gateway=w.gateway).resume(record.id)
        assert result.status == "completed"
        assert result.session_id == first.session_id
        assert result.model("sim/a").spending.calls == w.calls > calls
        assert max(w.sims[0].paid.values()) == 1
        (tmp_path / "n.csv").write_text("number,kind\n" + "\n".join(rows.splitlines()[:40]), "utf-8")
        with pytest.raises(BadInput, match="the data have changed"):
            TrainingSession.of(record, store=w.store, gateway=w.gateway).resume(record.id)


def test_one_owner_at_a_time_and_examples_from_memory_must_be_given_again():
    with works(Sim("a", 0.6)) as w:
        first = w.run(12, optimization_rounds=0)
        bare = TrainingSession(w.config(), store=w.store, gateway=w.gateway)
        with pytest.raises(BadInput, match="from Python"):
            bare.resume(first.session_id)
        with pytest.raises(NotFound):
            bare.resume("nothere")
        lease = Lease.acquire(w.store, f"session:{first.session_id}", "somebody", 60)
        with pytest.raises(LeaseHeld, match="is being worked on"):
            w.session(12).resume(first.session_id)
        lease.release()


def test_a_session_that_the_budget_cut_goes_on_with_a_larger_one():
    with works(Sim("a", 0.6), Sim("b", 0.4)) as w:
        first = w.session(12, cost_budget=0.004, **CHANGES).run()
        assert first.status == "budget_exceeded"
        assert {one.status for one in first.models} == {"budget_exceeded"}
        calls = w.calls
        record = SessionJournal(w.store).get("last")
        with pytest.raises(BadInput, match="'models' cannot change"):
            TrainingSession.of(record, store=w.store, gateway=w.gateway, models=["embedded/small"])
        wider = TrainingSession(w.config(cost_budget=1.0, **CHANGES), store=w.store, gateway=w.gateway, data=data(12))
        result = wider.resume(record.id)
        assert (result.status, result.why) == ("completed", "")
        assert w.calls > calls
        assert max(n for one in w.sims for n in one.paid.values()) == 1
        assert 0.004 < result.total_cost_usd < 1.0


@pytest.mark.parametrize("limit", [None, 0.05])
def test_a_complete_session_that_is_answered_once_more_and_stopped_keeps_what_it_decided(limit, tmp_path):
    with works(Sim("a", 0.6), Sim("b", 0.4)) as w:
        whole = w.run(12)
        again = TrainingSession(
            w.config(timeout_s=limit), store=w.store, gateway=w.gateway, data=data(12), home=tmp_path
        )
        told = []
        again.on("report", told.append)
        again.on("phase", lambda _: again.stop() if limit is None else time.sleep(0.3))
        result = again.resume(whole.session_id)
        record = SessionJournal(w.store).get(whole.session_id)
        assert (result.status, record.status, record.error) == ("completed", "completed", None)
        assert decision(result) == decision(whole)
        assert record.found is not None
        assert decision(record.found) == decision(whole)
        (report,) = told
        assert report.best_model == whole.best_model
        assert report.comparison["a"].total_iterations == len(whole.model("a").iterations)
        kept = (tmp_path / "hooks/swarm/training/dspy-results.json").read_text("utf-8")
        assert f'"bestModel": "{whole.best_model}"' in kept


def test_less_money_than_is_spent_is_refused_before_anything():
    with works(Sim("a", 0.6)) as w:
        first = w.session(12, cost_budget=0.004, **CHANGES).run()
        before, calls = SessionJournal(w.store).get("last"), w.calls
        with pytest.raises(SettingsError, match=r"are spent already, more than a budget of \$0\.0005"):
            w.session(12, cost_budget=0.0005, **CHANGES).resume(first.session_id)
        assert (SessionJournal(w.store).get("last"), w.calls) == (before, calls)


def test_hooks_keep_the_result_at_home(tmp_path):
    with works(Sim("a", 0.6)) as w:
        session = TrainingSession(
            w.config(optimization_rounds=0), store=w.store, gateway=w.gateway, data=data(12), home=tmp_path
        )
        session.run()
        assert '"bestModel": "a"' in (tmp_path / "hooks/swarm/training/dspy-results.json").read_text("utf-8")
