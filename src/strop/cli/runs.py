"""`strop runs`: what was done, how it ended, how it goes on."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from strop.cli.options import Database, Directory, Json, Quiet, RunId, noun

if TYPE_CHECKING:
    from strop.app import House
    from strop.runs import RunRecord

app = noun("List, show, report, resume or cancel runs. The bare noun lists.", no_args_is_help=True)


@app.command("list")
def list_(
    task: Annotated[str | None, typer.Option(help="Only runs of this task.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most runs to list.")] = 20,
    directory: Directory = Path(),
    database: Database = None,
    as_json: Json = False,
) -> None:
    """List runs, newest first."""
    from strop.cli.console import emit, table
    from strop.cli.house import house_at
    from strop.cli.verdict import dollars, points

    with house_at(directory, database) as house:
        briefs = [_brief(house, record) for record in house.journal.all(task=task, limit=limit)]
    if as_json:
        emit(briefs)
        return
    rows = [
        (
            data["id"], data["created_at"][:16], data["task"], data["algorithm"], data["status"], data["verdict"],
            "" if data["change"] is None else points(data["change"]), dollars(data["usd"]),
        )
        for data in briefs
    ]  # fmt: skip
    table(("Run", "UTC", "Task", "Algorithm", "Status", "Verdict", "Change", "Cost"), rows, right=("Change", "Cost"))


@app.command("show")
def show_(run: RunId, directory: Directory = Path(), database: Database = None, as_json: Json = False) -> None:
    """Show a run: verdict, cost, candidates."""
    from strop.cli.console import emit, show, table, width
    from strop.cli.house import house_at, status_of
    from strop.cli.running import history, next_steps
    from strop.cli.verdict import print_result

    with house_at(directory, database) as house:
        record = house.journal.get(run)
        if as_json:
            found = _found(record, house.place.reports)
            emit(found or _brief(house, record) | {"stages": house.journal.stages(record.id)})
            return
        status = status_of(house, "run", record.id, record.status)
        show(f"Run {record.id}: {record.task} with {record.algorithm}, {status}, {record.seconds:.1f} s")
        if record.result is None:
            if status == "running":
                show("It is under way.")
                return
            show("Its process is gone." if status == "interrupted" else record.error or "It has no result.")
            show(next_steps({"status": "cancelled", "run_id": record.id}, directory)[0])
            return
        candidates = [
            (c["number"], _share(c["score"]), c["n"], _share(c["dev"]), "chosen" if c["chosen"] else "", c["origin"])
            for c in record.result["candidates"]
        ]
        if candidates:
            table(("No", "Score", "on", "Dev", "", "Origin"), candidates, right=("No", "Score", "on", "Dev"))
            show()
        for line in history(house, record.result):
            show(line)
        print_result(_found(record, house.place.reports), width(), next_steps=next_steps(record.result, directory)[:1])


@app.command()
def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, its beginning, or `last`.")] = "last",
    directory: Directory = Path(),
    database: Database = None,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    as_json: Json = False,
) -> None:
    """Say where the HTML report lies, writing it again if it is gone."""
    from strop.cli.console import emit, show
    from strop.cli.house import house_at
    from strop.errors import NotFound
    from strop.runs import RunResult, write_report

    with house_at(directory, database) as house:
        record = house.journal.get(run)
        if record.result is None:
            raise NotFound(f"run {record.id} has no result yet", hint=f"strop optimize --resume {record.id}")
        data = _found(record, house.place.reports)
        path = data["report"]
        if path is None:
            again = RunResult(run_id=record.id, status=record.status, verdict=data["verdict"], data=data)
            path = write_report(again, house.place.reports, house.journal).data["report"]
    emit({"run_id": record.id, "report": path}) if as_json else show(str(path))
    if open_:
        typer.launch(str(path))


@app.command()
def resume(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, its beginning, or `last`.")] = "last",
    directory: Directory = Path(),
    database: Database = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Go on with an interrupted run.

    `strop optimize --resume` does the same and can change its budget, timeout and concurrency.
    """
    from strop.cli.house import house_at
    from strop.cli.running import carry_out, finish

    with house_at(directory, database) as house:
        record = house.journal.get(run)
        result = carry_out(house, house.plan_again(record), record.id, quiet=quiet)
        return finish(house, result, as_json=as_json, task=directory)


@app.command()
def cancel(run: RunId, directory: Directory = Path(), database: Database = None, as_json: Json = False) -> None:
    """Ask a running run to stop; it ends with what it has."""
    from strop.cli.console import emit, show
    from strop.cli.house import house_at

    with house_at(directory, database) as house:
        record = house.journal.ask_to_cancel(run)
    told = f"Run {record.id} was asked to stop. If its process is gone: strop optimize --resume {record.id}"
    emit({"run_id": record.id, "cancel_requested": True}) if as_json else show(told)


def _found(record: RunRecord, reports: Path) -> dict[str, Any]:
    """The result of a run, with its report where that exists; empty when there is none yet."""
    report = reports / f"{record.id}.html"
    found = dict(record.result or {})
    return {**found, "report": str(report) if report.is_file() else None} if found else {}


def _brief(house: House, record: RunRecord) -> dict[str, Any]:
    """A run in a list: its row without what is long."""
    from strop.cli.house import status_of

    reports = house.place.reports
    row = {key: value for key, value in asdict(record).items() if key not in {"spec", "result"}}
    result = _found(record, reports)
    test, cost = result.get("test") or {}, result.get("cost") or {}
    more = {"verdict": result.get("verdict"), "change": test.get("change"), "usd": cost.get("usd")}
    row["status"] = status_of(house, "run", record.id, record.status)
    return json.loads(json.dumps({**row, **more, "report": result.get("report")}, default=str))


def _share(score: float | None) -> str:
    return "" if score is None else f"{score:.1%}"
