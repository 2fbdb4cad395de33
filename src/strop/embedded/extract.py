"""Answers questions with words of the input: the nearest sentence, or the likeliest span of it."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from strop.embedded import chance, meaning
from strop.embedded.fields import Field, Task
from strop.embedded.personality import Personality
from strop.embedded.skill import Asked, Skill
from strop.embedded.words import STOP_WORDS, sentences, shorten, stem, stems

_SHORT = re.compile(
    r"\b(short(?:est)?|span|exact|exactly|concise|few words|only the|just the|factoid|(?:one|two|three|\d) words?|"
    r"\d+-\d+ words|between 1 and 5 words|entity|name only)\b",
    re.IGNORECASE,
)
_QUESTION_NAME = re.compile(r"question|query", re.IGNORECASE)
_PIECE = re.compile(r"[^\s,;:()\[\]\"]+(?:,\d{3})*|[,;:()\[\]\"]")
_FOLLOW = re.compile(r"often follow ([^.\n]*)", re.IGNORECASE)
_LONGEST_SPAN = 6
_MEANING = 4.0
_MOST_SENTENCES = 400
_MONTH_NAMES = """
    january february march april may june july august september october november december monday tuesday wednesday
    thursday friday saturday sunday"""
_MONTHS = frozenset(_MONTH_NAMES.split())


@dataclass(frozen=True, kw_only=True)
class _Habit:
    """What instructions and examples say about the form of answers."""

    short: bool
    usual_words: float
    before: Mapping[str, float]
    shapes: Mapping[str, float]


def answering(task: Task, field: Field, personality: Personality) -> Skill:
    """A skill that answers a question from the longest other input.

    It gives the whole sentence, unless instructions or examples ask for a short span.
    """
    habit = _learn_habit(task, field, personality)

    def skill(asked: Asked) -> str:
        question, context = split_question(asked.inputs)
        if not context:
            return question or asked.text
        sentence = _nearest_sentence(question, context, asked, personality)
        asked.grounds.append(f'The sentence "{shorten(sentence, 80)}" is closest to the question.')
        return _best_span(question, sentence, habit, asked, personality) if habit.short else sentence

    return skill


def split_question(inputs: Mapping[str, str]) -> tuple[str, str]:
    """The question and the text to search: by the field's name, by a question mark, or else the shortest input."""
    named = [name for name in inputs if _QUESTION_NAME.search(name)]
    marked = [name for name, value in inputs.items() if value.rstrip().endswith("?")]
    if not named and not marked and len(inputs) < 2:
        return "", next(iter(inputs.values()), "")
    choice = (named or marked or sorted(inputs, key=lambda name: len(inputs[name])))[0]
    rest = [value for name, value in inputs.items() if name != choice]
    return inputs[choice], max(rest, key=len, default="")


def asks_for_short(task: Task, field: Field) -> bool:
    """True when the wording asks for a span and not for a sentence."""
    return bool(_SHORT.search(task.instructions) or _SHORT.search(field.desc))


def _learn_habit(task: Task, field: Field, personality: Personality) -> _Habit:
    shown = task.answers(field.name)[-personality.demos_seen :]
    lengths = [len(answer.split()) for _, answer in shown]
    before: Counter[str] = Counter()
    shapes: Counter[str] = Counter()
    for demo, answer in shown:
        shapes[_form(answer.split())] += 1
        text = "\n".join(demo.inputs.values())
        place = text.lower().find(answer.lower())
        if place > 0 and (previous := text[:place].split()):
            before[stem(previous[-1].strip(",;:("))] += 1
    for told in _FOLLOW.findall(task.instructions):
        before.update(stem(word) for word in re.findall(r"'([\w-]+)'", told))
    usual = sum(lengths) / len(lengths) if lengths else 2.0
    return _Habit(
        short=bool(lengths and usual <= 5) or (not lengths and asks_for_short(task, field)),
        usual_words=usual,
        before={word: min(1.5, 0.5 + 0.5 * times) for word, times in before.items()},
        shapes={form: times / len(shown) for form, times in shapes.items()} if shown else {},
    )


