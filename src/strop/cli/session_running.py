"""Carries a session out under the eyes of a person: live view, hooks, Ctrl-C, the report, the result, the exit code."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strop.cli.console import PREPARING, emit, flowing, show, table, tell, typed, width
from strop.cli.house import house_at, place_of, status_of
from strop.cli.interrupts import Interrupts
from strop.cli.live_sessions import Dial, fitting, session_view
from strop.cli.verdict import dollars
from strop.errors import BadInput, SettingsError, StoreUnwritable

if TYPE_CHECKING:
    from strop.app import House
    from strop.cli.session_house import Work
    from strop.sessions import Forecast, ModelResult, Ranked, ReportFiles, SessionRecord, SessionResult, TrainingSession
    from strop.settings import Place

EXIT_OF_STATUS = {"completed": 0, "budget_exceeded": 4, "timeout": 4, "failed": 3, "stopped": 130}
KINDS = (".md", ".html", ".json")
SPARE = ("p50/p95/p99 ms", "Rounds", "Calls", "Ended")
"""Columns that are left out on a narrow terminal, in this order."""
REPORT = "dspy-training-report.md"
"""The guide's name of the report."""
PRACTICE = "Embedded models are for trials: their scores say nothing about real models, their prices are never billed."


@dataclass(frozen=True, kw_only=True)
class Seen:
    """How a session is shown and where its report goes: where it was told to, else into the session's directory."""

    output: Path | None
    quiet: bool
    verbose: bool
    as_json: bool

    def report(self, directory: Path) -> Path:
        """The report's path. Raises what `check_output` raises, before anything is paid for."""
        path = self.output or directory / REPORT
        check_output(path)
        return path


def train_models(work: Work, asked: tuple[str | None, str, Mapping[str, Any]], database: str | None, seen: Seen) -> int:
    """A new session; `asked` are models, preset and changes of the config."""
    from strop.cli.session_house import check_hooks, config_of, signature_of

    report = seen.report(work.folder)
    place = _place(work, database)
    config, signature = config_of(work, *asked), signature_of(work)
    check_hooks(config, place.reports.parent)
    if not seen.quiet:
        tell(PREPARING)
    from strop.app import House
    from strop.sessions import TrainingSession

    with House(place) as house:
        session = TrainingSession(
            config, store=house.store, gateway=house.gateway, directory=work.folder, home=home_of(house)
        )
        result = carry_out(session, lambda: session.run(work.prompt, signature), seen, own_metric=work.prompt is None)
        return finish(house, result, seen, directory=work.folder, report=report)


def resume_session(id: str, changes: Mapping[str, Any], where: tuple[Path, str | None], seen: Seen) -> int:
    """A recorded session that goes on; `where` are directory and database."""
    from strop.cli.session_house import resumed
    from strop.sessions import SessionJournal

    report = seen.report(where[0])
    with house_at(*where) as house:
        record = SessionJournal(house.store).get(id)
        session = resumed(record, changes, house)
        if record.status == "completed" and not changes and not seen.quiet:
            tell(f"session {record.id} is complete: it is answered from the ledger once more, and nothing is paid")
        own_metric = "prompt" not in (record.problem or {})
        result = carry_out(session, lambda: session.resume(record.id), seen, own_metric=own_metric)
        return finish(house, result, seen, directory=where[0], report=report)


def carry_out(
    session: TrainingSession, work: Callable[[], SessionResult], seen: Seen, *, own_metric: bool
) -> SessionResult:
    """Run a session, new or resumed. The first Ctrl-C ends it with what it has, the second leaves at once."""
    view = session_view(_reader(session), quiet=seen.quiet, verbose=seen.verbose, own_metric=own_metric)

    def stop(first: bool) -> None:
        if first:
            view.say("stopping: what was paid for is kept (once more leaves at once)")
        session.stop()

    leave = session.listen(view.hear)
    try:
        with view, Interrupts(stop):
            return work()
    finally:
        leave()


