"""What a skill is: it answers one output field from one input. Its siblings are the skills."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

Value: TypeAlias = "str | int | float | bool | list[Value] | dict[str, Value] | None"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One input with the chance that belongs to it. `sampling` is None at temperature 0."""

    inputs: Mapping[str, str]
    text: str
    noise: Random
    sampling: Random | None
    temperature: float
    grounds: list[str] = field(default_factory=list[str])
    """Sentences that say what answers were based on, added by skills as they answer."""


Skill = Callable[[Asked], Value]
