"""Training a coding agent's prompt on the command line: runs under a person's eyes, verdicts, what comes next."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strop.cli.console import PREPARING, emit, show, tell, typed, width
from strop.cli.histories import mark_trained, prepare_examples, show_prepared
from strop.cli.running import carry_out, exit_code, finish
from strop.cli.verdict import print_result

if TYPE_CHECKING:
    from strop.agents import ConfigFile, Trained
    from strop.app import House
    from strop.runs import Plan, RunResult, TaskFile


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How to go about it."""

    database: str | None
    quiet: bool
    as_json: bool
    dry_run: bool
    no_prepare: bool


def train_file(file: ConfigFile, asked: Asked) -> int:
    """Prepare, then train every target; the exit code is the worst of the runs'."""
    from strop.agents import train
    from strop.app import House

    with House.at(file.directory, database=asked.database) as house:
        if not asked.no_prepare:
            report, prepared = prepare_examples(file, house, quiet=asked.quiet)
            if not asked.as_json:
                show_prepared(report, prepared, as_json=False)
        if asked.dry_run:
            return _show_plans(file, house, as_json=asked.as_json)

        def under_view(plan: Plan) -> RunResult:
            return carry_out(house, plan, quiet=asked.quiet)

        done = train(file, house, under_view, (lambda _line: None) if asked.quiet else tell)
        mark_trained(file, house)
    if asked.as_json:
        emit([_data(one) for one in done])
    else:
        for one in done:
            _show(one, file)
    return max((exit_code(one.run) for one in done), default=0)


def train_task(file: TaskFile, asked: Asked, *, algorithm: str | None, budget: float | None) -> int:
    """A strop.yaml, as `strop optimize` runs it."""
    from strop.app import House
    from strop.cli.planning import plan_data, print_plan
    from strop.cli.tasks import changed

    changes = {"algorithm": algorithm, "budget_usd": budget}
    spec = changed(file.spec, {key: value for key, value in changes.items() if value is not None})
    if not asked.quiet:
        tell(PREPARING)
    with House.at(file.directory, spec, database=asked.database) as house:
        with file.named_in(spec):
            plan = house.plan(spec, file.directory)
        if asked.dry_run:
            emit(plan_data(plan)) if asked.as_json else print_plan(plan)
            return 2 if plan.refused else 0
        result = carry_out(house, plan, quiet=asked.quiet)
        return finish(house, result, as_json=asked.as_json, task=file.path)


def _show_plans(file: ConfigFile, house: House, *, as_json: bool) -> int:
    from strop.agents import in_words_of, task_of, write_program_data
    from strop.cli.planning import plan_data, print_plan

    for note in write_program_data(file):
        tell(note)
    with in_words_of(file):
        plans = [house.plan(task_of(file, target), file.directory) for target in file.config.models.target]
    if as_json:
        emit([plan_data(plan) for plan in plans])
    else:
        for plan in plans:
            print_plan(plan)
    return 2 if any(plan.refused for plan in plans) else 0


def _show(one: Trained, file: ConfigFile) -> None:
    from strop.agents import next_steps

    show()
    show(f"{one.target}:")
    if one.run.data:
        print_result(one.run.data, width(), next_steps=[])
    if one.run.error is not None:
        tell(f"error: {one.run.error.message}")
        if one.run.error.hint:
            tell(f"hint: {one.run.error.hint}")
    if one.run.status in {"cancelled", "failed", "timeout", "budget_exceeded"}:
        near = os.path.relpath(file.directory)
        where = "" if near == "." else f" -C {near}"
        if file.path.name != "config.yaml":
            where = f" --config {os.path.relpath(file.path)}"
        show(f"Go on: {typed(f'agents train{where}')}   (what was paid for is answered from the ledger)")
    elif one.run.verdict != "IMPROVED":
        show("The prompt is the best that was found; that it is better than the one it began with is not proven.")
    show("Next steps:")
    for line in next_steps(one, file.directory, Path.cwd()):
        show(f"  {line}")


def _data(one: Trained) -> dict[str, Any]:
    paths = {"log": one.log, "candidates": one.candidates, "prompt": one.prompt}
    told = {key: None if path is None else str(path) for key, path in paths.items()}
    error = None if one.run.error is None else one.run.error.message
    return {"target": one.target, "agent": one.agent, "task": one.task, **told, "error": error,
            "run": dict(one.run.data)}  # fmt: skip
