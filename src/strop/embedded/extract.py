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
_ARTICLES = frozenset({"a", "an", "the"})
_UNIT_NAMES = """
    percent % million billion dollars euros pounds km kilometres kilometers miles metres meters kg kilograms tonnes tons
    hours days weeks months degrees litres liters acres hectares"""
_UNITS = frozenset(_UNIT_NAMES.split())
# What a sentence must hold to answer a question of that kind.
_HOLDS = {
    "number": re.compile(r"\d"),
    "person": re.compile(r"(?<!^)\b[A-Z]\w+ [A-Z]\w+|\b(?:Mr|Mrs|Ms|Dr)\b"),
    "place": re.compile(r"\b(?:in|at|near|from|to|of) [A-Z]"),
}
_PLACE_BEFORE = frozenset({"in", "at", "near", "from", "to", "of"})
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
    words_by_opener: Mapping[str, float]
    """Usual length of answers to questions that open with this word."""
    before: Mapping[str, float]
    shapes: Mapping[tuple[str, str], float]
    """How often answers to questions with this opener had this form, 0..1."""
    articles: bool


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
    openers: dict[str, list[str]] = {}
    for demo, answer in shown:
        openers.setdefault(_opener(split_question(demo.inputs)[0]), []).append(answer)
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
        words_by_opener={
            opener: sum(len(answer.split()) for answer in answers) / len(answers) for opener, answers in openers.items()
        },
        shapes={
            (opener, form): sum(_form(answer.split()) == form for answer in answers) / len(answers)
            for opener, answers in openers.items()
            for form in ("number", "name", "words")
        },
        articles=any(answer.split()[0].lower() in _ARTICLES for _, answer in shown if answer.split()),
    )


def _opener(question: str) -> str:
    """The first two words, or the first alone when it says enough."""
    pieces = question.lower().split()
    return " ".join(pieces[:2]) if pieces[:1] == ["how"] else " ".join(pieces[:1])


def _nearest_sentence(question: str, context: str, asked: Asked, personality: Personality) -> str:
    found = sentences(context)[:_MOST_SENTENCES]
    read = [set(stems(one)) for one in found]
    frequency = Counter(root for roots in read for root in roots)
    wanted = {root: math.log(1 + len(found) / (frequency[root] or 0.5)) for root in dict.fromkeys(stems(question))}
    kind = _wanted_form(question)
    best, best_score = context, -math.inf
    for place, (one, roots) in enumerate(zip(found, read, strict=True)):
        score = sum(weight for root, weight in wanted.items() if root in roots) - 0.01 * place
        if kind in _HOLDS and _HOLDS[kind].search(one):
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
    if re.search(r"\bwho(?:m|se)?\b", lowered):
        return "person"
    if re.search(r"\bwhere\b|\b(?:what|which) (?:city|country|town|place|village)\b", lowered):
        return "place"
    if re.search(r"\bwhat (?:company|name)\b|\bwhich\b", lowered):
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
            if _unfit(
                span[1:] if habit.articles and end - start > 1 and span[0].lower() in _ARTICLES else span, asked_for
            ):
                continue
            score = _span_score(pieces, (start, end), hits, (wanted, _opener(question)), habit)
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
    pieces: Sequence[str], place: tuple[int, int], hits: Sequence[int], asked: tuple[str, str], habit: _Habit
) -> float:
    start, end = place
    wanted, opener = asked
    span = pieces[start:end]
    form = _form(span)
    fits = form == ("name" if wanted in {"person", "place"} else wanted)
    score = 1.5 * fits + 1.2 * habit.shapes.get((opener, form), 0.0)
    score -= 0.35 * abs(len(span) - habit.words_by_opener.get(opener, habit.usual_words))
    if hits:
        score -= 0.12 * min(min(abs(hit - start), abs(hit - end + 1)) for hit in hits)
    if start:
        score += habit.before.get(stem(pieces[start - 1]), 0.0)
    if form == "name":
        run = all(piece[0].isupper() or piece.lower() in STOP_WORDS for piece in span)
        stretches = end < len(pieces) and pieces[end][:1].isupper()
        begins = start > 0 and pieces[start - 1][:1].isupper() and start > 1
        score += 0.8 * run - 0.8 * stretches - 0.8 * begins
        score += 0.5 * (wanted == "person" and len(span) > 1)
        score += 0.5 * (wanted == "place" and start > 0 and pieces[start - 1].lower() in _PLACE_BEFORE)
    if form == "number":
        score += 0.6 * all(piece[0].isdigit() or piece.lower() in _MONTHS or piece.lower() in _UNITS for piece in span)
        score += 0.7 * (span[-1].lower() in _UNITS) - 0.7 * (end < len(pieces) and pieces[end].lower() in _UNITS)
    return score
