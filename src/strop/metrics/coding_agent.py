"""Scores a coding agent's plan and answer against what a session that succeeded did, step by step.

The reference is the plan of the recorded session, `tool(argument); ...` or `[{tool, args}]`, and its last message.

- success: the reference's steps that the plan has too, in an order that makes sense. A step is a tool and its key
  argument (path, command, pattern); a wrong argument is worth next to nothing, steps that only look weigh half and may
  change places among themselves, and a plan longer than one and a half times the reference loses by its length.
- efficiency: min(1, expected / actual calls) up to 1.5 times the expected number, else 0, as far as the plan succeeds:
  a short plan for something else is not efficient.
- correctness: words that the answer shares with the reference (F1, full from 0.6 on), or three fifths of success for an
  answer in other words; 0 without an answer, and when one of the two says that it was not done and the other does not.
  Words such as "done" and "successfully" alone say nothing.

A session that is known to have failed is a negative: its plan is written `NOT read(a); edit(b)`. There is nothing right
to compare with, so a plan that does no more than what failed, or nothing at all, scores 0 and any other plan 0.5, which
shifts all candidates alike. `strop agents train` puts negatives among the dev examples only: they steer the search, are
never shown as examples, and no verdict rests on them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from strop.errors import MetricError
from strop.metrics.labels import MetricSettings
from strop.metrics.metric import Judged, Score, Usage, mean_score, unit
from strop.metrics.tool_calls import ToolCall, tool_calls

Part = Literal[
    "success", "efficiency", "correctness", "tool_validity", "plan_coherence", "first_action_match", "reasoning"
]
NEGATIVE = "NOT "
"""Opens the plan of a session that failed."""
UNKNOWN = 0.5
LENIENCY = 1.5
LOOK_WEIGHT = 0.5
WRONG_ARGUMENT = 0.1
ENOUGH_WORDS = 0.6
OTHER_WORDS = 0.6

_TOOLS = frozenset(
    {"read", "edit", "write", "bash", "glob", "grep", "list", "fetch", "search", "todo", "task", "lsp", "skill"}
)
_WORD = re.compile(r"[^\W_]+")
_EMPTY_WORDS = """
    a an and are as at be been by done for from has have i in is it its now of on or that the this to was were with you
    your successfully completed finished"""
_EMPTY = frozenset(_EMPTY_WORDS.split())
_DENIAL = re.compile(
    r"\bnothing (?:was|has been|is|to be|could be)\b|\bno changes? (?:was|were|has|have)\b|\bunable\b|\bgave up\b"
    r"|\b(?:could|can|did|was|were|has|have)(?: ?not|n['’]t)\b|\bcannot\b|\bfail(?:ed|s)? to\b"
    r"|\bnot (?:yet )?(?:done|finished|completed|fixed|possible)\b",
    re.IGNORECASE,
)
_CHAIN = re.compile(r"^cd \S+ *&& *")


class CodingAgentSettings(MetricSettings):
    """Settings of `coding_agent`."""

    weights: dict[Part, float] = Field(
        default={"success": 0.5, "efficiency": 0.3, "correctness": 0.2}, min_length=1, validate_default=True
    )
    """How much each part counts; they are brought to a sum of 1. Beside the three documented ones: `tool_validity`
    (share of tools that exist), `plan_coherence` (as success, without looking at arguments), `first_action_match`,
    `reasoning` (some was given)."""


class CodingAgent:
    """See the module: success, efficiency and correctness from structured steps."""

    name = "coding_agent"
    binary = False

    def __init__(self, settings: CodingAgentSettings) -> None:
        total = sum(settings.weights.values())
        if total <= 0 or min(settings.weights.values()) < 0:
            raise MetricError(f"metric 'coding_agent': the weights {settings.weights} must be 0 or more, and not all 0")
        self.settings = settings
        self._shares: dict[Part, float] = {part: weight / total for part, weight in settings.weights.items() if weight}

    def score(
        self,
        *,
        inputs: Mapping[str, Any],  # noqa: ARG002 - the reference says it all
        expected: Mapping[str, Any],
        answer: Mapping[str, Any],
        usage: Usage | None,  # noqa: ARG002
    ) -> Score:
        """`expected` and `answer` have `plan` (or `actions`) and `response` (or `expected_response`)."""
        wanted_plan = _first(expected, "plan", "actions")
        if wanted_plan is None:
            raise MetricError(
                f"metric 'coding_agent' needs a label `plan` or `actions`; the example has {sorted(expected)}"
            )
        plan = tool_calls(_first(answer, "plan", "actions"))
        if isinstance(wanted_plan, str) and wanted_plan.startswith(NEGATIVE):
            return _against(tool_calls(wanted_plan.removeprefix(NEGATIVE)), plan)
        wanted = tool_calls(wanted_plan)
        told, right = _text(answer), _text(expected)
        parts = self._parts(wanted, plan, (right, told), str(answer.get("reasoning") or ""))
        value = unit(sum(share * parts[part] for part, share in self._shares.items()))
        shown = {str(part): parts[part] for part in self._shares}
        return Score(value=value, reason=_reason(wanted, plan, parts["correctness"]), parts=shown)

    def summary(self, rows: Sequence[Judged]) -> float:
        """Mean of the scores."""
        return mean_score(self.name, rows)

    def identity(self) -> dict[str, Any]:
        """What the fingerprint is made of."""
        return {"name": self.name, "settings": self.settings.model_dump(mode="json")}

    def _parts(
        self, wanted: Sequence[ToolCall], plan: Sequence[ToolCall], messages: tuple[str, str], reasoning: str
    ) -> dict[Part, float]:
        correct = correctness(*messages)
        if not wanted:
            # The session answered from what it knew: the answer is all that there is to judge.
            quiet = correct if not plan else 0.0
            done, thrift, coherent, first = quiet, quiet, quiet, quiet
        else:
            done = success(wanted, plan)
            thrift = done * efficiency(len(wanted), len(plan))
            coherent = _covered([_bare(one) for one in wanted], [_bare(one) for one in plan])
            first = likeness(wanted[0], plan[0]) if plan else 0.0
            if messages[1].strip() and not contradict(*messages):
                correct = max(correct, OTHER_WORDS * done)
        return {
            "success": done, "efficiency": thrift, "correctness": correct, "plan_coherence": coherent,
            "tool_validity": sum(one.tool in _TOOLS for one in plan) / len(plan) if plan else 0.0,
            "first_action_match": first, "reasoning": float(len(_words(reasoning)) >= 3),
        }  # fmt: skip


def success(wanted: Sequence[ToolCall], plan: Sequence[ToolCall]) -> float:
    """Share of the wanted steps, by weight, that the plan has in order; less for a plan that is far too long."""
    if not plan:
        return 0.0
    return _covered(wanted, plan) * min(1.0, LENIENCY * len(wanted) / len(plan))


def efficiency(expected: int, actual: int) -> float:
    """The documented formula: min(1, expected / actual), 0 above one and a half times the expected number."""
    return min(1.0, expected / actual) if 0 < actual <= LENIENCY * expected else 0.0


def correctness(reference: str, answer: str) -> float:
    """How far two final messages tell the same outcome, 0..1."""
    if contradict(reference, answer):
        return 0.0
    wanted, found = Counter(_words(reference)), Counter(_words(answer))
    if not wanted:
        return float(bool(answer.strip()) == bool(reference.strip()))
    shared = (wanted & found).total()
    return min(1.0, 2 * shared / (wanted.total() + found.total()) / ENOUGH_WORDS)


def contradict(reference: str, answer: str) -> bool:
    """Whether one message says that it was not done and the other does not."""
    return bool(_DENIAL.search(reference)) != bool(_DENIAL.search(answer))


def likeness(wanted: ToolCall, found: ToolCall) -> float:
    """How far two steps are the same: 0 for another tool, next to nothing for another argument."""
    if wanted.tool != found.tool:
        return 0.0
    compare = _command if wanted.tool == "bash" else _place
    same = compare(wanted.argument, found.argument)
    return WRONG_ARGUMENT + (1 - WRONG_ARGUMENT) * same


def _covered(wanted: Sequence[ToolCall], plan: Sequence[ToolCall]) -> float:
    """The best alignment of the two that keeps their order, as a share of the wanted steps' weight."""
    wanted, plan = _settled(wanted), _settled(plan)
    row = [0.0] * (len(plan) + 1)
    for step in wanted:
        weight = LOOK_WEIGHT if step.looks else 1.0
        above, row = row, [0.0]
        for at, found in enumerate(plan):
            row.append(max(above[at + 1], row[at], above[at] + weight * likeness(step, found)))
    return row[-1] / sum(LOOK_WEIGHT if step.looks else 1.0 for step in wanted)


