"""The stages that prove and keep: the sealed test, its verdict, the versions and which of them is active."""

from __future__ import annotations

from strop.evaluation import Evaluation
from strop.gateway import usd
from strop.metrics import fingerprint as metric_fingerprint
from strop.registry import Version
from strop.runs.attempt import Attempt
from strop.runs.outcome import test_block
from strop.runs.selection import Measured
from strop.stats import PairedVerdict, judge_paired


def prove(attempt: Attempt) -> None:
    """Open the sealed test for the baseline and the winner, and judge."""
    plan = attempt.plan
    assert attempt.baseline is not None
    assert attempt.winner is not None
    if not len(plan.split.test):
        return
    attempt.tell("stage.started", stage="test", n=len(plan.split.test))
    attempt.test_before = attempt.measure(attempt.baseline.program, "test", "test")
    attempt.test_after = attempt.measure(attempt.winner.program, "test", "test")
    attempt.refuse_outage()
    attempt.verdict = _judge(
        attempt, attempt.baseline.fingerprint, attempt.winner.fingerprint, attempt.test_before, attempt.test_after
    )
    attempt.note("test", test_block(attempt.verdict) or {})
    attempt.tell("stage.finished", stage="test", verdict=attempt.verdict.verdict)


def deploy(attempt: Attempt) -> None:
    """Keep baseline and winner as versions; activate the winner when the gate says so."""
    plan, verdict = attempt.plan, attempt.verdict
    if verdict is None or attempt.winner is None or attempt.baseline is None:
        return
    incumbent = next(iter(attempt.registry.versions(plan.task.task, active_only=True)), None)
    first = _register(attempt, attempt.baseline, attempt.test_before, None)
    if incumbent is None:
        incumbent = _activate(attempt, first, "the program as the task file says it")
    attempt.version = first
    if attempt.winner.fingerprint != attempt.baseline.fingerprint:
        attempt.version = _register(attempt, attempt.winner, attempt.test_after, first.number)
    attempt.active = incumbent
    gain = verdict.change >= plan.task.gate.min_gain
    if verdict.verdict != "IMPROVED" or not gain or plan.task.gate.policy != "auto":
        return
    if incumbent.number == attempt.version.number:
        return
    if incumbent.fingerprint == attempt.baseline.fingerprint or _beats(attempt, incumbent):
        attempt.active = _activate(attempt, attempt.version, f"run {attempt.record.id}: {verdict.verdict}")


def _judge(attempt: Attempt, old: str, new: str, before: Evaluation, after: Evaluation) -> PairedVerdict:
    plan = attempt.plan
    look = max(1, attempt.journal.looks(plan.split.test.fingerprint))
    if old != new:
        look = attempt.journal.look(attempt.record.id, attempt.lease, plan.split.test.fingerprint, f"{old}:{new}")
    groups = [example.group or example.id for example in plan.split.test]
    grouped = any(example.group for example in plan.split.test)
    return judge_paired(
        before.scores, after.scores, look=look, clusters=groups if grouped else None,
        min_gain=plan.task.gate.min_gain, seed=plan.task.seed,
    )  # fmt: skip


def _beats(attempt: Attempt, incumbent: Version) -> bool:
    """Whether the winner is proven better than the active version too, on the same test."""
    assert attempt.winner is not None
    assert attempt.test_after is not None
    before = attempt.measure(attempt.registry.program(incumbent), "test", "test")
    verdict = _judge(attempt, incumbent.fingerprint, attempt.winner.fingerprint, before, attempt.test_after)
    attempt.incumbent = {"version": incumbent.number, **(test_block(verdict) or {})}
    attempt.note("incumbent", attempt.incumbent)
    return verdict.verdict == "IMPROVED"


def _activate(attempt: Attempt, version: Version, reason: str) -> Version:
    with attempt.store.write() as connection:
        attempt.lease.check(connection)
        return attempt.registry.activate(version.name, version.number, reason=reason, connection=connection)


def _register(attempt: Attempt, one: Measured, test: Evaluation | None, parent: int | None) -> Version:
    plan, dev = attempt.plan, one.dev
    metrics = {
        "metric": plan.metric.name,
        "dev": dev.mean,
        "dev_n": len(dev.rows),
        "test": None if test is None else test.mean,
        "test_n": 0 if test is None else len(test.rows),
        "usd_per_request": usd(round(dev.cost_per_request_pico)),
        "latency_ms_p95": dev.latency_ms(0.95),
    }
    lineage = {
        "parent": parent,
        "run": attempt.record.id,
        "data": plan.split.fingerprint,
        "metric": metric_fingerprint(plan.metric),
        "models": {role: model.model for role, model in plan.models.items()},
        "model_settings": plan.models["task"].model_dump(mode="json", exclude_defaults=True),
        "prices": attempt.gateway.prices.dated,
        "algorithm": plan.optimizer.name,
        "seed": plan.task.seed,
        "origin": one.origin,
    }
    with attempt.store.write() as connection:
        attempt.lease.check(connection)
        return attempt.registry.register(
            plan.task.task,
            spec=plan.program,
            program=one.program,
            metrics=metrics,
            lineage=lineage,
            origin=one.origin,
            connection=connection,
        )
