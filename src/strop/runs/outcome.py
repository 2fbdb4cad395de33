"""What a run found out, as plain JSON: stored on the run, printed by --json, rendered by the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

from strop.evaluation import Evaluation
from strop.gateway import Line, usd
from strop.programs import dump, prompt_text

if TYPE_CHECKING:
    from strop.errors import StropError
    from strop.gateway import Account, Ledger
    from strop.runs.attempt import Attempt
    from strop.stats import PairedVerdict

Status = Literal["running", "completed", "budget_exceeded", "timeout", "cancelled", "infeasible", "failed"]
SHOWN_CHANGES = 200


def outcome(attempt: Attempt, status: Status, error: StropError | None) -> dict[str, Any]:
    """Everything about an attempt that has ended. A number that was not measured is None."""
    plan, verdict, winner, baseline = attempt.plan, attempt.verdict, attempt.winner, attempt.baseline
    unproven = status in {"completed", "budget_exceeded", "timeout", "cancelled"} and baseline is not None
    return {
        "run_id": attempt.record.id,
        "task": plan.task.task,
        "algorithm": plan.optimizer.name,
        "why": plan.why,
        "status": status,
        "verdict": verdict.verdict if verdict else "INSUFFICIENT DATA" if unproven else None,
        "seed": plan.task.seed,
        "metric": plan.metric.name,
        "models": {role: model.model for role, model in plan.models.items()},
        "train": {"n": len(plan.split.train)},
        "test": test_block(verdict),
        "dev": None if baseline is None else {
            "n": len(baseline.dev.rows),
            "baseline": baseline.dev.mean,
            "optimized": (winner or baseline).dev.mean,
        },
        "cost": cost_block(attempt.gateway.ledger, attempt.account, plan.task.budget_usd, attempt.bought_before),
        "per_request": per_request(
            attempt.test_before or (baseline.dev if baseline else None),
            attempt.test_after or (winner.dev if winner else None),
        ),
        "summary": None if attempt.test_before is None or attempt.test_after is None else {
            "baseline": attempt.test_before.summary, "optimized": attempt.test_after.summary,
        },
        "version": None if attempt.version is None else attempt.version.number,
        "active_version": None if attempt.active is None else attempt.active.number,
        "incumbent": attempt.incumbent,
        "report": None,
        "seconds": round(attempt.watch.elapsed_s, 3),
        "error": None if error is None else error.message,
        "search_ended": attempt.search_ended,
        "warmed": dict(attempt.warmed),
        "lost_calls_settled": attempt.lost,
        "prompt": {
            "before": prompt_text(baseline.program) if baseline else None,
            "after": prompt_text(winner.program) if winner else None,
        },
        "program": None if winner is None else {"fingerprint": winner.fingerprint, "state": dump(winner.program)},
        "candidates": _candidates(attempt),
        "changes": changes(attempt.test_before, attempt.test_after),
        "ledger": ledger_rows(attempt.gateway.ledger.lines(attempt.account.scope)),
        "findings": [asdict(finding) for finding in plan.findings],
        "prices_dated": attempt.gateway.prices.dated,
        "versions": {name: version(name) for name in ("strop", "dspy", "optuna", "numpy", "scipy")},
    }  # fmt: skip


def _candidates(attempt: Attempt) -> Sequence[dict[str, Any]]:
    dev = {one.fingerprint: one.dev.mean for one in attempt.measured}
    return [
        {
            "number": row["number"], "origin": row["origin"], "score": row["score"], "n": row["n"],
            "dev": dev.get(row["fingerprint"]), "excluded": attempt.excluded.get(row["fingerprint"], []),
            "chosen": attempt.winner is not None and attempt.winner.fingerprint == row["fingerprint"],
        }
        for row in attempt.journal.candidates(attempt.record.id)
    ]  # fmt: skip


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
    """Cost, latency (median and 95th percentile) and tokens of one request, before and after."""

    def cost(evaluation: Evaluation | None) -> float | None:
        return None if evaluation is None else usd(round(evaluation.cost_per_request_pico))

    def latency(evaluation: Evaluation | None, share: float = 0.5) -> float | None:
        return None if evaluation is None else evaluation.latency_ms(share)

    return {
        "usd_before": cost(before),
        "usd_after": cost(after),
        "latency_ms_before": latency(before),
        "latency_ms_after": latency(after),
        "latency_p95_ms_before": latency(before, 0.95),
        "latency_p95_ms_after": latency(after, 0.95),
        "tokens_before": None if before is None else before.tokens_per_request,
        "tokens_after": None if after is None else after.tokens_per_request,
    }


def changes(before: Evaluation | None, after: Evaluation | None) -> list[dict[str, Any]]:
    """Test examples whose score changed: what was asked and expected, what was answered before and after, and why."""
    if before is None or after is None:
        return []
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
