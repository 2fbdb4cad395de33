"""Shortens a text to its weightiest sentences, as long as instructions or examples want it."""

import re
from collections import Counter
from collections.abc import Sequence

from strop.embedded import chance
from strop.embedded.fields import Demo, Field, Task
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
_LEARNT = 6.0
_TOO_LONG = 1.6

Traits = tuple[float, ...]


def summarising(task: Task, field: Field, personality: Personality) -> Skill:
    """A skill that keeps whole sentences in their order: those whose words come again, the first ones, and those that
    are like the sentences which the examples' summaries were made from.
    """
    wording = f"{field.desc}\n{task.instructions}"
    shown = task.answers(field.name)[-personality.demos_seen :]
    lengths = [len(answer.split()) for _, answer in shown]
    most_words = _asked_words(wording) or (round(sum(lengths) / len(lengths)) if lengths else None)
    found = _SENTENCE_COUNT.search(wording)
    count = int(_SMALL_NUMBERS.get(found[1].lower(), 0) or found[1]) if found else _USUAL_SENTENCES
    taste = _learn_taste(shown)

    def skill(asked: Asked) -> str:
        text = max(asked.inputs.values(), key=len, default=asked.text)
        found = list(dict.fromkeys(sentences(text)))[:_MOST_SENTENCES]
        ranked = _rank(found, taste, asked, personality)
        kept = ranked[:count] if most_words is None else _fit(ranked, most_words)
        return " ".join(_cut(one, most_words) for one in found if one in kept) or text

    return skill


def _asked_words(wording: str) -> int | None:
    found = _WORD_COUNT.search(wording)
    return int(found[2] or found[1]) if found else None


def _rank(found: Sequence[str], taste: Traits, asked: Asked, personality: Personality) -> list[str]:
    weights: dict[str, float] = {}
    for one, traits in zip(found, _traits(found), strict=True):
        weight = sum(trait * liking for trait, liking in zip(traits, taste, strict=True))
        weight += asked.noise.gauss(0, personality.noise * 0.2)
        if asked.sampling is not None:
            weight += 0.2 * asked.temperature * chance.gumbel(asked.sampling)
        weights[one] = weight
    return sorted(found, key=lambda one: -weights[one])


def _traits(found: Sequence[str]) -> list[Traits]:
    """Per sentence: words in common with the others, first place, figures, names, length."""
    read = [set(stems(one)) for one in found]
    frequency = Counter(root for roots in read for root in roots)
    traits: list[Traits] = []
    for place, (one, roots) in enumerate(zip(found, read, strict=True)):
        pieces = one.split()
        traits.append(
            (
                sum(frequency[root] - 1 for root in roots) / (len(roots) + 3),
                float(place == 0),
                float(any(letter.isdigit() for letter in one)),
                min(1.0, sum(piece[:1].isupper() for piece in pieces[1:]) / 4),
                min(1.0, len(pieces) / 25),
            )
        )
    return traits


# Before any example: what comes again matters, the opening a little, a full sentence more than a short one.
_FIRST_TASTE: Traits = (1.0, 0.5, 0.0, 0.0, 0.3)


def _learn_taste(shown: Sequence[tuple[Demo, str]]) -> Traits:
    """How much more of each trait the sentences nearest to the examples' summaries had than their neighbours."""
    differences: list[Traits] = []
    for demo, answer in shown:
        text = max(demo.inputs.values(), key=len, default="")
        found = list(dict.fromkeys(sentences(text)))[:_MOST_SENTENCES]
        if len(found) < 2:
            continue
        wanted = set(stems(answer))
        shared = [len(wanted & set(stems(one))) / (3 + len(stems(one))) for one in found]
        nearest = max(range(len(found)), key=shared.__getitem__)
        traits = _traits(found)
        means = [sum(column) / len(column) for column in zip(*traits, strict=True)]
        differences.append(tuple(mine - mean for mine, mean in zip(traits[nearest], means, strict=True)))
    trust = len(differences) / (len(differences) + 2.0)
    learnt = [sum(column) / len(column) for column in zip(*differences, strict=True)] or [0.0] * len(_FIRST_TASTE)
    return tuple(liking + trust * _LEARNT * difference for liking, difference in zip(_FIRST_TASTE, learnt, strict=True))


def _fit(ranked: Sequence[str], most_words: int) -> list[str]:
    """The weightiest sentence, and further ones as long as they fit."""
    kept: list[str] = []
    held = 0
    for one in ranked:
        length = len(one.split())
        if not kept or held + length <= most_words * 1.15:
            kept.append(one)
            held += length
    return kept


def _cut(sentence: str, most_words: int | None) -> str:
    pieces = sentence.split()
    if most_words is None or len(pieces) <= most_words * _TOO_LONG:
        return sentence
    return " ".join(pieces[: round(most_words * 1.15)]).rstrip(",;:") + "."
