"""Chooses a skill for each output field of a task, once per task, and answers inputs with them."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache

from strop.embedded import writer
from strop.embedded.classify import LabelReader, study_labels
from strop.embedded.estimate import agreement, compared, estimating
from strop.embedded.extract import answering, split_question
from strop.embedded.fields import Field, Task
from strop.embedded.fill import filling
from strop.embedded.lore import guide_labels
from strop.embedded.personality import Personality
from strop.embedded.plain import offered_labels
from strop.embedded.skill import Asked, Skill, Value
from strop.embedded.summarise import summarising
from strop.embedded.words import numbers, words

_REASONING = re.compile(r"^(?:reasoning|rationale|explanation|thought|discussion|justification|reason)", re.IGNORECASE)
_SUMMARY = re.compile(r"summar|headline|title|abstract|tl_?dr|gist", re.IGNORECASE)
_FLAGS = ("True", "False")

Plan = Sequence[tuple[Field, Skill]]


def answer_fields(task: Task, asked: Asked, personality: Personality) -> dict[str, Value]:
    """A value for every output field, in the task's order. Reasons are given last, from what the others went by."""
    steps = _plan(task, personality)
    values: dict[str, Value] = {}
    for field, skill in steps:
        values[field.name] = skill(asked)
    return {field.name: values[field.name] for field in task.outputs}


@lru_cache(maxsize=128)
def _plan(task: Task, personality: Personality) -> Plan:
    steps = [(field, _skill(task, field, personality)) for field in task.outputs]
    return sorted(steps, key=lambda step: bool(_REASONING.match(step[0].name)))


def _skill(task: Task, field: Field, personality: Personality) -> Skill:  # noqa: PLR0911 - one return a kind
    role = writer.recognise(task, field)
    if role is not None:
        return writer.writing(field, role, personality)
    match field.shape.kind:
        case "labels":
            return _choosing(task, field, field.shape.labels, personality)
        case "bool" if not task.demos and compared({one.name: "" for one in task.inputs}):
            return lambda asked: (
                agreement(asked.inputs, personality) + asked.noise.gauss(0, 0.1 * personality.noise) > 0.5
            )
        case "bool":
            return _choosing(task, field, _FLAGS, personality)
        case "int" | "float":
            return estimating(task, field, personality)
        case "list" if field.shape.items[0].kind == "labels":
            return _choosing_several(task, field, field.shape.items[0].labels, personality)
        case "list" | "map" | "object" | "tuple":
            return filling(task, field, personality)
        case _:
            return _text_skill(task, field, personality)


def _text_skill(task: Task, field: Field, personality: Personality) -> Skill:
    if _REASONING.match(field.name):
        return _reason
    labels = _implied_labels(task, field)
    if labels:
        return _choosing(task, field, labels, personality)
    wording = f"{field.name} {field.desc}"
    if _SUMMARY.search(wording) or re.search(r"\bsummar", task.instructions, re.IGNORECASE):
        return summarising(task, field, personality)
    if re.search(r"calculate|compute|sum|arithmetic|\bmath", task.instructions, re.IGNORECASE):
        number = estimating(task, field, personality)
        return lambda asked: f"{number(asked):g}"
    return answering(task, field, personality)


def _implied_labels(task: Task, field: Field) -> tuple[str, ...]:
    """Labels of a text field: offered in the wording, defined in a guide, or what the examples keep answering."""
    offered = offered_labels(field.desc) or offered_labels(task.instructions) or guide_labels(task.instructions)
    if offered:
        return offered
    shown = task.answers(field.name)
    times = Counter(answer for _, answer in shown)
    if len(shown) < 3 or any(len(answer.split()) > 4 for answer in times):
        return ()
    copied = sum(answer.lower() in demo.text.lower() for demo, answer in shown)
    if copied > 0.5 * len(shown) or all(numbers(answer) and not words(answer) for answer in times):
        return ()
    return tuple(sorted(times)) if len(times) <= max(2, 0.7 * len(shown)) else ()


def _reader(task: Task, field: Field, labels: tuple[str, ...], personality: Personality) -> LabelReader:
    places = {label: place for place, label in enumerate(labels)}
    folded = {label.lower(): place for place, label in enumerate(labels)}
    shown = [
        (demo, place)
        for demo, answer in task.answers(field.name)
        if (place := places.get(answer, folded.get(answer.lower()))) is not None
    ]
    wording = f"{task.instructions}\n{field.desc}"
    return study_labels(labels, wording, f"{field.name} {field.desc}", shown, personality)


def _choosing(task: Task, field: Field, labels: tuple[str, ...], personality: Personality) -> Skill:
    reader = _reader(task, field, labels, personality)
    flags = field.shape.kind == "bool"

    def skill(asked: Asked) -> Value:
        vote = reader.vote(asked.text, asked.noise, asked.sampling, asked.temperature)
        chosen = labels[vote.winner]
        told = (
            f'"{vote.because}" points to {chosen}' if vote.because else f"nothing in the input speaks against {chosen}"
        )
        asked.grounds.append(f"{told}.")
        return chosen == "True" if flags else chosen

    return skill


def _choosing_several(task: Task, field: Field, labels: tuple[str, ...], personality: Personality) -> Skill:
    reader = _reader(task, field, labels, personality)

    def skill(asked: Asked) -> Value:
        vote = reader.vote(asked.text, asked.noise, asked.sampling, asked.temperature)
        best = vote.scores[vote.winner]
        return [label for label, score in zip(labels, vote.scores, strict=True) if score >= best - 0.5 and score > 0]

    return skill


def _reason(asked: Asked) -> str:
    question, context = split_question(asked.inputs)
    return " ".join(asked.grounds) or f"The input is about {' '.join(words(context or question)[:6])}."


def read_text(inputs: Mapping[str, str], fallback: str) -> str:
    """All inputs together, or the whole turn when no input was recognised."""
    return "\n".join(inputs.values()) or fallback
