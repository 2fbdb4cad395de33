"""A session's numbers in words, and strangers' words made safe for Markdown."""

from __future__ import annotations

import re

from strop.gateway import show

NONE = "–"
LONGEST_CELL = 300
_MARKS = re.compile(r"([\\`*_\[\]|#~])")


def percent(share: float | None, *, signed: bool = False) -> str:
    """A share as `69.6%`, with a sign where it is a change."""
    if share is None:
        return NONE
    return f"{round(100 * share, 1) + 0.0:{'+' if signed else ''}.1f}%".replace("-", "−")


def points(share: float | None) -> str:
    """A difference of scores as signed points, `+7.5`, with a true minus."""
    return NONE if share is None else f"{round(100 * share, 1) + 0.0:+.1f}".replace("-", "−")


def with_true_minus(text: str) -> str:
    """A sentence of numbers made elsewhere, with the minus that is used here (`-8.3`, but not `1e-05`)."""
    return re.sub(r"(?<![\w.])-(?=\d)", "−", text)


def plain_points(share: float) -> str:
    """A distance in points, without a sign."""
    return f"{abs(100 * share):.1f}".removesuffix(".0")


def p_value(p: float | None) -> str:
    """`= 0.016`, `< 0.001`."""
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"


def p_cell(p: float | None) -> str:
    """`0.016`, `< 0.001`: for a table."""
    return p_value(p).removeprefix("= ")


def score4(score: float | None) -> str:
    """A score with the guide's four digits."""
    return NONE if score is None else f"{score:.4f}"


def money(amount_usd: float | None) -> str:
    """USD with the digits that the amount needs."""
    return NONE if amount_usd is None else show(float(amount_usd))


def efficiency(per_usd: float | None) -> str:
    """Quality per US dollar; nothing spent has none."""
    return NONE if per_usd is None else f"{per_usd:,.3g} per $1"


def speed(steps: int | None) -> str:
    """Steps until the last gain; 0 when none came after the baseline."""
    if not steps:
        return NONE if steps is None else "no gain"
    return f"{steps} {'step' if steps == 1 else 'steps'} to the last gain"


def milliseconds(amount: float | None) -> str:
    """`4.21 s`, `312 ms`, `0.8 ms`."""
    if amount is None:
        return NONE
    if amount >= 1000:
        return f"{amount / 1000:.2f} s"
    return f"{amount:.0f} ms" if amount >= 10 else f"{amount:.1f} ms"


def seconds(amount: float | None) -> str:
    """`4.2 s`, `3 min 20 s`, `2 h 05 min`."""
    if amount is None:
        return NONE
    if amount < 60:
        return f"{amount:.1f} s"
    minutes, rest = divmod(round(amount), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def count(amount: float | None) -> str:
    """A whole number with thousands set apart."""
    return NONE if amount is None else f"{amount:,.0f}"


def listed(names: tuple[str, ...] | list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def cell(text: str, most: int = LONGEST_CELL) -> str:
    """A stranger's words on one line of Markdown: no markup, no HTML, no table of their own."""
    line = " ".join(text.split())
    line = line if len(line) <= most else line[: most - 1] + "…"
    return _MARKS.sub(r"\\\1", line).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def shortened(name: str, most: int) -> str:
    """A name that fits, by leaving out its middle: names of models differ at both ends."""
    kept = most - 1
    return name if len(name) <= most else f"{name[: kept // 2]}…{name[-(kept - kept // 2) :]}"


def clipped(text: str, most: int) -> str:
    """The text, cut to a length that a page can bear."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more characters)"
