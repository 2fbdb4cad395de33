"""Answers with a number: what the examples' neighbours had, a sum, a number of the text, or how far two texts agree."""

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from strop.embedded import chance, meaning
from strop.embedded.fields import Demo, Field, Task
from strop.embedded.personality import Personality
from strop.embedded.skill import Asked, Skill
from strop.embedded.words import features, numbers, stems

_SUM = re.compile(r"(-?\d+(?:\.\d+)?)\s*([-+*/x×÷])\s*(-?\d+(?:\.\d+)?)")
_RANGE = re.compile(r"(?:between|from|scale of|scale)?\s*(-?\d+(?:\.\d+)?)\s*(?:-|–|to|and|\.\.)\s*(-?\d+(?:\.\d+)?)")
_JUDGED = re.compile(r"score|rating|grade|quality|similar|overlap|confidence|probab|relevan|faithful", re.IGNORECASE)
_EXPECTED = re.compile(r"expected|reference|gold|truth|correct|target|source|context|document", re.IGNORECASE)
_GIVEN = re.compile(r"answer|response|predict|output|candidate|given|summary|claim|reply", re.IGNORECASE)


def estimating(task: Task, field: Field, personality: Personality) -> Skill:
    """A skill that gives a number; whole when the field is an int."""
    shown = [
        (demo, value[0])
        for demo, answer in task.answers(field.name)[-personality.demos_seen :]
        if (value := numbers(answer))
    ]
    low, high = _limits(task, field)
    judged = bool(_JUDGED.search(f"{field.name} {field.desc}"))

    def skill(asked: Asked) -> float | int:
        value = _calculate(asked.text)
        if value is None and shown:
            value = _neighbours(shown, asked.text, personality)
        if value is None and judged:
            value = low + (high - low) * agreement(asked.inputs, personality)
        if value is None:
            value = (numbers(asked.text) or (low,))[0]
        if judged or shown:
            spread = (high - low) if not shown else _spread([known for _, known in shown])
            value += asked.noise.gauss(0, personality.noise * 0.1) * spread
            if asked.sampling is not None:
                value += 0.05 * asked.temperature * spread * chance.gumbel(asked.sampling)
        if judged and not shown:
            value = min(max(value, low), high)
        return round(value) if field.shape.kind == "int" else round(value, 4)

    return skill


def _limits(task: Task, field: Field) -> tuple[float, float]:
    if field.shape.low is not None and field.shape.high is not None:
        return field.shape.low, field.shape.high
    for wording in (field.desc, task.instructions):
        for found in _RANGE.finditer(wording):
            low, high = float(found[1]), float(found[2])
            if low < high:
                return low, high
    return (0.0, 1.0) if field.shape.kind == "float" else (1.0, 5.0)


def _calculate(text: str) -> float | None:
    found = _SUM.search(text)
    if found is None or re.search(r"\d{4}-\d\d", text):
        return None
    left, right = float(found[1]), float(found[3])
    match found[2]:
        case "+":
            return left + right
        case "-":
            return left - right
        case "/" | "÷":
            return left / right if right else None
        case _:
            return left * right


def _neighbours(shown: Sequence[tuple[Demo, float]], text: str, personality: Personality) -> float:
    mine = dict(features(text, personality.bigrams, personality.char_grams))
    counted = numbers(text)
    total = weight_sum = 0.0
    for demo, value in shown:
        theirs = dict(features(demo.text, personality.bigrams, personality.char_grams))
        shared = sum(min(weight, theirs.get(feature, 0.0)) for feature, weight in mine.items())
        weight = 0.02 + (shared / math.sqrt((len(mine) or 1) * (len(theirs) or 1))) ** 2
        other = numbers(demo.text)
        if counted and len(counted) == len(other):
            apart = float(np.linalg.norm(np.asarray(counted) - np.asarray(other)))
            weight += 1 / (0.1 + apart) ** 2
        total += weight * value
        weight_sum += weight
    return total / weight_sum


def compared(inputs: Mapping[str, str]) -> tuple[str, str] | None:
    """The expected text and the one to judge, by their fields' names; None when no such pair is given."""
    expected = next((value for name, value in inputs.items() if _EXPECTED.search(name)), None)
    given = next((value for name, value in inputs.items() if _GIVEN.search(name) and not _EXPECTED.search(name)), None)
    return None if expected is None or given is None else (expected, given)


def agreement(inputs: Mapping[str, str], personality: Personality) -> float:
    """Share of meaning words that two texts have in common (F1), helped by static vectors; 0..1.

    The texts are the expected and the given one, or else the two longest inputs.
    """
    texts = compared(inputs) or tuple(sorted(inputs.values(), key=len)[-2:])
    if len(texts) < 2:
        return 0.5
    left, right = (set(stems(text)) or set(text.lower().split()) for text in texts)
    if not left or not right:
        return 0.0
    shared = 2 * len(left & right) / (len(left) + len(right))
    if not personality.vector_weight:
        return shared
    trust = 0.5 * personality.vector_weight
    return min(1.0, max(shared, (1 - trust) * shared + trust * max(0.0, meaning.closeness(texts[0], texts[1]))))


def _spread(values: Sequence[float]) -> float:
    return max(values) - min(values)
