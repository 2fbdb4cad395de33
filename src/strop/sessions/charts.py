"""A session's charts as inline SVG, so that a page needs no script and no network.

Positions across are percentages and positions down are pixels: a chart fills any width while its text keeps its size.
Colours come from the page's style sheet by class; every model keeps its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from markupsafe import Markup

from strop.sessions.config import TrainingPhase
from strop.sessions.decision import Comparison, Ranked
from strop.sessions.result import ModelResult
from strop.sessions.wording import milliseconds, money, percent, shortened

COLOURS = 8
"""Models beyond these share the last colour."""
LABEL = 28
"""Letters of a model's name beside a shape; its title has the whole."""
USUAL_WIDTH, LETTER, BOTTOM = 440, 7.2, 236
"""Of the chart of the front: pixels across, of a letter, and down to its axis."""
Colours = Mapping[str, int]


def colours_of(models: Sequence[ModelResult]) -> Colours:
    """The colour of every model, the same in all charts."""
    return {one.name: min(at, COLOURS - 1) for at, one in enumerate(models)}


def ranking_chart(found: Comparison, colours: Colours) -> Markup:
    """Scores with their 95% intervals, best first; empty when nothing was ranked."""
    if not found.ranking:
        return Markup("")
    low, high = min(one.low for one in found.ranking), max(one.high for one in found.ranking)
    margin = max(0.02, 0.06 * (high - low))
    across = _Scale(max(0.0, low - margin), min(1.0, high + margin), 1, 99)
    bottom = 46 * len(found.ranking)
    parts = _across(across, bottom, lambda at: f"{100 * at:g}%")
    for at, one in enumerate(found.ranking):
        y, kind = 46 * at, f"model-{colours[one.name]}"
        told = f"{one.name}: {percent(one.score)}, 95% interval {percent(one.low)} to {percent(one.high)}"
        shapes = Markup("").join([
            _rect(f"interval {kind}", across(one.low), y + 24, across(one.high) - across(one.low), 10),
            _circle(f"estimate {kind}", across(one.score), y + 29, 7),
        ])  # fmt: skip
        parts += [_titled(shapes, told), _text("bar-label", 0, y + 14, shortened(one.name, LABEL), "start")]
        parts.append(_text("bar-value", 100, y + 14, percent(one.score), "end"))
    told = "; ".join(f"{one.name} {percent(one.score)}" for one in found.ranking)
    return _svg("ranking-chart", bottom + 24, f"Scores with 95% intervals: {told}", parts)


def front_chart(found: Comparison, colours: Colours) -> Markup:
    """Score against the cost of a request; filled dots lie on the Pareto front, larger ones are slower."""
    ranking = found.ranking
    if len(ranking) < 2:
        return Markup("")
    dearest = max(one.cost_usd for one in ranking) or 1.0
    across = _Scale(0.0, dearest * 1.12, 9, 97)
    scores = [one.score for one in ranking]
    margin = max(0.02, 0.25 * (max(scores) - min(scores)))
    down = _Scale(max(0.0, min(scores) - margin), min(1.0, max(scores) + margin), BOTTOM, 24)
    parts = [_line("axis", 9, BOTTOM, 100, BOTTOM)]
    for tick in _ticks(down.low, down.high, 5):
        parts += [
            _line("grid", 9, down(tick), 100, down(tick)),
            _text("tick-label", 0, down(tick) + 4, f"{100 * tick:g}%"),
        ]
    for tick in _ticks(0.0, dearest * 1.12, 5):
        parts.append(_text("tick-label", across(tick), 254, money(1000 * tick), "middle"))
    parts.append(_text("side", 100, 274, "cost of 1,000 requests", "end"))
    slowest = max((one.latency.p50 for one in ranking if one.latency), default=1.0) or 1.0
    dots = {
        one.name: (across(one.cost_usd), down(one.score), 5 + 8 * math.sqrt(_median(one) / slowest)) for one in ranking
    }
    labels = _labels({shortened(name, LABEL): dot for name, dot in dots.items()})
    parts += [_front_dot(one, colours, dots[one.name]) for one in sorted(ranking, key=lambda each: each.on_front)]
    parts += [_text("dot-label", x, y, words, anchor) for words, (x, y, anchor) in labels.items()]
    return _svg("front-chart", 280, f"Score against cost; on the front: {', '.join(found.front)}", parts)


