"""The words of a result say what was measured, and no more."""

from pathlib import Path
from typing import Any

import pytest

from strop.cli.running import exit_code, next_steps
from strop.cli.verdict import points, print_result, verdict_block
from strop.errors import (
    BudgetExceeded,
    ConstraintsUnmet,
    Fenced,
    ProviderDown,
    ReplayMiss,
    StoreUnwritable,
    StropError,
)  # fmt: skip
from strop.runs import RunResult


def data(**changes: Any) -> dict[str, Any]:
    """The numbers of the printed layout that the house agreed on."""
    base: dict[str, Any] = {
        "task": "t", "status": "completed", "verdict": "IMPROVED", "error": None, "version": 2, "active_version": 2,
        "test": {
            "n": 240, "baseline": 0.621, "optimized": 0.696, "change": 0.075, "ci95": [0.009, 0.14], "p_value": 0.016,
            "method": "exact McNemar, one-sided", "fixed": 41, "broke": 23, "look": 1, "alpha": 0.0304,
            "detectable_gain": 0.083, "reason": "p = 0.016 against 0.0304, the level of look 1",
        },
        "dev": {"n": 200, "baseline": 0.6, "optimized": 0.712},
        "cost": {"usd": 4.12, "paid_calls": 1310, "budget_usd": None, "practice_prices": False},
        "per_request": {"usd_before": 0.0021, "usd_after": 0.0026},
    }  # fmt: skip
    return base | changes


def test_the_block_on_a_wide_terminal() -> None:
    assert verdict_block(data(), 200) == (
        "Held-out test (n=240, opened once, never seen by the optimiser; look 1 of 1)\n"
        "  baseline 62.1%   optimised 69.6%   change +7.5 points, 95% CI [+0.9, +14.0]   fixed 41, broke 23   "
        "exact McNemar p = 0.016 (one-sided)\n"
        "  Verdict: IMPROVED (p = 0.016 against 0.0304, the level of look 1).   "
        "Dev-set gain was +11.2 (biased by selection; do not quote).\n"
        "  Smallest gain this test could reliably detect: about 8.3 points (80% power).\n"
        "  Cost: optimisation $4.12 (1,310 calls); per request $0.0021 -> $0.0026 (+24%)."
    )


def test_a_narrow_terminal_gets_the_same_words() -> None:
    narrow = verdict_block(data(), 80)
    assert max(map(len, narrow.splitlines())) <= 80
    assert narrow.split() == verdict_block(data(), 200).split()


def test_a_test_set_that_was_opened_before_says_so() -> None:
    test = data()["test"] | {"look": 3}
    assert "opened 3 times, never seen by the optimiser; look 3 of 3" in verdict_block(data(test=test), 120)


def test_no_detectable_gain_is_said_plainly() -> None:
    test = data()["test"] | {"detectable_gain": None}
    assert "could not reliably detect any gain" in verdict_block(data(test=test), 120)


@pytest.mark.parametrize("status", ["cancelled", "timeout", "budget_exceeded"])
def test_without_a_sealed_test_nothing_is_claimed(status: str) -> None:
    block = verdict_block(data(status=status, test=None, verdict="INSUFFICIENT DATA"), 200)
    assert block.startswith("The sealed test was not opened: ")
    assert "proves nothing" in block
    assert "69.6%" not in block


def test_a_run_that_found_nothing_better_shows_no_gain() -> None:
    dev = {"n": 200, "baseline": 0.6, "optimized": 0.6}
    block = verdict_block(data(status="cancelled", test=None, verdict="INSUFFICIENT DATA", dev=dev), 200)
    assert "nothing is claimed" in block
    assert "Dev-set gain" not in block


def test_a_failed_run_has_no_verdict() -> None:
    failed = data(status="failed", test=None, dev=None, verdict=None, error="model 'x/y' cannot be used")
    block = verdict_block(failed, 200)
    assert "the run failed" in block
    assert "model 'x/y' cannot be used" in block
    assert "Verdict" not in block


def test_practice_prices_are_never_mistaken_for_money() -> None:
    cost = data()["cost"] | {"practice_prices": True, "budget_usd": 5.0}
    assert "$4.12 of $5.00 (1,310 calls, practice prices, never billed)" in verdict_block(data(cost=cost), 200)


def test_a_program_that_cost_nothing_has_no_percentage() -> None:
    each = {"usd_before": 0.0, "usd_after": 0.0026}
    assert "$0.00 -> $0.0026." in verdict_block(data(per_request=each), 200)


@pytest.mark.parametrize(("share", "text"), [(0.0754, "+7.5"), (-0.02, "-2.0"), (-0.0001, "+0.0"), (0, "+0.0")])
def test_points_carry_a_sign_and_never_minus_zero(share: float, text: str) -> None:
    assert points(share) == text


AGAINST = {"version": 2, "change": 0.0, "ci95": [-0.031, 0.031], "p_value": 0.69, "look": 5}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            {"incumbent": AGAINST},
            ": it was not shown better than that one (+0.0 points [-3.1, +3.1], p = 0.69, look 5).",
        ),
        ({"incumbent": None}, "."),
        ({}, "."),
    ],
)
def test_why_another_version_stays_active(more: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    kept = data(version=4, ledger=[], **more)
    kept["cost"] = {**kept["cost"], "uncertain_usd": 0}
    print_result(kept, 200, next_steps=[])
    assert f"Version 4 of t is kept; version 2 stays active{told}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("status", "first"),
    [
        ("completed", "Repeat: strop optimize {folder} --algorithm gepa   (free: answered from the ledger)"),
        ("cancelled", "Resume: strop optimize {folder} --resume ab12"),
        ("failed", "Resume: strop optimize {folder} --resume ab12"),
        ("budget_exceeded", "Resume: strop optimize {folder} --resume ab12 --budget USD"),
        ("timeout", "Resume: strop optimize {folder} --resume ab12 --timeout SECONDS"),
    ],
)
def test_what_to_do_next(status: str, first: str, tmp_path: Path) -> None:
    told = next_steps({"status": status, "run_id": "ab12"}, tmp_path, ["--algorithm gepa"])
    assert told[0] == first.format(folder=tmp_path)


def test_commands_are_short_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = {"status": "completed", "run_id": "ab12"}
    for task in (Path(), Path("strop.yaml")):
        assert next_steps(data, task)[1] == "Look:   strop runs show ab12"
    assert next_steps(data, Path("other.yaml"))[0].startswith("Repeat: strop optimize other.yaml ")


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        ("completed", None, 0),
        ("budget_exceeded", BudgetExceeded("spent"), 4),
        ("infeasible", ConstraintsUnmet("none"), 4),
        ("timeout", None, 4),
        ("cancelled", None, 130),
        ("failed", ProviderDown("a/b", "gone"), 3),
        ("failed", Fenced("lost"), 6),
        ("failed", StoreUnwritable("full"), 5),
        ("failed", ReplayMiss("never"), 8),
    ],
)
def test_exit_codes(status: Any, error: StropError | None, code: int) -> None:
    assert exit_code(RunResult(run_id="a", status=status, verdict=None, data={}, error=error)) == code