def finish(house: House, result: SessionResult, seen: Seen, *, directory: Path, report: Path) -> int:
    """Write the report and print what was found out; returns the exit code."""
    files: dict[str, str] | None = None
    try:
        files = write_files(result, report, house).by_kind()
    except (StoreUnwritable, BadInput) as error:
        # The result is safe in the database; `strop sessions report` makes its pages again.
        tell(f"error: {error.message}")
    if seen.as_json:
        emit({**as_data(result), "report": files})
        return EXIT_OF_STATUS[result.status]
    show()
    print_result(result)
    for path in (files or {}).values():
        show(f"Report: {path}")
    here = directory.resolve() == Path.cwd()
    look = "" if here else f" -C {shlex.quote(str(directory))}"
    if result.status in {"completed", "failed"}:
        show("Look:   " + typed(f"sessions show {result.session_id}{look}"))
    else:
        more = " --budget USD" if result.status == "budget_exceeded" else ""
        show("Resume: " + typed(f"sessions resume {result.session_id}{look}{more}"))
    return EXIT_OF_STATUS[result.status]


def as_data(result: SessionResult) -> dict[str, Any]:
    """What --json prints of a session: all of it, and the decision."""
    from strop.sessions import decide

    return {**result.to_dict(), "decision": decide(result).to_dict()}


def print_result(result: SessionResult) -> None:
    """The decision, the models side by side, what was carried across, the money."""
    from strop.sessions import decide, only_practice

    decision, columns = decide(result), width()
    show(f"Session {result.session_id}: {result.task.name}, {result.status}, {result.duration_s:.1f} s")
    if result.why and any(one.status != "failed" for one in result.models):
        show(flowing([result.why], columns))
    ranked = {one.name: one for one in decision.comparison.ranking}
    models = sorted(result.models, key=lambda one: ranked[one.name].place if one.name in ranked else len(result.models))
    titles = ("Rank", "Model", "Ended", "Rounds", "Baseline", "Best", "95% interval", "p50/p95/p99 ms", "Calls", "Cost")
    rows = [_cells(one, ranked.get(one.name)) for one in models]
    shown = fitting(titles, rows, columns, SPARE)
    table([titles[at] for at in shown], [[row[at] for at in shown] for row in rows], right=titles[3:])
    show()
    for each in result.transfers:
        if each.kept:
            show(flowing([f"{each.receiver} took over the {each.carried} of {each.donor}: {each.why}"], columns))
    for one in result.models:
        if one.why:
            show(flowing([f"{one.name}: {one.why}"], columns))
    show(flowing([decision.sentence], columns, indent=""))
    if len(ranked) > 1:
        show(flowing([decision.non_inferiority], columns, indent=""))
    limit = "no limit" if result.budget_usd is None else f"${result.budget_usd:,.2f}"
    judged = result.judge
    part = f", {dollars(judged.spending.cost_usd)} of it for the judge {judged.model}" if judged else ""
    show(f"Cost: {dollars(result.total_cost_usd)} of {limit}{part}")
    if only_practice(result):
        show(flowing([PRACTICE], columns, indent=""))


def write_files(result: SessionResult, path: Path, house: House) -> ReportFiles:
    """The report as HTML, Markdown and JSON beside each other, named like `path`, without secrets.

    Raises:
        SettingsError: the name ends like something that a report is not.
        StoreUnwritable: the files cannot be written.
        BadInput: a file is there which is no report.
    """
    from strop.sessions import write_reports

    check_output(path)
    files = write_reports(result, path.parent, redact=house.redact, name=path.stem)
    if files.earlier:
        kept = ", ".join([str(files.earlier[0]), *(path.suffix for path in files.earlier[1:])])
        tell(f"an earlier session's report was there; it is kept as {kept}")
    return files


def check_output(path: Path) -> None:
    """Raises SettingsError where the ending is not a report's, BadInput where another file has that name."""
    from strop.sessions import check_place

    if path.suffix not in {"", *KINDS}:
        raise SettingsError(
            f"a report is not written as {path.suffix!r}", hint=f"-o {path.stem}.md; {', '.join(KINDS)} are written"
        )
    check_place(path)