def latency_chart(found: Comparison, colours: Colours) -> Markup:
    """Median, 95th and 99th percentile of the latency of an answer."""
    known = [(one, one.latency) for one in found.ranking if one.latency is not None]
    slowest = max((latency.p99 for _, latency in known), default=0.0)
    if not slowest:
        return Markup("")
    parts: list[Markup] = []
    for at, (one, latency) in enumerate(known):
        y, kind = 44 * at, f"model-{colours[one.name]}"
        told = f"p50 {milliseconds(latency.p50)}, p95 {milliseconds(latency.p95)}, p99 {milliseconds(latency.p99)}"
        shapes = [_rect("bar-ground", 0, y + 20, 100, 12)]
        for value, shade in ((latency.p99, "faint"), (latency.p95, "half"), (latency.p50, "full")):
            shapes.append(_rect(f"{kind} {shade}", 0, y + 20, 100 * value / slowest, 12))
        parts += [_titled(Markup("").join(shapes), f"{one.name}: {told}")]
        parts.append(_text("bar-label", 0, y + 13, shortened(one.name, LABEL)))
        parts.append(_text("bar-value", 100, y + 13, told.replace(", ", " · "), "end"))
    return _svg("latency-chart", 44 * len(known) - 6, "Latency of an answer by model", parts)


def curves_chart(models: Sequence[ModelResult], colours: Colours) -> Markup:
    """The best dev score of every model after the baseline and each round."""
    known = [one for one in models if one.dev_curve]
    rounds = max((len(one.dev_curve) for one in known), default=0) - 1
    if rounds < 1:
        return Markup("")
    values = [score for one in known for score in one.dev_curve]
    margin = max(0.02, 0.1 * (max(values) - min(values)))
    down = _Scale(max(0.0, min(values) - margin), min(1.0, max(values) + margin), 210, 14)
    across = _Scale(0, rounds, 11, 97)
    parts: list[Markup] = []
    for tick in _ticks(down.low, down.high, 5):
        parts += [
            _line("grid", 9, down(tick), 100, down(tick)),
            _text("tick-label", 0, down(tick) + 4, f"{100 * tick:g}%"),
        ]
    for tick in _ticks(0, rounds, 8):
        if tick == int(tick):
            words = f"round {tick:.0f}" if tick else "baseline"
            parts.append(_text("tick-label", across(tick), 232, words, "end" if tick == rounds else "middle"))
    for one in known:
        kind = f"model-{colours[one.name]}"
        places = [(across(at), down(score)) for at, score in enumerate(one.dev_curve)]
        lines = [_line(f"curve {kind}", x1, y1, x2, y2) for (x1, y1), (x2, y2) in pairwise(places)]
        dots = [_circle(f"dot {kind}", x, y, 3.5) for x, y in places]
        parts.append(_titled(Markup("").join([*lines, *dots]), f"{one.name}: {', '.join(map(percent, one.dev_curve))}"))
    return _svg("curves-chart", 238, "Best dev score after each round", parts)


def spend_chart(models: Sequence[ModelResult], colours: Colours) -> Markup:
    """What each phase cost, divided by model; empty when nothing was spent."""
    phases = [phase.value for phase in TrainingPhase if any(one.spending.by_phase_usd.get(phase) for one in models)]
    sums = {phase: sum(one.spending.by_phase_usd.get(phase, 0.0) for one in models) for phase in phases}
    most = max(sums.values(), default=0.0)
    if not most:
        return Markup("")
    parts: list[Markup] = []
    for at, phase in enumerate(phases):
        y, x = 44 * at, 0.0
        parts.append(_text("bar-label", 0, y + 13, phase.replace("_", " ").capitalize()))
        parts.append(_text("bar-value", 100, y + 13, money(sums[phase]), "end"))
        parts.append(_rect("bar-ground", 0, y + 20, 100, 10))
        for one in models:
            part = one.spending.by_phase_usd.get(phase, 0.0)
            if part:
                bar = _rect(f"model-{colours[one.name]}", x, y + 20, 100 * part / most, 10)
                parts.append(_titled(bar, f"{phase}, {one.name}: {money(part)}"))
                x += 100 * part / most
    return _svg("spend-chart", 44 * len(phases) - 8, "; ".join(f"{each} {money(sums[each])}" for each in phases), parts)


