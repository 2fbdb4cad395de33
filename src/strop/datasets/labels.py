"""What kind of answer a dataset asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from strop.datasets.example import Example, canonical

LabelsKind = Literal["categorical", "number", "text"]

MAX_CLASSES = 50
MAX_CLASS_TEXT = 80


def labels_kind(examples: Sequence[Example]) -> LabelsKind:
    """`categorical` when there is one label field whose few short values repeat: at most 50, each twice on average."""
    field = label_field(examples)
    if field is None:
        return "text"
    values = [example.labels[field] for example in examples]
    named = [value for value in values if value is not None]
    distinct = {canonical(value) for value in named}
    if named and all(_class_like(value) for value in named) and len(distinct) <= min(MAX_CLASSES, len(named) // 2):
        return "categorical"
    return "number" if named and all(_numeric(value) for value in named) else "text"


def label_field(examples: Sequence[Example]) -> str | None:
    """The name of the label, when every example has one and the same."""
    names = {tuple(sorted(example.labels)) for example in examples}
    only = names.pop() if len(names) == 1 else ()
    return only[0] if len(only) == 1 else None


def label_text(value: Any) -> str:
    """A class as people write it."""
    return value if isinstance(value, str) else canonical(value)


def _class_like(value: Any) -> bool:
    return isinstance(value, bool | int) or (isinstance(value, str) and len(value) <= MAX_CLASS_TEXT)


def _numeric(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
