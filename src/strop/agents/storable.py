"""Text and JSON that every database takes: strangers' logs hold half surrogate pairs, NULs and numbers without end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import orjson

_DEEPEST = 100
_LARGEST = 2**63


def storable(text: str) -> str:
    """The text without NUL, and with `?` for halves of surrogate pairs."""
    if text.isascii():
        return text.replace("\0", "")
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def dumped(value: Any) -> bytes:
    """`value` as JSON; what JSON or orjson cannot hold is made storable first."""
    try:
        data = orjson.dumps(value)
    except (TypeError, RecursionError):
        data = orjson.dumps(_tamed(value, _DEEPEST))
    return data


def _tamed(value: Any, levels: int) -> Any:  # noqa: PLR0911 - one line for each kind of value
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and not isinstance(value, bool) and not -_LARGEST <= value < _LARGEST:
        return float(value) if abs(value) < 10**300 else None
    if isinstance(value, Mapping | list | tuple) and levels == 0:
        return "[nested too deeply]"
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {storable(str(key)): _tamed(item, levels - 1) for key, item in items}
    if isinstance(value, list | tuple):
        return [_tamed(item, levels - 1) for item in cast("list[Any]", value)]
    return value