def _nearest_sentence(question: str, context: str, asked: Asked, personality: Personality) -> str:
    found = sentences(context)[:_MOST_SENTENCES]
    read = [set(stems(one)) for one in found]
    frequency = Counter(root for roots in read for root in roots)
    wanted = {root: math.log(1 + len(found) / (frequency[root] or 0.5)) for root in dict.fromkeys(stems(question))}
    kind = _wanted_form(question)
    best, best_score = context, -math.inf
    for place, (one, roots) in enumerate(zip(found, read, strict=True)):
        score = sum(weight for root, weight in wanted.items() if root in roots) - 0.01 * place
        if kind == "number" and any(letter.isdigit() for letter in one):
            score += 0.5
        if personality.vector_weight:
            score += _MEANING * personality.vector_weight * meaning.coverage(question, one)
        score += asked.noise.gauss(0, personality.noise * 0.5)
        if asked.sampling is not None:
            score += asked.temperature * 0.5 * chance.gumbel(asked.sampling)
        if score > best_score:
            best, best_score = one, score
    return best


def _wanted_form(question: str) -> str:
    lowered = f" {question.lower()} "
    if re.search(
        r"\bhow (?:many|much|old|long|far|tall|high|big|large)\b|\bwhat (?:number|year|age|price|amount)\b", lowered
    ):
        return "number"
    if re.search(r"\bwhen\b|\bwhat (?:date|day|month|time)\b", lowered):
        return "number"
    if re.search(r"\b(?:who|whom|whose|where)\b|\bwhat (?:city|country|town|company|name)\b|\bwhich\b", lowered):
        return "name"
    return ""


def _form(pieces: Sequence[str]) -> str:
    if any(letter.isdigit() for piece in pieces for letter in piece):
        return "number"
    return "name" if pieces and pieces[0][:1].isupper() else "words"


def _best_span(question: str, sentence: str, habit: _Habit, asked: Asked, personality: Personality) -> str:
    pieces = _PIECE.findall(sentence.rstrip(" .!?"))
    asked_for = set(stems(question)) | {stem(word) for word in question.split()}
    wanted = _wanted_form(question)
    hits = [place for place, piece in enumerate(pieces) if stem(piece) in asked_for and piece.lower() not in STOP_WORDS]
    best, best_score = sentence, -math.inf
    for start in range(len(pieces)):
        for end in range(start + 1, min(len(pieces), start + _LONGEST_SPAN) + 1):
            span = pieces[start:end]
            if _unfit(span, asked_for):
                continue
            score = _span_score(pieces, (start, end), hits, wanted, habit)
            score += asked.noise.gauss(0, personality.noise * 0.3)
            if asked.sampling is not None:
                score += asked.temperature * 0.3 * chance.gumbel(asked.sampling)
            if score > best_score:
                best, best_score = " ".join(span).replace(" ,", ","), score
    return best.rstrip(".,;:")


def _unfit(span: Sequence[str], asked_for: set[str]) -> bool:
    """Spans do not begin or end with small words or signs, and hold nothing that the question itself says."""
    edges = (span[0], span[-1])
    if any(edge.lower() in STOP_WORDS or not edge[0].isalnum() for edge in edges):
        return True
    return any(stem(piece) in asked_for or piece in ',;:()[]"' for piece in span if piece.lower() not in STOP_WORDS)


def _span_score(
    pieces: Sequence[str], place: tuple[int, int], hits: Sequence[int], wanted: str, habit: _Habit
) -> float:
    start, end = place
    span = pieces[start:end]
    form = _form(span)
    score = 1.5 * (form == wanted) + 0.8 * habit.shapes.get(form, 0.0)
    score -= 0.35 * abs(len(span) - habit.usual_words)
    if hits:
        score -= 0.12 * min(min(abs(hit - start), abs(hit - end + 1)) for hit in hits)
    if start:
        score += habit.before.get(stem(pieces[start - 1]), 0.0)
    if form == "name":
        run = all(piece[0].isupper() or piece.lower() in STOP_WORDS for piece in span)
        stretches = end < len(pieces) and pieces[end][:1].isupper()
        begins = start > 0 and pieces[start - 1][:1].isupper() and start > 1
        score += 0.8 * run - 0.8 * stretches - 0.8 * begins
    if form == "number" and wanted == "number":
        score += 0.5 * any(piece.lower() in _MONTHS for piece in span)
    return score
