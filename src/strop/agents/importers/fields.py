"""Typed, defensive access to JSON that strangers wrote: nothing here raises, whatever the value is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from strop.agents.transcript import MAX_TEXT, Json, clipped

MAX_DEPTH = 32
"""Levels of a kept value; what lies deeper is replaced by a note, so that everybody after us may recurse."""

MAX_ITEMS = 2_000
"""Entries of one kept list or object; the rest is left out and counted."""

MAX_KEY = 1_000
"""Characters kept of a key."""

NOTHING: Mapping[str, Json] = MappingProxyType({})

_EMPTY: dict[str, Json] = {}
_MAX_WHOLE = 2**53
_ODD_CLOCK = datetime(1990, 1, 1, tzinfo=UTC)


def text(value: Json, default: str = "") -> str:
    """The string, clipped to `MAX_TEXT`; `default` for anything else."""
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else clipped(value)
    return default


def number(value: Json) -> float | None:
    """A finite number (or a string that is one); None for anything else, booleans among it."""
    if type(value) is float and -_MAX_WHOLE <= value <= _MAX_WHOLE:
        return value
    if value is None:
        return None
    if isinstance(value, float | int) and not isinstance(value, bool):
        return _finite(value)
    if isinstance(value, str) and 0 < len(value) <= 40:
        return _finite(value)
    return None


def whole(value: Json) -> int:
    """A count: a whole number from 0 to 2**53; 0 for anything else."""
    if type(value) is int and 0 <= value <= _MAX_WHOLE:
        return value
    if value is None:
        return 0
    found = maybe_whole(value)
    return found if found is not None and found >= 0 else 0


def maybe_whole(value: Json) -> int | None:
    """A whole number of either sign (an exit code, say); None for anything else."""
    if type(value) is int:
        return value if -_MAX_WHOLE <= value <= _MAX_WHOLE else None
    if value is None:
        return None
    found = number(value)
    if found is None or not found.is_integer() or abs(found) > _MAX_WHOLE:
        return None
    return int(found)


def flag(value: Json) -> bool | None:
    """A boolean that is one; None for anything else."""
    return value if isinstance(value, bool) else None


def mapping(value: Json) -> dict[str, Json]:
    """The object; an empty one for anything else. Not a copy: do not change it."""
    return value if isinstance(value, dict) else _EMPTY


def items(value: Json) -> list[Json]:
    """The list; an empty one for anything else."""
    return value if isinstance(value, list) else []


def mappings(value: Json) -> list[dict[str, Json]]:
    """The objects of a list, in their order; an empty list for anything else."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def texts(value: Json) -> list[str]:
    """The strings of a list, in their order; an empty list for anything else."""
    return [text(entry) for entry in value if isinstance(entry, str)] if isinstance(value, list) else []


def when(value: Json) -> datetime | None:
    """An aware UTC time from an ISO 8601 text, or an epoch in s, ms, µs or ns (told apart by size; text or number)."""
    if type(value) is int and 10**11 <= value < 10**14:
        return datetime.fromtimestamp(value / 1e3, UTC)
    if isinstance(value, str) and (value[4:5] == "-" or not value.lstrip("+-").isdigit()):
        return _iso(value)
    stamp = number(value)
    if stamp is None or stamp <= 0:
        return None
    for size, unit in ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (1e20, 1e9)):
        if stamp < size:
            return datetime.fromtimestamp(stamp / unit, UTC)
    return None


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """Seconds, to the microsecond; None where an end is unknown or comes first."""
    if start is None or end is None or end < start:
        return None
    return (end - start).total_seconds()


def bounded(value: Json, depth: int = MAX_DEPTH) -> Json:
    """A value fit to be kept: texts clipped, nesting and sizes limited, what was left out named in its place.

    Not a copy where all of it can be kept.
    """
    if type(value) is dict or type(value) is list:
        return value if _fits(value, depth) else _cut(value, depth)
    return clipped(value) if type(value) is str and len(value) > MAX_TEXT else value


def _fits(value: dict[str, Json] | list[Json], depth: int) -> bool:
    if depth == 0 or len(value) > MAX_ITEMS:
        return False
    if type(value) is dict:
        if value and max(map(len, value)) > MAX_KEY:
            return False
        entries = value.values()
    else:
        entries = value
    for entry in entries:
        if type(entry) is str:
            if len(entry) > MAX_TEXT:
                return False
        elif (type(entry) is dict or type(entry) is list) and not _fits(entry, depth - 1):
            return False
    return True


def _cut(value: dict[str, Json] | list[Json], depth: int) -> Json:
    if isinstance(value, list):
        if depth == 0:
            return f"[... a list of {len(value)} left out: nested too deep ...]"
        listed = [bounded(entry, depth - 1) for entry in value[:MAX_ITEMS]]
        if len(value) > MAX_ITEMS:
            listed.append(f"[... {len(value) - MAX_ITEMS} entries left out ...]")
        return listed
    if depth == 0:
        return f"[... an object of {len(value)} keys left out: nested too deep ...]"
    kept: dict[str, Json] = {}
    for key, entry in value.items():
        if len(kept) == MAX_ITEMS:
            kept["..."] = f"[... {len(value) - MAX_ITEMS} keys left out ...]"
            break
        kept[key if len(key) <= MAX_KEY else clipped(key, MAX_KEY)] = bounded(entry, depth - 1)
    return kept


def bounded_mapping(value: Json) -> Mapping[str, Json]:
    """`bounded` for what must be an object; an empty one for anything else."""
    if type(value) is not dict or not value:
        return NOTHING
    if _fits(value, MAX_DEPTH):
        return value
    found = _cut(value, MAX_DEPTH)
    return found if isinstance(found, dict) else NOTHING


def rest(value: Mapping[str, Json], known: frozenset[str]) -> dict[str, Json]:
    """The keys that this version does not know, fit to be kept; usually none."""
    if value.keys() <= known:
        return {}
    return {clipped(key, MAX_KEY): bounded(entry) for key, entry in value.items() if key not in known}


def _finite(value: str | float) -> float | None:
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def _iso(value: str) -> datetime | None:
    if len(value) > 40:
        return None
    try:
        found = datetime.fromisoformat(value.strip())
        if found.tzinfo is not UTC:
            found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if found > _ODD_CLOCK else None
