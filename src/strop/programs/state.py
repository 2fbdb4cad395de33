"""A program as JSON and back: instructions, demos and field descriptions, never code and never a model's key."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import orjson

from strop.errors import ArtifactRefused
from strop.programs.spec import ProgramSpec, build

if TYPE_CHECKING:
    import dspy

_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What one predictor of a program tells the model beside the input."""

    name: str
    instructions: str
    demos: tuple[Mapping[str, Any], ...]


def dump(program: dspy.Module) -> dict[str, Any]:
    """The program's state as plain JSON values, without models and traces."""
    state: dict[str, Any] = orjson.loads(orjson.dumps(program.dump_state(), default=str, option=_OPTIONS))
    # A program that is one predictor dumps that predictor itself; any other dumps its predictors by name.
    for part in [state] if "demos" in state else state.values():
        if isinstance(part, dict):
            part.update({"lm": None, "traces": [], "train": []})
    return state


def restore(spec: ProgramSpec, state: Mapping[str, Any]) -> dspy.Module:
    """A new program of `spec` with the instructions and demos of `state`.

    Raises:
        ProgramError: the spec cannot be built.
        ArtifactRefused: the state does not belong to such a program.
    """
    program = build(spec)
    expected, given = set(dump(program)), {name for name in state if name != "metadata"}
    if expected != given:
        raise ArtifactRefused(
            f"the saved state has the predictors {sorted(given)}, the program has {sorted(expected)}",
            hint="it was made from another signature or strategy",
        )
    try:
        program.load_state(copy.deepcopy({name: state[name] for name in given}))
    except Exception as error:  # noqa: BLE001 - whatever DSPy trips over, the artifact is at fault
        raise ArtifactRefused(f"the saved state cannot be loaded: {error}") from error
    return program


def prompts(program: dspy.Module) -> tuple[Prompt, ...]:
    """What each predictor says, in the order of the program."""
    found: list[Prompt] = []
    for name, predictor in program.named_predictors():
        demos = tuple(_plain(demo) for demo in predictor.demos)
        instructions = str(getattr(predictor.signature, "instructions", ""))
        found.append(Prompt(name=name, instructions=instructions, demos=demos))
    return tuple(found)


def prompt_text(program: dspy.Module) -> str:
    """The prompts for a person to read and compare: instructions, then the demos."""
    parts: list[str] = []
    several = len(program.named_predictors()) > 1
    for prompt in prompts(program):
        if several:
            parts.append(f"# {prompt.name}")
        parts.append(prompt.instructions)
        for number, demo in enumerate(prompt.demos, 1):
            shown = "\n".join(f"{key}: {value}" for key, value in demo.items() if key != "augmented")
            parts.append(f"Example {number}\n{shown}")
    return "\n\n".join(parts)


def fingerprint(program: dspy.Module, spec: ProgramSpec) -> str:
    """Equal for programs that send equal prompts: a hash over the spec and the state."""
    identity = {"spec": asdict(spec), "state": dump(program)}
    return hashlib.sha256(orjson.dumps(identity, default=str, option=_OPTIONS)).hexdigest()[:32]


def _plain(demo: Any) -> Mapping[str, Any]:
    items = demo.toDict() if hasattr(demo, "toDict") else dict(demo)
    return orjson.loads(orjson.dumps(items, default=str, option=orjson.OPT_NON_STR_KEYS))
