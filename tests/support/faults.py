"""What can go wrong at a model provider, as a script: which request meets which fault."""

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from tests.support.provider_log import ReceivedRequest

Kind = Literal[
    "429",  # rate limited; `seconds` becomes Retry-After
    "500",
    "503",
    "529",  # Anthropic's "overloaded"
    "401",
    "404",  # the model does not exist
    "context",  # 400: the prompt is longer than the model's window
    "slow",  # answers rightly, `seconds` later
    "hang",  # never answers, until the client goes away
    "reset",  # TCP reset before the first byte
    "json",  # 200 with a body that is not JSON
    "html",  # 502 with a proxy's HTML page
    "cut",  # the answer ends half way: a stream without its last events, a body shorter than its Content-Length
    "empty",  # a well-formed answer without text
]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Fault:
    """One way to fail. `seconds` belongs to "429" (Retry-After; none is sent without it) and to "slow"."""

    kind: Kind
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault {self.kind!r}; known: {', '.join(KINDS)}")
        if self.kind == "slow" and self.seconds is None:
            raise ValueError("a slow answer needs its seconds: Fault('slow', 0.2)")


@dataclass
class _Rule:
    applies: "Callable[[ReceivedRequest], bool]"
    fault: Fault
    left: int | None


class Faults:
    """Rules tried in order for every model call; the first that applies decides, none means a proper answer.

    Model calls are numbered from 1 in order of arrival. Rules by number, `Faults({1: Fault("429", 0.1)})`; rules by
    what was asked, `Faults().when(lambda r: "gpt" in r.model, Fault("500"), times=2)`; rules as text, `Faults.parse`.
    """

    def __init__(self, at: Mapping[int, Fault] | None = None) -> None:
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        if at:
            numbered = dict(at)
            for number, fault in numbered.items():
                self.when(lambda r, number=number: r.number == number, fault)

    def when(self, applies: "Callable[[ReceivedRequest], bool]", fault: Fault, *, times: int | None = None) -> "Faults":
        """Add a rule; `times` limits how often it strikes. Returns self, so that rules chain."""
        with self._lock:
            self._rules.append(_Rule(applies, fault, times))
        return self

    def choose(self, request: "ReceivedRequest") -> Fault | None:
        with self._lock:
            for rule in self._rules:
                if rule.left != 0 and rule.applies(request):
                    if rule.left is not None:
                        rule.left -= 1
                    return rule.fault
        return None

    @classmethod
    def parse(cls, text: str) -> "Faults":
        """Rules as `WHICH:KIND[=SECONDS]`, separated by commas; WHICH is `3`, `2-5`, `4-`, `%7` (every seventh) or `*`.

        >>> faults = Faults.parse("1:429=0.2, 3-4:500, %10:slow=1.5, 50-:hang")
        """
        faults = cls()
        for rule in filter(None, (part.strip() for part in text.split(","))):
            match = re.fullmatch(r"(\*|%\d+|\d+|\d+-\d*)\s*:\s*(\w+)(?:=([\d.]+))?", rule)
            if match is None:
                raise ValueError(f"not a fault rule: {rule!r}; write WHICH:KIND[=SECONDS], for example 1:429=0.2")
            which, kind, seconds = match.groups()
            fault = Fault(kind, float(seconds) if seconds else None)  # type: ignore[arg-type]  # checked by Fault
            faults.when(_selector(which), fault)
        return faults


def _selector(which: str) -> "Callable[[ReceivedRequest], bool]":
    if which == "*":
        return lambda r: True
    if which.startswith("%"):
        step = int(which[1:])
        return lambda r: r.number % step == 0
    first, dash, last = which.partition("-")
    if not dash:
        return lambda r: r.number == int(first)
    if not last:
        return lambda r: r.number >= int(first)
    return lambda r: int(first) <= r.number <= int(last)
