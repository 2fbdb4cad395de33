"""What an example is: the inputs a program gets, the labels it should give, and an id that outlives reordering."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any, cast, overload

from strop.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Example:
    """One row. `inputs` and `labels` hold plain JSON values; `origin` says where it was read (`sections.jsonl:12`).

    Rows of one `group` (a conversation, a customer) are never divided between train, dev and test.
    """

    id: str
    inputs: Mapping[str, Any]
    labels: Mapping[str, Any]
    group: str | None = None
    origin: str = ""

    def __hash__(self) -> int:
        return hash(self.id)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 (hex) of the canonical JSON of inputs and labels."""
        return sha256(canonical({"inputs": self.inputs, "labels": self.labels}))


@dataclass(frozen=True, kw_only=True, repr=False)
class Dataset:
    """Examples in a fixed order, with unique ids. Knows nothing of the file or the larger set that it was cut from."""

    examples: tuple[Example, ...]
    name: str = "data"

    def __post_init__(self) -> None:
        seen: dict[str, Example] = {}
        for example in self.examples:
            other = seen.setdefault(example.id, example)
            if other is not example:
                raise DataError(
                    f"id {example.id!r} is used twice in {self.name!r} ({other.origin}, {example.origin})",
                    hint="make the ids unique, or leave the id field out: ids are then made from the content",
                )

    def __repr__(self) -> str:
        # Rows stay out of the repr so that a sealed test set cannot slip into a log.
        return f"Dataset({self.name!r}, {len(self.examples)} examples)"

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    def __getitem__(self, index: int | slice) -> Example | Dataset:
        if isinstance(index, slice):
            return Dataset(examples=self.examples[index], name=self.name)
        return self.examples[index]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over ids and content; the order of the rows, their origin and the name do not matter."""
        return sha256("\n".join(sorted(canonical([each.id, each.content_hash]) for each in self.examples)))


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values, equal text."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def plain(value: Any) -> Any:
    """`value` as JSON would give it back: a copy made of dict, list, str, int, float, bool and None.

    Raises ValueError, saying what is wrong, for text that no database keeps (NUL, half a surrogate pair), for numbers
    that JSON has not (NaN, infinity), and for objects that have no JSON form.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value!r} is not a number that JSON can hold")
    if isinstance(value, str):
        return _plain_text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {_plain_text(str(key)): plain(item) for key, item in items}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("list[Any]", value)]
    return _plain_object(value)


def _plain_text(text: str) -> str:
    if "\0" in text:
        raise ValueError("the text contains a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("the text contains half a surrogate pair, which is not a character") from None
    return str(text)


def _plain_object(value: Any) -> Any:
    """Dates; and pydantic models, DSPy examples and numpy scalars, recognised by their methods."""
    if isinstance(value, date):
        return value.isoformat()
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(mode="json"))
    if hasattr(value, "toDict"):
        return plain(value.toDict())
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return plain(value.item())
    raise ValueError(f"a value of type {type(value).__name__} has no JSON form")
