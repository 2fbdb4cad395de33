"""No claim without a gain, a gain is found, the test rows stay sealed, and every dollar is within the budget."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binom

from strop.app import House
from strop.gateway import pico
from strop.runs import RunResult
from tests.support.campaign import QUICK, Provider, random_labels, rows, run, task_directory

SEARCHES = ("bootstrap_random_search", "copro", "gepa")
LEVEL = 0.0304
"""What the gate allows at the first look, 0.05 * 6 / pi^2; the exact test stays below it."""
PRICES = {"task": "embedded/small", "prompt": "embedded/large", "teacher": "embedded/medium"}


def claims(tmp_path: Path, seeds: range) -> Counter[str | None]:
    """Verdicts on tasks whose labels have nothing to do with their inputs."""
    verdicts: Counter[str | None] = Counter()
    for seed in seeds:
        algorithm = SEARCHES[seed % len(SEARCHES)]
        directory = task_directory(
            tmp_path / f"null{seed}", random_labels(90, seed=seed), algorithm=algorithm, seed=seed
        )
        result = run(directory, database=":memory:")
        assert result.status == "completed"
        assert result.data["test"]["n"] >= 25
        verdicts[result.verdict] += 1
    return verdicts


def test_a_few_searches_with_nothing_to_find_claim_no_gain(tmp_path: Path) -> None:
    """12 seeded runs: at most 3 claims. With a true rate of at most 0.0304 four or more have p < 0.001."""
    runs, most = 12, 3
    assert binom.sf(most, runs, LEVEL) < 1e-3
    verdicts = claims(tmp_path, range(runs))
    assert verdicts["IMPROVED"] <= most, verdicts
    assert verdicts["NO EVIDENCE"] >= runs / 2, verdicts


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_hundred_searches_with_nothing_to_find_claim_a_gain_at_most_five_times(tmp_path: Path) -> None:
    """A gate that kept exactly to its level of 0.0304 would claim 3 in 100, and more than 5 with p = 0.09; a gate at
    0.10 would claim 5 or fewer with p = 0.06. The exact test on a few dozen examples is far below its level, so that
    more than 5 means a broken gate. The seeds are fixed: the count is the same every time."""
    assert binom.sf(5, 100, LEVEL) < 0.1
    assert binom.cdf(5, 100, 0.10) < 0.06
    verdicts = claims(tmp_path, range(1000, 1100))
    assert verdicts["IMPROVED"] <= 5, verdicts


def opaque(n: int) -> list[dict[str, str]]:
    """Sections under codes that no model can know without seeing examples."""
    codes = {"games": "K7", "mail": "P2", "database": "X9", "sound": "B4"}
    known = [row for row in rows(790) if row["section"] in codes]
    return [{**row, "section": codes[row["section"]]} for row in known[:n]]


@pytest.mark.parametrize("algorithm", ["bootstrap_random_search", "miprov2"])
def test_a_planted_gain_is_found_and_put_to_use(tmp_path: Path, algorithm: str) -> None:
    directory = task_directory(
        tmp_path, opaque(240), algorithm=algorithm, models="embedded/medium",
        instructions="Give the code of a program.",
    )  # fmt: skip
    result = run(directory, database=":memory:")
    assert result.verdict == "IMPROVED", result.data["test"]
    assert result.data["test"]["ci95"][0] > 0
    assert result.data["active_version"] == result.data["version"] == 2


CANARY = "zanzibarcanary"


def sealed(path: Path, algorithm: str, **keys: Any) -> Path:
    """A task whose test rows all carry the canary, in the input and in the label."""
    known = rows(90)
    test = [{**row, "description": f"{row['description']} {CANARY} {i}"} for i, row in enumerate(known[60:])]
    parts = {"train": known[:36], "dev": known[36:60], "test": test}
    return task_directory(path, parts, algorithm=algorithm, **keys)


@pytest.mark.parametrize("algorithm", QUICK)
def test_no_search_sees_a_test_row(tmp_path: Path, algorithm: str) -> None:
    asked: list[dict[str, Any]] = []
    heard: list[str] = []

    def look(house: House) -> None:
        for scope in {line.scope for line in house.gateway.ledger.lines()}:
            asked.extend(house.gateway.ledger.every_row(scope))

    def hear(event: Any) -> None:
        if event.data.get("phase") != "test":
            heard.append(json.dumps([event.name, dict(event.data)], default=str))

    result = run(
        sealed(tmp_path, algorithm, models=PRICES), database=":memory:", look=look, listen=hear
    )  # fmt: skip
    assert result.status == "completed"
    seen = Counter(row["phase"] for row in asked if CANARY in json.dumps([row["request"], row["response"]]))
    assert set(seen) == {"test"}
    assert seen["test"] >= 30
    assert {"baseline", "search", "test"} <= {row["phase"] for row in asked} | (
        {"search"} if algorithm == "labeledfewshot" else set()
    )
    assert not [one for one in heard if CANARY in one]
    assert CANARY not in json.dumps([result.data["prompt"], result.data["program"], result.data["candidates"]])


def spend(tmp_path: Path, algorithm: str, budget_usd: float, seed: int) -> tuple[RunResult, list[dict[str, Any]], Any]:
    """Run with a budget; the result, every row of the ledger, and the budget's own account."""
    asked: list[dict[str, Any]] = []
    nodes: list[Any] = []

    def look(house: House) -> None:
        for scope in {line.scope for line in house.gateway.ledger.lines()}:
            asked.extend(house.gateway.ledger.every_row(scope))
        nodes.extend(house.gateway.budgets.read(scope) for scope in {row["scope"] for row in asked})

    directory = task_directory(
        tmp_path / f"{algorithm}{budget_usd}", rows(90), algorithm=algorithm, models=PRICES, budget_usd=budget_usd,
        seed=seed, concurrency=16,
    )  # fmt: skip
    return run(directory, database=":memory:", look=look), asked, nodes


