"""What a run would do, for `--dry-run`: in words and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from strop.cli.console import flowing, show, width

if TYPE_CHECKING:
    from strop.runs import Plan


def plan_data(plan: Plan) -> dict[str, Any]:
    """The plan as JSON."""
    from strop.gateway import usd

    estimate = plan.estimate
    return {
        "task": plan.task.task,
        "algorithm": plan.optimizer.name,
        "why": plan.why,
        "settings": plan.settings.model_dump(mode="json"),
        "metric": plan.metric.name,
        "models": {role: model.model for role, model in plan.models.items()},
        "examples": {"train": len(plan.split.train), "dev": len(plan.split.dev), "test": len(plan.split.test)},
        "calls": {
            "search_expected": estimate.search_calls,
            "search_at_most": estimate.search_calls_most,
            "measuring": estimate.measuring_calls,
        },
        "cost": {
            "expected_usd": usd(estimate.expected_pico),
            "worst_case_usd": usd(estimate.worst_pico),
            "budget_usd": plan.task.budget_usd,
        },
        "detectable_gain": plan.detectable,
        "findings": [asdict(finding) for finding in plan.findings],
        "refused": bool(plan.refused),
        "seed": plan.task.seed,
    }


def print_plan(plan: Plan) -> None:
    """The plan in words on stdout."""
    from strop.gateway import show as dollars

    task, estimate, columns = plan.task, plan.estimate, width()
    models = ", ".join(f"{role} {model.model}" for role, model in plan.models.items())
    limit = "no limit" if task.budget_usd is None else f"${task.budget_usd:,.2f}"
    gain = "none" if plan.detectable is None else f"about {100 * plan.detectable:.1f} points (80% power)"
    train, dev, test = len(plan.split.train), len(plan.split.dev), len(plan.split.test)
    rows = {
        "task": task.task,
        "algorithm": f"{plan.optimizer.name} ({plan.why})",
        "examples": f"{train} train, {dev} dev, {test} sealed test",
        "metric": plan.metric.name,
        "models": models,
        "calls": f"about {estimate.search_calls:,} for the search (at most {estimate.search_calls_most:,}), "
        f"and {estimate.measuring_calls:,} to measure it",
        "cost": f"about {dollars(estimate.expected_pico)}, worst case {dollars(estimate.worst_pico)}; "
        f"budget {limit}, which is never exceeded",
        "smallest gain": f"{gain}, that {test} test examples can reliably show",
        "gate": f"{task.gate.policy}, at least {100 * task.gate.min_gain:g} points",
        "seed": str(task.seed),
    }
    show("What would be done (nothing was called):")
    for name, text in rows.items():
        show(flowing([f"{name:<14}{text}"], columns, indent="  "))
    for finding in plan.findings:
        show(flowing([f"{finding.level}: {finding.message}", f"remedy: {finding.remedy}"], columns, gap=" "))
