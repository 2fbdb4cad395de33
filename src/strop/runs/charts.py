"""Charts as inline SVG, drawn here so that a page needs no script and no network.

Positions across are percentages and positions down are pixels: a chart fills any width while its text keeps its size.
Colours come from the page's style sheet by class.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from markupsafe import Markup

from strop.runs.report_words import count, money, number, percent, phase, points

Data = Mapping[str, Any]
Anchor = Literal["start", "middle", "end"]
MODELS_APART = 4
"""Colours for models; further ones share the last."""


def interval_chart(test: Data) -> Markup:
    """The change and its 95% interval on a line of points, with zero marked; empty without an interval."""
    low, high = (number(bound) for bound in test.get("ci95") or (None, None))
    change, detectable = number(test.get("change")), number(test.get("detectable_gain"))
    if low is None or high is None or change is None:
        return Markup("")
    shown = detectable if detectable is not None and detectable <= 3 * max(abs(low), abs(high)) else None
    ends = [0.0, low, high, change, *([] if shown is None else [shown])]
    margin = 0.12 * max(max(ends) - min(ends), 0.01)
    across = _Scale(min(ends) - margin, max(ends) + margin, 2, 98)
    parts = [Markup('<line class="axis" x1="2%" x2="98%" y1="72" y2="72"/>')]
    for tick in _ticks(across.low, across.high, 5):
        if tick:
            parts.append(_line("tick", across(tick), 72, across(tick), 77))
        parts.append(_text("tick-label", across(tick), 92, _tick(tick), "middle"))
    zero = across(0)
    parts.append(_line("zero", zero, 14, zero, 77))
    if shown is not None:
        told = f"Smallest gain this test could reliably detect: about {points(shown)} points (80% power)"
        parts.append(_titled(_line("detectable", across(shown), 60, across(shown), 72), told))
    told = f"Change {points(change)} points, 95% interval {points(low)} to {points(high)}"
    parts.append(_titled(Markup("").join([
        _rect("interval", across(low), 38, across(high) - across(low), 12),
        _line("interval-end", across(low), 34, across(low), 54),
        _line("interval-end", across(high), 34, across(high), 54),
        _circle("estimate", across(change), 44, 7),
    ]), told))  # fmt: skip
    parts.append(_text("estimate-label", across(change), 22, f"{points(change)} points", _anchor(across(change))))
    if zero > 20:
        parts.append(_text("side", zero - 1.2, 66, "← worse", "end"))
    if zero < 80:
        parts.append(_text("side", zero + 1.2, 66, "better →", "start"))
    return _svg("interval-chart", 98, told, parts)


def score_bars(rows: Sequence[tuple[str, str, object]]) -> Markup:
    """Scores of 0..1 as bars on one scale: (label, class, score)."""
    known = [(label, kind, score) for label, kind, given in rows if (score := number(given)) is not None]
    parts: list[Markup] = []
    for at, (label, kind, score) in enumerate(known):
        y = at * 46
        parts.append(_text("bar-label", 0, y + 13, label, "start"))
        parts.append(_text("bar-value", 100, y + 13, percent(score), "end"))
        parts.append(_rect("bar-ground", 0, y + 20, 100, 12))
        parts.append(_rect(f"bar {kind}", 0, y + 20, 100 * min(1.0, max(0.0, score)), 12))
    told = ", ".join(f"{label} {percent(score)}" for label, _, score in known)
    return _svg("score-bars", 46 * len(known) - 8, told, parts) if known else Markup("")


def outcome_chart(test: Data) -> Markup:
    """Right and wrong, before and after, as a table with areas in proportion; empty for fractional scores."""
    n, old = number(test.get("n")), number(test.get("baseline"))
    fixed, broke = int(number(test.get("fixed")) or 0), int(number(test.get("broke")) or 0)
    if not n or old is None or "McNemar" not in str(test.get("method")):
        return Markup("")
    right = round(n * old) - broke
    cells = (
        ("kept", 0, 0, right, "right both times"), ("broke", 1, 0, broke, "broke"),
        ("fixed", 0, 1, fixed, "fixed"), ("lost", 1, 1, int(n) - right - fixed - broke, "wrong both times"),
    )  # fmt: skip
    parts = [
        Markup('<text class="side" x="138" y="12" text-anchor="middle">right after</text>'),
        Markup('<text class="side" x="254" y="12" text-anchor="middle">wrong after</text>'),
        Markup('<text class="side" x="70" y="72" text-anchor="end">right before</text>'),
        Markup('<text class="side" x="70" y="174" text-anchor="end">wrong before</text>'),
    ]
    for kind, column, row, examples, words in cells:
        x, y = 80 + 116 * column, 20 + 102 * row
        side = 92 * math.sqrt(max(0, examples) / n)
        parts.append(
            Markup(
                '<g><title>{n} {words}</title><rect class="cell" x="{x}" y="{y}" width="112" height="98" rx="4"/>'
                '<rect class="cell-{kind}" x="{sx:.1f}" y="{sy:.1f}" width="{side:.1f}" height="{side:.1f}" rx="3"/>'
                '<text class="cell-count" x="{cx}" y="{cy}" text-anchor="middle">{n}</text>'
                '<text class="cell-word" x="{cx}" y="{wy}" text-anchor="middle">{words}</text></g>'
            ).format(
                n=count(examples),
                words=words,
                kind=kind,
                x=x,
                y=y,
                side=side,
                sx=x + 56 - side / 2,
                sy=y + 49 - side / 2,
                cx=x + 56,
                cy=y + 50,
                wy=y + 68,
            )
        )
    told = "; ".join(f"{words}: {examples}" for _, _, _, examples, words in cells)
    return Markup(
        '<svg class="outcome-chart" viewBox="0 0 312 224" role="img" aria-label="{}"><title>{}</title>{}</svg>'
    ).format(told, told, Markup("").join(parts))


def search_chart(candidates: Sequence[Data], dev: Data | None) -> Markup:
    """Dev scores over the search with the baseline as a line; empty when nothing was scored.

    Filled dots were measured on every dev example, hollow ones on a part of them, which is noisier.
    """
    whole = number((dev or {}).get("n")) or 0
    found = [
        (one, score)
        for one in candidates
        if (score := number(one.get("dev")) if one.get("dev") is not None else number(one.get("score"))) is not None
    ]
    if not found:
        return Markup("")
    start = number((dev or {}).get("baseline"))
    scores = [score for _, score in found] + ([] if start is None else [start])
    margin = max(0.02, 0.12 * (max(scores) - min(scores)))
    down = _Scale(max(0.0, min(scores) - margin), min(1.0, max(scores) + margin), 216, 34)
    last = max(int(one.get("number") or 0) for one, _ in found)
    across = _Scale(1, max(2, last), 11, 95)
    parts: list[Markup] = []
    for tick in _ticks(down.low, down.high, 5):
        parts.append(_line("grid", 0, down(tick), 100, down(tick)))
        parts.append(_text("tick-label", 0, down(tick) - 4, f"{100 * tick:g}%", "start"))
    numbers = {one.get("number") for one in candidates}
    for tick in _ticks(1, max(2, last), 8):
        if tick in numbers:
            parts.append(_text("tick-label", across(tick), 238, f"{tick:.0f}", "middle"))
    if start is not None:
        parts.append(_titled(_line("baseline", 0, down(start), 100, down(start)), f"Baseline {percent(start)}"))
        parts.append(_text("baseline-label", 100, down(start) - 6, f"baseline {percent(start)}", "end"))
    radius = 5 if len(found) <= 60 else 3.5
    for one, score in sorted(found, key=lambda item: bool(item[0].get("chosen"))):
        place = across(one.get("number") or 0), down(score)
        parts.append(_candidate(one, score, place, radius, whole))
    told = f"Dev scores of {len(found)} candidates from {percent(min(scores))} to {percent(max(scores))}"
    return _svg("search-chart", 244, told, parts)


def spend_chart(ledger: Sequence[Data]) -> Markup:
    """What each phase cost, divided by model; counts bought calls where nothing had a price."""
    by = "usd" if any(number(row.get("usd")) for row in ledger) else "paid_calls"
    models = list(dict.fromkeys(str(row.get("model")) for row in ledger))
    phases = sorted(dict.fromkeys(str(row.get("phase")) for row in ledger), key=_phase_order)
    sums = {name: sum(number(row.get(by)) or 0.0 for row in ledger if str(row.get("phase")) == name) for name in phases}
    most = max(sums.values(), default=0.0)
    if not most:
        return Markup("")
    parts: list[Markup] = []
    for at, name in enumerate(phases):
        y, x = at * 44, 0.0
        parts.append(_text("bar-label", 0, y + 13, phase(name), "start"))
        parts.append(_text("bar-value", 100, y + 13, _amount(by, sums[name]), "end"))
        parts.append(_rect("bar-ground", 0, y + 20, 100, 10))
        for index, model in enumerate(models):
            rows = [row for row in ledger if str(row.get("phase")) == name and str(row.get("model")) == model]
            part = sum(number(row.get(by)) or 0.0 for row in rows)
            width = 100 * part / most
            if width:
                bar = _rect(f"model-{min(index, MODELS_APART - 1)}", x, y + 20, width, 10)
                parts.append(_titled(bar, f"{phase(name)}, {model}: {_amount(by, part)}"))
            x += width
    told = "; ".join(f"{phase(name)} {_amount(by, sums[name])}" for name in phases)
    return _svg("spend-chart", 44 * len(phases) - 8, told, parts)


def _candidate(one: Data, score: float, place: tuple[float, float], radius: float, whole: float) -> Markup:
    x, y = place
    n, full = number(one.get("n")) or 0, one.get("dev") is not None
    partial = not full and n < whole
    seen = "all dev examples" if full or not partial else f"{count(n)} of {count(whole)} dev examples"
    told = f"Candidate {one.get('number')}: {percent(score)} on {seen}. {str(one.get('origin') or '')[:200]}"
    if one.get("excluded"):
        told += f" Excluded: {'; '.join(map(str, one['excluded']))[:300]}"
    kind = "chosen" if one.get("chosen") else "excluded" if one.get("excluded") else "partial" if partial else "full"
    dot = _circle(f"dot {kind}", x, y, radius + (2 if kind == "chosen" else 0))
    if kind == "chosen":
        label = _text("chosen-label", x, y - 16, f"chosen {percent(score)}", _anchor(x))
        dot = Markup("").join([_circle("ring", x, y, radius + 6), dot, label])
    return _titled(dot, told)


class _Scale:
    """A straight line from values to positions."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.high = low, high
        self._start, self._per_unit = start, (end - start) / ((high - low) or 1.0)

    def __call__(self, value: float) -> float:
        return self._start + (value - self.low) * self._per_unit


