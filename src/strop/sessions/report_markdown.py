"""The report of a session in Markdown, in the shape of the guide. Strangers' words are escaped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from strop.sessions import report_words as words
from strop.sessions.collector import comparison_lines, statistics_of
from strop.sessions.measures import performance, training_metrics
from strop.sessions.result import ModelResult, ModelStatistics, SessionResult
from strop.sessions.wording import (
    NONE,
    cell,
    count,
    milliseconds,
    money,
    p_cell,
    percent,
    points,
    score4,
    seconds,
)

if TYPE_CHECKING:
    from datetime import datetime

    from strop.sessions.recommending import Decision

LAST_ITERATIONS = 20


def render_markdown(result: SessionResult, decision: Decision, generated: datetime) -> str:
    """The whole report; `result` must be free of secrets already."""
    comparison = {one.name: _figures(one) for one in result.models}
    lines = [
        "# Training Session Report",
        "",
        f"Generated: {generated.isoformat(timespec='seconds')}",
        "",
        f"**{cell(decision.sentence, 2000)}**",
        "",
        *([cell(decision.non_inferiority), ""] if len(decision.comparison.ranking) > 1 else []),
        *[f"> {cell(note, 1000)}\n" for note in words.notes(result, decision)],
        f"## Best Performing Model: {cell(result.best_model or 'none was benchmarked')}",
        "",
        *_summary(result),
        *_ranking(decision, result),
        *_pairs(decision),
        *_gains(decision),
        *comparison_lines(comparison),
        *_transfers(result),
        *_iterations(result),
        "## Configuration",
        "",
        "```json",
        json.dumps(dict(result.config), indent=2, ensure_ascii=False),
        "```",
        "",
    ]
    return "\n".join(lines)


def _figures(one: ModelResult) -> ModelStatistics:
    """A model's iterations in the guide's terms, with the cost and the training figures of the other reports."""
    return replace(
        statistics_of(one.name, one.provider, one.iterations),
        total_cost=performance(one).cost,
        **asdict(training_metrics(one)),
    )


def _summary(result: SessionResult) -> list[str]:
    budget = "" if result.budget_usd is None else f" of {money(result.budget_usd)}"
    task = result.task
    return [
        "## Training Summary",
        "",
        f"- Session: {cell(result.session_id)}, {words.STATUS[result.status]}{_because(result.why)}",
        f"- Task: {cell(task.name)}, scored by {cell(task.metric or 'the quality of the outputs')}",
        f"- Examples: {count(task.train)} train, {count(task.dev)} dev, {count(task.test)} sealed",
        f"- Total Cost: {money(result.total_cost_usd)}{budget}",
        f"- Duration: {seconds(result.duration_s)}",
        *[
            f"- {cell(one.name)} ({cell(one.model)}): {one.status.replace('_', ' ')}{_because(one.why)}, "
            f"{money(one.spending.cost_usd)}, {count(one.spending.calls)} calls, {count(one.spending.failed)} failed"
            for one in result.models
        ],
        "",
        *_table(
            ("Phase", "Time", "Cost"),
            [
                (span.phase.value.replace("_", " "), seconds(span.seconds), money(span.cost_usd))
                for span in result.phases
            ],
        ),
    ]


def _because(why: str) -> str:
    return f" ({cell(why)})" if why else ""


def _ranking(decision: Decision, result: SessionResult) -> list[str]:
    found = decision.comparison
    if not found.ranking:
        return []
    rows = [
        (
            str(one.rank), cell(one.name), percent(one.score), f"{percent(one.low)} to {percent(one.high)}",
            money(1000 * one.cost_usd), money(_thousand(one.cost_per_quality)),
            *((milliseconds(one.latency.p50), milliseconds(one.latency.p95), milliseconds(one.latency.p99))
              if one.latency else (NONE, NONE, NONE)),
            percent(one.error_rate), "yes" if one.on_front else f"no, {cell(one.beaten_by[0])}",
        )
        for one in found.ranking
    ]  # fmt: skip
    heads = (
        "Rank", "Model", "Score", "95% interval", "1,000 requests", words.gained(result.task.binary), "p50", "p95",
        "p99", "Error rate", "On the Pareto front",
    )  # fmt: skip
    said = f"{found.n} sealed examples, look {found.look}. Models share a rank unless one is shown to be better."
    left_out = [f"- {cell(name)} is not ranked: {cell(why)}" for name, why in found.unranked]
    return ["## Ranking", "", said, "", *_table(heads, rows), *left_out, *([""] if left_out else [])]


def _pairs(decision: Decision) -> list[str]:
    found = decision.comparison
    rows = [
        (
            cell(each.compared.over), cell(each.compared.under), points(each.compared.gap),
            f"{points(each.compared.low)} to {points(each.compared.high)}", p_cell(each.compared.p_value),
            p_cell(each.p_adjusted), "yes" if each.different else "no", each.compared.method,
        )
        for each in found.pairs
    ]  # fmt: skip
    if not rows:
        return []
    heads = ("Ahead", "Behind", "Gap (points)", "Interval", "p", "p after Holm", "Shown to be different", "Test")
    return ["### Tests between models", "", words.level(found), "", *_table(heads, rows)]


def _gains(decision: Decision) -> list[str]:
    rows = [
        (
            cell(gain.name), gain.verdict, percent(gain.baseline), percent(gain.optimized), points(gain.change),
            f"{points(gain.low)} to {points(gain.high)}", p_cell(gain.p_adjusted), cell(gain.reason),
        )
        for gain in decision.comparison.gains
    ]  # fmt: skip
    if not rows:
        return []
    heads = ("Model", "Verdict", "Before", "After", "Change (points)", "95% interval", "p after Holm", "Why")
    return ["## What the training brought", "", *_table(heads, rows)]


def _transfers(result: SessionResult) -> list[str]:
    rows = [
        (
            cell(each.donor), cell(each.receiver), each.carried, percent(each.before),
            percent(each.after if each.n else None),
            count(each.n), "yes" if each.kept else "no", cell(each.why),
        )
        for each in result.transfers
    ]  # fmt: skip
    if not rows:
        return []
    heads = ("From", "To", "What", "Before", "After", "Dev examples", "Kept", "Why")
    return ["## Cross-model Learning", "", *_table(heads, rows)]


def _iterations(result: SessionResult) -> list[str]:
    everything = result.iterations
    rows = [
        (
            str(one.iteration), cell(one.model), one.phase.value, score4(one.quality.score),
            milliseconds(one.performance.latency), money(one.performance.cost),
        )
        for one in everything[-LAST_ITERATIONS:]
    ]  # fmt: skip
    if not rows:
        return []
    said = f"The last {len(rows)} of {count(len(everything))}; the JSON report has all."
    heads = ("Iteration", "Model", "Phase", "Quality", "Latency", "Cost")
    return ["## Iteration Details", "", said, "", *_table(heads, rows)]


def _thousand(amount: float | None) -> float | None:
    return None if amount is None else 1000 * amount


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]
