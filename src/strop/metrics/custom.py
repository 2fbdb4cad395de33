"""Metrics that users write: a function, its range and its direction."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, field_serializer, field_validator, model_validator

from strop.errors import MetricError, StropError
from strop.metrics.function import CallShape, call_shape, load_object, source_of
from strop.metrics.labels import LabelSettings, label_fields
from strop.metrics.metric import Judged, Score, Usage, clipped, mean_score, unit


def _check_range(name: str, low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise MetricError(f"metric {name!r}: min_value {low!r} must be below max_value {high!r}, both finite")


class FunctionSettings(LabelSettings):
    """Settings of a metric given as `module:function`."""

    higher_is_better: bool = True
    """False for a distance or an error count: the scale is turned round."""
    min_value: float = 0.0
    """The least value that the function returns."""
    max_value: float = 1.0
    """The greatest value that the function returns."""


class CustomMetric(BaseModel):
    """A user's function as a metric.

    `evaluation_function` is called in the shape that its parameter names tell; with names that tell nothing, as
    fn(prediction, ground_truth). It returns a number from `min_value` to `max_value`, a bool, a Score, or (number,
    reason). In JSON the function is written, and read, as `module:function`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str
    """The name under which a request asks for it."""
    evaluation_function: Callable[..., Any]
    """The function, or `module:function`."""
    higher_is_better: bool = True
    """False for a distance or an error count: the scale is turned round."""
    min_value: float = 0.0
    """The least value that the function returns."""
    max_value: float = 1.0
    """The greatest value that the function returns."""

    @field_validator("evaluation_function", mode="before")
    @classmethod
    def _loaded(cls, value: object) -> object:
        return load_object(value) if isinstance(value, str) else value

    @field_serializer("evaluation_function", when_used="json")
    def _written(self, value: Callable[..., Any]) -> str:
        return f"{getattr(value, '__module__', '?')}:{getattr(value, '__qualname__', repr(value))}"

    @model_validator(mode="after")
    def _checked(self) -> CustomMetric:
        if not self.name.strip():
            raise MetricError("a custom metric needs a name")
        _check_range(self.name, self.min_value, self.max_value)
        return self


class FunctionMetric:
    """Calls the user's function and brings what it returns to 0..1.

    fn(prediction, ground_truth) gets the bare values of the label field, or two dicts when several fields are
    compared; fn(example, prediction) gets `dspy.Example` and `dspy.Prediction`, so metrics written for DSPy work.
    """

    def __init__(self, custom: CustomMetric, *, field: str | None = None, guess: bool = False) -> None:
        self.name = custom.name
        self.custom = custom
        self.field = field
        self._shape: CallShape = call_shape(custom.evaluation_function, name=custom.name, guess=guess)
        self.binary = _returns_bool(custom.evaluation_function)

    def score(
        self,
        *,
        inputs: Mapping[str, Any],
        expected: Mapping[str, Any],
        answer: Mapping[str, Any],
        usage: Usage | None,  # noqa: ARG002 - a user's function judges the answer alone
    ) -> Score:
        """MetricError when the function raises or returns no score: a broken metric must not look like a bad answer."""
        if self._shape.wants_example:
            import dspy

            given = {
                "example": dspy.Example({**inputs, **expected}).with_inputs(*inputs),
                "prediction": dspy.Prediction(**answer),
                "none": None,
            }
        else:
            fields = label_fields(self.name, expected, answer, self.field)
            missing = [field for field in fields if field not in answer]
            if missing:
                return Score(value=0.0, reason=f"the answer has no field {missing[0]!r}")
            given = {"prediction": _bare(answer, fields), "truth": _bare(expected, fields), "none": None}
        example = {**inputs, **expected}
        try:
            returned = self.custom.evaluation_function(*(given[role] for role in self._shape.roles))
        except StropError:
            raise
        except Exception as error:
            raise MetricError(
                f"metric {self.name!r} raised {type(error).__name__}: {error}, on example {clipped(example, 200)} "
                f"with answer {clipped(dict(answer), 200)}"
            ) from error
        return self._score(returned, example)

    def _score(self, returned: Any, example: Mapping[str, Any]) -> Score:
        value, reason = returned, ""
        if isinstance(returned, Score):
            value, reason = returned.value, returned.reason
        elif isinstance(returned, tuple) and len(cast("tuple[Any, ...]", returned)) == 2:
            value, reason = cast("tuple[Any, Any]", returned)
        elif not isinstance(returned, tuple) and hasattr(returned, "score"):  # DSPy's Prediction(score=, feedback=)
            value, reason = returned.score, getattr(returned, "feedback", "")
        number = self._number(value, example)
        reason = str(reason or "") or f"{self.name} returned {value!r}"
        if isinstance(returned, Score):
            self._within(number, 0.0, 1.0, example)
            return Score(value=number, reason=reason, parts=returned.parts)
        low, high = self.custom.min_value, self.custom.max_value
        if isinstance(value, bool):
            return Score(value=number if self.custom.higher_is_better else 1 - number, reason=reason)
        self._within(number, low, high, example)
        share = unit((number - low) / (high - low))
        return Score(value=share if self.custom.higher_is_better else 1 - share, reason=reason)

    def _number(self, value: Any, example: Mapping[str, Any]) -> float:
        try:
            if isinstance(value, str | bytes):
                raise TypeError
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if math.isnan(number):
            raise MetricError(
                f"metric {self.name!r} returned {clipped(value)}, which is not a number, "
                f"on example {clipped(dict(example), 200)}",
                hint="return a bool, a number, a Score or (number, reason)",
            )
        return number

    def _within(self, number: float, low: float, high: float, example: Mapping[str, Any]) -> None:
        noise = 1e-9 * max(1.0, high - low)
        if not low - noise <= number <= high + noise:
            raise MetricError(
                f"metric {self.name!r} returned {number!r}, outside {low:g}..{high:g}, "
                f"on example {clipped(dict(example), 200)}",
                hint="set min_value and max_value to the range of the function",
            )

    def summary(self, rows: Sequence[Judged]) -> float:
        """Mean of the scores."""
        return mean_score(self.name, rows)

    def identity(self) -> dict[str, Any]:
        """What the fingerprint is made of: settings and the function's source."""
        kept = self.custom.model_dump(exclude={"evaluation_function"}) | {"field": self.field}
        return {"name": self.name, "settings": kept, "source": source_of(self.custom.evaluation_function)}


def from_settings(name: str, function: Callable[..., Any], settings: FunctionSettings) -> FunctionMetric:
    """A bare function with the settings of the task file."""
    _check_range(name, settings.min_value, settings.max_value)
    kept = settings.model_dump(exclude={"field"})
    return FunctionMetric(CustomMetric(name=name, evaluation_function=function, **kept), field=settings.field)


def _bare(values: Mapping[str, Any], fields: list[str]) -> Any:
    return values[fields[0]] if len(fields) == 1 else {field: values[field] for field in fields}


def _returns_bool(function: Callable[..., Any]) -> bool:
    try:
        return inspect.signature(function).return_annotation in {bool, "bool"}
    except (TypeError, ValueError):
        return False
