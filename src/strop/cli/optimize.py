"""`strop optimize`: baseline, search, sealed test, verdict."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from strop.cli.console import PREPARING, tell
from strop.cli.options import Database, Json, Quiet, noun

app = noun("Optimise a task within a budget and prove the gain.")


@app.command()
def optimize(
    task: Annotated[Path, typer.Argument(metavar="FILE|DIR", help="The task file, or its directory.")] = Path(),
    *,
    algorithm: Annotated[str | None, typer.Option(help="Search algorithm, or `auto`.")] = None,
    model: Annotated[str | None, typer.Option(help="The model that answers.")] = None,
    prompt_model: Annotated[str | None, typer.Option(help="The model that writes instructions.")] = None,
    budget: Annotated[float | None, typer.Option(metavar="USD", help="Most that the run may spend.")] = None,
    max_iterations: Annotated[int | None, typer.Option(help="Most rounds of the search.")] = None,
    timeout: Annotated[float | None, typer.Option(metavar="SECONDS", help="Time after which the run ends.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of split, search and embedded models.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Most model calls in flight at once.")] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Go on with an interrupted run.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, at what cost.")] = False,
    replay: Annotated[bool, typer.Option("--replay", help="Answer from the ledger alone; make no call.")] = False,
    database: Database = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Optimise a task: measure the program as it is, search for a better one, prove the gain on sealed examples.

    The options override the task file. Exit code 0: the run is complete, whatever its verdict.
    """
    given = {
        "algorithm": algorithm, "model": model, "prompt_model": prompt_model, "budget_usd": budget, "seed": seed,
        "max_iterations": max_iterations, "timeout_s": timeout, "concurrency": concurrency,
    }  # fmt: skip
    changes = {key: value for key, value in given.items() if value is not None}
    if resume is not None:
        return _resume(task, resume, changes, database, dry_run=dry_run, replay=replay, quiet=quiet, as_json=as_json)
    return _start(task, changes, database, dry_run=dry_run, replay=replay, quiet=quiet, as_json=as_json)


def _start(
    path: Path,
    changes: dict[str, Any],
    database: str | None,
    *,
    dry_run: bool,
    replay: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    from strop.cli.tasks import changed
    from strop.runs import load_task

    file = load_task(path)
    spec = changed(file.spec, changes)
    if dry_run:
        with file.named_in(spec):
            return _show_plan(spec, file.directory, as_json=as_json)
    if not quiet:
        tell(PREPARING)
    from strop.app import House
    from strop.cli.running import carry_out, finish

    with House.at(file.directory, spec, database=database, replay=replay) as house:
        with file.named_in(spec):
            plan = house.plan(spec, file.directory)
        result = carry_out(house, plan, quiet=quiet)
        return finish(house, result, as_json=as_json, task=path, given=_flags(changes))


def _resume(
    path: Path, run: str, changes: dict[str, Any], database: str | None, *, dry_run: bool, replay: bool, quiet: bool,
    as_json: bool,
) -> int:  # fmt: skip
    from strop.cli.house import house_at
    from strop.cli.running import carry_out, finish
    from strop.cli.tasks import resumable

    directory = path if path.is_dir() else path.parent
    with house_at(directory, database, replay=replay) as house:
        record = house.journal.get(run)
        plan = house.plan_again(record, **resumable(changes))
        if dry_run:
            return _show_plan(plan.task, plan.directory, as_json=as_json)
        result = carry_out(house, plan, record.id, quiet=quiet)
        return finish(house, result, as_json=as_json, task=path)


def _show_plan(spec: Any, directory: Path, *, as_json: bool) -> int:
    """Without opening a database: a dry run leaves nothing behind."""
    from strop.cli.console import emit
    from strop.cli.planning import plan_data, print_plan
    from strop.gateway import PriceTable
    from strop.runs import make_plan
    from strop.settings import Place, load_env

    load_env(directory)
    plan = make_plan(spec, directory, prices=PriceTable.load(Place.of(directory, spec).prices))
    if as_json:
        emit(plan_data(plan))
    else:
        print_plan(plan)
    return 2 if plan.refused else 0


def _flags(changes: dict[str, Any]) -> list[str]:
    """The options as they would be typed again."""
    names = {"budget_usd": "budget", "timeout_s": "timeout"}
    words = ((names.get(key, key).replace("_", "-"), value) for key, value in changes.items())
    return [f"--{name} {shlex.quote(str(value))}" for name, value in words]
