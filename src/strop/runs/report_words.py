"""A run's numbers and its outcome in words, for people who were not there; nothing is claimed that was not measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from strop.gateway import show

Data = Mapping[str, Any]
Tone = Literal["good", "bad", "open", "stopped"]
NOT_MEASURED = "–"

PHASES = {
    "baseline": "Baseline on dev",
    "search": "Search",
    "selection": "Finalists on dev",
    "test": "Sealed test",
}  # fmt: skip
_VERDICTS: dict[str, tuple[Tone, str]] = {
    "IMPROVED": ("good", "Improved"),
    "NO EVIDENCE": ("open", "No evidence of a gain"),
    "WORSE": ("bad", "Worse"),
    "INSUFFICIENT DATA": ("open", "Not enough data"),
}
_ENDINGS = {
    "failed": ("Failed", "The run failed"),
    "infeasible": ("No program fits", "No program satisfies the constraints"),
    "cancelled": ("Cancelled", "The run was cancelled"),
    "timeout": ("Out of time", "The time was over"),
    "budget_exceeded": ("Budget spent", "The budget was spent"),
}


@dataclass(frozen=True, kw_only=True)
class Headline:
    """What a reader must know at once: the verdict, what follows from it, and why the run ended early if it did."""

    tone: Tone
    badge: str
    sentence: str
    decision: str = ""
    cause: str = ""


def number(value: object) -> float | None:
    """A measured number, or None where there is none (booleans and NaN are none)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - NaN
        return None
    return float(value)


def percent(value: object) -> str:
    """A score of 0..1 as `69.6%`."""
    share = number(value)
    return NOT_MEASURED if share is None else f"{100 * share:.1f}%"


def points(value: object) -> str:
    """A difference of scores as signed points, `+7.5`, with a true minus."""
    share = number(value)
    return NOT_MEASURED if share is None else f"{round(100 * share, 1) + 0.0:+.1f}".replace("-", "−")


def p_value(value: object) -> str:
    """`= 0.016`, `< 0.001`: two significant digits, with the sign of comparison."""
    share = number(value)
    if share is None:
        return NOT_MEASURED
    if share < 0.001:
        return "< 0.001"
    return f"= {share:.3f}" if share < 0.1 else f"= {share:.2f}"


def money(value: object) -> str:
    """USD with the digits that the amount needs."""
    amount = number(value)
    return NOT_MEASURED if amount is None else show(amount)


def count(value: object) -> str:
    """A whole number with thousands set apart."""
    amount = number(value)
    return NOT_MEASURED if amount is None else f"{amount:,.0f}"


def milliseconds(value: object) -> str:
    """`4.21 s`, `312 ms`, `0.8 ms`."""
    amount = number(value)
    if amount is None:
        return NOT_MEASURED
    if amount >= 1000:
        return f"{amount / 1000:.2f} s"
    return f"{amount:.0f} ms" if amount >= 10 else f"{amount:.1f} ms"


def seconds(value: object) -> str:
    """`42 s`, `3 min 20 s`, `2 h 05 min`."""
    amount = number(value)
    if amount is None:
        return NOT_MEASURED
    if amount < 60:
        return f"{amount:.1f} s" if amount < 10 else f"{amount:.0f} s"
    minutes, rest = divmod(round(amount), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def relative(before: object, after: object) -> str:
    """How much `after` differs from `before`, `+24%`; empty where that has no meaning."""
    old, new = number(before), number(after)
    if old is None or new is None or old == 0:
        return ""
    change = round(100 * (new / old - 1))
    return "same" if change == 0 else f"{change:+d}%".replace("-", "−")


def sentence(text: str) -> str:
    """The same words with a capital letter and a full stop."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def phase(name: object) -> str:
    """A phase of the ledger for people."""
    return PHASES.get(str(name), str(name))


def headline(data: Data) -> Headline:
    """The outcome in one sentence, its consequence and the cause of an early end."""
    status, test = str(data.get("status") or "failed"), data.get("test")
    ended = _ENDINGS.get(status)
    error = str(data.get("error") or "").strip()
    cause = ""
    if ended is not None and test:
        cause = sentence(f"{ended[1]}: {error}" if error else ended[1])
    elif data.get("search_ended"):
        why, _, detail = str(data["search_ended"]).partition(": ")
        lead = "The search stopped improving" if why == "converged" else "The search ended before it was through"
        cause = sentence(f"{lead}: {detail or why}")
    if test:
        tone, badge = _VERDICTS.get(str(data.get("verdict")), ("open", "No verdict"))
        return Headline(tone=tone, badge=badge, sentence=_tested(data, test), decision=_decision(data), cause=cause)
    if ended is None:
        told = "There are no sealed test examples, so nothing is proven. Dev scores are biased by the search."
        return Headline(tone="open", badge="Not enough data", sentence=told, cause=cause)
    return Headline(
        tone="stopped",
        badge=ended[0],
        sentence=sentence(f"{ended[1]}: {error}" if error else ended[1]),
        decision="The sealed test was not opened, so nothing is proven. Only what was measured until then is shown.",
        cause=cause,
    )


def same_program(data: Data) -> bool:
    """True when the search kept the program it began with: equal prompts that answered alike on every test example."""
    prompt, test = data.get("prompt") or {}, data.get("test") or {}
    return prompt.get("before") == prompt.get("after") and not test.get("fixed") and not test.get("broke")


def _tested(data: Data, test: Data) -> str:
    n, old, new = count(test.get("n")), percent(test.get("baseline")), percent(test.get("optimized"))
    low, high = (points(bound) for bound in (test.get("ci95") or (None, None)))
    change = points(test.get("change"))
    verdict = data.get("verdict")
    if same_program(data):
        return f"The search found nothing better than the program it began with: {old} on {n} sealed examples."
    if verdict == "IMPROVED":
        return (
            f"The optimised program scores {new} where the old one scored {old}, on {n} examples the search never saw: "
            f"a gain of {change} points (95% interval {low} to {high})."
        )
    if verdict == "WORSE":
        return (
            f"The program that the search preferred is worse: {new} where the old one scored {old}, on {n} examples "
            f"the search never saw, {change} points (95% interval {low} to {high})."
        )
    lead = "No gain is proven" if verdict == "NO EVIDENCE" else "The test is too small or too worn to tell"
    return (
        f"{lead}: {new} where the old one scored {old}, on {n} examples the search never saw. The true change could be "
        f"anywhere from {low} to {high} points."
    )


def _decision(data: Data) -> str:
    version, active = data.get("version"), data.get("active_version")
    if version is None or active is None:
        return ""
    if version == active:
        return f"Version {version} is the active version."
    return f"Version {version} is kept; version {active} stays active."
