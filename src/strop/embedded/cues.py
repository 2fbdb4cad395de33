"""Which words an instruction ties to which label: definitions, `X handles ...`, `if ... choose X`, `not X`."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from strop.embedded.words import STOP_WORDS, stem, words

Cues = Mapping[str, Mapping[str, float]]

_SEGMENT = re.compile(r"\n|;|(?<=[.!?])\s+")
_DECORATION = r"[\"'`*_“”]*"
_CHOOSE = (
    r"(?:choose|answer|pick|select|use|return|output|say|give|predict|assign|"
    r"label(?:led)?(?: (?:it|them|this))?(?: as)?|"
    r"classif\w+(?: (?:it|them|this))?(?: as)?|(?:goes?|belongs?)(?: (?:to|in|into|under))|"
    r"(?:route|sort|send|file)[sd]?(?: (?:it|them|this))?(?: (?:to|in|into|under))|→|->|=>)\s+(?:the\s+|as\s+|to\s+)?"
)
_VERB = (
    r"\s+(?:\w+\s+)?(?:handles?|covers?|includes?|contains?|is\s+for|are\s+for|is\s+about|are\s+about|means?|concerns?|"
    r"deals?\s+with|takes?|if|when|for|holds?)\b"
)
_NOT = r"(?:\bnot|\bnever|n't|\bavoid|\binstead of|\brather than)\s+(?:\w+\s+){0,2}?"
_COMMAND_WORDS = """choose answer pick select return output say give predict assign label classify route sort send file
    go belong handle cover include contain mention mean concern deal take hold input text word description message word
    appear see example always never instead rather avoid likely usually often rule guide category class section prefer
    title item case thing like containing receive describe following"""
_COMMANDS = frozenset(stem(word) for word in _COMMAND_WORDS.split())
_DEFINED, _SAID, _DENIED = 1.0, 0.8, -0.8
_POSITION_HALF = 24.0


@lru_cache(maxsize=512)
def read_cues(text: str, labels: tuple[str, ...], limit: int) -> Cues:
    """Stem weights per label, at most `limit` words for each; a word given for k labels counts 1/k, for all of them 0.

    Words lose weight with their place in the list: the 25th counts half of the first.
    """
    found: dict[str, dict[str, float]] = {label: {} for label in labels}
    if not labels:
        return found
    by_name = {label.lower(): label for label in labels}
    pattern = _LabelPatterns(labels)
    open_label: str | None = None
    for segment in _SEGMENT.split(text):
        defined = pattern.definition.match(segment)
        if defined:
            label = by_name[defined[1].lower()]
            open_label = label if not defined[2].strip() else None
            _take(found[label], defined[2], _DEFINED, limit)
        elif open_label and segment.startswith((" ", "-", "*", "\t")):
            _take(found[open_label], segment, _DEFINED, limit)
        else:
            open_label = None
            for label, weight in pattern.said(segment, by_name).items():
                _take(found[label], pattern.any_label.sub(" ", segment), weight, limit)
    return _shared(found)


class _LabelPatterns:
    def __init__(self, labels: Sequence[str]) -> None:
        names = "|".join(re.escape(label) for label in sorted(labels, key=lambda name: (-len(name), name)))
        one = rf"(?<![\w-]){_DECORATION}({names}){_DECORATION}(?![\w-])"
        self.any_label = re.compile(rf"(?<![\w-])(?:{names})(?![\w-])", re.IGNORECASE)
        self.definition = re.compile(
            rf"^(?:guide:)?\s*(?:[-*•]|\d+[.)])?\s*{_DECORATION}({names}){_DECORATION}\s*(?:\([^)]*\))?\s*"
            rf"(?::|=>|->|→|=|—|–|\s-\s){_DECORATION}\s*(.*)$",
            re.IGNORECASE,
        )
        self.chosen = re.compile(rf"{_CHOOSE}{one}", re.IGNORECASE)
        self.subject = re.compile(rf"^\W*(?:the\s+)?{one}{_VERB}", re.IGNORECASE)
        self.quoted = re.compile(rf"[\"'`“*]({names})[\"'`”*]", re.IGNORECASE)
        self.denied = re.compile(rf"{_NOT}{one}", re.IGNORECASE)

    def said(self, segment: str, by_name: Mapping[str, str]) -> dict[str, float]:
        """The labels that a sentence speaks of, +0.8 for and -0.8 against; nothing when it speaks for several."""
        if not self.any_label.search(segment):
            return {}
        against = {by_name[found[1].lower()] for found in self.denied.finditer(segment)}
        spoken = [
            by_name[found[1].lower()]
            for pattern in (self.subject, self.chosen, self.quoted)
            for found in pattern.finditer(segment)
        ]
        positive = [label for label in dict.fromkeys(spoken) if label not in against]
        verdict = dict.fromkeys(sorted(against), _DENIED)
        if len(positive) == 1:
            verdict[positive[0]] = _SAID
        return verdict


def _take(into: dict[str, float], text: str, weight: float, limit: int) -> None:
    for word in words(text):
        root = stem(word)
        if len(into) >= limit:
            return
        if word.lower() in STOP_WORDS or root in into or (weight != _DEFINED and root in _COMMANDS):
            continue
        if len(root) > 1:
            into[root] = weight / (1 + len(into) / _POSITION_HALF)


def _shared(found: Mapping[str, Mapping[str, float]]) -> Cues:
    owners: dict[str, int] = {}
    for cues in found.values():
        for root, weight in cues.items():
            owners[root] = owners.get(root, 0) + (weight > 0)
    everywhere = len(found) if len(found) > 1 else 2
    return {
        label: {root: weight / max(1, owners[root]) for root, weight in cues.items() if owners[root] < everywhere}
        for label, cues in found.items()
    }
