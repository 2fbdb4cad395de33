"""Options of the command line as changes of a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from strop.errors import SettingsError

if TYPE_CHECKING:
    from strop.runs import TaskSpec

RESUMABLE = ("budget_usd", "timeout_s", "concurrency")


def changed(spec: TaskSpec, changes: Mapping[str, Any]) -> TaskSpec:
    """The task with the options applied. A model given by name keeps no settings of the one that it replaces.

    Raises:
        SettingsError: an option cannot be used.
    """
    values = {key: value for key, value in changes.items() if key not in {"model", "prompt_model", "algorithm"}}
    models = spec.models.model_dump(mode="json", exclude_unset=True)
    if "model" in changes:
        models["task"] = changes["model"]
    if "prompt_model" in changes:
        models["prompt"] = changes["prompt_model"]
    if "model" in changes or "prompt_model" in changes:
        values["models"] = models
    if "algorithm" in changes:
        same = str(changes["algorithm"]).lower() == spec.algorithm.name.lower()
        values["algorithm"] = spec.algorithm if same else changes["algorithm"]
    return spec.changed(**values) if values else spec


def resumable(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a resumed run may change: it must stay the same run.

    Raises:
        SettingsError: another option was given.
    """
    other = [key for key in changes if key not in RESUMABLE]
    if other:
        raise SettingsError(
            f"--{other[0].replace('_', '-')} cannot be changed when a run is resumed: it would be another run",
            hint="leave out --resume for a new run; what the two have in common is answered from the ledger",
        )
    return dict(changes)
