"""What must hold in every session, held against many random ones: a short form each, a long one marked `soak`."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from strop.sessions import SessionJournal, SessionResult, TrainingSession
from strop.sessions.decision import examine
from strop.sessions.recommending import decide
from tests.sessions.sim_session import Sim, Works, data, decision, works
from tests.support.campaign_process import Child

soak = pytest.mark.soak


def soaked(short: int, long: int) -> Any:
    """The first seeds always, all of them in the long form."""
    return [*range(short), *(pytest.param(seed, marks=soak) for seed in range(short, long))]


# --- money ---------------------------------------------------------------------------------------------------------


def drawn_sims(draw: random.Random) -> list[Sim]:
    """Models that fail now and then; some sessions have one that is down or fails most of the time."""
    sims = [
        Sim(
            name, draw.random(), learns=draw.random() < 0.5, error_rate=draw.choice([0, 0, 0.02, 0.1]),
            input_usd=draw.choice([0.5, 1, 2, 5]), tokens_out=draw.choice([1, 10, 40]), writes=f"Words of {name}",
        )
        for name in "abcd"[: draw.randint(2, 4)]
    ]  # fmt: skip
    if draw.random() < 0.2:
        sims[-1].down = True
    elif draw.random() < 0.2:
        sims[-1].error_rate = 0.5
    return sims


def sums(w: Works, session_id: str) -> tuple[int, int]:
    """Picodollars of all models by the rows of the ledger: settled, and worst cases that may be billed."""
    w.gateway.ledger.writer.flush()
    settled = unsure = 0
    for index in range(len(w.sims)):
        for row in w.gateway.ledger.every_row(f"session:{session_id}:{index}"):
            if row["source"] in {"paid", "embedded"}:
                settled += row["cost_pico"] or 0
                unsure += row["worst_pico"] if row["cost_pico"] is None else 0
    return settled, unsure


@pytest.mark.parametrize("seed", soaked(3, 200))
def test_random_sessions_with_failures_never_spend_more_than_their_budget(seed, record_property):
    draw = random.Random(f"money {seed}")
    sims = drawn_sims(draw)
    # Most budgets are enough for most sessions; a third of them is not.
    budget = draw.choice([0.3, 0.3, 0.3, 0.3, 0.02, 0.006])
    with works(*sims) as w:
        result = w.run(
            12, cost_budget=budget, max_concurrency=draw.choice([1, 4, 16, 32]), benchmark_samples=12,
            algorithm=draw.choice(["labeledfewshot", "copro", "bootstrapfewshot"]),
            optimization_rounds=draw.randint(0, 2), seed=seed,
        )  # fmt: skip
        settled, unsure = sums(w, result.session_id)
        assert (settled + unsure) / 1e12 <= budget
        assert result.total_cost_usd == pytest.approx((settled + unsure) / 1e12, abs=1e-12)
        root = w.gateway.budgets.read(f"session:{result.session_id}")
        assert root is not None
        assert (root.spent, root.held) == (settled + unsure, 0)
        assert len(w.told("budget_exceeded")) <= 1
        assert len(w.told("report")) == 1
        assert result.status in {"completed", "budget_exceeded", "failed"}
        print(f"money {seed}: {result.status}, {result.total_cost_usd:.4f} of {budget} USD, {w.calls} calls")


# --- kill -9 -------------------------------------------------------------------------------------------------------

CRASHING = {
    "algorithm": "auto", "optimization_rounds": 2, "convergence_threshold": 1.0, "plateau_patience": None,
    "max_concurrency": 6, "cost_budget": 5.0,
}  # fmt: skip


def crash_sims(log: Path) -> tuple[Sim, ...]:
    """Three models; every call that is answered is written to a file of its own, which no rollback touches."""

    def note() -> None:
        with log.open("a", encoding="utf-8") as file:
            file.write("x\n")

    return (
        Sim("a", 0.6, learns=True, writes="A", latency_s=0.004, before=note),
        Sim("b", 0.4, loves="A", writes="B", latency_s=0.004, before=note),
        Sim("c", 0.2, input_usd=9, latency_s=0.006, before=note),
    )


def begin_session(directory: Path) -> None:
    with works(*crash_sims(directory / "asked"), path=directory / "s.db") as w:
        w.run(16, **CRASHING)


def resumed(directory: Path) -> SessionResult:
    """Go on with the only session of the directory, or begin it when nothing was written yet."""
    with works(*crash_sims(directory / "asked"), path=directory / "s.db") as w:
        known = SessionJournal(w.store).all()
        if not known:
            return w.run(16, **CRASHING)
        session = TrainingSession(w.config(**CRASHING), store=w.store, gateway=w.gateway, data=data(16))
        return session.resume(known[0].id)


def paid(directory: Path) -> Counter[tuple[str, str]]:
    """How often each answer was paid for, by scope and key."""
    with closing(sqlite3.connect(directory / "s.db")) as connection:
        rows = connection.execute("SELECT scope, key FROM calls WHERE source IN ('paid', 'embedded') AND status = 'ok'")
        return Counter((scope, key) for scope, key in rows)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[Any, int]:
    directory = tmp_path_factory.mktemp("undisturbed")
    with works(*crash_sims(directory / "asked"), path=directory / "s.db") as w:
        result = w.run(16, **CRASHING)
    assert result.status == "completed"
    return decision(result), len((directory / "asked").read_text("utf-8").splitlines())


@pytest.mark.parametrize("seed", soaked(2, 20))
def test_killed_at_any_moment_and_resumed_it_decides_the_same_and_pays_nothing_twice(seed, tmp_path, undisturbed):
    wanted, calls = undisturbed
    moment = 1 + int(random.Random(f"kill {seed}").random() * (calls - 2))
    asked = tmp_path / "asked"

    def reached() -> bool:
        return asked.exists() and asked.stat().st_size >= 2 * moment

    with Child(begin_session, tmp_path, output=tmp_path / "out.txt") as child:
        assert child.wait_until(reached), child.text
        child.kill()
    before = paid(tmp_path)
    result = resumed(tmp_path)
    assert decision(result) == wanted
    after = paid(tmp_path)
    assert max(after.values()) == 1
    assert before.keys() <= after.keys()
    with closing(sqlite3.connect(tmp_path / "s.db")) as connection:
        (spent,) = connection.execute(
            "SELECT spent_pico FROM budgets WHERE id LIKE 'session:%' AND parent IS NULL"
        ).fetchone()
        lost = connection.execute("SELECT count(*) FROM calls WHERE source = 'paid' AND cost_pico IS NULL").fetchone()[
            0
        ]
    assert spent <= 5 * 10**12
    assert lost <= CRASHING["max_concurrency"] * 5 // 4
    print(f"kill {seed}: after {moment} of {calls} calls, {sum(before.values())} answers kept, {lost} in flight lost")


# --- truth ---------------------------------------------------------------------------------------------------------


def equal(seed: int) -> SessionResult:
    """Three models of one skill, independently lucky."""
    names = [f"{name}{seed}" for name in "xyz"]
    with works(*(Sim(name, 0.6) for name in names)) as w:
        return w.run(24, optimization_rounds=0, benchmark_samples=24, seed=seed)


def claims(seeds: range) -> int:
    return sum(any(pair.different for pair in examine(equal(seed)).pairs) for seed in seeds)


def test_equal_models_are_hardly_ever_called_different():
    assert claims(range(6)) <= 1


@soak
def test_equal_models_are_called_different_in_at_most_one_of_twenty_sessions():
    found = claims(range(200))
    print(f"equal models: 'different' claimed in {found} of 200 sessions")
    assert found <= 10


@pytest.mark.parametrize("seed", soaked(2, 20))
def test_a_planted_better_model_is_found(seed):
    names = [f"{name}{seed}" for name in "abc"]
    better = names[seed % 3]
    with works(*(Sim(name, 0.9 if name == better else 0.4) for name in names)) as w:
        result = w.run(40, optimization_rounds=1, benchmark_samples=40, seed=seed)
    found = examine(result)
    assert result.best_model == found.ranking[0].name == better
    assert [one.rank for one in found.ranking] == [1, 2, 2]


@pytest.mark.parametrize("seed", soaked(1, 10))
def test_a_planted_cheaper_equal_model_is_recommended(seed):
    """Equal on every example: after learning both are right on nearly all."""
    cheap, dear = f"cheap{seed}", f"dear{seed}"
    with works(Sim(dear, 0.7, learns=True, input_usd=9), Sim(cheap, 0.6, learns=True, input_usd=1)) as w:
        result = w.run(240, optimization_rounds=1, benchmark_samples=240, dev_samples=40, seed=seed)
    found = examine(result)
    assert found.non_inferior.name == cheap
    assert decide(result).recommended == cheap


# The short forms of these two are in test_cross_learning.py.
@pytest.mark.parametrize("seed", soaked(0, 10))
def test_a_model_that_gains_from_anothers_words_gains_and_poison_is_refused(seed):
    donor = Sim(f"donor{seed}", 0.4, loves="SPELL", writes="SPELL")
    pupil = Sim(f"pupil{seed}", 0.4, loves="SPELL", writes="Try")
    victim = Sim(f"victim{seed}", 0.7, hates="SPELL", writes="Say")
    with works(donor, pupil, victim) as w:
        result = w.run(32, algorithm="copro", optimization_rounds=1, seed=seed, stop_dominated=False)
    gained = result.model(pupil.name)
    assert "SPELL" in gained.best_prompt
    assert gained.best_test is not None
    assert gained.baseline_test is not None
    assert gained.best_test.mean == 1.0 > gained.baseline_test.mean
    spared = result.model(victim.name)
    assert "SPELL" not in spared.best_prompt
    offered = [each for each in result.transfers if each.receiver == victim.name and each.carried == "instructions"]
    assert offered
    assert not any(each.kept for each in offered)


@pytest.mark.parametrize("seed", soaked(0, 10))
def test_a_model_that_gains_from_anothers_demos_gains(seed):
    teacher, pupil = Sim(f"teacher{seed}", 0.6, learns=True), Sim(f"pupil{seed}", 0.0)
    with works(teacher, pupil) as w:
        session = w.session(algorithm="bootstrapfewshot", optimization_rounds=1, seed=seed, stop_dominated=False)

        def learn(phase: Any) -> None:
            pupil.learns = phase == "cross_learning" or pupil.learns

        session.on("phase", learn)
        result = session.run()
    (kept,) = [each for each in result.transfers if each.kept]
    assert (kept.donor, kept.receiver, kept.carried) == (teacher.name, pupil.name, "demos")
    best = result.model(pupil.name).best_test
    assert best is not None
    assert best.mean == 1.0
