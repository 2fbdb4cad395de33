"""Shortens a text to its weightiest sentences, as long as instructions or examples want it."""

import re
from collections import Counter

from strop.embedded import chance
from strop.embedded.fields import Field, Task
from strop.embedded.personality import Personality
from strop.embedded.skill import Asked, Skill
from strop.embedded.words import sentences, stems

_WORD_COUNT = re.compile(r"(\d+)(?:\s*(?:-|to)\s*(\d+))?[- ]words?", re.IGNORECASE)
_SENTENCE_COUNT = re.compile(
    r"\b(one|single|two|three|four|\d)(?:[- ](?:to|or)[- ]\w+)?[- ]sentences?\b", re.IGNORECASE
)
_SMALL_NUMBERS = {"one": 1, "single": 1, "two": 2, "three": 3, "four": 4}
_USUAL_SENTENCES = 3
_MOST_SENTENCES = 400


def summarising(task: Task, field: Field, personality: Personality) -> Skill:
    """A skill that keeps the sentences whose words come again most, in their order."""
    wording = f"{field.desc}\n{task.instructions}"
    shown = [len(answer.split()) for _, answer in task.answers(field.name)[-personality.demos_seen :]]
    most_words = _asked_words(wording) or (round(sum(shown) / len(shown)) if shown else None)
    found = _SENTENCE_COUNT.search(wording)
    count = int(_SMALL_NUMBERS.get(found[1].lower(), 0) or found[1]) if found else _USUAL_SENTENCES

    def skill(asked: Asked) -> str:
        text = max(asked.inputs.values(), key=len, default=asked.text)
        return " ".join(weightiest(text, count, most_words, asked, personality))

    return skill


def _asked_words(wording: str) -> int | None:
    found = _WORD_COUNT.search(wording)
    return int(found[2] or found[1]) if found else None


def weightiest(text: str, count: int, most_words: int | None, asked: Asked, personality: Personality) -> list[str]:
    """Up to `count` sentences, or as many as come nearest to `most_words`; a single longer one is cut to that."""
    found = list(dict.fromkeys(sentences(text)))[:_MOST_SENTENCES]
    frequency = Counter(root for one in found for root in set(stems(one)))
    weights: dict[str, float] = {}
    for place, one in enumerate(found):
        roots = sorted(set(stems(one)))
        central = sum(frequency[root] - 1 for root in roots) / (len(roots) + 3)
        weights[one] = central + 0.6 / (1 + place) + asked.noise.gauss(0, personality.noise * 0.2)
        if asked.sampling is not None:
            weights[one] += 0.2 * asked.temperature * chance.gumbel(asked.sampling)
    ranked = sorted(found, key=lambda one: -weights[one])
    if most_words is None:
        kept = ranked[:count]
    else:
        kept = []
        for one in ranked:
            held = sum(len(other.split()) for other in kept)
            if not kept or held + len(one.split()) <= most_words * 1.15:
                kept.append(one)
        if len(kept) == 1:
            kept = [_cut(kept[0], most_words)]
            return kept
    return [one for one in found if one in set(kept)]


def _cut(sentence: str, most_words: int) -> str:
    pieces = sentence.split()
    return sentence if len(pieces) <= most_words * 1.15 else " ".join(pieces[:most_words]).rstrip(",;:") + "."
