"""Reads a system prompt in Markdown: instructions, what the parts of an answer are, examples with their parts in bold.

The user's turn has its parts under their names, and may ask for the parts of the answer by name in its last line.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from strop.embedded import shape
from strop.embedded.fields import Demo, Field, Task

_HEADING = re.compile(r"(#{1,6}) +(.*?)[ \t]*$")
_FENCE = re.compile(r"(`{3,}|~{3,})")
_EXAMPLE = re.compile(r"example \d+", re.IGNORECASE)
_PART = re.compile(r"\*\*([A-Za-z][^*\n:]*):\*\*[ \t]*(.*)$")
_ASKED = re.compile(r"\*\*([A-Za-z][^*\n:]*):\*\*")
_GIVEN = re.compile(r"^([A-Z]\w*(?: \w+){0,3}):[ \t]*$", re.MULTILINE)
_STEP = re.compile(r"(?:-|\d+\.) ([^:\n]+?)(?:: (.*))?$")


@dataclass(frozen=True, kw_only=True, eq=False)
class Document:
    """What a system prompt says. `parts` are the described inputs, `steps` the outputs, name to description."""

    instructions: str
    parts: Mapping[str, str]
    steps: Mapping[str, str]
    examples: Sequence[Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class _Block:
    level: int
    title: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(line.strip() for line in self.lines).strip()


def recognise(system: str) -> bool:
    """Whether a system text has the headings of such a document."""
    return "# Instructions\n" in system or "# Examples\n" in system


def read(system: str, turns: Sequence[tuple[str, str]]) -> tuple[Task, Mapping[str, str]] | None:
    """The task and the inputs of the last turn; None where the system text says too little."""
    document = _document(system)
    *earlier, (_, last) = turns
    text, asked = _asked(last)
    shown = tuple(dict.fromkeys(name for one in document.examples for name in one))
    outputs = asked or tuple(document.steps)
    given = tuple(name for name in shown or document.parts if name not in outputs)
    inputs = _given(text, given)
    if not outputs and shown:
        outputs = tuple(name for name in shown if name not in inputs)
    if not outputs or not (asked or shown):
        return None
    return _task(document, tuple(inputs), outputs, tuple(earlier)), inputs


@lru_cache(maxsize=64)
def _task(document: Document, inputs: tuple[str, ...], outputs: tuple[str, ...], turns: tuple[tuple[str, str], ...]):
    demos = [_demo(example, inputs, outputs) for example in document.examples]
    demos += [
        Demo(inputs=_given(_asked(user)[0], inputs), outputs=_demo(_parts(told.splitlines()), (), outputs).outputs)
        for (role, user), (other, told) in pairwise(turns)
        if role == "user" and other == "assistant"
    ]
    task = Task(
        layout="markdown",
        inputs=tuple(Field(name=name, shape=shape.TEXT, desc=document.parts.get(name, "")) for name in inputs),
        outputs=tuple(Field(name=name, shape=shape.TEXT, desc=document.steps.get(name, "")) for name in outputs),
        instructions=document.instructions,
    )
    return task.with_demos(demos)


def _demo(example: Mapping[str, str], inputs: Sequence[str], outputs: Sequence[str]) -> Demo:
    return Demo(
        inputs={name: value for name, value in example.items() if name in inputs},
        outputs={name: value for name, value in example.items() if name in outputs},
    )


def _asked(turn: str) -> tuple[str, tuple[str, ...]]:
    """The turn without a last line that asks for parts by name, and their names."""
    head, _, tail = turn.rstrip().rpartition("\n")
    names = tuple(dict.fromkeys(_name(found) for found in _ASKED.findall(tail)))
    return (head.rstrip(), names) if names and tail.endswith(":**") else (turn, ())


def _given(text: str, names: Sequence[str]) -> dict[str, str]:
    """The parts of a turn by name, each where it first stands alone on a line; unmarked it is all the first part."""
    starts: dict[str, tuple[int, int]] = {}
    for found in _GIVEN.finditer(text):
        name = _name(found[1])
        if name not in starts and (name in names or not names):
            starts[name] = found.span()
    if not starts:
        return {names[0] if names else "task": text.strip()}
    ends = [*(start for start, _ in starts.values()), len(text)][1:]
    return {name: text[start:end].strip() for (name, (_, start)), end in zip(starts.items(), ends, strict=True)}


@lru_cache(maxsize=64)
def _document(system: str) -> Document:
    instructions: list[str] = []
    described: dict[str, dict[str, str]] = {"-": {}, "1": {}}
    examples: list[Mapping[str, str]] = []
    place = ""
    for block in _blocks(system):
        title = block.title.lower()
        if place == "examples" and _EXAMPLE.fullmatch(title):
            examples.append(_parts(block.lines))
            continue
        if title in {"instructions", "approach", "examples"} and title != place:
            place = title
        elif place in {"", "approach", "examples"} and not block.text:
            continue
        else:
            instructions.append(f"{block.title}:" if block.title else "")
            place = "instructions"
        if place == "approach":
            _describe(block.lines, described)
        else:
            instructions.append(block.text)
    return Document(
        instructions="\n\n".join(part for part in instructions if part),
        parts=described["-"],
        steps=described["1"],
        examples=examples,
    )


def _describe(lines: Sequence[str], described: Mapping[str, dict[str, str]]) -> None:
    for line in lines:
        found = _STEP.match(line)
        if found is not None:
            described["-" if line.startswith("-") else "1"][_name(found[1])] = found[2] or ""


def _blocks(text: str) -> Iterator[_Block]:
    """The text cut at its headings; what stands in a fence is no heading."""
    level, title, lines = 0, "", list[str]()
    for line, quoted in _quoted(text.splitlines()):
        found = None if quoted else _HEADING.match(line)
        if found is None:
            lines.append(line)
            continue
        yield _Block(level=level, title=title, lines=tuple(lines))
        level, title, lines = len(found[1]), found[2], []
    yield _Block(level=level, title=title, lines=tuple(lines))


def _parts(lines: Sequence[str]) -> dict[str, str]:
    """Values by the bold names before them."""
    values: dict[str, list[str]] = {}
    name = ""
    for line, quoted in _quoted(lines):
        found = None if quoted else _PART.match(line)
        if found is not None:
            name = _name(found[1])
            values[name] = [found[2]]
        elif name:
            values[name].append(line)
    return {name: _bare(value) for name, value in values.items()}


def _quoted(lines: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it stands in a fence; a fence that nothing closes is none."""
    end = -1
    last = {line.rstrip(): place for place, line in enumerate(lines) if _FENCE.match(line)}
    for place, line in enumerate(lines):
        mark = _FENCE.match(line) if place > end else None
        if mark is not None and last.get(mark[1], -1) > place:
            end = next(at for at in range(place + 1, len(lines)) if lines[at].rstrip() == mark[1])
        yield line, place <= end


def _bare(lines: Sequence[str]) -> str:
    text = "\n".join(lines).strip()
    first, *rest = text.split("\n")
    mark = _FENCE.match(first)
    return "\n".join(rest[:-1]).strip() if mark is not None and rest and rest[-1] == mark[1] else text


def _name(label: str) -> str:
    """`Expected response` is the part `expected_response`."""
    return re.sub(r"\W+", "_", label.strip().lower()).strip("_")
