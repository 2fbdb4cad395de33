import pickle
import random
import subprocess
import sys
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strop.datasets import Dataset, Example, load
from strop.datasets.example import canonical, plain
from strop.errors import DataError
from tests.datasets.dataset_samples import made

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(json_values)
def test_plain_leaves_json_as_it_is(value: object) -> None:
    assert plain(value) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "a\0b", "\ud800", object(), {"x": ["\0"]}, {1, 2}])
def test_plain_refuses_what_no_store_keeps(value: object) -> None:
    with pytest.raises(ValueError, match=r"NaN|nan|inf|NUL|surrogate|no JSON form"):
        plain(value)


def test_plain_turns_dates_tuples_and_numpy_scalars_into_json() -> None:
    import numpy as np

    assert plain({"d": date(2024, 2, 29), "t": (1, np.float64(0.5), np.int32(7))}) == {
        "d": "2024-02-29",
        "t": [1, 0.5, 7],
    }


def test_plain_opens_objects_that_know_their_json_form() -> None:
    from pydantic import BaseModel

    class Ticket(BaseModel):
        opened: date

    assert plain([Ticket(opened=date(2024, 1, 2))]) == [{"opened": "2024-01-02"}]


def test_canonical_does_not_see_the_order_of_keys() -> None:
    assert canonical({"b": 1, "a": "é"}) == '{"a":"é","b":1}' == canonical({"a": "é", "b": 1})


def test_fingerprint_sees_ids_and_content_and_nothing_else() -> None:
    data = made(30)
    shuffled = list(data)
    random.Random(1).shuffle(shuffled)
    assert Dataset(examples=tuple(shuffled), name="other").fingerprint == data.fingerprint
    first = data[0]
    for changed in (
        Example(id="new", inputs=first.inputs, labels=first.labels),
        Example(id=first.id, inputs={"text": "changed"}, labels=first.labels),
        Example(id=first.id, inputs=first.inputs, labels={"label": "changed"}),
    ):
        assert Dataset(examples=(changed, *data.examples[1:])).fingerprint != data.fingerprint
    moved = Example(id=first.id, inputs=first.inputs, labels=first.labels, origin="elsewhere:9")
    assert Dataset(examples=(moved, *data.examples[1:])).fingerprint == data.fingerprint


def test_ids_and_fingerprints_are_the_same_in_another_process() -> None:
    code = "from strop.datasets import load\nd = load([{'q': 'é', 'a': 1}] * 2, inputs=['q'], labels=['a'])\n"
    code += "print([e.id for e in d], d.fingerprint)"
    here = load([{"q": "é", "a": 1}] * 2, inputs=["q"], labels=["a"])
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "77"}
    )
    assert there.stdout.strip() == f"{[e.id for e in here]} {here.fingerprint}"


def test_dataset_is_a_sequence_and_survives_pickling() -> None:
    data = made(5)
    assert [example.id for example in data] == ["r0", "r1", "r2", "r3", "r4"]
    assert len(data) == 5
    assert data[-1].id == "r4"
    assert [example.id for example in data[1:3]] == ["r1", "r2"]
    assert pickle.loads(pickle.dumps(data)) == data
    assert data[0].inputs["text"] not in repr(data)


def test_dataset_refuses_an_id_twice() -> None:
    row = Example(id="x", inputs={"text": "a"}, labels={}, origin="f:1")
    other = Example(id="x", inputs={"text": "b"}, labels={}, origin="f:2")
    with pytest.raises(DataError, match=r"'x' is used twice.*f:1, f:2"):
        Dataset(examples=(row, other))


def test_the_door_is_cheap() -> None:
    code = (
        "import sys, strop.datasets; print(sorted({'dspy', 'pandas', 'numpy', 'scipy', 'litellm'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
