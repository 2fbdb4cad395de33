"""Reads a request: which fields are asked for, under which instructions, after which examples, about which input.

Understands the layouts of DSPy's ChatAdapter, JSONAdapter and XMLAdapter, the same folded into one user turn or one
flat text, Markdown, and plain prompts. What stays the same from call to call (system text and examples) is read once
and kept.
"""

import ast
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Literal, cast

from dspy.lm15 import Request, TextPart

from strop.embedded import markdown, plain, shape, words
from strop.embedded.fields import Demo, Field, Task
from strop.embedded.shape import Shape

Layout = Literal["chat", "json", "xml", "plain"]
Turn = tuple[str, str]

_OBJECTIVE = "In adhering to this structure, your objective is:"
_OUTPUTS = "Your output fields are:"
_STRUCTURE = "All interactions will be structured"
_FIELD_LINE = re.compile(r"^\d+\. `(\w+)` \((.*)$", re.MULTILINE)
_HEADER = re.compile(r"^\[\[ ## (\w+) ## \]\][ \t]*\n?", re.MULTILINE)
_NOTE = re.compile(r"\{(\w+)\} {8}# note: the value you produce (.*)")
_REQUEST_TAIL = re.compile(
    r"\n*^Respond with (?:the corresponding output fields|a JSON object in the).*\Z", re.M | re.S
)
_INCOMPLETE = "This is an example of the task, though some input or output fields are not supplied."
_ROLE_LINE = re.compile(r"^#{2,3} (?:System|User|Assistant|Instruction|Response|Input)s?:[ \t]*$", re.M | re.I)


