"""Reads prompts that follow no adapter's layout: instructions, then perhaps examples, then the input."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from strop.embedded import shape
from strop.embedded.fields import Demo, Field, Task
from strop.embedded.shape import Shape

_KEY_VALUE = re.compile(r"^([A-Z]\w*(?: \w+){0,2}):[ \t]*(.*)$")
_ONE_OF = re.compile(
    r"(?:one of|either|among|labels?(?: are)?|classes|categories|options|"
    r"(?:classify|label|sort|mark|tag)\b[^.\n]{0,40}? as)[: ]+"
    r"((?:[\"'`]?[\w-]+[\"'`]?(?:, (?:and |or )?| or |/|\|)){1,30}[\"'`]?[\w-]+[\"'`]?)",
    re.IGNORECASE,
)
ANSWER = "answer"


def read(system: str, turns: Sequence[tuple[str, str]]) -> tuple[Task, Mapping[str, str]]:
    """The task with one output, and the inputs. `Key: value` lines are fields; the last key, empty, is asked for."""
    *earlier, (_, last) = turns
    demos = [
        Demo(inputs={"text": user}, outputs={ANSWER: reply})
        for (asked, user), (told, reply) in pairwise(earlier)
        if asked == "user" and told == "assistant"
    ]
    instructions, records, asked = _records(last)
    if records:
        demos += [
            Demo(inputs=_without(one, asked), outputs={ANSWER: one[asked]}) for one in records[:-1] if asked in one
        ]
        inputs = _without(records[-1], asked)
    else:
        inputs, instructions = ({"text": last}, "") if system or demos else _split_paragraphs(last)
    everything = "\n".join(part for part in (system, instructions) if part)
    task = Task(
        layout="plain",
        inputs=tuple(Field(name=name, shape=shape.TEXT) for name in inputs),
        outputs=(Field(name=ANSWER, shape=_asked_shape(everything), desc=asked),),
        instructions=everything,
    )
    return task.with_demos(demos), inputs


def _without(record: Mapping[str, str], key: str) -> dict[str, str]:
    return {name: value for name, value in record.items() if name != key}


def _split_paragraphs(text: str) -> tuple[dict[str, str], str]:
    """Without any marks the last paragraph is the input and everything before it the instructions."""
    head, _, tail = text.strip().rpartition("\n\n")
    return ({"text": tail}, head) if head else ({"text": text}, text)


def _records(text: str) -> tuple[str, list[dict[str, str]], str]:
    """Instructions, records of `Key: value` lines, and the key asked for; no records when the last is not empty."""
    lines = text.rstrip().splitlines()
    asked = _KEY_VALUE.match(lines[-1]) if lines else None
    if asked is None or asked[2].strip():
        return text, [], ""
    instructions: list[str] = []
    records: list[dict[str, str]] = [{}]
    key = ""
    for line in lines:
        found = _KEY_VALUE.match(line)
        if found and (records[-1] or not _looks_like_heading(found, lines)):
            key = found[1]
            if key in records[-1]:
                records.append({})
            records[-1][key] = found[2].strip()
        elif key and line.strip():
            records[-1][key] = f"{records[-1][key]}\n{line}".strip()
        elif not key:
            instructions.append(line)
    return "\n".join(instructions).strip(), records, asked[1]


def _looks_like_heading(found: re.Match[str], lines: Sequence[str]) -> bool:
    """A key that never comes again and has no value opens a section of the instructions."""
    return not found[2].strip() and found[0] != lines[-1]


def offered_labels(text: str) -> tuple[str, ...]:
    """Labels that a sentence offers, as in `one of: billing, sales or other`; empty when it offers none."""
    found = _ONE_OF.search(text)
    if found is None:
        return ()
    labels = [label.strip("\"'`") for label in re.split(r", (?:and |or )?| or |/|\|", found[1])]
    return tuple(dict.fromkeys(label for label in labels if label))


def _asked_shape(instructions: str) -> Shape:
    labels = offered_labels(instructions)
    return Shape(kind="labels", labels=labels) if labels else shape.TEXT
