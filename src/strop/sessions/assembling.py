"""From an attempt, whole or cut short, to its SessionResult and statistics."""

from __future__ import annotations

import time

from strop.gateway import Line, usd
from strop.metrics import fingerprint as metric_fingerprint
from strop.programs import dump, prompt_text
from strop.sessions.attempt import SessionAttempt
from strop.sessions.collector import statistics_of
from strop.sessions.contestant import Contestant
from strop.sessions.money import spent_usd
from strop.sessions.result import (
    JudgeResult,
    ModelResult,
    PhaseSpan,
    SessionResult,
    SessionStatistics,
    SessionStatus,
    Spending,
    TaskFacts,
)


def assemble(attempt: SessionAttempt, status: SessionStatus, why: str) -> SessionResult:
    """Everything that is known when the attempt ends."""
    lines = {one.name: attempt.gateway.ledger.lines(one.scope) for one in attempt.contestants}
    judging = [] if attempt.judge is None else attempt.gateway.ledger.lines(attempt.judge.scope)
    models = tuple(_model(one, lines[one.name], status) for one in attempt.contestants)
    return SessionResult(
        session_id=attempt.record.id,
        status=status,
        why=why,
        config=attempt.config.stored(),
        task=_task(attempt),
        models=models,
        transfers=tuple(sorted(attempt.transfers, key=lambda each: (each.receiver, each.donor, each.carried))),
        phases=_spans(attempt, [line for each in (*lines.values(), judging) for line in each]),
        best_model=best_of(models),
        total_cost_usd=spent_usd(attempt),
        budget_usd=attempt.config.cost_budget,
        duration_s=attempt.record.seconds + time.monotonic() - attempt.started,
        started_at=attempt.record.created_at,
        practice=all(
            one.settings.embedded for one in (*attempt.contestants, *([attempt.judge] if attempt.judge else []))
        ),
        looks=attempt.looks,
        prices_dated=attempt.gateway.prices.dated,
        judge=None
        if attempt.judge is None
        else JudgeResult(model=attempt.judge.settings.model, rules=attempt.judge.rules, spending=_spending(judging)),
    )


def best_of(models: tuple[ModelResult, ...]) -> str | None:
    """The highest mean on the sealed examples; of equals the one with the cheaper answer, then the first named."""
    measured = [one for one in models if one.best_test is not None and one.best_test.scores]
    longest = max((len(one.best_test.scores) for one in measured if one.best_test), default=0)
    whole = [one for one in measured if one.best_test and len(one.best_test.scores) == longest]

    def rank(one: ModelResult) -> tuple[float, float]:
        assert one.best_test is not None
        return round(one.best_test.mean, 9), -sum(one.best_test.costs_usd)

    return max(whole, key=rank).name if whole else None


def statistics(attempt: SessionAttempt) -> SessionStatistics:
    """Where the session stands now."""
    comparison = {
        one.name: statistics_of(one.name, one.config.provider, tuple(one.iterations)) for one in attempt.contestants
    }
    tested = [one for one in attempt.contestants if one.test_after is not None and one.test_after.scores]
    ranked = [(one.test_after.mean, one.name) for one in tested if one.test_after] or [
        (one.best.dev.mean, one.name) for one in attempt.contestants if one.best is not None
    ]
    return SessionStatistics(
        current_phase=attempt.phase,
        total_cost=usd(attempt.spent_pico()),
        duration=1000 * (time.monotonic() - attempt.started),
        best_model=max(ranked, key=lambda pair: pair[0])[1] if ranked else None,
        comparison=comparison,
    )


def _model(one: Contestant, lines: list[Line], status: SessionStatus) -> ModelResult:
    base, best = one.baseline, one.best
    ended = one.status
    if ended == "running":
        ended = "completed" if status == "completed" or one.test_after is not None else "stopped"
        ended = "budget_exceeded" if ended == "stopped" and status == "budget_exceeded" else ended
    return ModelResult(
        name=one.name,
        provider=one.config.provider,
        model=one.settings.model,
        status=ended,
        why=one.why or (f"rounds ended by the budget: {one.money_ended}" if one.money_ended else ""),
        iterations=tuple(one.iterations),
        baseline_dev=base.scores() if base else None,
        best_dev=best.scores() if best else None,
        dev_curve=tuple(each.dev.mean for each in one.history),
        baseline_test=one.test_before,
        best_test=one.test_after,
        spending=_spending(lines),
        latencies_ms=tuple(one.latencies_ms),
        convergence=one.convergence,
        domination=one.domination,
        rounds=one.rounds,
        baseline_prompt=prompt_text(base.program) if base else "",
        best_prompt=prompt_text(best.program) if best else "",
        baseline_state=dump(base.program) if base else {},
        best_state=dump(best.program) if best else {},
        origin=best.origin if best else "",
    )


def _spending(lines: list[Line]) -> Spending:
    by_phase: dict[str, int] = {}
    for line in lines:
        by_phase[line.phase] = by_phase.get(line.phase, 0) + line.cost_pico + line.uncertain_pico
    return Spending(
        calls=sum(line.bought for line in lines),
        failed=sum(line.failed for line in lines),
        lost=sum(line.lost for line in lines),
        replayed=sum(line.replayed for line in lines),
        tokens_in=sum(line.tokens_in for line in lines),
        tokens_out=sum(line.tokens_out for line in lines),
        cost_usd=usd(sum(line.cost_pico for line in lines)),
        uncertain_usd=usd(sum(line.uncertain_pico for line in lines)),
        by_phase_usd={phase: usd(amount) for phase, amount in sorted(by_phase.items())},
    )


def _spans(attempt: SessionAttempt, lines: list[Line]) -> tuple[PhaseSpan, ...]:
    ends = [each.clock for each in attempt.entered[1:]] + [time.monotonic()]
    return tuple(
        PhaseSpan(
            phase=each.phase,
            started_at=each.at,
            seconds=end - each.clock,
            cost_usd=usd(sum(line.cost_pico + line.uncertain_pico for line in lines if line.phase == each.phase)),
        )
        for each, end in zip(attempt.entered, ends, strict=True)
    )


def _task(attempt: SessionAttempt) -> TaskFacts:
    problem = attempt.problem
    return TaskFacts(
        name=problem.name,
        signature=problem.program.signature,
        instructions=problem.program.instructions,
        metric=problem.metric.name if problem.own_metric else None,
        binary=problem.metric.binary,
        train=len(problem.split.train),
        dev=len(attempt.dev),
        test=len(problem.split.test),
        data_fingerprint=problem.split.fingerprint,
        test_fingerprint=problem.split.test.fingerprint,
        description={
            "notes": list(problem.notes), "metric_fingerprint": metric_fingerprint(problem.metric),
        },
    )  # fmt: skip
