"""From a program to what is kept of it, checked to lead back to the same program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from strop import programs
from strop.errors import ProgramError
from strop.programs import ProgramSpec

if TYPE_CHECKING:
    import dspy


def saved(
    spec: ProgramSpec, program: dspy.Module | None, state: Mapping[str, Any] | None
) -> tuple[dict[str, Any], str]:
    """The state to keep and the fingerprint, of a program or of a state of one.

    Raises:
        ProgramError: built again from `spec` and its state, the program would be another one.
        ArtifactRefused: the state does not belong to such a program.
    """
    if (program is None) == (state is None):
        raise TypeError("give either a program or a state")
    given = program if program is not None else programs.restore(spec, _without_models(state or {}))
    dumped, fingerprint = programs.dump(given), programs.fingerprint(given, spec)
    if program is not None and programs.fingerprint(programs.restore(spec, dumped), spec) != fingerprint:
        raise ProgramError(
            "the program cannot be kept: loaded again it would send other prompts",
            hint="inputs of its demos must be plain text, numbers, lists and mappings",
        )
    return dumped, fingerprint


def _without_models(state: Mapping[str, Any]) -> dict[str, Any]:
    """A saved model could hold its key, and loading it would connect to where the state says."""
    if isinstance(state.get("demos"), list):
        return {**state, "lm": None}
    return {name: {**part, "lm": None} if isinstance(part, Mapping) else part for name, part in state.items()}
