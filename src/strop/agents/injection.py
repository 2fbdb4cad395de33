"""Instructions found inside logs are data: they are flagged, and change nothing.

A flag travels with its example, so that whoever shows the example to a model or to a person can say what is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from strop.agents.marks import folded
from strop.agents.sieve import SHORTEST, Sieve
from strop.agents.transcript import Turn

FlagKind = Literal["override", "role", "forged role", "secrecy"]
SHOWN = 160
SHORTEST_TEXT = 8
"""Characters below which a text says nothing to anybody."""


@dataclass(frozen=True, kw_only=True)
class Flag:
    """Something in a text that reads like an instruction to the model. `where`: `task`, `answer`, `step 3 result`..."""

    kind: FlagKind
    where: str
    text: str


_RULES = r"(?:instructions?|rules?|prompts?|guidelines?|directives?|constraints?|policies|programming|training)"
_OF_OLD = r"(?:previous|prior|above|earlier|preceding|system|original|existing|safety|foregoing|other)"
_PATTERNS: tuple[tuple[FlagKind, re.Pattern[str]], ...] = (
    (
        "override",
        re.compile(
            rf"\b(?:ignore|disregard|forget|override|bypass|discard)\s{{1,3}}(?:(?:all|any|every|your|the|these|those|my|of)\s{{1,3}})*"
            rf"(?:{_OF_OLD}\s{{1,3}}(?:and\s{{1,3}}\w+\s{{1,3}})?)*{_RULES}\b"
            r"|\b(?:ignore|disregard|forget)\s{1,3}(?:everything|all)\s{1,3}(?:above|before|previous|prior|that\s{1,3}came|you)\b"
            r"|\bignorier\w*\s{1,3}(?:\w+\s{1,3}){0,3}(?:anweisungen|regeln|vorgaben)\b"
            r"|\bignore[rz]?\s{1,3}(?:\w+\s{1,3}){0,3}instructions\s{1,3}(?:pr[eé]c[eé]dentes|ci-dessus)\b"
            r"|\bignora\s{1,3}(?:\w+\s{1,3}){0,3}(?:instrucciones|istruzioni|instruções|regla?s|regole)\b"
            r"|忽略.{0,8}(?:指令|指示|规则)",
            re.IGNORECASE,
        ),
    ),
    (
        "role",
        re.compile(
            r"\byou\s{1,3}are\s{1,3}(?:now|no\s{1,3}longer)\s{1,3}(?!(?:ready|able|in|on|at|done|logged|connected|running|using|set)\b)\w"
            r"|\bfrom\s{1,3}now\s{1,3}on,?\s{1,3}(?:you|your|act|always|never|respond|answer)\b"
            r"|\b(?:act|behave|respond)\s{1,3}as\s{1,3}(?:if\s{1,3}you\s{1,3}(?:are|were|have)|an?\s{1,3}unrestricted|dan\b|root\b|the\s{1,3}system)"
            r"|\b(?:developer|god|jailbreak|dan)\s{1,3}mode\s{1,3}(?:is\s{1,3})?(?:on|enabled|activated)\b"
            r"|\b(?:your|a)\s{1,3}new\s{1,3}(?:instructions?|task|role|goal|system\s{1,3}prompt)\s{1,3}(?:is|are)\b",
            re.IGNORECASE,
        ),
    ),
    (
        "forged role",
        re.compile(
            r"^[ \t>#*\[]{0,8}(?:system|developer)(?:\s{1,3}(?:message|prompt|note|override))?\s*\]?\**\s*:\s*"
            r"(?:you|ignore|from\s{1,3}now|do\s{1,3}not|don't|always|never|new|important|override|the\s{1,3}user|disregard|please)\b"
            r"|<\|(?:im_start|system|start_header_id)\|>|<<SYS>>|\[/?INST\]|</?system(?:[_-](?:prompt|message|reminder))?>",
            re.IGNORECASE | re.MULTILINE,
        ),
    ),
    (
        "secrecy",
        re.compile(
            r"\bdo\s{1,3}not\s{1,3}(?:tell|inform|mention\s{1,3}(?:this|it)\s{1,3}to|reveal\s{1,3}(?:this|it)\s{1,3}to|alert|notify)\s{1,3}(?:the\s{1,3})?user\b"
            r"|\bwithout\s{1,3}(?:telling|informing|asking)\s{1,3}the\s{1,3}user\b"
            r"|\b(?:reveal|print|repeat|output|leak|send)\s{1,3}(?:me\s{1,3})?(?:your|the)\s{1,3}(?:system|hidden|secret|full)\s{1,3}(?:prompt|instructions)\b"
            r"|\b(?:send|post|upload|exfiltrate)\s{1,3}(?:all\s{1,3})?(?:the|your|any)\s{1,3}(?:api\s{1,3}keys?|secrets?|credentials?|tokens?|passwords?)\b",
            re.IGNORECASE,
        ),
    ),
)
_FOREIGN, _FOREIGN_KIND = "忽略", 1
# What a text must contain for a pattern to be tried: looking for fixed strings is far cheaper than the pattern.
_HINTS: tuple[tuple[bytes, ...], ...] = (
    (b"ignor", b"disregard", b"forget ", b"override ", b"bypass ", b"discard ", _FOREIGN.encode()),
    (b"you are n", b"from now on", b"act as ", b"behave as ", b"respond as ", b"jailbreak", b"per mode", b"god mode",
     b"dan mode", b"your new ", b"a new "),
    (b"system", b"developer", b"<|im_start|>", b"<|start_header", b"<<sys", b"inst]"),
    (b"the user", b" prompt", b" instructions", b"send ", b"upload ", b"post ", b"exfiltrate "),
)  # fmt: skip
_SPACED = bytes.maketrans(b"\n", b" ")
_ALL = (1 << len(_PATTERNS)) - 1
SIFTED: Mapping[int, tuple[str, ...]] = {
    1 << index: tuple(hint.decode() for hint in hints if hint.isascii() and len(hint) >= SHORTEST)
    for index, hints in enumerate(_HINTS)
}
"""What a sieve must look for, by the bit of the kind of flag."""
_SIEVE = Sieve(SIFTED)


def flags(turn: Turn) -> tuple[Flag, ...]:
    """What in a turn reads like an instruction to whoever reads it, one flag for each kind and place.

    The task is the person's own and may say anything; only forged roles and overrides in it are flagged.
    """
    return flags_of((turn,))[0]


def flags_of(turns: Sequence[Turn], suspects: Mapping[int, int] | None = None) -> list[tuple[Flag, ...]]:
    """The `flags` of each turn: many are looked through faster together.

    `suspects` are the bits of `SIFTED` that a sieve has found, by the `id` of the text, where one looked already.
    """
    if suspects is None:
        texts = [text for turn in turns for _, _, text in _texts(turn)]
        suspects = {id(texts[index]): kinds for index, kinds in _SIEVE.sift(texts).items()}
    return [tuple(_flags(turn, suspects)) for turn in turns]


def _flags(turn: Turn, suspects: Mapping[int, int]) -> Iterator[Flag]:
    for step, name, text in _texts(turn):
        kinds = suspects.get(id(text), 0)
        if _FOREIGN in text:
            kinds |= _FOREIGN_KIND
        if kinds:
            where = f"step {step} {name}" if step else name
            for flag in flags_in(text, where, kinds):
                if step or name != "task" or flag.kind in {"override", "forged role"}:
                    yield flag


def flags_in(text: str, where: str, kinds: int = _ALL) -> Iterator[Flag]:
    """The flags of one text, at most one of each kind; `kinds` has a bit for each that is looked for."""
    if len(text) < SHORTEST_TEXT:
        return
    data = folded(text).translate(_SPACED)
    for index, (kind, pattern) in enumerate(_PATTERNS):
        if kinds & 1 << index and any(hint in data for hint in _HINTS[index]):
            match = pattern.search(text)
            if match is not None:
                yield Flag(kind=kind, where=where, text=_shown(text, match))


def _texts(turn: Turn) -> list[tuple[int, str, str]]:
    """The turn's texts, each with the number of its step (0: of none) and its name."""
    found = [(0, "task", turn.task), (0, "answer", turn.answer)]
    for at, step in enumerate(turn.steps, start=1):
        found.append((at, "result", step.result))
        for name, value in step.arguments.items():
            if type(value) is str:
                found.append((at, name, value))
    return found


def _shown(text: str, match: re.Match[str]) -> str:
    line_start = text.rfind("\n", max(0, match.start() - 40), match.start()) + 1
    start = max(line_start, match.start() - 40)
    return " ".join(text[start : start + SHOWN].split())
