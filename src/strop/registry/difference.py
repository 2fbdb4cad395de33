"""What changed between two versions, for a person and for a program."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import orjson

from strop import programs
from strop.registry.version import Version

if TYPE_CHECKING:
    import dspy


@dataclass(frozen=True, kw_only=True)
class PromptChange:
    """What changed in one predictor. Instructions are None where the predictor does not exist."""

    predictor: str
    instructions_before: str | None
    instructions_after: str | None
    demos_added: int
    demos_removed: int


@dataclass(frozen=True, kw_only=True)
class Difference:
    """`text` is a unified diff of the two prompts, empty when they are the same; `str()` gives it too.

    `prompts` has the predictors that differ, `spec` and `metrics` what differs in these as (before, after).
    """

    before: Version
    after: Version
    text: str
    prompts: tuple[PromptChange, ...]
    spec: Mapping[str, tuple[Any, Any]]
    metrics: Mapping[str, tuple[Any, Any]]

    def __str__(self) -> str:
        return self.text


def difference(before: Version, first: dspy.Module, after: Version, second: dspy.Module) -> Difference:
    """Compare two versions given with their programs."""
    lines = difflib.unified_diff(
        programs.prompt_text(first).splitlines(),
        programs.prompt_text(second).splitlines(),
        f"{before.name} {before.number} ({before.label})",
        f"{after.name} {after.number} ({after.label})",
        lineterm="",
    )
    return Difference(
        before=before,
        after=after,
        text="\n".join(lines),
        prompts=_prompt_changes(programs.prompts(first), programs.prompts(second)),
        spec=_changes(asdict(before.spec), asdict(after.spec)),
        metrics=_changes(before.metrics, after.metrics),
    )


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    keys = dict.fromkeys((*before, *after))
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def _prompt_changes(
    before: tuple[programs.Prompt, ...], after: tuple[programs.Prompt, ...]
) -> tuple[PromptChange, ...]:
    first, second = {prompt.name: prompt for prompt in before}, {prompt.name: prompt for prompt in after}
    found: list[PromptChange] = []
    for name in dict.fromkeys((*first, *second)):
        old, new = first.get(name), second.get(name)
        old_demos, new_demos = _demos(old), _demos(new)
        change = PromptChange(
            predictor=name,
            instructions_before=old and old.instructions,
            instructions_after=new and new.instructions,
            demos_added=len(new_demos - old_demos),
            demos_removed=len(old_demos - new_demos),
        )
        if change.instructions_before != change.instructions_after or old_demos != new_demos:
            found.append(change)
    return tuple(found)


def _demos(prompt: programs.Prompt | None) -> set[bytes]:
    return {orjson.dumps(demo, option=orjson.OPT_SORT_KEYS) for demo in prompt.demos} if prompt else set()
