"""What a program tells a model, taken out of DSPy: all that an exported file is made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from strop.errors import ProgramError
from strop.programs import ProgramSpec, prompts, resolve, restore

if TYPE_CHECKING:
    import dspy


@dataclass(frozen=True, kw_only=True)
class Field:
    """One input or output of a predictor. `description` is empty where the program says nothing about it."""

    name: str
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """One example: field name to text, in the order of the fields; a field that the demo lacks is left out."""

    given: Mapping[str, str]
    answered: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One predictor of the program. `demos` stand in the order in which DSPy sends them: incomplete ones first."""

    name: str
    instructions: str
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    demos: tuple[Demo, ...]


@dataclass(frozen=True, kw_only=True)
class AgentPrompt:
    """A program's whole prompt under the name of an agent.

    `tools` are (name, description) of the program's own tools. `model` is `provider/model`, only when it was asked for.
    """

    name: str
    stages: tuple[Stage, ...]
    description: str
    tools: tuple[tuple[str, str], ...] = ()
    model: str | None = None


def prompt_of(
    spec: ProgramSpec, state: Mapping[str, Any], *, name: str, description: str | None = None, model: str | None = None
) -> AgentPrompt:
    """The prompt of a saved program, as the agent `name`.

    Raises:
        ProgramError: the program cannot be built, or says nothing at all.
        ArtifactRefused: the state is not of such a program.
    """
    program = restore(spec, state)
    said = {one.name: one for one in prompts(program)}
    stages = tuple(
        _stage(predictor_name, said[predictor_name].instructions, predictor)
        for predictor_name, predictor in program.named_predictors()
    )
    if not any(stage.instructions.strip() or stage.demos for stage in stages):
        raise ProgramError("the program has neither instructions nor examples, so there is no prompt to export")
    return AgentPrompt(
        name=name,
        stages=stages,
        description=" ".join((description or f"Coding agent {name}, with a prompt optimised by Strop.").split()),
        tools=tuple(_tool(reference) for reference in spec.tools),
        model=model,
    )


def text_of(value: Any) -> str:
    """A field's value as plain text: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _stage(name: str, instructions: str, predictor: dspy.Predict) -> Stage:
    signature: Any = predictor.signature
    inputs, outputs = _fields(signature.input_fields), _fields(signature.output_fields)
    demos = [_demo(demo, inputs, outputs) for demo in predictor.demos]
    demos.sort(key=lambda demo: len(demo.given) == len(inputs) and len(demo.answered) == len(outputs))
    return Stage(name=name, instructions=instructions, inputs=inputs, outputs=outputs, demos=tuple(demos))


def _fields(found: Mapping[str, Any]) -> tuple[Field, ...]:
    """DSPy describes a field as `${name}` when nobody else does."""
    described = ((name, str((info.json_schema_extra or {}).get("desc") or "")) for name, info in found.items())
    return tuple(Field(name=name, description="" if text == f"${{{name}}}" else text) for name, text in described)


def _demo(demo: Any, inputs: tuple[Field, ...], outputs: tuple[Field, ...]) -> Demo:
    from dspy.adapters.utils import serialize_for_json

    values = dict(demo.items())

    def shown(fields: tuple[Field, ...]) -> dict[str, str]:
        present = [field.name for field in fields if values.get(field.name) is not None]
        return {name: text_of(serialize_for_json(values[name])) for name in present}

    return Demo(given=shown(inputs), answered=shown(outputs))


def _tool(reference: str) -> tuple[str, str]:
    found = resolve(reference, what="tool")
    told = str(getattr(found, "__doc__", None) or "").strip().splitlines()
    return str(getattr(found, "__name__", reference.rpartition(":")[2])), told[0].strip() if told else ""
