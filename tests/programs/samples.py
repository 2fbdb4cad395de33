"""Programs that tests name as `module:name`."""

from __future__ import annotations

from typing import Literal

import dspy
import pydantic


class Place(pydantic.BaseModel):
    zone: str
    area: float = 0.5


class Sorting(dspy.Signature):
    """Sort the ticket."""

    ticket: str = dspy.InputField(desc="what the customer wrote")
    seen: list[Place] = dspy.InputField()
    label: Literal["a", "b"] = dspy.OutputField(desc="where it belongs")
    facts: dict[str, float] = dspy.OutputField()


class TwoSteps(dspy.Module):
    """A user's own module."""

    def __init__(self) -> None:
        super().__init__()
        self.draft = dspy.Predict("text -> plan")
        self.final = dspy.ChainOfThought("text, plan -> answer: int")

    def forward(self, text: str) -> dspy.Prediction:
        return self.final(text=text, plan=self.draft(text=text).plan)


def look_up(word: str) -> str:
    """Look a word up."""
    return word[::-1]


def not_a_program() -> str:
    return "text"


TEXT = "no signature"
