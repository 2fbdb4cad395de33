"""What can be said of a program with too few examples to optimise: it is measured on what there is, and kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from secrets import token_hex
from typing import Any

from strop.datasets import Example
from strop.errors import NotFound, ProviderDown, RunStopped
from strop.evaluation import evaluate
from strop.gateway import Account, Gateway, ModelSettings, pico, usd
from strop.metrics import Metric
from strop.programs import ProgramSpec, build, prompt_text, prompts
from strop.registry import Registry, Version
from strop.runs.guide import OptimizationResult, PerformanceMetrics
from strop.runs.serving import cause_of
from strop.runs.task import TaskSpec
from strop.runs.told import measured


def measure_only(
    gateway: Gateway,
    registry: Registry,
    task: TaskSpec,
    *,
    metric: Metric,
    model: ModelSettings,
    examples: Sequence[Example],
    algorithm: str,
    message: str,
    notes: tuple[str, ...] = (),
) -> OptimizationResult:
    """Measure the program as it was asked for and keep it; optimised = baseline, and no gain is claimed.

    Raises:
        ProviderDown: a call got no answer for the provider's fault; such a score would measure the outage.
    """
    started, id = time.monotonic(), f"t{token_hex(4)}"
    spec = program_of(task)
    program = build(spec)
    account = Account(scope=f"run:{id}", budget=f"run:{id}")
    gateway.budgets.open(account.scope, limit_pico=None if task.budget_usd is None else pico(task.budget_usd))
    metrics = PerformanceMetrics(metric=metric.name, score=None)
    if examples:
        lm = gateway.lm(model, account, phase="baseline", role="task")
        try:
            found = evaluate(program, examples, metric, lm, concurrency=task.concurrency, switch=account.switch)
            metrics = measured(metric, found)
        except RunStopped as stop:
            if stop.cause != "budget_exceeded":
                raise cause_of(account, stop) from None
            message = f"{message}; not even that could be measured: {stop.detail}"
    for name, failed, asked, last in gateway.ledger.outages(account.scope):
        raise ProviderDown(name, f"{failed} of {asked} calls got no answer, the last: {last}")
    version = registry.register(
        task.task,
        spec=spec,
        program=program,
        metrics={"metric": metric.name, "score": metrics.score, "n": metrics.n},
        lineage={"run": id, "models": {"task": model.model}, "prices": gateway.prices.dated, "seed": task.seed},
        origin="as it was asked for",
    )
    activate_first(registry, version)
    return OptimizationResult(
        optimization_id=id,
        model_id=f"{version.name}@{version.number}",
        baseline_metrics=metrics,
        optimized_metrics=metrics,
        improvement_percentage=0.0,
        optimized_prompt=prompt_text(program),
        optimized_config=config_of(task, spec, program, {"task": model.model}),
        algorithm_used=algorithm,
        iterations_completed=0,
        duration_seconds=time.monotonic() - started,
        total_cost_usd=usd(sum(line.cost_pico for line in gateway.ledger.lines(account.scope))),
        verdict="INSUFFICIENT DATA",
        status="insufficient_data",
        message=message,
        notes=notes,
    )


def program_of(task: TaskSpec) -> ProgramSpec:
    """The program as a task asks for it."""
    return ProgramSpec(signature=task.signature, instructions=task.instructions, strategy=task.strategy)


def activate_first(registry: Registry, version: Version) -> None:
    """Make `version` the active one where none is, so that its name alone can be asked."""
    try:
        registry.get(version.name)
    except NotFound:
        registry.activate(version.name, version.number, reason="the program as it was asked for")


def config_of(task: TaskSpec, spec: ProgramSpec, program: Any, models: dict[str, str]) -> dict[str, Any]:
    """What a program is made of, as plain values."""
    return {
        "signature": spec.signature,
        "strategy": spec.strategy,
        "predictors": [
            {"name": one.name, "instructions": one.instructions, "demos": [dict(demo) for demo in one.demos]}
            for one in prompts(program)
        ],
        "metric": task.metric,
        "models": models,
        "algorithm": {"name": task.algorithm.name, **task.algorithm.settings},
        "seed": task.seed,
    }
