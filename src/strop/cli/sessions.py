"""`strop sessions`: several models, one task, one budget, and a decision at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from strop.cli.options import Database, Directory, Json, Quiet, noun
from strop.cli.session_options import (
    Algorithm,
    Budget,
    Concurrency,
    Convergence,
    CostOptimized,
    Expects,
    Input,
    JudgeModel,
    Models,
    Newest,
    Output,
    Prompt,
    QualityFocused,
    Rounds,
    Rules,
    Samples,
    SessionId,
    SignatureFile,
    TaskFile,
    Timeout,
    Verbose,
)

app = noun("Train several models on one task under one budget. The bare noun lists.", no_args_is_help=True)


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, help="Most sessions to list.")] = 20,
    directory: Directory = Path(),
    database: Database = None,
    as_json: Json = False,
) -> None:
    """List sessions, newest first."""
    from strop.cli.console import emit
    from strop.cli.house import house_at
    from strop.cli.session_running import brief, print_briefs
    from strop.sessions import SessionJournal

    with house_at(directory, database) as house:
        briefs = [brief(house, record) for record in SessionJournal(house.store).all(limit=limit)]
    emit(briefs) if as_json else print_briefs(briefs)


@app.command()
def train(
    *,
    models: Models = None,
    rounds: Rounds = None,
    budget: Budget = None,
    samples: Samples = None,
    convergence: Convergence = None,
    prompt: Prompt = None,
    input: Input = None,
    expects: Expects = None,
    constraint: Rules = None,
    judge: JudgeModel = None,
    signature: SignatureFile = None,
    task: TaskFile = None,
    algorithm: Algorithm = None,
    quality_focused: QualityFocused = False,
    cost_optimized: CostOptimized = False,
    disable_cross_learning: Annotated[
        bool, typer.Option("--disable-cross-learning", help="Do not try on a model what won on another.")
    ] = False,
    disable_hooks: Annotated[bool, typer.Option("--disable-hooks", help="Neither our own store nor others.")] = False,
    hook: Annotated[
        list[str] | None,
        typer.Option(metavar="HOOK", help="claude-flow, module:function, or `complete=COMMAND {session_id}`."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of split, search and embedded models.")] = None,
    concurrency: Concurrency = None,
    timeout: Timeout = None,
    output: Output = None,
    resume: Annotated[str | None, typer.Option(metavar="SESSION", help="Go on with an interrupted session.")] = None,
    directory: Directory = Path(),
    database: Database = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Train several models on one task under one budget: baseline, rounds, learning across, sealed benchmark, report.

    The models are asked for a task of yours (--task), or for a prompt with what its output must keep to. Exit code 0:
    the session is complete; 4: budget or time left the benchmark unfinished, with a partial report; 3: all failed.
    """
    from strop.cli.session_house import Work, preset_of, refuse
    from strop.cli.session_running import Seen, resume_session, train_models

    changes: dict[str, Any] = {
        "optimization_rounds": rounds, "cost_budget": budget, "benchmark_samples": samples, "algorithm": algorithm,
        "convergence_threshold": convergence, "seed": seed, "max_concurrency": concurrency, "timeout_s": timeout,
        "hooks": tuple(hook) if hook else None, "enable_cross_learning": False if disable_cross_learning else None,
        "enable_hooks_integration": False if disable_hooks else None, "judge_model": judge,
    }  # fmt: skip
    changes = {key: value for key, value in changes.items() if value is not None}
    preset = preset_of(quality_focused=quality_focused, cost_optimized=cost_optimized)
    seen = Seen(output=output, quiet=quiet, verbose=verbose, as_json=as_json)
    if resume is not None:
        other: dict[str, object] = {
            "--models": models, "--prompt": prompt, "--task": task, "--judge": judge, "--rounds": rounds,
            "--samples": samples, "--convergence": convergence, "--algorithm": algorithm, "--seed": seed,
            "--input": input, "--expects": expects, "--constraint": constraint, "--signature": signature,
            "--disable-cross-learning": disable_cross_learning or None, "--disable-hooks": disable_hooks or None,
            "a preset": preset != "default" or None,
        }  # fmt: skip
        refuse([name for name, value in other.items() if value is not None])
        return resume_session(resume, changes, (directory, database), seen)
    work = Work(
        task=task, prompt=prompt, input=input, expects=expects, constraints=tuple(constraint or ()),
        signature=signature, directory=directory,
    )  # fmt: skip
    return train_models(work, (models, preset, changes), database, seen)


