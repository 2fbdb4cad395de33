"""The task that a prompt sets: its fields, instructions and examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from strop.embedded.shape import Shape


@dataclass(frozen=True, kw_only=True)
class Field:
    """One input or output as the prompt describes it."""

    name: str
    shape: Shape
    desc: str = ""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """One example in the prompt; values are text as shown there, a missing one is absent."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]

    @property
    def text(self) -> str:
        """All inputs together."""
        return "\n".join(self.inputs.values())


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What stays the same from input to input. Equal only to itself, so that work done on it can be kept by it."""

    layout: Literal["chat", "json", "xml", "markdown", "plain"]
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    instructions: str
    demos: tuple[Demo, ...] = ()

    def with_demos(self, demos: Sequence[Demo]) -> "Task":
        """The same task after these examples; those without any output are dropped."""
        return replace(self, demos=tuple(demo for demo in demos if demo.outputs))

    def answers(self, name: str) -> list[tuple[Demo, str]]:
        """The examples that show this output, with what they show."""
        return [(demo, demo.outputs[name]) for demo in self.demos if demo.outputs.get(name)]