def _median(one: Ranked) -> float:
    return one.latency.p50 if one.latency else 0.0


def _front_dot(one: Ranked, colours: Colours, dot: tuple[float, float, float]) -> Markup:
    kind = f"model-{colours[one.name]}" + ("" if one.on_front else " hollow")
    told = f"{one.name}: {percent(one.score)}, {money(1000 * one.cost_usd)} for 1,000 requests, median "
    told += milliseconds(_median(one)) + (
        ", on the Pareto front" if one.on_front else f", beaten by {one.beaten_by[0]}"
    )
    return _titled(_circle(f"dot {kind}", *dot), told)


def _labels(dots: Mapping[str, tuple[float, float, float]]) -> dict[str, tuple[float, float, str]]:
    """Where each dot's words go (x in percent, y in pixels, anchor): the first place around it that is still free.

    Percentages are taken for pixels of the chart's usual width; a narrower one may still bring words together.
    """
    taken = [(_px(x) - r, y - r, _px(x) + r, y + r) for x, y, r in dots.values()]
    placed: dict[str, tuple[float, float, str]] = {}
    for words, (x, y, r) in dots.items():
        wide, beside = LETTER * len(words), 100 * (r + 5) / USUAL_WIDTH
        anchor = "start" if x < 20 else "end" if x > 80 else "middle"
        places = [
            (x, y - r - 5, anchor), (x, y + r + 15, anchor), (x + beside, y + 4, "start"), (x - beside, y + 4, "end"),
            *((x, y - r - 5 - 15 * n, anchor) for n in range(1, 6)),
        ]  # fmt: skip
        boxes = [_box(place, wide) for place in places]
        free = next((n for n, box in enumerate(boxes) if _inside(box) and not _any_overlap(box, taken)), 0)
        taken.append(boxes[free])
        placed[words] = places[free]
    return placed


def _px(x: float) -> float:
    return x * USUAL_WIDTH / 100


def _box(place: tuple[float, float, str], wide: float) -> tuple[float, float, float, float]:
    x, y, anchor = place
    left = _px(x) - {"start": 0.0, "middle": wide / 2, "end": wide}[anchor]
    return left, y - 11, left + wide, y + 3


def _inside(box: tuple[float, float, float, float]) -> bool:
    return box[0] >= 0 and box[2] <= USUAL_WIDTH and box[3] <= BOTTOM


def _any_overlap(box: tuple[float, float, float, float], others: Sequence[tuple[float, float, float, float]]) -> bool:
    return any(box[0] < o[2] and o[0] < box[2] and box[1] < o[3] and o[1] < box[3] for o in others)


class _Scale:
    """A straight line from values to positions."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.high = low, high
        self._start, self._per_unit = start, (end - start) / ((high - low) or 1.0)

    def __call__(self, value: float) -> float:
        return self._start + (value - self.low) * self._per_unit


def _across(scale: _Scale, bottom: float, words: Callable[[float], str]) -> list[Markup]:
    parts = [_line("axis", 0, bottom, 100, bottom)]
    for tick in _ticks(scale.low, scale.high, 6):
        parts.append(_line("grid", scale(tick), 0, scale(tick), bottom))
        parts.append(_text("tick-label", scale(tick), bottom + 18, words(tick), "middle"))
    return parts


def _ticks(low: float, high: float, wanted: int) -> list[float]:
    """Round numbers from `low` to `high`, about `wanted` of them."""
    rough = max(high - low, 1e-12) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    size = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / size - 1e-9)
    return [round(at * size, 12) for at in range(first, math.floor(high / size + 1e-9) + 1)]


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


def _text(kind: str, x: float, y: float, words: str, anchor: str = "start") -> Markup:
    return Markup('<text class="{}" x="{:.2f}%" y="{:.1f}" text-anchor="{}">{}</text>').format(
        kind, x, y, anchor, words
    )
