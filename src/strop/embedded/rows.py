"""Finds the labelled rows in a prompt that asks for an instruction: reprs, demos, feedback, rules, trajectories."""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

_EXAMPLE = re.compile(r"Example\((\{.*?\})\)\s*\(input_keys=(\{[^}]*\}|None|set\(\))\)", re.DOTALL)
_RULES_ROW = re.compile(r"Input Fields:\n(.*?)\n\n=========\nOutput Fields:\n(.*?)(?=\n\nInput Fields:|\Z)", re.DOTALL)
_KEY_LINE = re.compile(r"^([A-Z][\w ]{0,40}):[ \t]*(.*)$")
_MARKDOWN_ROW = re.compile(r"^# Example \d+\n(.*?)(?=^# Example \d+\n|\Z)", re.MULTILINE | re.DOTALL)
_MARKDOWN_PART = re.compile(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_MARKDOWN_FIELD = re.compile(r"^### ([^\n]+)\n(.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL)
_RIGHT = re.compile(
    r"\b(?:(?:should (?:be|have been)|must be|wanted)[: ]+|"
    r"(?:correct|right|expected|gold|true|reference)(?:(?: \w+)?(?: (?:is|was|would be|should be)\b|[:=])[: ]*| +))"
    r"[\"'`«“]?([^\"'`»”\n;]+)",
    re.IGNORECASE,
)
_RIGHT_QUOTED = re.compile(r"\bexpected:? (?:\w+ = )?([\"'])(.+?)\1(?!\w)", re.IGNORECASE)
_PRAISE = re.compile(r"^\W*(?:exactly |all )?(?:correct|right|good|yes)\b|\bis (?:right|correct)\b", re.IGNORECASE)
_BLAME = re.compile(r"\b(?:not|wrong|incorrect|but)\b", re.IGNORECASE)
_SCORE = re.compile(r"score(?: of)?[:= ]+(-?\d+(?:\.\d+)?)", re.IGNORECASE)
_REASONS = frozenset({"reasoning", "rationale", "augmented"})


@dataclass(frozen=True, kw_only=True)
class Row:
    """One example: what went in, what should come out, and what wrongly came out (empty when nothing did)."""

    text: str
    answer: str
    field: str = ""
    inputs: Mapping[str, str]
    wrong: str = ""


def find_rows(inputs: Mapping[str, str]) -> list[Row]:
    """Every labelled row in the prompt's inputs, in order, each once."""
    found: list[Row] = []
    trajectory = _trajectory(inputs)
    if trajectory is not None:
        found.append(trajectory)
    for name, value in inputs.items():
        if name in {"program_code", "modules_defn", "program_inputs", "oracle_metadata"}:
            continue
        found += _example_reprs(value) + _rules_rows(value) + _feedback_rows(value) + _markdown_rows(value)
        if "demo" in name or name == "program_example":
            found += _demo_blocks(value)
    return list({(row.text, row.answer, row.wrong): row for row in found}.values())


def _row(inputs: Mapping[str, object], outputs: Mapping[str, object], wrong: str = "") -> list[Row]:
    kept = {name: str(value) for name, value in outputs.items() if name.lower() not in _REASONS}
    if not kept or not inputs:
        return []
    field = list(kept)[-1]
    shown = {name: str(value) for name, value in inputs.items()}
    return [Row(text="\n".join(shown.values()), answer=kept[field].strip(), field=field, inputs=shown, wrong=wrong)]


def _example_reprs(text: str) -> list[Row]:
    rows: list[Row] = []
    for found in _EXAMPLE.finditer(text):
        try:
            values = cast("dict[str, object]", ast.literal_eval(found[1]))
        except (ValueError, SyntaxError):
            continue
        keys = set(re.findall(r"'(\w+)'", found[2]))
        rows += _row(
            {name: value for name, value in values.items() if name in keys},
            {name: value for name, value in values.items() if name not in keys and not name.startswith("dspy_")},
        )
    return rows


def _rules_rows(text: str) -> list[Row]:
    return [
        row
        for found in _RULES_ROW.finditer(text)
        for row in _row(_lines_to_fields(found[1]), _lines_to_fields(found[2].strip()))
    ]


def _lines_to_fields(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        name, colon, value = line.partition(": ")
        if colon and re.fullmatch(r"\w+", name):
            key = name
            fields[key] = value
        elif key:
            fields[key] += "\n" + line
    return fields


def _demo_blocks(text: str) -> list[Row]:
    """Blocks of `Name: value` lines; the last name is what was answered."""
    rows: list[Row] = []
    for block in text.split("\n\n"):
        fields: dict[str, str] = {}
        key = ""
        for line in block.splitlines():
            if found := _KEY_LINE.match(line):
                key = found[1]
                fields[key] = found[2]
            elif key:
                fields[key] += "\n" + line
        if len(fields) > 1:
            *asked, answered = fields
            rows += _row(
                {name: fields[name] for name in asked if name.lower() not in _REASONS},
                {answered.lower().replace(" ", "_"): fields[answered]},
            )
    return rows


def _feedback_rows(text: str) -> list[Row]:
    if not text.lstrip().startswith("["):
        return []
    try:
        records: object = json.loads(text)
    except ValueError:
        return []
    rows: list[Row] = []
    for record in cast("list[object]", records):
        if isinstance(record, dict):
            rows += _judged(cast("dict[str, Any]", record))
    return rows


def _judged(record: Mapping[str, Any]) -> list[Row]:
    inputs, outputs = record.get("Inputs"), record.get("Generated Outputs")
    if not isinstance(inputs, dict):
        return []
    produced = cast("dict[str, object]", outputs) if isinstance(outputs, dict) else {"answer": str(outputs)}
    kept = {name: value for name, value in produced.items() if name.lower() not in _REASONS}
    if not kept:
        return []
    field = list(kept)[-1]
    given = str(kept[field]).strip()
    right = right_answer(str(record.get("Feedback", "")), given)
    if right is None:
        return []
    return _row(cast("dict[str, object]", inputs), {field: right}, wrong="" if right == given else given)


def right_answer(feedback: str, given: str) -> str | None:
    """The right answer by a judge's words: named outright, or the given one when it scored full; None when untold."""
    if quoted := _RIGHT_QUOTED.findall(feedback):
        return str(quoted[-1][1])
    for found in _RIGHT.finditer(feedback):
        told = re.split(r"\.(?:\s|$)|, (?:but|not|got)\b| but | instead|\)", found[1])[0].strip(" .\"'`")
        if told:
            return told
    score = _SCORE.search(feedback)
    praised = _PRAISE.search(feedback) and not _BLAME.search(feedback)
    return given if praised or (score and float(score[1]) >= 1) else None


def _markdown_rows(text: str) -> list[Row]:
    rows: list[Row] = []
    for found in _MARKDOWN_ROW.finditer(text):
        parts = {name.strip(): body for name, body in _MARKDOWN_PART.findall(found[1])}
        record = {
            name: {key.strip(): value.strip() for key, value in fields} if fields else body.strip()
            for name, body in parts.items()
            for fields in [_MARKDOWN_FIELD.findall(body)]
        }
        rows += _judged(record)
    return rows


def _trajectory(inputs: Mapping[str, str]) -> Row | None:
    """The row behind a pair of better and worse trajectories."""
    if not {"program_inputs", "better_program_outputs"} <= set(inputs):
        return None
    asked, labels, better, worse = (
        _object(inputs.get(name, ""))
        for name in ("program_inputs", "oracle_metadata", "better_program_outputs", "worse_program_outputs")
    )
    known = {name: value for name, value in (labels or better).items() if name.lower() not in _REASONS}
    if not known or not asked:
        return None
    field = next((name for name in known if name in better or name in worse), list(known)[-1])
    right = str(known[field])
    wrong = next((str(one[field]) for one in (worse, better) if field in one and str(one[field]) != right), "")
    return next(iter(_row(asked, {field: right}, wrong=wrong)), None)


def _object(text: str) -> Mapping[str, Any]:
    try:
        loaded: object = json.loads(text)
    except ValueError:
        return {}
    return cast("Mapping[str, Any]", loaded) if isinstance(loaded, dict) else {}


def known_labels(texts: Sequence[str]) -> tuple[str, ...]:
    """Labels named in code or types within the texts: `Literal['a', 'b']`, `one of: a; b`."""
    for text in texts:
        if found := re.search(r"Literal\[([^\]]*)\]", text):
            named = re.findall(r"'([^']*)'|\"([^\"]*)\"", found[1])
            if named:
                return tuple(dict.fromkeys(one or other for one, other in named))
    return ()
