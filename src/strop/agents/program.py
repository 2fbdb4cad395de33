"""The coding agent as a program: from a task and its context to a plan of tool calls and the closing message.

A plan is one line, `read(src/cart.py); edit(src/cart.py); bash(pytest -q)`: short enough to be an example in a prompt,
plain enough for any model, and read back into steps by the metric, which also understands JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from strop.errors import DataError
from strop.metrics import NEGATIVE, plan_text

SIGNATURE = "task, context -> plan, response"
INSTRUCTIONS = (
    "You are a coding agent in somebody's repository. Plan the tool calls that do the task, in order, on one line, "
    "such as read(path); edit(path); bash(command). Then say in a sentence what was done."
)
UNKNOWN_RESPONSE = "not known"
MAX_CONTEXT = 4_000
"""Characters of a context that the program is shown."""

_ROOTS = ("workingDirectory", "directory", "cwd")
_KNOWN_LATER = ("changed_files",)
"""What clients write beside a task when it is over: shown to the program it would give the answer away."""

Part = Literal["train", "dev", "test"]
PARTS: tuple[Part, ...] = ("train", "dev", "test")


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What became of one split: rows of the program, how many are negatives, how many could not be used and why."""

    part: Part
    rows: tuple[Mapping[str, str], ...]
    negatives: int
    left_out: int


def context_text(context: Any) -> str:
    """A context as a model reads it: one `key: value` a line; text as it is.

    The project's place on disk is left out, and what was not known yet when the task was given.
    """
    if isinstance(context, str):
        return context[:MAX_CONTEXT]
    if not isinstance(context, Mapping):
        return "" if context is None else json.dumps(context, ensure_ascii=False, default=str)[:MAX_CONTEXT]
    given = cast("Mapping[str, Any]", context)
    told = {
        key: value
        for key, value in given.items()
        if key not in (*_ROOTS, *_KNOWN_LATER) and value not in (None, "", [], {})
    }
    lines = (f"{key}: {_value(value)}" for key, value in told.items())
    return "\n".join(lines)[:MAX_CONTEXT]


def program_rows(part: Part, file: Path, *, with_negatives: bool = True) -> Rows:
    """The prepared examples of one split as rows of the program.

    What succeeded is a reference. What failed is a negative: only among the dev examples, its plan marked, its answer
    left out; a metric of the user's own knows no negatives, so there are none with it. An example without a known
    outcome, or without plan and answer, teaches nothing and is left out.

    Raises:
        DataError: a line is not a prepared example.
    """
    rows: list[Mapping[str, str]] = []
    negatives = left_out = 0
    for line, example in _lines(file):
        row = _row(example, file, line)
        worked = example.get("success")
        if worked is True and (row["plan"] or row["response"]):
            rows.append(row)
        elif worked is False and part == "dev" and row["plan"] and with_negatives:
            rows.append({**row, "plan": NEGATIVE + row["plan"], "response": UNKNOWN_RESPONSE})
            negatives += 1
        else:
            left_out += 1
    return Rows(part=part, rows=tuple(rows), negatives=negatives, left_out=left_out)


def write_rows(rows: Rows, directory: Path) -> Path:
    """The rows as JSONL, for the run and for whoever wants to repeat it with `strop optimize`."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{rows.part}.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows.rows), encoding="utf-8")
    return file


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in cast("list[Any]", value)):
        return ", ".join(map(str, cast("list[Any]", value)))
    return json.dumps(value, ensure_ascii=False, default=str)


def _row(example: Mapping[str, Any], file: Path, line: int) -> dict[str, str]:
    actions, task = example.get("actions"), example.get("task")
    sound = isinstance(actions, list) and all(isinstance(one, Mapping) for one in cast("list[Any]", actions))
    if not isinstance(task, str) or not sound:
        raise DataError(
            "this is no prepared example: it needs `task` and a list of `actions`",
            hint="`strop agents prepare` writes the splits",
            file=str(file),
            line=line,
        )
    return {
        "task": task,
        "context": context_text(example.get("context")),
        "plan": _without_directory(plan_text(cast("list[Mapping[str, Any]]", actions)), example.get("context")),
        "response": str(example.get("expected_response") or ""),
    }


def _without_directory(plan: str, context: Any) -> str:
    """Paths as they are called inside the project: where it lies on somebody's disk is nothing to learn."""
    given = cast("Mapping[str, Any]", context) if isinstance(context, Mapping) else {}
    for key in _ROOTS:
        root = given.get(key)
        if isinstance(root, str) and len(root.rstrip("/")) > 1:
            plan = plan.replace(f"{root.rstrip('/')}/", "")
    return plan


def _lines(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read: {error}", file=str(file)) from None
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value: object = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise DataError("this line is not a JSON object", file=str(file), line=number)
        yield number, cast("dict[str, Any]", value)
