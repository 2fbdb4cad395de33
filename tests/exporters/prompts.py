"""Programs with something to say, for tests of what is exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dspy

from strop.exporters import AgentPrompt, prompt_of
from strop.programs import ProgramSpec, build, dump

SPEC = ProgramSpec(signature="task, context -> plan, response", instructions="Plan first.", strategy="predict")
DEMO = {"task": "Fix the cart", "context": "branch: main", "plan": "read(cart.py)", "response": "Fixed."}


def state_of(
    spec: ProgramSpec = SPEC,
    *,
    instructions: str | None = None,
    demos: Sequence[Mapping[str, Any]] = (),
    described: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The state of a program of `spec` as an optimiser could have left it."""
    program = build(spec)
    for predictor in program.predictors():
        if instructions is not None:
            predictor.signature = predictor.signature.with_instructions(instructions)
        for name, text in (described or {}).items():
            predictor.signature = predictor.signature.with_updated_fields(name, desc=text)
        predictor.demos = [dspy.Example(**demo) for demo in demos]
    return dump(program)


def prompt(name: str = "mine", spec: ProgramSpec = SPEC, model: str | None = None, **said: Any) -> AgentPrompt:
    """A program's prompt under a name."""
    return prompt_of(spec, state_of(spec, **said), name=name, model=model)