def _settled(calls: Sequence[ToolCall]) -> list[ToolCall]:
    """Steps that only look, sorted where they follow one another; the same step twice in a row once."""
    ordered: list[ToolCall] = []
    looks: list[ToolCall] = []
    for call in [*calls, None]:
        if call is not None and call.looks:
            looks.append(call)
            continue
        ordered += sorted(looks, key=lambda one: (one.tool, one.argument))
        looks = []
        if call is not None:
            ordered.append(call)
    return [call for at, call in enumerate(ordered) if not at or ordered[at - 1] != call]


def _bare(call: ToolCall) -> ToolCall:
    return ToolCall(tool=call.tool, argument="")


def _place(wanted: str, found: str) -> float:
    """1 when one path is the end of the other (absolute and relative), or the texts are equal; else 0."""
    left, right = (re.sub(r"^(?:\./)+", "", text.replace("\\", "/").strip("/ ")) for text in (wanted, found))
    if left == right:
        return 1.0
    if not left or not right:
        return 0.0
    return float(f"/{left}".endswith(f"/{right}") or f"/{right}".endswith(f"/{left}"))


def _command(wanted: str, found: str) -> float:
    """F1 of the words of two commands."""
    left, right = (Counter(_CHAIN.sub("", text.strip()).split()) for text in (wanted, found))
    if left == right:
        return 1.0
    total = left.total() + right.total()
    return 2 * (left & right).total() / total if total else 1.0


