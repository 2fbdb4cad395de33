"""A session from baseline to report: phases, events, failing models, convergence, domination, stopping."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from strop.errors import BadInput, PriceUnknown, SettingsError
from strop.gateway import Switch
from strop.sessions import (
    EVENTS,
    ModelConfig,
    SessionJournal,
    SessionResult,
    Signature,
    SpentSoFar,
    TrainingConfig,
    TrainingPhase,
    TrainingSession,
)
from strop.sessions.slots import Slots
from tests.sessions.sim_session import Gauge, Sim, Works, data, works

ORDER = ["baseline", "optimization", "cross_learning", "benchmark", "report"]


@pytest.fixture(scope="module")
def usual() -> Iterator[tuple[Works, SessionResult]]:
    """A session of a model that learns from examples and one that does not; nobody changes it."""
    with works(Sim("a", 0.6, learns=True), Sim("b", 0.4)) as w:
        yield w, w.run()


def test_five_phases_in_order_and_every_result_carries_its_own(usual):
    w, result = usual
    assert [event.phase.value for event in w.told("phase")] == ORDER
    assert [span.phase.value for span in result.phases] == ORDER
    now = None
    for event in w.events:
        if event.name == "phase":
            now = event.phase
        if event.name == "iteration":
            assert event.result.phase is now
    for one in result.models:
        counts = {phase: sum(step.phase == phase for step in one.iterations) for phase in TrainingPhase}
        assert counts[TrainingPhase.BASELINE] == 2
        assert counts[TrainingPhase.OPTIMIZATION] == one.rounds
        assert counts[TrainingPhase.BENCHMARK] == 20
        assert [s.iteration for s in one.iterations if s.phase == "benchmark"] == list(range(1, 21))


def test_measured_figures_are_the_models_own(usual):
    w, result = usual
    a = result.model("a")
    assert a.best_test is not None
    assert a.baseline_test is not None
    assert a.best_test.mean == 1.0
    assert 0.3 < a.baseline_test.mean < 0.9
    assert "demos" not in a.baseline_prompt
    assert "Example 1" in a.best_prompt
    assert result.best_model == "a"
    b = result.model("b")
    assert b.best_test is not None
    assert b.best_test.example_ids == a.best_test.example_ids
    assert result.status == "completed"
    assert a.spending.calls == w.sims[0].calls
    assert a.spending.failed == 0
    assert result.total_cost_usd == pytest.approx(sum(one.spending.cost_usd for one in result.models), abs=1e-12)
    assert a.spending.cost_usd == pytest.approx(w.sims[0].calls * (100 * 1 + 10 * 2) / 1e6, rel=1e-9)
    assert SessionResult.from_dict(result.to_dict()) == result


def test_documented_payloads_reach_sync_and_async_listeners_and_a_failing_one_stops_nobody():
    heard: dict[str, list[object]] = {name: [] for name in EVENTS}

    async def later(payload):
        heard["complete"].append(payload)

    def breaks(_payload):
        raise ValueError("no")

    with works(Sim("a"), Sim("b")) as w:
        session = w.session()
        for name in EVENTS:
            session.on(name, later if name == "complete" else heard[name].append)
        session.on("iteration", breaks)
        result = session.run()
    assert heard["phase"] == [TrainingPhase(name) for name in ORDER]
    assert heard["start"][0].phase is TrainingPhase.BASELINE
    assert set(heard["optimization_round"]) == {1, 2}
    assert heard["benchmark_progress"][-1].completed == heard["benchmark_progress"][-1].total > 0
    (report,) = heard["report"]
    assert set(report.comparison) == {"a", "b"}
    (complete,) = heard["complete"]
    assert (complete.report, complete.total_cost) == (report.report, result.total_cost_usd)
    (hook,) = heard["hooks_integration"]
    assert (hook.action, hook.key) == ("store", "swarm/training/dspy-results")
    assert f'"bestModel": "{result.best_model}"' in hook.value
    assert heard["stopped"] == heard["error"] == heard["budget_exceeded"] == []
    assert heard["metrics"][-1].total_cost == pytest.approx(result.total_cost_usd)


def test_live_spending_is_the_ledgers_also_after_a_resumption():
    dials: list[SpentSoFar | None] = []
    with works(Sim("a", 0.6, learns=True), Sim("b", 0.4, error_rate=0.1)) as w:
        session = w.session()
        assert session.spending() is None
        session.on("phase", lambda phase: session.stop() if phase == "cross_learning" else None)
        first = session.run()
        assert first.status == "stopped"
        again = TrainingSession(session.config, store=w.store, gateway=w.gateway, data=data(24))
        again.on("start", lambda _: dials.append(again.spending()))
        again.on("phase", lambda _: dials.append(again.spending()))
        again.on("complete", lambda _: dials.append(again.spending()))
        result = again.resume(first.session_id)
        assert again.spending() is None
    none, begun, *_, last = dials
    assert none is None
    assert begun is not None
    assert begun.total_usd == pytest.approx(first.total_cost_usd)
    assert last is not None
    assert last.total_usd == pytest.approx(result.total_cost_usd)
    assert last.total_usd > begun.total_usd > 0
    for one in result.models:
        assert last.by_model_usd[one.name] == pytest.approx(one.spending.cost_usd + one.spending.uncertain_usd)


def test_an_algorithm_that_is_not_there_is_refused_before_anything_is_asked():
    with works(Sim("a", 0.6)) as w:
        for algorithm in ("nonsuch", {"name": "copro", "nonsuch": 1}):
            with pytest.raises(SettingsError, match="nonsuch"):
                w.run(algorithm=algorithm)
        assert (w.calls, SessionJournal(w.store).all()) == (0, [])


def test_an_unknown_event_is_refused():
    with works(Sim("a")) as w, pytest.raises(BadInput, match="no event 'nope'"):
        w.session().on("nope", print)  # type: ignore[arg-type]


def test_a_model_that_is_down_ends_alone_and_error_rate_is_failed_calls_over_calls():
    with works(Sim("a", 0.9), Sim("b", down=True), Sim("c", 0.3, error_rate=0.1)) as w:
        result = w.run()
        assert result.status == "completed"
        assert (result.model("a").status, result.model("b").status) == ("completed", "failed")
        assert "it is broken" in result.model("b").why
        assert result.model("b").best_test is None
        assert result.model("b").spending.error_rate == 1.0
        assert [event.model for event in w.told("error")] == ["b"]
        c = result.model("c").spending
        assert c.calls == w.sims[2].calls
        assert 0 < c.error_rate == c.failed / c.calls < 0.3
        assert result.best_model == "a"


def test_a_hanging_model_ends_alone():
    gate = threading.Event()
    with works(Sim("a", 0.7), Sim("b", hangs=gate)) as w:
        began = time.monotonic()
        result = w.run(timeout_per_iteration=300, max_concurrency=4)
        assert time.monotonic() - began < 8
        gate.set()
        assert result.model("b").status == "failed"
        assert "has not come back" in result.model("b").why
        assert result.model("a").status == "completed"
        assert result.best_model == "a"


def test_all_models_down_is_a_failed_session_with_a_report():
    with works(Sim("a", down=True), Sim("b", down=True)) as w:
        result = w.run()
        assert (result.status, result.best_model) == ("failed", None)
        assert len(w.told("report")) == 1


def test_convergence_by_threshold_and_by_plateau():
    with works(Sim("a", 0.5, learns=True), Sim("b", 0.5)) as w:
        result = w.run(optimization_rounds=6, algorithm="labeledfewshot")
        a, b = result.model("a").convergence, result.model("b").convergence
        assert a is not None
        assert b is not None
        assert (a.reason, a.round, a.iterations, a.score) == ("threshold", 1, 1, 1.0)
        assert (b.reason, b.round, b.iterations) == ("plateau", 2, 0)
        assert {event.model for event in w.told("converged")} == {"a", "b"}


def test_a_model_beaten_in_quality_cost_and_latency_stops_early_and_says_so():
    good = Sim("good", 0.9, input_usd=1)
    bad = Sim("bad", 0.2, input_usd=5, latency_s=0.01)
    dear = Sim("dear", 0.2, input_usd=0.5, latency_s=0.01)
    with works(good, bad, dear) as w:
        result = w.run(36, optimization_rounds=3, convergence_threshold=1.0, plateau_patience=None, algorithm="copro")
        found = result.model("bad")
        assert found.status == "dominated"
        assert found.domination is not None
        assert found.domination.by == "good"
        assert found.domination.p_value <= found.domination.alpha < 0.05
        assert (found.rounds, result.model("good").rounds) == (2, 3)
        assert "good is better by" in found.why
        assert found.best_test is not None
        assert result.model("dear").status == "completed"


@pytest.mark.parametrize("limit", [2, 8])
def test_peak_in_flight_is_the_limit_over_all_models(limit):
    gauge = Gauge()
    with works(*(Sim(name, 0.6, latency_s=0.01, gauge=gauge) for name in "abcd")) as w:
        w.run(12, max_concurrency=limit, optimization_rounds=0)
        assert gauge.peak == limit


def test_a_slow_model_leaves_slots_to_the_others():
    slots, order = Slots(4), []
    switch = Switch()

    def call(who: str, seconds: float) -> None:
        with slots.hold(who, switch, 60):
            order.append(who)
            time.sleep(seconds)

    slow = [threading.Thread(target=call, args=("slow", 0.15)) for _ in range(12)]
    quick = [threading.Thread(target=call, args=("quick", 0.001)) for _ in range(12)]
    for thread in slow:
        thread.start()
    time.sleep(0.02)
    for thread in quick:
        thread.start()
    for thread in slow + quick:
        thread.join()
    assert slots.peak == 4
    assert order[:4] == ["slow"] * 4
    assert order[4:20].count("quick") == 12, "the slow model is served as often as its share, not first"


def test_stop_keeps_a_partial_result():
    with works(Sim("a", 0.5), Sim("b", 0.5)) as w:
        session = w.session()
        session.on("optimization_round", lambda _n: session.stop())
        result = session.run()
        assert result.status == "stopped"
        assert {one.status for one in result.models} == {"stopped"}
        assert result.model("a").baseline_dev is not None
        (stopped,) = w.told("stopped")
        assert stopped.statistics.comparison["a"].total_iterations >= 2
        assert w.told("complete") == []
        assert session.get_statistics().total_cost == result.total_cost_usd > 0


def test_the_guides_form_prompt_and_signature_on_embedded_models():
    signature = Signature(
        input="name and features of a headphone", output="a product description", constraints=("min_length:40",),
        examples=({"input": "a watch", "output": "A watch that you will love to wear every day."},),
        objectives=("be persuasive",),
    )  # fmt: skip
    config = TrainingConfig(
        models=["embedded/small", "embedded/large"], optimization_rounds=2, benchmark_samples=6, cost_budget=1.0
    )
    with works() as w:
        result = TrainingSession(config, store=w.store, gateway=w.gateway).run("Describe the product", signature)
    assert result.status == "completed"
    for one in result.models:
        assert one.best_test is not None
        assert len(one.best_test.scores) == 6
        assert all(
            quality.score == score for quality, score in zip(one.best_test.qualities, one.best_test.scores, strict=True)
        )
        assert "Describe the product" in one.baseline_prompt
        assert "at least 40 characters" in one.baseline_prompt
    assert result.task.metric is None


def test_a_signature_may_be_a_mapping_of_its_keys():
    config = TrainingConfig(models=["embedded/small"], optimization_rounds=0, benchmark_samples=2)
    given = {"input": "a kettle", "output": "a description", "constraints": ["min_length:7"]}
    with works() as w:
        session = TrainingSession(config, store=w.store, gateway=w.gateway)
        with pytest.raises(SettingsError, match="outputs: there is no such key"):
            session.run("Describe it", {**given, "outputs": "x"})
        result = session.run("Describe it", given)
    assert result.status == "completed"
    assert "at least 7 characters" in result.task.instructions


@pytest.mark.parametrize("at", ["prompt", "output", "constraints", "examples"])
def test_a_key_in_the_prompt_or_its_signature_is_refused_and_nothing_is_stored(at):
    key = "sk-canary-0123456789"
    words = {
        "prompt": f"Call it with {key}", "output": f"json {key}", "constraints": (f"contains:{key}",),
        "examples": ({"input": "a", "output": key},),
    }  # fmt: skip
    prompt = words[at] if at == "prompt" else "Describe it"
    signature = Signature(**{"input": "a kettle", "output": "b", **({} if at == "prompt" else {at: words[at]})})
    mine = {"model": "embedded/large", "name": "mine", "api_key": key}
    with works() as w:
        for models, judge, whose in (
            (["embedded/small", mine], None, "the model 'mine'"), (["embedded/small"], mine, "the judge"),
        ):  # fmt: skip
            config = TrainingConfig(models=models, judge_model=judge)
            with pytest.raises(BadInput, match=f"the API key of {whose} stands in the prompt") as refused:
                TrainingSession(config, store=w.store, gateway=w.gateway).run(prompt, signature)
            assert key not in f"{refused.value!r} {refused.value} {refused.value.hint}"
        assert SessionJournal(w.store).all() == []


def test_a_prompt_that_fits_no_window_ends_the_model_in_plain_words():
    signature = Signature(input="banana " * 9_000, output="a colour")
    config = TrainingConfig(models=["embedded/small", "embedded/medium"], optimization_rounds=0, benchmark_samples=2)
    with works() as w:
        result = TrainingSession(config, store=w.store, gateway=w.gateway).run("Name it", signature)
    small = result.model("small")
    assert small.status == "failed"
    assert small.why.startswith("no prompt of the baseline fits the context window of embedded/small (the request has")
    assert small.why.endswith("window holds 16384): give a shorter prompt, or take a model with a larger window")
    assert result.model("medium").status == "completed"


def test_an_unknown_price_is_an_error_before_any_call():
    with works() as w, pytest.raises(PriceUnknown):
        TrainingSession(TrainingConfig(models=[ModelConfig(model="nobody/x")]), store=w.store, gateway=w.gateway).run(
            "Say it", Signature(input="a", output="b")
        )