@dataclass(frozen=True, kw_only=True)
class Studied:
    """The part of a prompt that comes again: the task, its length in tokens, and a digest of its text."""

    task: Task
    tokens: int
    digest: bytes
    in_markdown: bool = False


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One request as read. `text` is the last turn as it stands; `digest` is of everything that was sent."""

    task: Task
    inputs: Mapping[str, str]
    text: str
    tokens: int
    digest: bytes


def read(request: Request) -> Prompt:
    """The prompt in a request; pictures and other parts that are no text are not seen."""
    system = _plain_text(request.system)
    turns = tuple((message.role, _plain_text(message.parts)) for message in request.messages)
    *earlier, (_, last) = turns
    if _OUTPUTS in system:
        studied = study(system, tuple(earlier))
        inputs = _read_inputs(studied.task, last)
    else:
        studied, inputs = _read_folded(system, turns)
    return Prompt(
        task=studied.task,
        inputs=inputs,
        text=last,
        tokens=studied.tokens + words.count_tokens(last),
        digest=blake2b(last.encode(), key=studied.digest, digest_size=32).digest(),
    )


def _plain_text(content: object) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    texts = [part.text for part in cast("Iterable[object]", content) if isinstance(part, TextPart)]
    return texts[0] if len(texts) == 1 else "\n".join(texts)


@lru_cache(maxsize=256)
def study(system: str, turns: tuple[Turn, ...]) -> Studied:
    """What a DSPy system text and the example turns after it say; the 256 latest are kept."""
    digest = blake2b(digest_size=32)
    for role, text in (("system", system), *turns):
        digest.update(f"{role}\0{text}\0".encode())
    task = _read_task(system)
    demos = [
        Demo(inputs=_read_inputs(task, user), outputs=_read_outputs(task, assistant))
        for (asked, user), (told, assistant) in pairwise(turns)
        if asked == "user" and told == "assistant"
    ]
    return Studied(
        task=task.with_demos(demos),
        tokens=words.count_tokens(system) + sum(words.count_tokens(text) for _, text in turns),
        digest=digest.digest(),
        in_markdown=markdown.recognise(system),
    )


def _read_folded(system: str, turns: Sequence[Turn]) -> tuple[Studied, Mapping[str, str]]:
    """Prompts without a DSPy system text: folded into the first user turn, or plain."""
    *earlier, (_, last) = turns
    first = turns[0][1]
    if _OUTPUTS not in first or _OBJECTIVE not in first:
        bare = study(system, tuple(earlier))
        document = markdown.read(system, turns) if bare.in_markdown else None
        task, inputs = document or plain.read(system, turns)
        return Studied(task=task, tokens=bare.tokens, digest=bare.digest), inputs
    head, rest = _unfold(_ROLE_LINE.sub("", first).replace(_INCOMPLETE, ""))
    studied = study(head, ())
    task = studied.task
    if len(turns) > 1:
        folded = study(head, (("user", rest), *turns[1:-1]))
        return folded, _read_inputs(folded.task, last)
    demos, inputs = _split_flat(task, rest)
    return Studied(task=task.with_demos(demos), tokens=studied.tokens, digest=studied.digest), inputs


def _unfold(text: str) -> tuple[str, str]:
    """The system part of a folded prompt, and what follows its instructions."""
    objective = text.index(_OBJECTIVE)
    task = _read_task(text)
    starts = [
        found.start()
        for one in task.inputs
        for mark in (f"[[ ## {one.name} ## ]]", f"<{one.name}>")
        if (found := re.compile(rf"^{re.escape(mark)}", re.MULTILINE).search(text, objective))
    ]
    cut = min(starts, default=len(text))
    return text[:cut].rstrip(), text[cut:]


def _split_flat(task: Task, text: str) -> tuple[list[Demo], Mapping[str, str]]:
    """The examples and the final input of a flat text in which turns follow one another unmarked."""
    if not task.inputs:
        return [], {}
    name = task.inputs[0].name
    mark = f"<{name}>" if task.layout == "xml" else f"[[ ## {name} ## ]]"
    pieces = [mark + piece for piece in text.split(mark)[1:]]
    demos: list[Demo] = []
    for piece in pieces[:-1]:
        outputs = _read_outputs(task, piece)
        inputs = {key: value.split("\n{")[0].strip() for key, value in _read_inputs(task, piece).items()}
        demos.append(Demo(inputs=inputs, outputs=outputs))
    return demos, _read_inputs(task, pieces[-1]) if pieces else {}


def _read_task(system: str) -> Task:
    head, _, instructions = system.partition(_OBJECTIVE)
    listed, _, structure = head.partition(_STRUCTURE)
    inputs, _, outputs = listed.partition(_OUTPUTS)
    layout: Layout = "json" if "Outputs will be a JSON object" in structure else "chat"
    if layout == "chat" and "[[ ## " not in structure:
        layout = "xml"
    told = _told_shapes(structure, layout)
    return Task(
        layout=layout,
        inputs=tuple(_field_list(inputs, {})),
        outputs=tuple(_field_list(outputs, told)),
        instructions="\n".join(line.strip() for line in instructions.strip().splitlines()),
    )


def _field_list(text: str, told: Mapping[str, Shape]) -> list[Field]:
    starts = list(_FIELD_LINE.finditer(text))
    ends = [*(found.start() for found in starts), len(text)][1:]
    fields: list[Field] = []
    for found, end in zip(starts, ends, strict=True):
        type_name, desc = _cut_type(text[found.start(2) : end])
        known = shape.merge(shape.from_type_name(type_name), told.get(found[1]))
        fields.append(Field(name=found[1], shape=known, desc=desc.strip()))
    return fields


def _cut_type(text: str) -> tuple[str, str]:
    """The type name and the description in `Literal['a (b): c']): the description`."""
    for found in re.finditer(r"\):", text):
        try:
            ast.parse(text[: found.start()], mode="eval")
        except (SyntaxError, ValueError):
            continue
        return text[: found.start()], text[found.end() :]
    name, _, desc = text.partition("):")
    return name, desc


def _told_shapes(structure: str, layout: Layout) -> dict[str, Shape]:
    text = structure
    if layout == "json" and (example := re.search(r"^\{$.*^\}$", structure, re.MULTILINE | re.DOTALL)):
        try:
            text = "\n".join(str(value) for value in json.loads(example[0]).values())
        except ValueError:
            text = structure
    told = {found[1]: note for found in _NOTE.finditer(text) if (note := shape.from_note(found[2]))}
    if layout == "xml":
        for found in re.finditer(r"^<([\w.-]+)>(?:<|\.\.\.).*$", structure, re.MULTILINE):
            told[found[1]] = shape.from_skeleton(found[0])
    return told


def _sections(text: str) -> dict[str, str]:
    marks = list(_HEADER.finditer(text))
    ends = [*(mark.start() for mark in marks), len(text)][1:]
    return {mark[1]: text[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)}


def _tagged(text: str, names: Iterable[str]) -> dict[str, str]:
    found = {name: re.search(rf"<{re.escape(name)}>(.*?)</{re.escape(name)}>", text, re.DOTALL) for name in names}
    return {name: match[1].strip() for name, match in found.items() if match}


def _read_inputs(task: Task, text: str) -> dict[str, str]:
    body = _REQUEST_TAIL.sub("", text)
    names = [one.name for one in task.inputs]
    if task.layout == "xml":
        return _tagged(body, names)
    return {name: value for name, value in _sections(body).items() if name in names}


def _read_outputs(task: Task, text: str) -> dict[str, str]:
    names = [one.name for one in task.outputs]
    match task.layout:
        case "json":
            values = _json_values(text)
        case "xml":
            values = {
                name: value.replace("&lt;", "<").replace("&amp;", "&") for name, value in _tagged(text, names).items()
            }
        case _:
            values = _sections(text)
    return {
        name: value for name, value in values.items() if name in names and not value.startswith("Not supplied for this")
    }


def _json_values(text: str) -> dict[str, str]:
    start = text.find("{")
    try:
        loaded: object = json.JSONDecoder().raw_decode(text[start:])[0] if start >= 0 else None
    except ValueError:
        return {}
    if not isinstance(loaded, dict):
        return {}
    values = cast("dict[str, Any]", loaded)
    return {name: as_text(value) for name, value in values.items()}


def as_text(value: object) -> str:
    """A JSON value as a chat turn would show it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
