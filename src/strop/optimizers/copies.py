"""Programs that share nothing: DSPy copies a program without its signature classes, and InferRules writes to those."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import orjson

from strop.programs import ProgramSpec, build, dump

if TYPE_CHECKING:
    import dspy


def rebuilt(spec: ProgramSpec, program: dspy.Module) -> dspy.Module:
    """A new program of `spec` with the instructions, field texts and demos of `program`, and nothing else of it."""
    fresh = build(spec)
    known: dict[str, Any] = dict(program.named_predictors())
    if set(known) != set(dict(fresh.named_predictors())):
        fresh = program.deepcopy()
    parts: list[tuple[str, Any]] = fresh.named_predictors()
    for name, predictor in parts:
        source = known[name]
        if predictor.signature is source.signature or not predictor.signature.equals(source.signature):
            predictor.signature = source.signature.with_instructions(source.signature.instructions)
        predictor.demos = deepcopy(list(source.demos))
        predictor.lm = None
    return fresh


def same_prompts(program: dspy.Module) -> bytes:
    """Equal for programs of one kind that send equal prompts."""
    return orjson.dumps(dump(program), option=orjson.OPT_SORT_KEYS)
