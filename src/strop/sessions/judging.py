"""A judge answers yes or no: does this output keep this rule? The output is data between marks that it cannot know.

What is asked, how an answer is read, and that nothing is asked twice; `judge_calls.py` has who is asked and who pays.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from strop.errors import CallFailed, FailureKind, MetricError
from strop.gateway import TokenUse
from strop.sessions.config import ModelConfig
from strop.sessions.constraints import Opinion

Messages = list[dict[str, str]]
Ask = Callable[[Messages, int | None], str]
"""Puts messages to the model, as a sample of its own where a number is given; returns its text, raises CallFailed."""
Fail = Callable[[str], BaseException]
"""Told that the judge cannot go on, and why; returns what unwinds the caller's work."""

UNCLEAR = "the judge gave no clear answer"
AGAIN = "Your last answer was neither yes nor no. Answer with one word: yes or no."
ABOUT_THE_OUTPUT: set[FailureKind] = {"context_window", "refused_content"}
"""Failures that say something about this output; all others say something about the judge."""
SAMPLES = (None, 1, 2)
"""A call that failed in spite of its retries is made anew so often; then the judge is taken for down."""
UNCLEAR_AT_MOST = 20
"""A judge that was clear about none of so many outputs is none: going on would count everything as broken."""
REASON_CHARACTERS = 120
ANSWER_TOKENS = 20
POLL_S = 0.2
_VERDICT = re.compile(
    r"""(?:<think>.*?</think>)?[\W_]*(?:(?:answer|verdict)\W+)?
    (?P<word>yes|no)\b
    (?!\s*(?:and|or|/)\s*(?:yes|no)\b)  # "yes and no" is neither
    (?!(?<=no)[ \t]+(?!(?:it|the|this|that|because|as|since|there|text)\b)\w)  # nor is "no one could object"
    [\W_]*""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)


class Judge:
    """Asked by many threads at once; equal questions are one. It answers only within a session: see `bind`."""

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self._ask: Ask | None = None
        self._fail: Fail | None = None
        self._check: Callable[[], None] | None = None
        self._lock = threading.Lock()
        self._known: dict[str, Opinion] = {}
        self._asking: dict[str, threading.Event] = {}
        self._clear = self._unclear = 0

    def bind(self, ask: Ask, *, fail: Fail, check: Callable[[], None]) -> None:
        """From now on questions go to `ask`. `check` raises when waiting for another's answer is in vain."""
        with self._lock:
            self._ask, self._fail, self._check = ask, fail, check
            self._known, self._asking = {}, {}
            self._clear = self._unclear = 0

    def __call__(self, rule: str, output: str) -> Opinion:
        """Whether `output` keeps `rule`, and why.

        Raises:
            RunStopped: the session was stopped, its money is gone, or the judge cannot be used.
            MetricError: no session is under way.
        """
        key = hashlib.sha256(f"{len(rule)}\0{rule}\0{output}".encode(errors="surrogatepass")).hexdigest()
        while True:
            with self._lock:
                known, others = self._known.get(key), self._asking.get(key)
                if known is not None:
                    return known
                mine = threading.Event()
                if others is None:
                    self._asking[key] = mine
            if others is None:
                return self._first(key, mine, rule, output)
            while not others.wait(POLL_S):
                if self._check is not None:
                    self._check()

    def _first(self, key: str, mine: threading.Event, rule: str, output: str) -> Opinion:
        try:
            opinion = self._opinion(rule, output)
            with self._lock:
                self._known[key] = opinion
        finally:
            with self._lock:
                if self._asking.get(key) is mine:
                    del self._asking[key]
            mine.set()
        return opinion

    def _opinion(self, rule: str, output: str) -> Opinion:
        messages = question(rule, output)
        opinion: Opinion | None = None
        for asked in (messages, [messages[0], {"role": "user", "content": f"{messages[1]['content']}\n\n{AGAIN}"}]):
            text = self._answer(asked)
            if text is None:
                break
            opinion = read(text)
            if opinion is not None:
                break
        with self._lock:
            self._clear, self._unclear = self._clear + (opinion is not None), self._unclear + (opinion is None)
            useless = not self._clear and self._unclear >= UNCLEAR_AT_MOST
        if useless:
            raise self._failed(f"it gave no clear answer to its first {UNCLEAR_AT_MOST} questions")
        return opinion or Opinion(kept=False, reason=UNCLEAR)

    def _answer(self, messages: Messages) -> str | None:
        """The judge's words; None where it cannot be asked about this output."""
        detail = ""
        for sample in SAMPLES:
            if self._ask is None:
                raise MetricError("a constraint in plain words is judged only within a session")
            try:
                return self._ask(messages, sample)
            except CallFailed as failure:
                if failure.kind in ABOUT_THE_OUTPUT:
                    return None
                detail = f"{failure.kind}: {failure.detail}"
                if failure.kind == "bad_request":
                    break
        raise self._failed(detail)

    def _failed(self, detail: str) -> BaseException:
        assert self._fail is not None
        return self._fail(detail)


def question(rule: str, output: str) -> Messages:
    """What the judge is asked. The code in the marks is made of the output, so that the output cannot hold it."""
    code, salt = "", 0
    while not code or code in output or code in rule:
        digest = hashlib.sha256(f"{salt}\0{rule}\0{output}".encode(errors="surrogatepass"))
        code, salt = digest.hexdigest()[:12].upper(), salt + 1
    asked = (
        f"Rule: {rule}\n\nBEGIN {code}\n{output}\nEND {code}\n\n"
        "Does the text between the marks keep the rule? Begin your answer with yes or no."
    )
    return [{"role": "system", "content": _instructions()}, {"role": "user", "content": asked}]


def read(answer: str) -> Opinion | None:
    """The verdict, which is the first word, and the first line of what follows; None when it is neither yes nor no."""
    found = _VERDICT.match(answer.strip())
    if found is None:
        return None
    lines = answer.strip()[found.end() :].strip().splitlines() or [""]
    reason = " ".join(lines[0].split())
    short = reason if len(reason) <= REASON_CHARACTERS else f"{reason[: REASON_CHARACTERS - 3]}..."
    return Opinion(kept=found["word"].lower() == "yes", reason=short)


def typical_use(rules: Sequence[str], output_tokens: int) -> TokenUse:
    """Tokens that judging one output by all `rules` is expected to take."""
    frame = len(rules) * (len(_instructions()) + 200) + sum(map(len, rules))
    return TokenUse(input=frame // 4 + len(rules) * output_tokens, output=len(rules) * ANSWER_TOKENS)


@cache
def _instructions() -> str:
    return Path(__file__).with_name("judge.md").read_text("utf-8").strip()