def _against(failed: Sequence[ToolCall], plan: Sequence[ToolCall]) -> Score:
    """A negative: doing what failed, or nothing, is wrong; whether anything else is right nobody knows."""
    if not plan:
        return Score(value=0.0, reason="no step is planned, and what was tried before failed")
    if all(any(likeness(old, new) > UNKNOWN for old in failed) for new in plan):
        return Score(value=0.0, reason="the plan does no more than what was tried before and failed")
    return Score(value=UNKNOWN, reason="the plan differs from what failed; whether it works is not known")


def _reason(wanted: Sequence[ToolCall], plan: Sequence[ToolCall], correct: float) -> str:
    lacking = [step for step in wanted if all(likeness(step, found) < UNKNOWN for found in plan)]
    told = [f"{len(wanted) - len(lacking)} of {len(wanted)} steps of the reference in {len(plan)} calls"]
    if lacking:
        told.append("missing " + ", ".join(f"{step.tool}({step.argument[:60]})" for step in lacking[:4]))
    told.append(f"the answer agrees by {correct:.0%}")
    return "; ".join(told)


def _first(values: Mapping[str, Any], *names: str) -> Any:
    return next((values[name] for name in names if values.get(name) is not None), None)


def _text(values: Mapping[str, Any]) -> str:
    return str(_first(values, "response", "expected_response") or "")


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.casefold()) if word not in _EMPTY]
