"""What rows and earlier guides say about labels: how often each word stood with each, and which words to write down."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from strop.embedded import chance, vectors
from strop.embedded.personality import Personality
from strop.embedded.rows import Row
from strop.embedded.words import STOP_WORDS, numbers, stem, words

_GUIDE_LINE = re.compile(r"^\s*[-*] [\"'`]?([^:\"'`\n]{1,60})[\"'`]?: ?(.+)$", re.MULTILINE)
_COUNTED = re.compile(r"([A-Za-z][\w'-]*|\d+[A-Za-z]\w*)(?: \((\d+)\))?")
_WRITTEN_TRUST = 1.5
_IMAGINED = 1.0
_BLAME = 1.0


@dataclass(frozen=True, kw_only=True)
class Lore:
    """Word counts per label; words are kept by stem, `spelling` says how each was first written."""

    counts: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    spelling: dict[str, str] = field(default_factory=dict[str, str])
    rows: Counter[str] = field(default_factory=Counter[str])

    def learn(self, label: str, found: Iterable[str], weight: float = 1.0) -> None:
        """Counts words once for a label."""
        into = self.counts.setdefault(label, {})
        for word in dict.fromkeys(found):
            root = stem(word)
            if word.lower() in STOP_WORDS or len(root) < 2:
                continue
            self.spelling.setdefault(root, word.lower())
            into[root] = into.get(root, 0.0) + weight

    def best_words(
        self, label: str, limit: int, personality: Personality, random: Random, temperature: float
    ) -> list[str]:
        """The words that speak most for a label against the others: smoothed log-odds, helped by static vectors.

        Temperature adds Gumbel noise to the ranking, so that candidates differ.
        """
        count = max(2, len(self.counts))
        scored: list[tuple[float, str]] = []
        for root, times in self.counts[label].items():
            if times <= 0:
                continue
            total = sum(max(0.0, known.get(root, 0.0)) for known in self.counts.values())
            odds = math.log((times + _IMAGINED / count) / (total + _IMAGINED) * count)
            value = odds * math.log1p(times) + self._kinship(root, label, personality)
            if odds > 0:
                scored.append((value + 0.35 * temperature * chance.gumbel(random), root))
        scored.sort(key=lambda one: (-one[0], one[1]))
        return [self.spelling[root] for _, root in scored[:limit]]

    def _kinship(self, root: str, label: str, personality: Personality) -> float:
        """How much closer a word's meaning is to this label's name than to the others' on average."""
        if not personality.vector_weight:
            return 0.0
        close = {one: vectors.similarity(self.spelling[root], one) for one in self.counts}
        return 2.0 * personality.vector_weight * (close[label] - sum(close.values()) / len(close))


def from_rows(rows: Sequence[Row], labels: Sequence[str], into: Lore) -> None:
    """Counts the rows' words; a word that stood with a wrong answer is counted against it."""
    allowed = {label.lower(): label for label in labels}
    for row in rows:
        label = allowed.get(row.answer.lower()) if allowed else row.answer
        if label is None:
            continue
        into.rows[label] += 1
        into.learn(label, words(row.text))
    for row in rows:
        wrong = into.counts.get(allowed.get(row.wrong.lower(), row.wrong))
        if row.wrong and wrong is not None:
            for word in dict.fromkeys(stem(one) for one in words(row.text)):
                if word in wrong:
                    wrong[word] -= _BLAME


def from_guide(text: str, labels: Sequence[str], into: Lore) -> None:
    """Takes in `- label: word (3), word` lines of an earlier guide; a written word without a count weighs 1.5."""
    allowed = {label.lower(): label for label in labels}
    for name, rest in _GUIDE_LINE.findall(text):
        label = allowed.get(name.strip().lower()) if allowed else name.strip()
        if label is None:
            continue
        for word, times in _COUNTED.findall(re.sub(r"(\d+) rows?\b", "", rest)):
            into.learn(label, [word], float(times) if times else _WRITTEN_TRUST)


def guide_labels(text: str) -> tuple[str, ...]:
    """Labels of a guide in the text, when it has at least two lines."""
    names = tuple(dict.fromkeys(name.strip() for name, _ in _GUIDE_LINE.findall(text)))
    return names if len(names) > 1 else ()


def label_like(rows: Sequence[Row]) -> bool:
    """True when the answers look like labels: short, mostly not copied from the input, and coming again or few."""
    if not rows:
        return False
    answers = Counter(row.answer for row in rows)
    if any(len(answer.split()) > 4 or len(answer) > 48 for answer in answers):
        return False
    if all(numbers(answer) and not words(answer) for answer in answers) and len(answers) > 6:
        return False
    copied = sum(row.answer.lower() in row.text.lower() for row in rows) / len(rows)
    return copied < 0.6 and (len(answers) < len(rows) or len(rows) < 6 or len(answers) <= 12)


@dataclass(frozen=True, kw_only=True)
class Style:
    """The form of answers that are no labels."""

    copied: bool
    average_words: float
    before: tuple[str, ...]
    numeric: bool


def style_of(rows: Sequence[Row]) -> Style | None:
    """How the rows' answers look, None without rows."""
    if not rows:
        return None
    lengths = [len(row.answer.split()) for row in rows]
    before: Counter[str] = Counter()
    for row in rows:
        place = row.text.lower().find(row.answer.lower())
        previous = row.text[:place].split() if place > 0 else []
        if previous:
            before[previous[-1].strip(",;:(").lower()] += 1
    return Style(
        copied=sum(row.answer.lower() in row.text.lower() for row in rows) >= 0.5 * len(rows),
        average_words=sum(lengths) / len(lengths),
        before=tuple(word for word, times in before.most_common(4) if times > 1 and word.isalpha()),
        numeric=all(numbers(row.answer) and not words(row.answer) for row in rows),
    )
