"""The page of a session. Every text in it counts as hostile: escaped, cut to a sane length; no script is allowed."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from strop.sessions import charts, wording
from strop.sessions import report_words as words
from strop.sessions.measures import latency_profile, performance, training_metrics
from strop.sessions.recommending import Decision
from strop.sessions.result import SessionResult

if TYPE_CHECKING:
    from datetime import datetime

    from jinja2 import Template

PROMPT_CHARACTERS = 20_000
MOST_ITERATIONS = 60


def render_html(result: SessionResult, decision: Decision, generated: datetime) -> str:
    """The page; `result` must be free of secrets already."""
    found, colours = decision.comparison, charts.colours_of(result.models)
    tone, badge = words.badge(decision)
    lead, stop, rest = decision.sentence.partition(". ")
    return _template().render(
        result=result,
        decision=decision,
        lead=lead + stop,
        rest=rest,
        found=found,
        colours=colours,
        tone=tone,
        badge=badge,
        notes=words.notes(result, decision),
        level=words.level(found),
        gained=words.gained(result.task.binary),
        status=words.STATUS[result.status],
        gains={gain.name: gain for gain in found.gains},
        figures={
            one.name: (performance(one), training_metrics(one), latency_profile(one.latencies_ms))
            for one in result.models
        },
        ranking=charts.ranking_chart(found, colours),
        front=charts.front_chart(found, colours),
        latency=charts.latency_chart(found, colours),
        curves=charts.curves_chart(result.models, colours),
        spend=charts.spend_chart(result.models, colours),
        iterations=result.iterations[-MOST_ITERATIONS:],
        total=len(result.iterations),
        prompt_characters=PROMPT_CHARACTERS,
        generated=generated,
        config=json.dumps(dict(result.config), indent=2, ensure_ascii=False),
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("strop.sessions", "reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "percent": wording.percent, "points": wording.points, "p": wording.p_cell, "money": wording.money,
        "count": wording.count, "ms": wording.milliseconds, "seconds": wording.seconds, "clip": wording.clipped,
        "score4": wording.score4, "efficiency": wording.efficiency,
    }  # fmt: skip
    environment.filters.update(filters)
    return environment.get_template("session.html.j2")
