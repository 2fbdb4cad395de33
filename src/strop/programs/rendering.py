"""The texts that a program sends to a model and expects back, made without a call, to foretell what calls cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from strop.programs.spec import ProgramSpec, build

REASONING = "A few sentences that lead from what is given to the answer, as a model writes them before it decides. " * 2
STEPS = 3
"""Calls of one run of a program with tools, as a rule."""


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """One run of a program: what it asks, over all of its calls, and what comes back."""

    asked: str
    answered: str


def rendered(
    spec: ProgramSpec, examples: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]], shown: Sequence[Any] = ()
) -> list[Rendered]:
    """The texts of one run of `spec` on each example (its inputs and labels), with `shown` as demos.

    Inputs that only an earlier step of the program makes are left empty; a program with tools is taken to need
    `STEPS` calls.

    Raises:
        ProgramError: the program cannot be built.
    """
    from strop.programs.chat import ChatAdapter

    adapter, program = ChatAdapter(), build(spec)
    calls = STEPS if spec.strategy == "react" else 1
    found: list[Rendered] = []
    for inputs, labels in examples:
        asked: list[str] = []
        answered: list[str] = []
        for predictor in program.predictors():
            signature: Any = predictor.signature
            given = {name: inputs.get(name, "") for name in signature.input_fields}
            wanted = {name: labels.get(name, REASONING) for name in signature.output_fields}
            messages = adapter.format(signature, [dict(demo) for demo in shown], given)
            asked.append("\n".join(str(message["content"]) for message in messages) * calls)
            answered.append(adapter.format_assistant_message_content(signature, wanted) * calls)
        found.append(Rendered(asked="\n".join(asked), answered="\n".join(answered)))
    return found
