"""Carries out a run under the eyes of a person: live view, Ctrl-C, the result in words or JSON, the exit code."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strop.cli.console import emit, show, tell, typed, width
from strop.cli.house import TASK_FILE
from strop.cli.interrupts import Interrupts
from strop.cli.live import view
from strop.cli.verdict import dollars, print_result
from strop.events import Event

if TYPE_CHECKING:
    from strop.app import House
    from strop.gateway import Spending
    from strop.runs import Plan, RunResult

EXIT_OF_STATUS = {"completed": 0, "budget_exceeded": 4, "infeasible": 4, "timeout": 4, "failed": 3, "cancelled": 130}


def carry_out(house: House, plan: Plan, run_id: str | None = None, *, quiet: bool) -> RunResult:
    """Run a plan, new or resumed. The first Ctrl-C ends it with what it has, the second leaves at once."""
    runner = house.runner()
    spent_before = 0

    def dial() -> tuple[Spending, int] | None:
        now = runner.spending()
        return None if now is None else (now, spent_before)

    def started(event: Event) -> None:
        nonlocal spent_before
        if event.name == "run.started":
            node = house.gateway.budgets.read(event.scope)
            spent_before = 0 if node is None else node.spent

    def stop(first: bool) -> None:
        if first:
            seen.say("stopping: what was paid for is kept (once more leaves at once)")
        runner.cancel("interrupted")

    seen = view(dial, quiet=quiet)
    leaving = [house.bus.listen(started), house.bus.listen(seen.hear)]
    try:
        with seen, Interrupts(stop):
            return house.carry_out(plan, run_id, runner=runner)
    finally:
        for leave in leaving:
            leave()


def finish(
    house: House,
    result: RunResult,
    *,
    as_json: bool,
    task: Path,
    given: Sequence[str] = (),
    then: Sequence[str] = (),
) -> int:
    """Print what the run found out; returns the exit code. Raises the error of a run that has nothing to print.

    `given` are the options that the run was started with, `then` are lines about what to do next.
    """
    data = result.data
    if not data and result.error is not None:
        raise result.error
    code = exit_code(result)
    if as_json:
        emit(dict(data))
        return code
    show()
    for line in history(house, data):
        show(line)
    print_result(data, width(), next_steps=[*next_steps(data, task, given), *then])
    if result.error is not None:
        tell(f"error: {result.error.message}")
        if result.error.hint:
            tell(f"hint: {result.error.hint}")
    return code


def exit_code(result: RunResult) -> int:
    """0 for a completed run, 130 for a cancelled one, the error's own code for a failed one."""
    if result.status == "failed" and result.error is not None:
        return result.error.exit_code
    return EXIT_OF_STATUS[result.status]


def history(house: House, data: Mapping[str, Any]) -> list[str]:
    """What a resumed run took from its ledger, and what was lost when it was interrupted."""
    cost, scope = data["cost"], f"run:{data['run_id']}"
    record = house.journal.get(data["run_id"])
    told: list[str] = []
    if record.attempts > 1:
        earlier = cost["paid_calls"] - cost["new_calls"]
        told.append(
            f"Resumed (attempt {record.attempts}): {earlier:,} calls were paid for before and not again, "
            f"{cost['new_calls']:,} were new."
        )
    lost = house.gateway.ledger.rows(scope, status=("lost",))
    if lost:
        worst = sum(row["worst_pico"] for row in lost) / 1e12
        told.append(
            f"Lost: {len(lost)} calls were in flight when a process died; "
            f"they count as spent at their worst case, {dollars(worst)}."
        )
    return told


def next_steps(data: Mapping[str, Any], task: Path, given: Sequence[str] = ()) -> list[str]:
    """How to go on with this run, or do it again. `task` is the task file or its directory."""
    folder = task if task.is_dir() else task.parent
    usual = task.is_dir() or task.name == TASK_FILE
    here = folder.resolve() == Path.cwd()
    where = "" if here and usual else f" {shlex.quote(str(folder if usual else task))}"
    if data["status"] in {"cancelled", "failed", "timeout", "budget_exceeded"}:
        more = {"budget_exceeded": " --budget USD", "timeout": " --timeout SECONDS"}.get(data["status"], "")
        return ["Resume: " + typed(f"optimize{where} --resume {data['run_id']}{more}")]
    options = "".join(f" {word}" for word in given)
    look = "" if here else f" -C {shlex.quote(str(folder))}"
    return [
        "Repeat: " + typed(f"optimize{where}{options}") + "   (free: answered from the ledger)",
        "Look:   " + typed(f"runs show {data['run_id']}{look}"),
    ]
