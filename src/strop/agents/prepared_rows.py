"""An example as a row of `examples.json` and of the splits: the document's keys first, long texts cut."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

from strop.agents.example import AgentExample, outcome_to_json
from strop.agents.transcript import Step

LONGEST_ARGUMENT = 200
LONGEST_CONTEXT = 500
"""Characters of one text of a context; the session-log format cuts its history there too."""


def prepared_row(example: AgentExample) -> dict[str, Any]:
    """The document's six keys, and after them where the example is from and how its outcome is known."""
    return {
        "task": example.task,
        "context": _shortened(dict(example.context), LONGEST_CONTEXT),
        "actions": [_action(step) for step in example.steps],
        "expected_response": example.answer,
        "success": example.outcome.success,
        "metrics": _metrics(example),
        "id": example.id,
        "client": example.client,
        "session": example.session,
        "project": example.project,
        "agent": example.agent,
        "model": example.model,
        "started": None if example.started is None else example.started.isoformat(),
        "outcome": outcome_to_json(example.outcome),
        "flags": [asdict(flag) for flag in example.flags],
        "source": example.source,
    }


def _action(step: Step) -> dict[str, Any]:
    return {
        "tool": step.tool,
        "args": _shortened(dict(step.arguments), LONGEST_ARGUMENT),
        "success": _step_succeeded(step),
        "status": step.status,
        "exit_code": step.exit_code,
    }


def _step_succeeded(step: Step) -> bool | None:
    if step.status == "unknown" and step.exit_code is None:
        return None
    return step.status in {"ok", "unknown"} and step.exit_code in {None, 0}


def _metrics(example: AgentExample) -> dict[str, Any]:
    recorded = example.extra.get("metrics")
    failed = sum(_step_succeeded(step) is False for step in example.steps)
    usage = example.usage
    return {
        **(recorded if isinstance(recorded, dict) else {}),
        "toolCallCount": len(example.steps),
        "toolErrorCount": failed,
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "costUsd": usage.cost_usd,
        "seconds": example.seconds,
    }


def _shortened(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= limit else f"{value[: limit - 3]}..."
    if isinstance(value, dict):
        return {key: _shortened(item, limit) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_shortened(item, limit) for item in cast("list[Any]", value)]
    return value
