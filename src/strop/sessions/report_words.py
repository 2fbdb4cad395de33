"""What a reader must know beside the numbers: how a session ended, and what its claims do not cover."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from strop.sessions.recommending import Basis, Decision
from strop.sessions.result import SessionResult, SessionStatus
from strop.sessions.wording import count, listed, money
from strop.stats import LOOKS_AT_MOST

if TYPE_CHECKING:
    from strop.sessions.decision import Comparison

STATUS: dict[SessionStatus, str] = {
    "running": "under way",
    "completed": "completed",
    "budget_exceeded": "ended by the budget",
    "stopped": "stopped",
    "timeout": "out of time",
    "failed": "failed",
}
Tone = Literal["good", "open", "stopped"]
_BADGES: dict[Basis, tuple[Tone, str]] = {
    "best": ("good", "Best, proven"),
    "not worse": ("good", "Good enough, proven"),
    "cheaper, no difference shown": ("open", "Cheaper, no difference shown"),
    "highest measured": ("open", "Best measured, not proven"),
    "only one": ("open", "Nothing to compare"),
    "none": ("stopped", "No recommendation"),
}


def badge(decision: Decision) -> tuple[Tone, str]:
    """The outcome in two or three words, and its colour."""
    if not decision.comparison.ranking:
        return "stopped", "Nothing benchmarked"
    return _BADGES[decision.basis]


def notes(result: SessionResult, decision: Decision) -> list[str]:
    """What limits the claims, most important first."""
    found = decision.comparison
    said: list[str] = []
    if result.status != "completed":
        why = f": {result.why}" if result.why else ""
        said.append(
            f"The session did not come to its end ({STATUS[result.status]}{why}). This report has what there is."
        )
    elif result.why:
        said.append(f"{result.why[:1].upper()}{result.why[1:]}.")
    if found.unranked and found.ranking:
        said.append(f"Not ranked: {listed([name for name, _ in found.unranked])}.")
    if result.task.metric is None and found.ranking:
        said.append(
            "Scores are the quality of outputs by form, rules and relevance. Without a metric or expected outputs, "
            "nothing here knows what is right."
        )
    if result.judge is not None:
        spent = result.judge.spending
        said.append(
            f"Rules in plain words were judged by {result.judge.model}: {count(spent.calls)} calls, "
            f"{money(spent.cost_usd + spent.uncertain_usd)} of the session's cost, none of a model's. "
            "It is a model's opinion."
        )
    if only_practice(result):
        said.append(
            "Small offline models at practice prices, never billed. Their scores say nothing about real models."
        )
    if found.look > 1:
        said.append(
            f"The sealed examples have been opened {found.look} times. Each look asks for stronger evidence, and after "
            f"{LOOKS_AT_MOST} only fresh examples will do."
        )
    return said


def only_practice(result: SessionResult) -> bool:
    """Whether all models that were measured on the sealed examples are small offline ones, whoever else failed."""
    measured = [one for one in result.models if one.best_test is not None and one.best_test.scores]
    return result.practice or (bool(measured) and all(one.model.startswith("embedded/") for one in measured))


def gained(binary: bool) -> str:
    """What `cost_per_quality` buys, a thousand times: the wrong answers are paid for as well."""
    return "1,000 right answers" if binary else "A total score of 1,000"


def level(found: Comparison) -> str:
    """What the tests between models promise."""
    if found.alpha is None:
        return "No claim is made: too few examples, or these were looked at too often."
    return (
        f"Paired tests on the same {found.n} examples. If all models were equal, at most {100 * found.alpha:.1f} "
        f"of 100 such sessions would call any two of them different."
    )
