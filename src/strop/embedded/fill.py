"""Fills lists, maps, tuples and objects from `name: value` passages, numbers and weighty words of the input."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import cast

from strop.embedded.fields import Field, Task
from strop.embedded.personality import Personality
from strop.embedded.shape import Shape
from strop.embedded.skill import Asked, Skill, Value
from strop.embedded.words import STOP_WORDS, numbers, sentences, stem, words

_NUMERIC_NAME = re.compile(r"age|count|year|price|amount|total|number|quantity|score|size|rank|cost", re.IGNORECASE)
_NAME = re.compile(r"\b[A-Z][\w'-]+(?: (?:of |de |von )?[A-Z][\w'-]+)*")
_MANY = 5
_FEW = 3


def filling(task: Task, field: Field, personality: Personality) -> Skill:
    """A skill for a structured field; examples of a list show if items are names, numbers or words, and how many."""
    shown = [items for _, answer in task.answers(field.name)[-personality.demos_seen :] if (items := _items(answer))]
    usual = round(sum(len(items) for items in shown) / len(shown)) if shown else _MANY
    form = _usual_form([item for items in shown for item in items]) if shown else _told_form(task, field)

    def skill(asked: Asked) -> Value:
        text = max(asked.inputs.values(), key=len, default=asked.text)
        if field.shape.kind == "list" and field.shape.items[0].kind in {"text", "unknown"}:
            return cast("Value", _listed(text, form, usual))
        return _fill(field.name, field.shape, text, asked, 0)

    return skill


def _items(answer: str) -> list[str]:
    try:
        loaded: object = json.loads(answer)
    except ValueError:
        return []
    return [str(item) for item in cast("list[object]", loaded)] if isinstance(loaded, list) else []


def _told_form(task: Task, field: Field) -> str:
    wording = f"{field.name} {field.desc} {task.instructions}".lower()
    if re.search(r"\bnames?\b|\bpeople\b|\bpersons?\b|\bentit|\bplaces?\b|\bcompan", wording.replace("_", " ")):
        return "name"
    return "number" if re.search(r"\bnumbers?\b|\bamounts?\b|\byears?\b", wording) else "words"


def _usual_form(items: Sequence[str]) -> str:
    forms = Counter(
        "number" if numbers(item) and not words(item) else "name" if item[:1].isupper() else "words" for item in items
    )
    return forms.most_common(1)[0][0] if forms else "words"


def _listed(text: str, form: str, usual: int) -> list[str]:
    if form == "number":
        return [f"{value:g}" for value in numbers(text)]
    if form == "name":
        found = [name for name in _NAME.findall(text) if name.lower() not in STOP_WORDS]
        return list(dict.fromkeys(found)) or key_words(text, usual)
    return key_words(text, usual)


def key_words(text: str, count: int) -> list[str]:
    """The words that come most often, the longer and the earlier first among equals, as first written."""
    first: dict[str, str] = {}
    times: Counter[str] = Counter()
    for word in words(text):
        if word.lower() not in STOP_WORDS and len(word) > 2:
            first.setdefault(stem(word), word)
            times[stem(word)] += 1
    order = {root: place for place, root in enumerate(first)}
    ranked = sorted(first, key=lambda root: (-times[root], -len(root), order[root]))
    return [first[root] for root in ranked[:count]]


def _fill(name: str, shape: Shape, text: str, asked: Asked, depth: int) -> Value:  # noqa: PLR0911 - one a kind
    match shape.kind:
        case "labels":
            return _mentioned(shape.labels, text) or asked.noise.choice(shape.labels)
        case "bool":
            return stem(name) in {stem(word) for word in words(text)}
        case "int" | "float":
            return _number(name, shape, text)
        case "object":
            return {key: _fill(key, inner, text, asked, depth + 1) for key, inner in shape.members}
        case "map":
            return {word: _fill(word, shape.items[0], text, asked, depth + 1) for word in key_words(text, _FEW)}
        case "tuple":
            return [_fill(name, inner, text, asked, depth + 1) for inner in shape.items]
        case "list":
            inner = shape.items[0]
            if inner.kind in {"text", "unknown"} or depth > 1:
                return cast("Value", key_words(text, _FEW)) if inner.kind in {"text", "unknown"} else []
            if inner.kind in {"int", "float"}:
                return [round(value) if inner.kind == "int" else value for value in numbers(text)]
            return [_fill(name, inner, part, asked, depth + 1) for part in sentences(text)[:_FEW]]
        case "unknown" if _NUMERIC_NAME.search(name):
            return _number(name, Shape(kind="int"), text)
        case "text" | "unknown":
            return _passage(name, text)


def _mentioned(labels: Sequence[str], text: str) -> str | None:
    lowered = text.lower()
    return next((label for label in labels if label.lower() in lowered), None)


def _number(name: str, shape: Shape, text: str) -> float | int:
    near = re.search(rf"{re.escape(name)}\W{{1,4}}(-?\d+(?:\.\d+)?)|(-?\d+(?:\.\d+)?) {re.escape(name)}", text, re.I)
    value = float(near[1] or near[2]) if near else (numbers(text) or (shape.low or 0.0,))[0]
    value = max(value, shape.low) if shape.low is not None else value
    value = min(value, shape.high) if shape.high is not None else value
    return value if shape.kind == "float" else round(value)


def _passage(name: str, text: str) -> str:
    """What stands after `name:`; else the first proper name; else the weightiest word."""
    label = re.escape(name.replace("_", " "))
    if found := re.search(rf"\b{label}\s*(?::|=|\bis\b)\s*([^,;.\n]+)", text, re.IGNORECASE):
        return found[1].strip()
    named = [one for one in _NAME.findall(text) if one.lower() not in STOP_WORDS]
    return (named or key_words(text, 1) or [""])[0]
