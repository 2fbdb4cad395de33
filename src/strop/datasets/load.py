"""Makes a dataset from whatever the user has: a JSONL, CSV or JSON file, dicts, DSPy examples, MLflow records."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from strop.datasets.example import Dataset, Example, canonical, plain, sha256
from strop.datasets.readers import Row, read
from strop.errors import DataError, SettingsError

MLFLOW_ANSWER = "expected_response"


def load(
    source: str | Path | Sequence[Mapping[str, Any]] | Sequence[Any],
    *,
    inputs: Sequence[str],
    labels: Sequence[str],
    fields: Mapping[str, str] | None = None,
    id_field: str | None = None,
    group_field: str | None = None,
) -> Dataset:
    """Read the input and label fields of a signature from `source`; other columns are left alone.

    `source` is a path (.jsonl, .ndjson, .csv, .tsv, .json) or a sequence of mappings, DSPy examples, or MLflow records
    (`{"inputs": {...}, "expectations": {...}}`, where `expected_response` answers for a single label of another name).
    `fields` maps a field to the column it stands in where the names differ. CSV values stay text. Without `id_field` an
    example's id is 16 hex digits of its content's SHA-256, with `-2`, `-3`... for exact repetitions.

    Raises DataError with file and physical line for a row that cannot be used, and for a source without rows.
    """
    plan = _Plan(
        inputs=tuple(inputs),
        labels=tuple(labels),
        fields=dict(fields or {}),
        id_field=id_field,
        group_field=group_field,
    )
    plan.check()
    if isinstance(source, str | Path):
        path = Path(source)
        name = path.stem
        rows = read(path, plan.columns)
    else:
        path = None
        name = "examples"
        rows = _rows(source)
    examples = tuple(_examples(rows, plan))
    if not examples:
        raise DataError("there are no examples in it", hint="add rows", file=str(path) if path else None)
    return Dataset(examples=examples, name=name)


@dataclass(frozen=True, kw_only=True)
class _Plan:
    inputs: tuple[str, ...]
    labels: tuple[str, ...]
    fields: Mapping[str, str]
    id_field: str | None
    group_field: str | None

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.fields.get(name, name) for name in (*self.inputs, *self.labels))

    def check(self) -> None:
        if not self.inputs:
            raise SettingsError("no input field is named", hint="name at least one field as input")
        both = sorted(set(self.inputs) & set(self.labels))
        if both:
            raise SettingsError(f"{both[0]!r} is both input and label", hint="a field is either given or asked for")
        known = (*self.inputs, *self.labels)
        for field in self.fields:
            if field not in known:
                raise SettingsError(
                    f"fields: {field!r} is no field of the signature, which has {', '.join(known)}",
                    hint=_suggestion(field, known) or "write it as {signature field: column}",
                )


def _rows(source: Sequence[Any]) -> Iterator[Row]:
    kind = type(source).__name__
    hint = 'give a path or a list of dicts; for a data frame df.to_dict("records")'
    # Data frames and other non-sequences arrive here from untyped callers.
    if isinstance(source, Mapping | bytes) or not isinstance(source, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance] - see above
        raise DataError(f"examples cannot be read from a value of type {kind}", hint=hint)
    for number, item in enumerate(source, start=1):
        values = item.toDict() if hasattr(item, "toDict") else item
        if not isinstance(values, Mapping):
            raise DataError(f"row {number}: a mapping was expected, not {type(item).__name__}", hint=hint)
        yield Row(values=cast("Mapping[str, Any]", values), file=None, line=number)


def _examples(rows: Iterator[Row], plan: _Plan) -> Iterator[Example]:
    seen: dict[str, str] = {}
    repeats: dict[str, int] = {}
    for row in rows:
        given, expected = _sides(row, plan)
        inputs = {name: _value(row, given, name, plan) for name in plan.inputs}
        labels = {name: _value(row, expected, name, plan) for name in plan.labels}
        if plan.id_field is not None:
            identity = _identity(row, plan.id_field)
            if identity in seen:
                row.refuse(
                    f"id {identity!r} was already used at {seen[identity]}",
                    "make the ids unique, or leave the id field out: ids are then made from the content",
                )
            seen[identity] = row.origin
        else:
            content = sha256(canonical({"inputs": inputs, "labels": labels}))[:16]
            repeats[content] = repeats.get(content, 0) + 1
            identity = content if repeats[content] == 1 else f"{content}-{repeats[content]}"
        group = _group(row, plan.group_field)
        yield Example(id=identity, inputs=inputs, labels=labels, group=group, origin=row.origin)


def _sides(row: Row, plan: _Plan) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The columns in which inputs and labels are looked up: the row itself, or the two halves of an MLflow record."""
    given = row.values.get("inputs")
    if not isinstance(given, Mapping) or "inputs" in plan.columns:
        return row.values, row.values
    expected = row.values.get("expectations")
    answers = dict(cast("Mapping[str, Any]", expected)) if isinstance(expected, Mapping) else {}
    if len(plan.labels) == 1 and MLFLOW_ANSWER in answers:
        answers.setdefault(plan.fields.get(plan.labels[0], plan.labels[0]), answers[MLFLOW_ANSWER])
    return cast("Mapping[str, Any]", given), answers


def _value(row: Row, columns: Mapping[str, Any], field: str, plan: _Plan) -> Any:
    column = plan.fields.get(field, field)
    try:
        return plain(_cell(row, columns, column, field))
    except ValueError as error:
        row.refuse(f"column {column!r}: {error}", "repair the value or leave the row out")


def _cell(row: Row, columns: Mapping[str, Any], column: str, field: str | None = None) -> Any:
    if column not in columns:
        names = [str(name) for name in columns]
        what = f"no column {column!r}; the columns are {', '.join(map(repr, names)) if names else 'none'}"
        nearest = _suggestion(column, names)
        how = f"map it in fields, as {{{field}: <column>}}" if field else "name a column that every row has"
        row.refuse(what, f"{nearest} {how}".strip())
    return columns[column]


def _suggestion(name: str, known: Sequence[str]) -> str:
    folded = {each.casefold(): each for each in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    return f"did you mean {folded[near[0]]!r}?" if near else ""


def _identity(row: Row, column: str) -> str:
    value = _cell(row, row.values, column)
    text = "" if value is None else str(value)
    if not text.strip():
        row.refuse(f"the id in column {column!r} is empty", "give every row an id, or leave the id field out")
    return text


def _group(row: Row, column: str | None) -> str | None:
    if column is None:
        return None
    value = _cell(row, row.values, column)
    return None if value is None or value == "" else str(value)
