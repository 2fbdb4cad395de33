"""When are two values the same? Answers arrive as text, as typed fields or as enums; labels come from CSV or JSON."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, cast

from pydantic import BaseModel

Fold = Callable[[str], str]

_TRUE = frozenset({"true", "yes", "y", "1"})
_FALSE = frozenset({"false", "no", "n", "0"})
_NUMBER = re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)?(\.\d*)?(e[+-]?\d+)?", re.IGNORECASE)


def loose(text: str) -> str:
    """Lower case, trimmed, runs of white space as one space, composed Unicode."""
    return unicodedata.normalize("NFC", " ".join(text.casefold().split()))


def plain(value: Any) -> Any:
    """Enums by their value, models as mappings, tuples as lists; everything else untouched."""
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, tuple):
        return list(cast("tuple[Any, ...]", value))
    return value


def as_text(value: Any) -> str:
    """`value` as a person would write it: lists joined by spaces, whole floats without `.0`, mappings as JSON."""
    value = plain(value)
    if value is None or isinstance(value, bool):
        return {None: "", True: "true", False: "false"}[value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, list | set | frozenset):
        items = [as_text(item) for item in cast("list[Any] | set[Any]", value)]
        return " ".join(items if isinstance(value, list) else sorted(items))
    if isinstance(value, Mapping):
        return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return str(value)


def references(expected: Any, got: Any) -> list[str]:
    """The texts that would be right: a list of labels offers alternatives, unless the answer is a list as well."""
    expected, got = plain(expected), plain(got)
    if isinstance(expected, list) and not isinstance(got, list) and expected:
        return [as_text(item) for item in cast("list[Any]", expected)]
    return [as_text(expected)]


def same(expected: Any, got: Any, fold: Fold = loose) -> bool:
    """Whether an answer means what the label says.

    The wider type decides: if either side is a bool, `yes` and `"True"` are true; if either is a number, `"3.0"` is 3
    and `"1,234"` is 1234; two texts are compared after `fold`. Lists are compared in order, sets without. A list of
    labels against a single value offers alternatives.
    """
    expected, got = plain(expected), plain(got)
    if expected is None or got is None:
        return expected is got
    if isinstance(expected, Mapping) or isinstance(got, Mapping):
        return _same_mappings(expected, got, fold)
    if isinstance(expected, set | frozenset):
        return _same_sets(list(cast("set[Any]", expected)), got, fold)
    if isinstance(expected, list):
        return _same_lists(cast("list[Any]", expected), got, fold)
    return not isinstance(got, list | set | frozenset) and _same_scalars(expected, got, fold)


def _same_scalars(expected: Any, got: Any, fold: Fold) -> bool:
    if isinstance(expected, bool) or isinstance(got, bool):
        truth = _truth(expected)
        return truth is not None and truth == _truth(got)
    if isinstance(expected, int | float) or isinstance(got, int | float):
        return _same_numbers(_number(expected), _number(got))
    return fold(str(expected)) == fold(str(got))


def _same_mappings(expected: Any, got: Any, fold: Fold) -> bool:
    if not (isinstance(expected, Mapping) and isinstance(got, Mapping)):
        return False
    wanted, found = cast("Mapping[Any, Any]", expected), cast("Mapping[Any, Any]", got)
    return wanted.keys() == found.keys() and all(same(wanted[key], found[key], fold) for key in wanted)


def _same_lists(wanted: list[Any], got: Any, fold: Fold) -> bool:
    if not isinstance(got, list):
        return any(same(item, got, fold) for item in wanted)
    found = cast("list[Any]", got)
    return len(wanted) == len(found) and all(same(w, f, fold) for w, f in zip(wanted, found, strict=True))


def _same_sets(wanted: list[Any], got: Any, fold: Fold) -> bool:
    if not isinstance(got, list | set | frozenset):
        return False
    found = list(cast("set[Any]", got))
    return all(any(same(w, f, fold) for f in found) for w in wanted) and all(
        any(same(w, f, fold) for w in wanted) for f in found
    )


def _truth(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    text = as_text(value).strip().casefold()
    return True if text in _TRUE else False if text in _FALSE else None


def _number(value: Any) -> int | float | None:
    if isinstance(value, int | float):
        return value
    text = str(value).strip()
    if not _NUMBER.fullmatch(text):
        return None
    text = text.replace(",", "")
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:  # not this kind: "3.5" is no int, "." and "" are no number
            continue
    return None


def _same_numbers(expected: float | None, got: float | None) -> bool:
    if expected is None or got is None:
        return False
    if isinstance(expected, int) and isinstance(got, int):
        return expected == got
    try:
        return math.isclose(expected, got, rel_tol=1e-9) or (math.isnan(expected) and math.isnan(got))
    except OverflowError:  # an int too large for a float cannot be close to one
        return False