def check_spending(result: RunResult, asked: list[dict[str, Any]], nodes: list[Any], budget_usd: float) -> None:
    limit = pico(budget_usd)
    bought = [row for row in asked if row["source"] == "embedded"]
    settled = sum(row["cost_pico"] or 0 for row in bought)
    uncertain = sum(row["worst_pico"] for row in bought if row["cost_pico"] is None)
    assert settled + uncertain <= limit
    assert all(node.spent + node.held == settled + uncertain for node in nodes)
    cost = result.data["cost"]
    assert (pico(cost["usd"]), pico(cost["uncertain_usd"])) == (settled, uncertain)
    assert cost["paid_calls"] == len(bought)
    assert all(row["cost_pico"] is None or row["cost_pico"] <= row["worst_pico"] for row in bought)
    if result.status != "completed":
        assert result.status == "budget_exceeded"
        assert result.data["test"] is None
        assert result.verdict in {None, "INSUFFICIENT DATA"}
        assert result.version is None


def budgets_for(seed: int, n: int) -> list[float]:
    """From a few calls to somewhat more than a small run needs."""
    chance = random.Random(f"budgets {seed}")
    return [round(10 ** chance.uniform(-4.0, -1.7), 6) for _ in range(n)]


@pytest.mark.parametrize("algorithm", QUICK)
def test_a_run_never_spends_more_than_its_budget(tmp_path: Path, algorithm: str) -> None:
    for budget_usd in budgets_for(list(QUICK).index(algorithm), 2):
        check_spending(*spend(tmp_path, algorithm, budget_usd, seed=1), budget_usd)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("algorithm", QUICK)
def test_many_runs_never_spend_more_than_their_budgets(tmp_path: Path, algorithm: str) -> None:
    statuses: Counter[str] = Counter()
    for seed in range(25):
        (budget_usd,) = budgets_for(1000 + 100 * list(QUICK).index(algorithm) + seed, 1)
        result, asked, nodes = spend(tmp_path / str(seed), algorithm, budget_usd, seed)
        check_spending(result, asked, nodes, budget_usd)
        statuses[result.status] += 1
    assert len(statuses) == 2, f"the budgets did not straddle what a run costs: {statuses}"


def test_a_budget_of_nothing_makes_no_call(tmp_path: Path) -> None:
    provider = Provider()
    directory = task_directory(tmp_path, rows(60), models="sim/x", budget_usd=0)
    result = run(directory, provider=provider)
    assert provider.calls == 0
    assert result.status == "budget_exceeded"
    assert result.error is not None
    assert result.error.exit_code == 4
    assert (result.verdict, result.data["test"], result.data["dev"], result.version) == (None, None, None, None)


def test_the_calls_of_teacher_and_prompt_model_are_paid_from_the_same_budget(tmp_path: Path) -> None:
    result, asked, nodes = spend(tmp_path, "miprov2", 1.0, seed=1)
    check_spending(result, asked, nodes, 1.0)
    roles = {(row["role"], row["model"]) for row in asked if row["cost_pico"]}
    assert roles == {("task", "embedded/small"), ("prompt", "embedded/large"), ("teacher", "embedded/medium")}
    whole = sum(row["cost_pico"] or 0 for row in asked)
    (node,) = nodes
    assert node.spent == whole
    tasks = sum(row["cost_pico"] or 0 for row in asked if row["role"] == "task")
    assert tasks < whole
