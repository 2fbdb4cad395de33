"""Defensive access: right for what is right, harmless for anything else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strop.agents.importers import fields

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(value=ANYTHING)
def test_nothing_raises_and_every_answer_has_its_type(value: Any) -> None:
    assert isinstance(fields.text(value), str)
    assert isinstance(fields.whole(value), int)
    assert fields.whole(value) >= 0
    assert fields.number(value) is None or isinstance(fields.number(value), int | float)
    assert fields.maybe_whole(value) is None or isinstance(fields.maybe_whole(value), int)
    assert fields.flag(value) in (None, True, False)
    assert isinstance(fields.mapping(value), dict)
    assert isinstance(fields.items(value), list)
    assert all(isinstance(entry, dict) for entry in fields.mappings(value))
    assert all(isinstance(entry, str) for entry in fields.texts(value))
    moment = fields.when(value)
    assert moment is None or moment.tzinfo is UTC
    fields.bounded(value)
    fields.bounded_mapping(value)


MOMENT = datetime(2026, 11, 20, 21, 46, 2, 397000, UTC)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (1795211162397, MOMENT),
        (1795211162.397, MOMENT),
        (1795211162397000, MOMENT),
        (1795211162397000000, MOMENT),
        ("1795211162397000000", MOMENT),
        ("2026-11-20T21:46:02.397Z", MOMENT),
        ("2026-11-20T22:46:02.397+01:00", MOMENT),
        ("2026-11-20T21:46:02.397", MOMENT),
        *[(value, None) for value in (0, -5, True, None, "", "soon", "²", 1e30, float("nan"), "0001-01-01", [1])],
    ],
)
def test_times_in_every_unit(value: Any, moment: datetime | None) -> None:
    assert fields.when(value) == moment


@pytest.mark.parametrize(
    ("value", "count", "signed"),
    [
        (3, 3, 3),
        (-1, 0, -1),
        (3.0, 3, 3),
        (3.5, 0, None),
        ("7", 7, 7),
        (True, 0, None),
        (2**60, 0, None),
        (1e300, 0, None),
    ],
)
def test_counts_and_exit_codes(value: Any, count: int, signed: int | None) -> None:
    assert (fields.whole(value), fields.maybe_whole(value)) == (count, signed)


def test_what_is_kept_is_bounded() -> None:
    deep: Any = "end"
    for _ in range(500):
        deep = {"in": [deep]}
    assert "nested too deep" in json.dumps(fields.bounded(deep))
    assert json.dumps(fields.bounded(deep)).count("{") == fields.MAX_DEPTH // 2
    kept = fields.bounded({"list": list(range(5_000)), "text": "x" * 300_000})
    assert isinstance(kept, dict)
    assert kept["list"] == [*range(2_000), "[... 3000 entries left out ...]"]
    assert len(str(kept["text"])) < 100_100
    wide = fields.bounded({str(number): number for number in range(2_001)})
    assert isinstance(wide, dict)
    assert wide["..."] == "[... 1 keys left out ...]"


def test_small_arguments_are_not_copied_and_large_ones_are_cut() -> None:
    small: dict[str, Any] = {"path": "a.py", "line": 3}
    assert fields.bounded_mapping(small) is small
    nested: Any = {"edits": [{"old": "a", "new": ["b"] * 2_000}], "empty": {}, "size": 1.5}
    assert fields.bounded(nested) is nested
    assert fields.bounded(nested, 2) == {
        "edits": ["[... an object of 2 keys left out: nested too deep ...]"],
        "empty": {}, "size": 1.5,
    }  # fmt: skip
    nested["edits"][0]["new"].append("c")
    assert fields.bounded(nested) is not nested
    assert len(str(fields.bounded_mapping({"content": "x" * 200_000})["content"])) < 100_100
    assert fields.bounded_mapping({"k" * 5_000: 1}).keys() != {"k" * 5_000}
    assert fields.bounded_mapping("x") == {}


def test_only_unknown_keys_are_left_over() -> None:
    assert fields.rest({"id": 1, "odd": [2]}, frozenset({"id", "time"})) == {"odd": [2]}
    assert fields.rest({"id": 1}, frozenset({"id"})) == {}


def test_seconds_between_two_moments() -> None:
    later = MOMENT.replace(microsecond=897001)
    assert fields.seconds_between(MOMENT, later) == 0.500001
    assert fields.seconds_between(later, MOMENT) is None
    assert fields.seconds_between(None, MOMENT) is None
