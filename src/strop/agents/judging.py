"""A judge on request: a model reads the record of a task whose outcome nothing else says, and says yes, no or unclear.

The record is a stranger's text: it is redacted once more, stands between marks that it cannot forge, and a record that
was flagged for giving orders is not shown at all. Every verdict is stored as soon as it is there, and every answer is
in the ledger, so nothing is paid for twice.
"""

from __future__ import annotations

import contextvars
import hashlib
import json
import re
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from strop.agents.archive import AgentArchive
from strop.agents.example import AgentExample
from strop.agents.outcome import Evidence, decide
from strop.agents.preparing import PrepareSettings, chosen_examples
from strop.agents.redaction import Redaction
from strop.agents.transcript import Step, clipped
from strop.errors import BudgetExceeded, RunFailed, RunStopped, StropError
from strop.gateway import Account, Gateway, ModelSettings, TokenUse
from strop.programs import running_on

ANSWER_TOKENS = 300
"""Most tokens of an answer, where neither the user nor the kind of model says another number."""
_TYPICAL_ANSWER = 40
_TASK, _ARGUMENT, _RESULT, _ANSWER, _REASON = 6_000, 300, 600, 4_000, 300
_FIRST, _LAST = 5, 25
"""Steps that are shown of the beginning and of the end of a long record."""
_AHEAD = 4
_VERDICT = re.compile(r"(?:verdict:\s*)?(yes|no|unclear)[.!]?", re.IGNORECASE)
_SAYS = {"yes": True, "no": False, "unclear": None}


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Who is asked about what. `redaction` takes out what the user has listed since the logs were read."""

    archive: AgentArchive
    settings: PrepareSettings
    model: ModelSettings
    redaction: Redaction = field(default_factory=Redaction)

    @property
    def judge(self) -> str:
        """As it is named in the evidence: `judge openai/gpt-4o-mini`, `judge embedded/large (practice)`."""
        return f"judge {self.model.model}{' (practice)' if self.model.embedded else ''}"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What asking would take: how many examples, and picodollars as expected and in the worst case.

    `flagged` counts examples that are not shown to a judge because text in them gives orders.
    """

    examples: int
    flagged: int
    expected_pico: int
    worst_pico: int


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a judge said. `unanswered` are calls that failed, `left` examples that were not asked about any more."""

    succeeded: int
    failed: int
    unclear: int
    unanswered: int
    left: int
    why: str | None
    """Of the first call that failed, or of the stop."""


def estimate(asking: Asking, gateway: Gateway) -> Asked:
    """What asking would take, without a call.

    Raises:
        PriceUnknown: nobody said what the model costs.
    """
    price = gateway.prices.price(asking.model.model)
    examples = flagged = expected = worst = 0
    for example in _open(asking):
        if example.flags:
            flagged += 1
            continue
        record = question(example, asking.redaction)
        examples += 1
        size = len(json.dumps([system_prompt(), record], ensure_ascii=False).encode(errors="replace"))
        expected += price.cost(TokenUse(input=size // 4, output=_TYPICAL_ANSWER))
        worst += price.worst_case(text_bytes=size + 200, messages=2, output_limit=asking.model.output_limit)
    return Asked(examples=examples, flagged=flagged, expected_pico=expected, worst_pico=worst)


def ask(asking: Asking, gateway: Gateway, account: Account, *, concurrency: int = 8) -> Judged:
    """Ask about every example whose outcome nothing says, and store what is said as evidence.

    A used-up budget ends it with what was said until then.

    Raises:
        BudgetExceeded: the budget does not allow one call.
        ProviderDown, RunFailed: the model cannot be used; what was said until then is stored.
    """
    lm = gateway.lm(asking.model, account, phase="judge", role="judge")
    tally = _Tally(asking)
    waiting: deque[tuple[str, Future[str]]] = deque()
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="strop-judge")
    try:
        with running_on(lm):
            for example in _open(asking):
                if example.flags:
                    continue
                if tally.stopped is not None:
                    tally.left += 1
                    continue
                text = question(example, asking.redaction)
                waiting.append((example.id, pool.submit(contextvars.copy_context().run, _answer, lm, text)))
                if len(waiting) >= _AHEAD * concurrency:
                    tally.take(*waiting.popleft())
            while waiting:
                tally.take(*waiting.popleft())
    except KeyboardInterrupt:
        account.switch.trip("cancelled", "interrupted")
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    if tally.stopped is not None:
        tally.refuse(tally.stopped, account)
    return tally.summary()


def question(example: AgentExample, redaction: Redaction) -> str:
    """The record between its marks. The mark follows from the record, so nobody can write one into a log."""
    record = redaction.text(_record(example))
    mark = hashlib.sha256(record.encode(errors="replace")).hexdigest()[:16]
    return f"=== record {mark} begins ===\n{record}\n=== record {mark} ends ==="


def verdict_of(answer: str) -> tuple[bool | None, str]:
    """What the answer's first line says, and the rest as the reason; anything but the three words is unclear."""
    first, _, rest = answer.strip().partition("\n")
    found = _VERDICT.fullmatch(first.strip().strip("*`\"' "))
    if found is None:
        return None, "unclear: its answer could not be read"
    word = found[1].lower()
    reason = " ".join(rest.split())[:_REASON]
    return _SAYS[word], f"{word}, {reason}" if reason else word


