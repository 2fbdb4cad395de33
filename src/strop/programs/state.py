"""A program as JSON and back: instructions, demos and field descriptions, never code and never a model's key."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

import orjson

from strop.errors import ArtifactRefused
from strop.programs.spec import ProgramSpec, build

if TYPE_CHECKING:
    import dspy

_KEPT = "strop:json"
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What one predictor of a program tells the model beside the input."""

    name: str
    instructions: str
    demos: tuple[Mapping[str, Any], ...]


def dump(program: dspy.Module) -> dict[str, Any]:
    """The program's state as plain JSON values, without models and traces.

    Values of demos stay exactly what the prompt shows, also in a store that sorts keys: see `_kept`.
    """
    import dspy

    # A program that is one predictor is dumped as that predictor itself, any other as its predictors by name.
    whole = isinstance(program, dspy.Predict)
    state: dict[str, Any] = _part(program) if whole else {name: _part(one) for name, one in program.named_parameters()}
    return orjson.loads(orjson.dumps(state, default=str, option=_OPTIONS))


def _part(parameter: Any) -> dict[str, Any]:
    """The state of one predictor, or of anything else that DSPy saves, without looking at the model set on it."""
    if not hasattr(parameter, "demos"):
        state: dict[str, Any] = parameter.dump_state()
        return state
    bare = copy.copy(parameter)
    bare.lm = None
    state = bare.dump_state() | {"traces": [], "train": []}
    state["demos"] = [{name: _kept(value) for name, value in demo.items()} for demo in state["demos"]]
    return state


def _kept(value: Any) -> Any:
    """The value as JSON. What sorted keys or 64-bit numbers would change is kept as the text of its JSON."""
    from dspy.adapters.utils import serialize_for_json

    plain = value if type(value) is str else serialize_for_json(value)
    text = json.dumps(plain, default=str)
    try:
        same = json.dumps(orjson.loads(orjson.dumps(plain, option=orjson.OPT_SORT_KEYS))) == text
    except TypeError:
        same = False
    looks_kept = isinstance(plain, dict) and _KEPT in plain
    return plain if same and not looks_kept else {_KEPT: text}


def _given_back(value: Any) -> Any:
    return json.loads(value[_KEPT]) if isinstance(value, Mapping) and set(cast(Any, value)) == {_KEPT} else value


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
        own = copy.deepcopy({name: state[name] for name in given})
        for part in [own] if "demos" in own else own.values():
            part["demos"] = [{name: _given_back(value) for name, value in demo.items()} for demo in part["demos"]]
        program.load_state(own)
    except Exception as error:
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
    """Equal for programs of one spec that send equal prompts: a hash over what they say, word for word."""
    identity = {"spec": asdict(spec), "said": _said(program)}
    return hashlib.sha256(orjson.dumps(identity, default=str, option=_OPTIONS)).hexdigest()[:32]


def _said(program: dspy.Module) -> dict[str, Any]:
    """Of each predictor the messages before the input's own; of anything else that a program keeps, its state."""
    import dspy

    adapter = dspy.ChatAdapter()
    state = dump(program)
    said: dict[str, Any] = {"self": state} if isinstance(program, dspy.Predict) else state
    for name, predictor in program.named_predictors():
        signature: Any = predictor.signature
        try:
            system = adapter.format_system_message(signature)
            demos = [message["content"] for message in adapter.format_demos(signature, predictor.demos)]
        except Exception:  # noqa: BLE001, S112 - a demo that DSPy cannot show is told apart by its state
            continue
        rest = {key: value for key, value in said[name].items() if key not in {"demos", "signature"}}
        said[name] = {**rest, "system": json.dumps(system), "demos": [json.dumps(demo) for demo in demos]}
    return said


def _plain(demo: Any) -> Mapping[str, Any]:
    items = demo.toDict() if hasattr(demo, "toDict") else dict(demo)
    return orjson.loads(orjson.dumps(items, default=str, option=orjson.OPT_NON_STR_KEYS))
