"""Results of runs as the runner stores them, made up for the pages' tests."""

from __future__ import annotations

import copy
import random
from typing import Any

BEFORE = "Choose the archive section of a program from its description."
AFTER = (
    "Choose the archive section of a program from its description. Name the section a maintainer would use. Tools that "
    "talk to servers belong to net unless they are mail programs; players and editors of audio belong to sound."
)


def improved() -> dict[str, Any]:
    """240 sealed examples, 41 fixed and 23 broke, on embedded models."""
    chance = random.Random(1)
    sections = ["database", "games", "graphics", "mail", "net", "science", "sound", "text"]
    candidates = [
        {
            "number": number, "origin": f"trial {number}: instruction {number % 5}, demos {number % 4}",
            "score": min(0.72, 0.58 + 0.006 * number + chance.uniform(-0.05, 0.05)), "n": 238 if number % 3 else 35,
            "dev": None, "excluded": [], "chosen": False,
        }
        for number in range(1, 21)
    ]  # fmt: skip
    candidates[16].update(dev=0.7311, chosen=True, score=0.7311, n=238)
    candidates[18].update(dev=0.7185)
    changes = [
        {
            "example": f"e{at}", "kind": "fixed" if at < 41 else "broke",
            "inputs": {"description": f"command line tool number {at} that converts between many formats of things"},
            "expected": {"section": sections[at % 8]}, "before": {"section": sections[(at + 3) % 8]},
            "after": {"section": sections[at % 8]} if at < 41 else {"section": sections[(at + 1) % 8]},
            "score_before": 0.0 if at < 41 else 1.0, "score_after": 1.0 if at < 41 else 0.0,
            "reason": "equal" if at < 41 else f"expected {sections[at % 8]!r}, got {sections[(at + 1) % 8]!r}",
        }
        for at in range(64)
    ]  # fmt: skip
    demos = "".join(
        f"\n\nExample {at}\ndescription: program {at} for the net\nsection: {sections[at]}" for at in range(1, 5)
    )
    return {
        "run_id": "kq7wz3fa", "task": "package-sections", "algorithm": "miprov2", "why": "named in the task",
        "status": "completed", "verdict": "IMPROVED", "seed": 0, "metric": "accuracy",
        "models": {"task": "embedded/small", "prompt": "embedded/large", "teacher": "embedded/small"},
        "train": {"n": 317},
        "test": {
            "n": 240, "baseline": 149 / 240, "optimized": 167 / 240, "change": 18 / 240, "ci95": [0.0089, 0.1399],
            "p_value": 0.01633, "method": "exact McNemar, one-sided", "fixed": 41, "broke": 23, "look": 1,
            "alpha": 0.0304, "detectable_gain": 0.0832, "reason": "p = 0.0163 against 0.0304, the level of look 1",
        },
        "dev": {"n": 238, "baseline": 0.6176, "optimized": 0.7311},
        "cost": {
            "calls": 6200, "paid_calls": 1310, "new_calls": 1310, "replayed_calls": 4810, "shared_calls": 80,
            "failed_calls": 0, "lost_calls": 0, "usd": 4.12, "uncertain_usd": 0.0, "budget_usd": 5.0,
            "practice_prices": True,
        },
        "per_request": {
            "usd_before": 0.0021, "usd_after": 0.0026, "latency_ms_before": 0.82, "latency_ms_after": 1.31,
            "tokens_before": 118.2, "tokens_after": 212.9,
        },
        "summary": {"baseline": 149 / 240, "optimized": 167 / 240},
        "version": 2, "active_version": 2, "report": None, "seconds": 42.31, "error": None, "search_ended": None,
        "warmed": {}, "lost_calls_settled": 0,
        "prompt": {"before": BEFORE, "after": AFTER + demos},
        "program": {"fingerprint": "ab" * 16, "state": {"self": {"demos": [], "lm": None}}},
        "candidates": candidates, "changes": changes,
        "ledger": [
            _line("embedded/small", "task", "search", 900, 4810, 180_000, 9_000, 3.0),
            _line("embedded/large", "prompt", "search", 30, 0, 30_000, 6_000, 0.6),
            _line("embedded/small", "task", "test", 240, 0, 48_000, 2_400, 0.32),
            _line("embedded/small", "task", "baseline", 140, 98, 16_000, 1_400, 0.2),
        ],
        "findings": [
            {
                "level": "warning", "code": "imbalance", "message": "the rarest label 'mail' has 41 of 795 examples",
                "remedy": "add examples of it, or score with macro F1", "examples": [],
            },
            {
                "level": "note", "code": "test_small", "message": "the test set finds gains from 8.3 points",
                "remedy": "add examples for smaller ones", "examples": [],
            },
        ],
        "prices_dated": "2026-10-01",
    }  # fmt: skip


def failed() -> dict[str, Any]:
    """The provider died during the search; nothing was chosen and the test never opened."""
    data = copy.deepcopy(improved())
    data.update(
        status="failed", verdict=None, test=None, summary=None, version=None, active_version=None, program=None,
        changes=[], error="model 'openai/gpt-4o-mini' cannot be used: 14 of 80 calls got no answer, the last: 503",
        models={"task": "openai/gpt-4o-mini", "prompt": "openai/gpt-4o-mini", "teacher": "openai/gpt-4o-mini"},
        ledger=[_line("openai/gpt-4o-mini", "task", "baseline", 80, 0, 9_000, 700, 0.0018)],
    )  # fmt: skip
    data["dev"] = {"n": 238, "baseline": 0.6176, "optimized": 0.6176}
    data["prompt"]["after"] = None
    data["candidates"] = []
    data["cost"].update(practice_prices=False, usd=0.0018, calls=80, paid_calls=80, replayed_calls=0, shared_calls=0)
    data["per_request"].update(usd_after=None, latency_ms_after=None, tokens_after=None)
    return data


def _line(model: str, role: str, phase: str, bought: int, replayed: int, tokens: int, out: int, usd: float) -> Any:
    return {
        "scope": "run:kq7wz3fa", "model": model, "role": role, "phase": phase, "calls": bought + replayed,
        "paid_calls": bought, "replayed_calls": replayed, "shared_calls": 0, "failed_calls": 0, "lost_calls": 0,
        "tokens_in": tokens, "tokens_out": out, "usd": usd, "uncertain_usd": 0.0,
        "practice_prices": model.startswith("embedded/"), "mean_latency_ms": 0.9,
    }  # fmt: skip
