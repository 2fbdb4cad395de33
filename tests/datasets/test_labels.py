from typing import Any

import pytest

from strop.datasets import labels_kind, load
from tests.datasets.dataset_samples import clean_text


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "b", "a", "b"], "categorical"),
        ([True, False] * 3, "categorical"),
        ([1, 2, 3, 4, 5] * 4, "categorical"),
        (["a", "b", "c", "a"], "text"),
        ([str(n % 51) for n in range(200)], "number"),
        ([0.5, 1.25, 2.0, 3.5], "number"),
        (["5.1", "4.9", "3.3"], "number"),
        ([["a"], ["a"], ["b"], ["b"]], "text"),
        (["x" * 81, "y" * 81] * 5, "text"),
        ([None, None], "text"),
    ],
)
def test_kind(values: list[Any], kind: str) -> None:
    data = load([{"t": clean_text(n), "l": v} for n, v in enumerate(values)], inputs=["t"], labels=["l"])
    assert labels_kind(data.examples) == kind


def test_two_labels_are_no_classes() -> None:
    data = load([{"t": clean_text(n), "a": n % 2, "b": 1} for n in range(9)], inputs=["t"], labels=["a", "b"])
    assert labels_kind(data.examples) == "text"