def _ticks(low: float, high: float, wanted: int) -> list[float]:
    """Round numbers from `low` to `high`, about `wanted` of them."""
    rough = max(high - low, 1e-9) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(at * step, 10) for at in range(first, math.floor(high / step + 1e-9) + 1)]


def _tick(change: float) -> str:
    return f"{round(100 * change, 6):+g}".replace("-", "−") if change else "0"


def _phase_order(name: str) -> tuple[int, str]:
    known = ("baseline", "search", "selection", "test")
    return (known.index(name) if name in known else len(known), name)


def _amount(by: str, value: float) -> str:
    return money(value) if by == "usd" else f"{count(value)} calls"


def _anchor(x: float) -> Anchor:
    return "start" if x < 18 else "end" if x > 82 else "middle"


def _svg(kind: str, height: float, told: str, parts: Sequence[Markup]) -> Markup:
    return Markup(
        '<svg class="{}" width="100%" height="{:g}" role="img" aria-label="{}"><title>{}</title>{}</svg>'
    ).format(kind, height, told, told, Markup("").join(parts))


def _titled(shape: Markup, told: str) -> Markup:
    return Markup("<g><title>{}</title>{}</g>").format(told, shape)


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{:.2f}%" y1="{:.1f}" x2="{:.2f}%" y2="{:.1f}"/>').format(kind, x1, y1, x2, y2)


def _rect(kind: str, x: float, y: float, width: float, height: float) -> Markup:
    return Markup('<rect class="{}" x="{:.2f}%" y="{:.1f}" width="{:.2f}%" height="{:.1f}" rx="2"/>').format(
        kind, x, y, width, height
    )


def _circle(kind: str, x: float, y: float, radius: float) -> Markup:
    return Markup('<circle class="{}" cx="{:.2f}%" cy="{:.1f}" r="{:.1f}"/>').format(kind, x, y, radius)


def _text(kind: str, x: float, y: float, words: str, anchor: Anchor) -> Markup:
    return Markup('<text class="{}" x="{:.2f}%" y="{:.1f}" text-anchor="{}">{}</text>').format(
        kind, x, y, anchor, words
    )
