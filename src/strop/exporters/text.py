"""The prompt as plain Markdown text: the body that every format shares."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from strop.exporters.prompt import AgentPrompt, Field, Stage

Mode = Literal["replace", "append"]
"""`replace`: a whole system prompt. `append`: an addition to the prompt that the client has of its own."""

TITLE = "Coding agent"
ADDITION = "How to work here"
PLANS = frozenset({"plan", "actions", "tool_calls"})
"""Outputs that name tool calls. A program writes them down; an agent that has tools must make them."""
CARRYING_OUT = (
    "A plan names calls of tools in their order. Do not hand it over as text: carry it out, by calling your own tools "
    "one after the other. Where a tool has another name with you, take the one that does the same. Look at each result "
    "before the next call, and leave the plan where a result speaks against it. Answer when the task is done. Write a "
    "plan down only where you have no tools or are asked for one."
)
_STRUCTURE = re.compile(r"^(#{1,6} |---\s*$|```|~~~|\*\*[^*\n]+:\*\*|<!-- strop:)", re.MULTILINE)


def body(prompt: AgentPrompt, mode: Mode = "replace") -> str:
    """Everything the program says: equal for equal programs, different for others.

    Where it plans tool calls, the reader is told to make them. Ends with one line feed.
    """
    top, title = ("#", TITLE) if mode == "replace" else ("##", ADDITION)
    several = len(prompt.stages) > 1
    parts = [f"{top} {title}"]
    for number, stage in enumerate(prompt.stages, 1):
        level = top
        if several:
            level = f"{top}#"
            parts.append(f"{level} Step {number}: {heading(stage.name)}")
        parts += _stage(stage, level)
    untold = [one for one in prompt.tools if not any(one[0] in stage.instructions for stage in prompt.stages)]
    if untold:
        listed = "\n".join(f"- `{name}`{f': {about}' if about else ''}" for name, about in untold)
        parts.append(f"{top}# Tool Usage Guidelines\n\n{listed}")
    return "\n\n".join(parts) + "\n"


def heading(name: str) -> str:
    """A field's or predictor's name as a person writes it: `expected_response` is `Expected response`."""
    words = re.sub(r"[_.\s]+", " ", name).strip()
    return words[:1].upper() + words[1:] if words else name


def label(field: str, fields: tuple[Field, ...], *, given: bool) -> str:
    """What stands before a field's value: `Task` and `Response` for the only field of its side, else its name."""
    if len(fields) == 1:
        return "Task" if given else "Response"
    return heading(field)


def _stage(stage: Stage, level: str) -> list[str]:
    parts: list[str] = []
    if stage.instructions.strip():
        parts.append(f"{level}# Instructions\n\n{stage.instructions}")
    approach = _approach(stage)
    if approach:
        parts.append(f"{level}# Approach\n\n{approach}")
    if any(one.name in PLANS for one in stage.outputs):
        parts.append(f"{level}# Carrying out a plan\n\n{CARRYING_OUT}")
    if stage.demos:
        parts.append(f"{level}# Examples")
    for number, demo in enumerate(stage.demos, 1):
        given = _shown(demo.given, stage.inputs, given=True)
        answered = _shown(demo.answered, stage.outputs, given=False)
        parts.append("\n\n".join([f"{level}## Example {number}", *given, *answered]))
    return parts


def _approach(stage: Stage) -> str:
    """The order of the outputs where there are several, and whatever the program says about single fields."""
    told = [f"- {heading(one.name)}: {one.description}" for one in stage.inputs if one.description]
    steps: list[str] = []
    if len(stage.outputs) > 1 or any(one.description for one in stage.outputs):
        steps = [
            f"{number}. {heading(one.name)}{f': {one.description}' if one.description else ''}"
            for number, one in enumerate(stage.outputs, 1)
        ]
    return "\n\n".join(part for part in ("\n".join(told), "\n".join(steps)) if part)


def _shown(values: Mapping[str, str], fields: tuple[Field, ...], *, given: bool) -> list[str]:
    return [f"**{label(name, fields, given=given)}:**{_quoted(text)}" for name, text in values.items()]


def _quoted(text: str) -> str:
    """A value that could be read as a part of the document stands in a fence longer than any in it."""
    if "\n" not in text:
        return f" {text}"
    if not _STRUCTURE.search(text):
        return f"\n\n{text}"
    longest = max((len(run) for run in re.findall(r"[`~]+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"\n\n{fence}text\n{text}\n{fence}"
