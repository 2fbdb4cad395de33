"""What the settings of all algorithms share: frozen, strict, and other names for the same thing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator


class AlgorithmSettings(BaseModel):
    """Settings of one algorithm. `other_names` maps a key that is also understood to the field that it sets."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    other_names: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _rename(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        named: dict[str, Any] = {}
        for key, value in given.items():
            name = cls.other_names.get(str(key), str(key))
            if name in named:
                raise ValueError(f"{key!r} and {name!r} are two names of one setting; give one of them")
            named[name] = value
        return named


def percent(score: float) -> float:
    """DSPy's score (0..100, two decimals) as ours (0..1)."""
    return score / 100