def home_of(house: House) -> Path:
    """Where hooks keep their files."""
    return house.place.reports.parent


def brief(house: House, record: SessionRecord) -> dict[str, Any]:
    """A session in a list: its row without what is long."""
    status = status_of(house, "session", record.id, record.status)
    found = record.result or {}
    models = [one["name"] for one in found.get("models", ())] or [
        one.get("name") or one["model"] for one in record.config["models"]
    ]
    data = {
        "id": record.id, "name": record.name, "status": status, "created_at": record.created_at.isoformat(),
        "seconds": record.seconds, "attempts": record.attempts, "models": models,
        "best_model": found.get("best_model"), "usd": found.get("total_cost_usd"), "error": record.error,
        "directory": record.directory,
    }  # fmt: skip
    return json.loads(json.dumps(data, default=str))


def print_briefs(briefs: Sequence[Mapping[str, Any]]) -> None:
    """The list of sessions."""
    if not briefs:
        show("No session yet; `strop sessions train` begins one.")
        return
    rows = [
        (
            data["id"], data["created_at"][:16].replace("T", " "), data["name"], data["status"].replace("_", " "),
            ", ".join(data["models"]), data["best_model"], dollars(data["usd"]),
        )
        for data in briefs
    ]  # fmt: skip
    table(("Session", "UTC", "Task", "Status", "Models", "Best", "Cost"), rows, right=("Cost",))


def print_forecast(found: Forecast) -> None:
    """What a session would do, a row a model."""
    rows = [
        (
            one.name, dollars(one.usd_per_call), _count(one.budget_iterations), one.rounds, one.transfers,
            f"{one.benchmark_calls:,}", f"{one.iterations:,}", dollars(one.cost_usd),
        )
        for one in found.models
    ]  # fmt: skip
    titles = ("Model", "A call", "Budget buys", "Rounds", "Transfers", "Sealed", "Iterations", "Cost")
    table(titles, rows, right=titles[1:])
    limit = "no limit" if found.budget_usd is None else f"${found.budget_usd:,.2f}, which is never exceeded"
    show(f"Expected: {dollars(found.cost_usd)} when every model takes all its rounds; budget {limit}.")
    show(f"{found.dev} dev examples and {found.benchmark_samples} sealed ones a model; an iteration is a model call.")
    if found.budget_usd is not None:
        show("Budget buys: so many calls of the plain program for an equal share of the budget.")
    if not found.enough:
        show("The budget is not expected to pay for everything: the session measures less, and says so.")


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _place(work: Work, database: str | None) -> Place:
    """Where the house of the task stands; a task file that is named may name a database."""
    from strop.runs import load_task
    from strop.settings import Place, load_env

    if work.task is None or not work.task.is_file():
        return place_of(work.folder, database)
    load_env(work.folder)
    return Place.of(work.folder, load_task(work.task).spec, database=database)


def _cells(one: ModelResult, ranked: Ranked | None) -> tuple[str, ...]:
    before, latency = one.baseline_test, None if ranked is None else ranked.latency
    return (
        "" if ranked is None else str(ranked.rank), one.name, one.status.replace("_", " "), str(one.rounds),
        "" if before is None else f"{before.mean:.1%}",
        "" if ranked is None else f"{ranked.score:.1%}",
        "not measured" if ranked is None else f"[{ranked.low:.1%}, {ranked.high:.1%}]",
        "" if latency is None else f"{latency.p50:,.0f}/{latency.p95:,.0f}/{latency.p99:,.0f}",
        f"{one.spending.calls:,}", dollars(one.spending.cost_usd),
    )  # fmt: skip


def _reader(session: TrainingSession) -> Callable[[], Dial]:
    """Reads what a live view shows beside the events."""
    last = Dial(in_flight={}, spent={}, total=0.0)

    def read() -> Dial:
        nonlocal last
        now = session.spending()
        if now is not None:
            last = Dial(in_flight=session.in_flight(), spent=now.by_model_usd, total=now.total_usd)
        return last

    return read
