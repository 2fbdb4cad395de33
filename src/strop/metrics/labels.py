"""Which fields of an example are compared with the answer, and how several of them make one score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from strop.errors import MetricError
from strop.metrics.metric import Judged, Score, Usage, mean_score, unit


class MetricSettings(BaseModel):
    """Settings of one metric; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class LabelSettings(MetricSettings):
    """Settings of a metric that compares the answer with labels."""

    field: str | None = None
    """The one label field to compare; without it every label field that the answer has."""


S = TypeVar("S", bound=LabelSettings)


def label_fields(name: str, expected: Mapping[str, Any], answer: Mapping[str, Any], only: str | None) -> list[str]:
    """The fields to compare, in the example's order.

    An answer with none of them is compared on all, and so fails on all. MetricError when there is no such label.
    """
    if only is not None:
        if only not in expected:
            raise MetricError(f"metric {name!r}: no label field {only!r}; the example has {sorted(expected)}")
        return [only]
    if not expected:
        raise MetricError(f"metric {name!r}: the example has no label field to compare the answer with")
    return [field for field in expected if field in answer] or list(expected)


def columns(name: str, rows: Sequence[Judged], only: str | None) -> Iterator[list[tuple[Any, Any]]]:
    """For a figure over a whole set: per label field that any answer has, its (expected, got) pairs; got or None."""
    if not rows:
        raise MetricError(f"metric {name!r} has no scores to sum up")
    labels = {field: None for row in rows for field in row.expected}
    answered = {field: None for row in rows for field in row.answer}
    for field in label_fields(name, labels, answered, only):
        yield [(row.expected[field], row.answer.get(field)) for row in rows if field in row.expected]


class LabelMetric(ABC, Generic[S]):
    """Compares each label field with the answer's field of the same name.

    Several fields: a binary metric wants all of them right, any other takes their mean; `parts` tells them apart.
    """

    name: str
    binary: bool = False

    def __init__(self, settings: S) -> None:
        self.settings = settings

    @abstractmethod
    def compare(self, expected: Any, got: Any) -> tuple[float, str]:
        """Value in 0..1 and reason for one field; `got` is None when the answer lacks it."""

    def score(
        self,
        *,
        inputs: Mapping[str, Any],  # noqa: ARG002 - the labels say it all
        expected: Mapping[str, Any],
        answer: Mapping[str, Any],
        usage: Usage | None,  # noqa: ARG002
    ) -> Score:
        """Compare the label fields; see `label_fields` for which."""
        fields = label_fields(self.name, expected, answer, self.settings.field)
        found = {
            field: self.compare(expected[field], answer[field])
            if field in answer
            else (0.0, f"the answer has no field {field!r}")
            for field in fields
        }
        if len(found) == 1:
            ((value, reason),) = found.values()
            return Score(value=unit(value), reason=reason)
        parts = {field: unit(value) for field, (value, _) in found.items()}
        value = min(parts.values()) if self.binary else fmean(parts.values())
        faults = [f"{field}: {reason}" for field, (part, reason) in found.items() if part < 1]
        return Score(value=value, reason="; ".join(faults) or f"all {len(parts)} fields are right", parts=parts)

    def summary(self, rows: Sequence[Judged]) -> float:
        """Mean of the scores."""
        return mean_score(self.name, rows)

    def identity(self) -> dict[str, Any]:
        """What the fingerprint is made of."""
        return {"name": self.name, "settings": self.settings.model_dump(mode="json")}