@app.command()
def resume(
    session: Newest = "last",
    *,
    budget: Annotated[
        float | None, typer.Option("--budget", "-b", metavar="USD", min=0, help="Raise what all of it may cost.")
    ] = None,
    concurrency: Concurrency = None,
    timeout: Timeout = None,
    output: Output = None,
    directory: Directory = Path(),
    database: Database = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Go on with an interrupted session; what was recorded is not paid again. Its limits can be raised."""
    from strop.cli.session_running import Seen, resume_session

    given = {"cost_budget": budget, "max_concurrency": concurrency, "timeout_s": timeout}
    changes = {key: value for key, value in given.items() if value is not None}
    seen = Seen(output=output, quiet=quiet, verbose=verbose, as_json=as_json)
    return resume_session(session, changes, (directory, database), seen)


@app.command()
def show(
    session: Newest = "last", directory: Directory = Path(), database: Database = None, as_json: Json = False
) -> None:
    """Show a session: the models side by side, what was carried across, the cost."""
    from strop.cli.console import emit
    from strop.cli.console import show as say
    from strop.cli.house import house_at, status_of
    from strop.cli.session_running import as_data, brief, print_result
    from strop.sessions import SessionJournal

    with house_at(directory, database) as house:
        record = SessionJournal(house.store).get(session)
        found = record.found
        if as_json:
            emit(brief(house, record) if found is None else as_data(found))
        elif found is None:
            status = status_of(house, "session", record.id, record.status)
            say(f"Session {record.id}: {record.name}, {status}; it has no result yet")
            say(f"Resume: strop sessions resume {record.id}")
        else:
            print_result(found)


@app.command()
def report(
    session: Newest = "last",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: below .strop.")
    ] = None,
    directory: Directory = Path(),
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Write the report of a session again, as HTML, Markdown and JSON, and say where they lie."""
    from strop.cli.console import emit
    from strop.cli.console import show as say
    from strop.cli.house import house_at
    from strop.cli.session_running import write_files
    from strop.errors import NotFound
    from strop.sessions import SessionJournal

    with house_at(directory, database) as house:
        record = SessionJournal(house.store).get(session)
        found = record.found
        if found is None:
            raise NotFound(f"session {record.id} has no result yet", hint=f"strop sessions resume {record.id}")
        files = write_files(found, output or house.place.reports / f"{record.id}.md", house).by_kind()
    if as_json:
        emit({"session_id": record.id, "report": files})
        return
    for path in files.values():
        say(path)


@app.command()
def cancel(session: SessionId, directory: Directory = Path(), database: Database = None, as_json: Json = False) -> None:
    """Ask a running session to stop; it ends with what it has."""
    from strop.cli.console import emit
    from strop.cli.console import show as say
    from strop.cli.house import house_at
    from strop.sessions import SessionJournal

    with house_at(directory, database) as house:
        record = SessionJournal(house.store).ask_to_stop(session)
    told = f"Session {record.id} was asked to stop. If its process is gone: strop sessions resume {record.id}"
    emit({"session_id": record.id, "cancel_requested": True}) if as_json else say(told)


@app.command()
def presets(as_json: Json = False) -> None:
    """List what `--quality-focused` and `--cost-optimized` set."""
    from strop.cli.console import emit, table
    from strop.cli.session_house import PRESETS

    if as_json:
        emit(PRESETS)
        return
    keys = list(PRESETS["default"])
    table(("", *PRESETS), [(key, *(preset[key] for preset in PRESETS.values())) for key in keys], right=list(PRESETS))


@app.command()
def models(directory: Directory = Path(), as_json: Json = False) -> None:
    """List the short names of --models, what they stand for, cost and need. `strop models` lists all with a price."""
    from strop.cli.console import emit, table
    from strop.cli.session_house import listed
    from strop.settings import load_env

    load_env(directory)
    rows = listed(directory)
    if as_json:
        emit(rows)
        return
    cells = [(row["name"], row["model"], f"{row['input']:.2f}", f"{row['output']:.2f}", row["key"]) for row in rows]
    table(("Name", "Model", "$/M in", "$/M out", "Key"), cells, right=("$/M in", "$/M out"))


@app.command()
def plan(
    *,
    models: Models = None,
    rounds: Rounds = None,
    budget: Budget = None,
    samples: Samples = None,
    convergence: Convergence = None,
    prompt: Prompt = None,
    input: Input = None,
    expects: Expects = None,
    constraint: Rules = None,
    judge: JudgeModel = None,
    signature: SignatureFile = None,
    task: TaskFile = None,
    algorithm: Algorithm = None,
    quality_focused: QualityFocused = False,
    cost_optimized: CostOptimized = False,
    directory: Directory = Path(),
    as_json: Json = False,
) -> None:
    """Predict what a session would do and cost: iterations, rounds and money of each model. Nothing is called."""
    from dataclasses import asdict

    from strop.cli.console import emit
    from strop.cli.session_house import Work, config_of, preset_of, problem_of
    from strop.cli.session_running import print_forecast
    from strop.gateway import PriceTable
    from strop.sessions import forecast
    from strop.settings import load_env

    work = Work(
        task=task, prompt=prompt, input=input, expects=expects, constraints=tuple(constraint or ()),
        signature=signature, directory=directory,
    )  # fmt: skip
    load_env(work.folder)
    given = {
        "optimization_rounds": rounds, "cost_budget": budget, "benchmark_samples": samples, "algorithm": algorithm,
        "convergence_threshold": convergence, "judge_model": judge,
    }  # fmt: skip
    preset = preset_of(quality_focused=quality_focused, cost_optimized=cost_optimized)
    changes = {key: value for key, value in given.items() if value is not None}
    config = config_of(work, models, preset, changes, keys=False)
    found = forecast(config, problem_of(config, work), PriceTable.load(work.folder / "prices.yaml"))
    emit(asdict(found)) if as_json else print_forecast(found)
