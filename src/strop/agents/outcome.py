"""Whether a turn succeeded, derived from evidence and never assumed.

The evidence of a turn, strongest first; the first that says yes or no decides, and all of it is kept:

1. `label_file`: a person's label, given in a file.
2. `label`: a label that the log carries (for the turn, or for a session of one turn).
3. `revert`: the person took the turn's changes back.
4. `rejection`: the person's next message rejects the work ("no, that is wrong", "still fails"). It comes after every
   check of the turn: whoever says so has seen what the check said.
5. `check`: exit code of the last test, build or lint command, when nothing was edited after it. A failed one of a
   stronger kind is not outweighed by a passing one of a weaker kind (tests, then builds, then linters). Nor are thanks
   an answer to a failed one: politeness is no test.
6. `reply`: what else the person's next message says ("perfect, thanks", or a doubt: "why did you ...").
7. `broken`: the turn was interrupted, met a provider's error, or ended at a refused permission without an answer.
8. `judge`: what a judge says who was asked on request.

What the assistant says of its own work ("all tests pass") is never evidence. Without evidence success is None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from strop.agents.checks import STRENGTH, Check, CheckKind, checks_in, command_of, edits, verdict
from strop.agents.commands import AFTER
from strop.agents.reply import read
from strop.agents.transcript import Step, Turn

EvidenceKind = Literal["label_file", "label", "revert", "rejection", "check", "reply", "broken", "judge"]
ORDER: tuple[EvidenceKind, ...] = (
    "label_file", "label", "revert", "rejection", "check", "reply", "broken", "judge",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """`says` is None for what was looked at and proves nothing; `text` says what was seen and why it counts."""

    kind: EvidenceKind
    says: bool | None
    where: str
    """`step 3`, `next turn`, `log`, `labels.jsonl:4`."""
    text: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """`success` is None where nothing is known; `complete` says that the turn ended as turns end."""

    success: bool | None
    complete: bool
    evidence: tuple[Evidence, ...] = ()


_SHORT = 500
"""Characters of commands that are remembered with what they check: an agent runs the same one again and again."""

Judge = Callable[[Turn], "tuple[bool | None, str]"]
"""Asked about a turn: its verdict (None: cannot say) and why."""


def derive(
    turns: Sequence[Turn],
    index: int,
    *,
    label: Evidence | None = None,
    session_label: bool | None = None,
    judged: Judge | None = None,
) -> Outcome:
    """The outcome of `turns[index]`. `label` is a label file's word; `session_label` the log's on the whole session.

    `judged` is asked only when everything else says nothing.
    """
    turn = turns[index]
    found = [] if label is None else [label]
    found.extend(_labels(turn, session_label, alone=len(turns) == 1))
    if turn.reverted:
        found.append(Evidence(kind="revert", says=False, where="log", text="the person took the changes back"))
    said = _reply(turns[index + 1]) if index + 1 < len(turns) else []
    found.extend(each for each in said if each.kind == "rejection")
    found.extend(_last_checks(turn.steps))
    found.extend(each for each in said if each.kind == "reply")
    found.extend(_broken(turn))
    if judged is not None and decide(found) is None:
        says, why = judged(turn)
        found.append(Evidence(kind="judge", says=says, where="judge", text=why))
    return Outcome(success=decide(found), complete=_complete(turn), evidence=tuple(found))


def decide(evidence: Sequence[Evidence]) -> bool | None:
    """What the strongest evidence says that says anything; a failure where two of a kind disagree."""
    for kind in ORDER:
        words = [each.says for each in evidence if each.kind == kind and each.says is not None]
        if words:
            return all(words)
    return None


def with_evidence(outcome: Outcome, *more: Evidence) -> Outcome:
    """The outcome with more evidence, in place of what it had of the same kinds."""
    kinds = {each.kind for each in more}
    kept = [each for each in outcome.evidence if each.kind not in kinds]
    evidence = tuple(sorted([*kept, *more], key=lambda each: ORDER.index(each.kind)))
    return replace(outcome, success=decide(evidence), evidence=evidence)


def _labels(turn: Turn, session_label: bool | None, *, alone: bool) -> list[Evidence]:
    if turn.label is not None:
        return [Evidence(kind="label", says=turn.label, where="log", text=f"the log says success: {turn.label}")]
    if session_label is None:
        return []
    text = f"the log says of the session success: {session_label}"
    return [Evidence(kind="label", says=session_label if alone else None, where="log", text=text)]


@dataclass(frozen=True, kw_only=True)
class _Seen:
    check: Check
    step: int
    exit_code: int | None
    says: bool | None
    stale: bool = False


def _last_checks(steps: Sequence[Step]) -> list[Evidence]:
    """The last check of each kind, with what it says; all kinds but the deciding ones say nothing."""
    last: dict[CheckKind, _Seen] = {}
    for number, step in enumerate(steps, start=1):
        if edits(step):
            last = {kind: replace(seen, says=None, stale=True) for kind, seen in last.items()}
        for seen in _seen(step, number):
            last[seen.check.kind] = seen
            if seen.check.kind == "test" and seen.says and "build" in last and last["build"].says is False:
                del last["build"]
    return [_evidence(last[kind]) for kind in STRENGTH if kind in last]


def _seen(step: Step, number: int) -> list[_Seen]:
    command = command_of(step)
    if command is None or step.status in {"denied", "invalid"}:
        return []
    found = _known_checks(command) if len(command) <= _SHORT else checks_in(command)
    code = None if step.status in {"aborted", "unfinished"} else step.exit_code
    words = [verdict(check, code) for check in found]
    if False in words:
        # One of several failed, and the shell does not say which: the strongest answers for them all.
        first = min((index for index, says in enumerate(words) if says is False), key=lambda i: _rank(found[i]))
        words = [says if index == first else None for index, says in enumerate(words)]
    return [
        _Seen(check=check, step=number, exit_code=code, says=says) for check, says in zip(found, words, strict=True)
    ]


@lru_cache(maxsize=2_000)
def _known_checks(command: str) -> tuple[Check, ...]:
    return checks_in(command)


def _rank(check: Check) -> int:
    return STRENGTH.index(check.kind)


def _evidence(seen: _Seen) -> Evidence:
    what = f"{seen.check.kind} `{seen.check.text}`"
    if seen.stale:
        text = f"{what} ran before the last edit"
    elif seen.says is not None:
        text = f"{what} exited with {seen.exit_code}"
    elif seen.exit_code is None:
        text = f"{what} has no exit code"
    elif not seen.check.visible:
        text = f"{what}: its exit code is hidden by the rest of the command"
    else:
        text = f"{what}: the exit code {seen.exit_code} does not say whether it failed"
    return Evidence(kind="check", says=seen.says, where=f"step {seen.step}", text=text)


def _reply(turn: Turn) -> list[Evidence]:
    if turn.extra.get(AFTER):
        return []  # It answers what a slash command did in between.
    reply = read(turn.task)
    if reply.says is None:
        return []
    kind: EvidenceKind = "rejection" if reply.rejects else "reply"
    return [Evidence(kind=kind, says=reply.says, where="next turn", text=f"the person said {reply.text!r}")]


def _broken(turn: Turn) -> list[Evidence]:
    answered = bool(turn.answer.strip())
    if turn.error is not None or turn.finish == "error":
        return [_failure(f"the turn broke: {(turn.error or 'the client recorded an error')[:300]}")]
    if turn.finish == "interrupted":
        return [_failure("the turn was interrupted")]
    pending = next((number for number, step in enumerate(turn.steps, 1) if step.status == "unfinished"), None)
    if pending is not None and not answered:
        return [_failure("the client ended while a tool ran", where=f"step {pending}")]
    denied = next((number for number, step in enumerate(turn.steps, 1) if step.status == "denied"), None)
    if denied is not None and (turn.finish == "tools" or not answered):
        return [_failure("a permission was refused and no answer came", where=f"step {denied}")]
    return []


def _failure(text: str, where: str = "log") -> Evidence:
    return Evidence(kind="broken", says=False, where=where, text=text)


def _complete(turn: Turn) -> bool:
    if turn.label_complete is not None:
        return turn.label_complete
    if turn.error is not None or any(step.status == "unfinished" for step in turn.steps):
        return False
    return turn.finish == "stop" or (turn.finish == "unknown" and bool(turn.answer.strip()))
