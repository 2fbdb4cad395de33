"""What a run found out, as plain JSON: stored on the run, printed by --json, rendered by the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from strop.evaluation import Evaluation
from strop.gateway import Line, usd

if TYPE_CHECKING:
    from strop.gateway import Account, Ledger
    from strop.stats import PairedVerdict

Status = Literal["running", "completed", "budget_exceeded", "timeout", "cancelled", "infeasible", "failed"]
SHOWN_CHANGES = 200


def test_block(verdict: PairedVerdict | None) -> dict[str, Any] | None:
    """The sealed test in numbers; None when it was never opened."""
    if verdict is None:
        return None
    return {
        "n": verdict.n,
        "baseline": verdict.baseline,
        "optimized": verdict.optimized,
        "change": verdict.change,
        "ci95": list(verdict.ci95),
        "p_value": verdict.p_value,
        "method": verdict.method,
        "fixed": verdict.fixed,
        "broke": verdict.broke,
        "look": verdict.look,
        "alpha": verdict.alpha,
        "detectable_gain": verdict.detectable_gain,
        "reason": verdict.reason,
    }


def cost_block(ledger: Ledger, account: Account, budget_usd: float | None, before: int) -> dict[str, Any]:
    """Calls and money of the whole run from the ledger. `before` is the number of calls bought by earlier attempts."""
    lines = ledger.lines(account.scope)
    now = account.counters.read()
    bought = sum(line.bought for line in lines)
    return {
        "calls": now.calls,
        "paid_calls": bought,
        "new_calls": bought - before,
        "replayed_calls": now.replayed,
        "shared_calls": now.shared,
        "failed_calls": sum(line.failed for line in lines),
        "lost_calls": sum(line.lost for line in lines),
        "usd": usd(sum(line.cost_pico for line in lines)),
        "uncertain_usd": usd(sum(line.uncertain_pico for line in lines)),
        "budget_usd": budget_usd,
        "practice_prices": bool(lines) and all(line.practice for line in lines),
    }


def ledger_rows(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """The ledger by model, role and phase."""
    return [
        {
            "scope": line.scope,
            "model": line.model,
            "role": line.role,
            "phase": line.phase,
            "calls": line.calls,
            "paid_calls": line.bought,
            "replayed_calls": line.replayed,
            "shared_calls": line.shared,
            "failed_calls": line.failed,
            "lost_calls": line.lost,
            "tokens_in": line.tokens_in,
            "tokens_out": line.tokens_out,
            "usd": usd(line.cost_pico),
            "uncertain_usd": usd(line.uncertain_pico),
            "practice_prices": line.practice,
            "mean_latency_ms": line.latency_us / 1000 / line.bought if line.bought else None,
        }
        for line in lines
    ]


def per_request(before: Evaluation | None, after: Evaluation | None) -> dict[str, Any]:
    """Cost and median latency of one request, before and after."""

    def cost(evaluation: Evaluation | None) -> float | None:
        return None if evaluation is None else usd(round(evaluation.cost_per_request_pico))

    def latency(evaluation: Evaluation | None) -> float | None:
        return None if evaluation is None else evaluation.latency_ms(0.5)

    return {
        "usd_before": cost(before),
        "usd_after": cost(after),
        "latency_ms_before": latency(before),
        "latency_ms_after": latency(after),
        "tokens_before": None if before is None else before.tokens_per_request,
        "tokens_after": None if after is None else after.tokens_per_request,
    }


def changes(before: Evaluation, after: Evaluation) -> list[dict[str, Any]]:
    """Test examples whose score changed: what was asked, expected, answered before and after, and why it was scored so."""
    new = {row.example_id: row for row in after.rows}
    found: list[dict[str, Any]] = []
    for old in before.rows:
        now = new.get(old.example_id)
        if now is None or abs(now.score.value - old.score.value) < 1e-12:
            continue
        found.append(
            {
                "example": old.example_id,
                "kind": "fixed" if now.score.value > old.score.value else "broke",
                "inputs": _text(old.inputs),
                "expected": _text(old.expected),
                "before": _text(old.answer),
                "after": _text(now.answer),
                "score_before": old.score.value,
                "score_after": now.score.value,
                "reason": now.score.reason,
            }
        )
    return found[:SHOWN_CHANGES]


def _text(values: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): str(value)[:2000] for key, value in values.items()}
