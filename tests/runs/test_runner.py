"""A run from baseline to version: what each ending means, what is counted, what is repeated for free."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from strop.datasets import load
from strop.errors import BadInput
from strop.events import Bus
from strop.registry import Registry
from strop.runs import Plan, Runner, TaskSpec, make_plan
from tests.support.simulated import MODEL, World, last_text, respond, world

TASK = {
    "task": "parity",
    "signature": "number -> kind: Literal['even', 'odd']",
    "data": "memory",
    "metric": "accuracy",
    "models": {"task": {"model": MODEL, "max_tokens": 40}},
    "algorithm": {"name": "labeledfewshot", "k": 4},
    "budget_usd": 1.0,
    "concurrency": 8,
}


def knows_with_demos(request, rollout, index):
    """Right when it was shown examples; without them it always says even."""
    text = last_text(request)
    number = int(text.split("[[ ## number ## ]]")[-1].split()[0])
    shown = len(request.messages) > 1
    kind = ("even", "odd")[number % 2] if shown else "even"
    return respond(f"[[ ## kind ## ]]\n{kind}\n\n[[ ## completed ## ]]")


def always_even(request, rollout, index):
    return respond("[[ ## kind ## ]]\neven\n\n[[ ## completed ## ]]")


class Works:
    """A world with a registry and a runner."""

    def __init__(self, made: World) -> None:
        self.world = made
        self.bus = Bus()
        self.events: list[str] = []
        self.bus.listen(lambda event: self.events.append(event.name))
        self.registry = Registry(made.store)
        self.runner = Runner(store=made.store, gateway=made.gateway, registry=self.registry, bus=self.bus)

    def plan(self, n: int = 120, **changes) -> Plan:
        rows = [{"number": str(i), "kind": ("even", "odd")[i % 2]} for i in range(n)]
        task = TaskSpec.model_validate({**TASK, **changes}, strict=False)
        data = load(rows, inputs=["number"], labels=["kind"])
        return make_plan(task, Path.cwd(), prices=self.world.gateway.prices, data=data)

    def run(self, plan: Plan):
        return self.runner.run(plan, self.runner.create(plan).id)


@contextmanager
def works(answer) -> Iterator[Works]:
    with world(answer) as made:
        yield Works(made)


def test_a_real_gain_is_proven_kept_and_activated():
    with works(knows_with_demos) as w:
        result = w.run(w.plan())
        assert (result.status, result.verdict) == ("completed", "IMPROVED")
        test = result.data["test"]
        assert (test["baseline"], test["optimized"], test["look"]) == (0.5, 1.0, 1)
        assert test["fixed"] == test["n"] // 2
        assert test["broke"] == 0
        assert [v.number for v in w.registry.versions("parity")] == [1, 2]
        active = w.registry.get("parity")
        assert active.number == result.data["version"] == 2
        assert active.lineage["parent"] == 1
        assert active.lineage["run"] == result.run_id
        stages = [name for name in w.events if name in {"run.started", "stage.started", "run.finished"}]
        assert stages == ["run.started", "stage.started", "stage.started", "stage.started", "run.finished"]
        assert list(w.runner.journal.stages(result.run_id)) == ["baseline", "search", "choice", "test"]


def test_the_figures_are_the_ledgers():
    with works(knows_with_demos) as w:
        result = w.run(w.plan())
        lines = w.world.gateway.ledger.lines(f"run:{result.run_id}")
        cost = result.data["cost"]
        assert cost["paid_calls"] == sum(line.bought for line in lines) == len(w.world.simulation.asked)
        assert cost["calls"] == cost["new_calls"] + cost["replayed_calls"] + cost["shared_calls"]
        assert sum(round(row["usd"] * 1e12) for row in result.data["ledger"]) == round(cost["usd"] * 1e12)
        node = w.world.gateway.budgets.read(f"run:{result.run_id}")
        assert node is not None
        assert node.spent == sum(line.cost_pico for line in lines)


def test_the_same_run_again_is_free_and_the_same_look():
    with works(knows_with_demos) as w:
        first, second = w.run(w.plan()), w.run(w.plan())
        assert second.data["cost"]["new_calls"] == 0
        assert second.data["cost"]["usd"] == 0
        assert second.data["test"] == first.data["test"]
        assert len(w.registry.versions("parity")) == 2
        assert w.runner.journal.looks(w.plan().split.test.fingerprint) == 1


def test_without_a_gain_the_old_program_stays():
    with works(always_even) as w:
        result = w.run(w.plan())
        assert (result.status, result.verdict) == ("completed", "NO EVIDENCE")
        assert w.registry.get("parity").number == 1


def test_a_wrong_answer_format_is_data_not_a_crash():
    def broken(request, rollout, index):
        return respond("no idea")

    with works(broken) as w:
        result = w.run(w.plan())
        assert result.status == "completed"
        assert result.data["dev"]["baseline"] == 0.0


def test_constraints_decide_who_may_win():
    with works(knows_with_demos) as w:
        kept = w.run(w.plan(constraints={"max_tokens": 200, "min_accuracy": 0.9}))
        assert (kept.status, kept.verdict) == ("completed", "IMPROVED")
        assert kept.data["candidates"][0]["excluded"] == []
        refused = w.run(w.plan(constraints={"max_tokens": 5}))
        assert refused.status == "infeasible"
        assert "110 tokens a request, at most 5 allowed" in refused.error.message
        assert refused.data["version"] is None


def test_the_gate_may_leave_the_choice_to_a_person():
    with works(knows_with_demos) as w:
        result = w.run(w.plan(gate="manual"))
        assert (result.verdict, result.data["version"], result.data["active_version"]) == ("IMPROVED", 2, 1)


def test_a_gain_smaller_than_asked_for_is_not_activated():
    with works(knows_with_demos) as w:
        result = w.run(w.plan(gate={"policy": "auto", "min_gain": 0.6}))
        assert result.data["active_version"] == 1


def test_a_better_active_version_is_not_replaced_by_a_worse_one():
    with works(knows_with_demos) as w:
        first = w.run(w.plan())
        assert first.data["active_version"] == 2
        other = w.run(w.plan(algorithm={"name": "labeledfewshot", "k": 3}))
        assert other.verdict == "IMPROVED"
        assert other.data["version"] == 3
        assert other.data["active_version"] == 2
        against = other.data["incumbent"]
        assert (against["version"], against["change"], against["look"]) == (2, 0.0, 3)
        assert against == w.runner.journal.stages(other.run_id)["incumbent"]
        assert first.data["incumbent"] is None


def test_an_unchanged_program_is_told_how_often_the_test_set_was_opened():
    def one_demo_confuses(request, rollout, index):
        confused = len(request.messages) == 3  # two are the demo
        return respond("no idea") if confused else knows_with_demos(request, rollout, index)

    with works(one_demo_confuses) as w:
        for k in (4, 3):
            w.run(w.plan(algorithm={"name": "labeledfewshot", "k": k}))
        unchanged = w.run(w.plan(algorithm={"name": "labeledfewshot", "k": 1}))
        assert unchanged.data["version"] == 1
        looks = w.runner.journal.looks(w.plan().split.test.fingerprint)
        assert unchanged.data["test"]["look"] == looks == 3


def test_a_budget_too_small_ends_early_without_a_claim():
    with works(knows_with_demos) as w:
        result = w.run(w.plan(budget_usd=0.004))
        assert result.status == "budget_exceeded"
        assert result.verdict is None
        assert result.data["test"] is None
        assert result.data["version"] is None
        assert result.data["cost"]["usd"] <= 0.004


def test_the_search_leaves_money_for_the_sealed_test():
    with works(knows_with_demos) as w:
        plan = w.plan(budget_usd=0.07, algorithm={"name": "bootstrap_random_search", "num_candidate_programs": 16})
        result = w.run(plan)
        assert result.status == "completed"
        assert "budget_exceeded" in (result.data["search_ended"] or "")
        assert result.data["test"] is not None
        assert result.data["cost"]["usd"] <= 0.07


def test_a_hanging_model_ends_the_run_at_its_time():
    ended = threading.Event()

    def hangs(request, rollout, index):
        ended.wait(60)
        return respond("late")

    with works(hangs) as w:
        started = time.monotonic()
        result = w.run(w.plan(timeout_s=1.0))
        assert time.monotonic() - started < 20
        ended.set()
        assert result.status == "timeout"
        assert result.data["test"] is None


def test_cancel_ends_the_run_and_resume_finishes_it():
    gate = threading.Event()

    def slow(request, rollout, index):
        gate.wait(0.05)
        return knows_with_demos(request, rollout, index)

    with works(slow) as w:
        plan = w.plan()
        record = w.runner.create(plan)
        threading.Timer(0.3, w.runner.cancel).start()
        result = w.runner.run(plan, record.id)
        assert result.status == "cancelled"
        bought = len(w.world.simulation.asked)
        gate.set()
        resumed = w.runner.run(plan, record.id)
        assert (resumed.status, resumed.verdict) == ("completed", "IMPROVED")
        assert resumed.data["cost"]["paid_calls"] == len(w.world.simulation.asked)
        assert resumed.data["cost"]["new_calls"] == len(w.world.simulation.asked) - bought


def test_changed_data_cannot_resume():
    with works(knows_with_demos) as w:
        record = w.runner.create(w.plan())
        with pytest.raises(BadInput, match="the data have changed"):
            w.runner.run(w.plan(n=121), record.id)


def test_a_different_test_set_is_a_first_look_and_the_same_one_is_not():
    with works(knows_with_demos) as w:
        for k, look in ((4, 1), (3, 2), (2, 3)):
            result = w.run(w.plan(algorithm={"name": "labeledfewshot", "k": k}))
            assert result.data["test"]["look"] >= look
        fresh = w.run(w.plan(n=160))
        assert fresh.data["test"]["look"] == 1


def test_a_finished_run_repeated_makes_no_bets():
    with works(knows_with_demos) as w:
        search = {"name": "bootstrap_random_search", "num_candidate_programs": 4}
        first, again = w.run(w.plan(algorithm=search)), w.run(w.plan(algorithm=search))
        assert first.data["cost"]["new_calls"] > 0
        assert again.data["cost"]["new_calls"] == 0
        assert again.data["test"] == first.data["test"]