@cache
def system_prompt() -> str:
    return files("strop.agents").joinpath("judge.md").read_text(encoding="utf-8").strip()


class _Tally:
    """Stores the answers as they come, and counts them."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._counts: Counter[bool | None] = Counter()
        self._unanswered = 0
        self.left = 0
        self.stopped: RunStopped | None = None
        self._why: str | None = None

    def take(self, id: str, answer: Future[str]) -> None:
        try:
            text = answer.result()
        except RunStopped as stop:
            self.stopped = stop
            self.left += 1
            return
        except Exception as problem:  # noqa: BLE001 - DSPy's and the provider's own errors are this example's outcome
            self._unanswered += 1
            self._why = self._why or self._asking.redaction.text(f"{problem}".strip().partition("\n")[0][:300])
            return
        says, why = verdict_of(text)
        why = f"{self._asking.judge}: {self._asking.redaction.text(why)}"
        self._asking.archive.add_evidence(id, Evidence(kind="judge", says=says, where="judge", text=why))
        self._counts[says] += 1

    def refuse(self, stop: RunStopped, account: Account) -> None:
        """Raise what stopped the asking, unless it is a budget that allowed some of it."""
        cause = account.switch.cause
        error = cause if isinstance(cause, StropError) else RunFailed(stop.detail)
        if not isinstance(error, BudgetExceeded) or not sum(self._counts.values()):
            raise error from None
        self._why = error.message

    def summary(self) -> Judged:
        counts = self._counts
        return Judged(
            succeeded=counts[True], failed=counts[False], unclear=counts[None], unanswered=self._unanswered,
            left=self.left, why=self._why,
        )  # fmt: skip


def _open(asking: Asking) -> Iterator[AgentExample]:
    """The examples that this judge is to be asked about, those with flags among them."""
    for example in chosen_examples(asking.archive, asking.settings):
        if example.usable and _undecided(example, asking):
            yield example


def _undecided(example: AgentExample, asking: Asking) -> bool:
    """Whether nothing but perhaps another judge says how it ended. What was practice is asked of a real one again."""
    evidence = example.outcome.evidence
    if decide([each for each in evidence if each.kind != "judge"]) is not None:
        return False
    earlier = next((each for each in evidence if each.kind == "judge"), None)
    if earlier is None:
        return True
    if earlier.text.startswith(f"{asking.judge}:"):
        return False
    return earlier.says is None or ("(practice)" in earlier.text.partition(":")[0] and not asking.model.embedded)


def _record(example: AgentExample) -> str:
    skipped = len(example.steps) - _FIRST - _LAST
    lines: list[str] = []
    for number, step in enumerate(example.steps, start=1):
        if number <= _FIRST or number > len(example.steps) - _LAST:
            lines.append(_shown(number, step))
        elif number == _FIRST + 1:
            lines.append(f"({skipped} steps are left out here)")
    parts = [
        "What was asked:", clipped(example.task, _TASK), "",
        "What the agent did:", *(lines or ["(no tool was called)"]), "",
        "What the agent said at the end:", clipped(example.answer.strip(), _ANSWER) or "(nothing)",
    ]  # fmt: skip
    return "\n".join(parts)


def _shown(number: int, step: Step) -> str:
    arguments = json.dumps(dict(step.arguments), ensure_ascii=False, default=str)
    code = "" if step.exit_code is None else f", exit code {step.exit_code}"
    told = f"{number}. {step.tool} {clipped(arguments, _ARGUMENT)}: {step.status}{code}"
    result = clipped(step.result.strip(), _RESULT)
    return f"{told}\n{result}" if result else told


def _answer(lm: Any, record: str) -> str:
    (answer,) = lm(messages=[{"role": "system", "content": system_prompt()}, {"role": "user", "content": record}])
    return answer if isinstance(answer, str) else str(answer.get("text") or "")
