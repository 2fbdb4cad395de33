"""`strop agents`: a coding agent's sessions become examples, and a prompt that learnt from them becomes its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from strop.cli.options import Database, Directory, Json, Quiet, noun

app = noun("Sharpen a coding agent's prompt with its own sessions. The bare noun lists.", no_args_is_help=True)

Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Default: config.yaml of DIR.")]
Client = Annotated[
    str | None, typer.Option(help="opencode, claude-code, codex, log or otel. Default: whatever is recognised.")
]
InstalledClient = Annotated[str, typer.Option("--client", help="opencode, claude-code or codex.")]
Target = Annotated[str | None, typer.Option(help="Which target of config.yaml; needed when there are several.")]
Which = Annotated[str, typer.Option("--version", help="Number, label, `latest` or `active`.")]
Format = Annotated[str | None, typer.Option("--format", help="opencode, agents-md, claude, jsonc or text.")]
Mode = Annotated[str | None, typer.Option(help="replace: a prompt of its own; append: added to the client's.")]
Project = Annotated[
    Path | None, typer.Option("--project", metavar="DIR", help="For this project only. Default: for the user.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change; change nothing.")]


@app.command("list")
def list_(directory: Directory = Path(), database: Database = None, as_json: Json = False) -> None:
    """List what was imported, what could not be read, and what is installed."""
    from strop.cli.histories import show_archive
    from strop.cli.house import house_at

    with house_at(directory, database, maker="agents import") as house:
        show_archive(house, directory, as_json=as_json)


@app.command("import")
def import_(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="[PATH]...", help="Files or directories.")] = None,
    *,
    client: Client = None,
    since: Annotated[str | None, typer.Option(help="Sessions since 2025-01-31, or of the last 24h, 7d, 2w.")] = None,
    project: Annotated[Path | None, typer.Option(metavar="DIR", help="Only sessions in or below DIR.")] = None,
    labels: Annotated[Path | None, typer.Option(metavar="FILE", help="Outcomes by hand: JSONL or CSV.")] = None,
    redact: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Take this out too, from now on; repeatable.")
    ] = None,
    show_redactions: Annotated[bool, typer.Option("--show-redactions", help="Show what is taken out, masked.")] = False,
    directory: Directory = Path(),
    database: Database = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Read sessions of coding agents, without changing them.

    Without PATH the clients' own stores on this machine are read. Keys, tokens, e-mail addresses and home directories
    are taken out before anything is stored. What could not be read is listed, and does not stop the rest.
    """
    from strop.agents import Wanted, parse_since
    from strop.cli.histories import import_sessions

    wanted = Wanted(
        paths=tuple(paths or ()), client=client, since=parse_since(since) if since else None, project=project,
        listed=tuple(redact or ()),
    )  # fmt: skip
    return import_sessions(
        directory, database, wanted, labels=labels, quiet=quiet, as_json=as_json, show_redactions=show_redactions
    )


@app.command()
def prepare(
    *,
    config: Config = None,
    judge: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Ask this model how those ended of which nothing says it.")
    ] = None,
    budget: Annotated[float, typer.Option(metavar="USD", min=0, help="Most that the judge may spend.")] = 1.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read the logs, say what the judge would cost, ask nothing.")
    ] = False,
    directory: Directory = Path(),
    database: Database = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Read the logs of raw_dir, filter and shorten, write examples.json and the splits.

    With --judge a model is asked about each task whose outcome nothing else says. Its verdicts are kept: the same
    command asks about new tasks only.
    """
    from strop.agents import need_config
    from strop.app import House
    from strop.cli.histories import prepare_examples, show_prepared
    from strop.cli.judging import Bench, show_estimate
    from strop.errors import BadInput

    if dry_run and judge is None:
        raise BadInput("--dry-run says what a judge would cost", hint="name it: --judge openai/gpt-4o-mini, say")
    file = need_config(config or directory)
    with House.at(file.directory, database=database) as house:
        bench = None if judge is None else Bench(file, house, judge, budget, quiet=quiet, as_json=as_json)
        if dry_run and bench is not None:
            show_estimate(bench, as_json=as_json)
            return
        report, done = prepare_examples(file, house, quiet=quiet, judge=bench)
        show_prepared(report, done, as_json=as_json, judged=bench.told if bench else None)


@app.command()
def train(
    *,
    config: Config = None,
    target: Annotated[str | None, typer.Option(help="Only this target of config.yaml.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="MIPROv2, COPRO, BootstrapFewShot or any other.")] = None,
    budget: Annotated[float | None, typer.Option(metavar="USD", help="Most that a target's run may spend.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Prepare; say what would be done at what cost.")] = False,
    no_prepare: Annotated[bool, typer.Option("--no-prepare", help="Take the splits as they are.")] = False,
    directory: Directory = Path(),
    database: Database = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Optimise the prompt of every target and prove the gain on sealed examples.

    Prepares first; what has not changed is not prepared again. A strop.yaml is run as `strop optimize` does.
    """
    from strop.agents import changed, load_config
    from strop.cli.trainings import Asked, train_file, train_task
    from strop.runs import TaskFile

    asked = Asked(database=database, quiet=quiet, as_json=as_json, dry_run=dry_run, no_prepare=no_prepare)
    file = load_config(config or directory)
    if isinstance(file, TaskFile):
        return train_task(file, asked, algorithm=optimizer, budget=budget)
    return train_file(changed(file, optimizer=optimizer, budget_usd=budget, target=target), asked)


@app.command()
def export(
    *,
    config: Config = None,
    target: Target = None,
    version: Which = "active",
    format: Format = None,
    mode: Mode = None,
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="Default: prompts_dir. `-` is stdout.")] = None,
    directory: Directory = Path(),
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Write a version's prompt as a file that a client reads, and beside it where it came from."""
    from strop.agents import need_config
    from strop.cli.house import house_at
    from strop.cli.prompts import checked_choice, export_prompt

    form = checked_choice(format, mode)
    file = need_config(config or directory)
    with house_at(file.directory, database, maker="agents train") as house:
        export_prompt(file, house, target=target, version=version, form=form, output=output, as_json=as_json)


@app.command()
def install(
    *,
    config: Config = None,
    client: InstalledClient = "opencode",
    target: Target = None,
    version: Which = "active",
    format: Format = None,
    mode: Mode = None,
    project: Project = None,
    default: Annotated[bool, typer.Option("--default", help="Make it OpenCode's default agent.")] = False,
    backup: Annotated[bool, typer.Option("--backup", help="Put a file of yours aside that has the same name.")] = False,
    tools: Annotated[list[str] | None, typer.Option(help="Claude Code: a tool that it may use; repeatable.")] = None,
    tolerance: Annotated[float, typer.Option(help="Points (of 1) that the text may lose against the program.")] = 0.05,
    no_parity: Annotated[bool, typer.Option("--no-parity", help="Do not measure the text first.")] = False,
    dry_run: DryRun = False,
    directory: Directory = Path(),
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Put a version's prompt where the client finds it; `uninstall` brings every file back as it was.

    The text is measured as plain chat messages on the dev examples first, and refused when it falls short of the
    program that it was made from.
    """
    from strop.agents import Choice, need_config
    from strop.cli.house import house_at
    from strop.cli.prompts import checked_choice, install_prompt

    choice = Choice(
        **checked_choice(format, mode), default=default, backup=backup, dry_run=dry_run, tools=tuple(tools or ())
    )
    file = need_config(config or directory)
    with house_at(file.directory, database, maker="agents train") as house:
        install_prompt(
            file, house, choice, at=(client, project), which=(target, version),
            tolerance=None if no_parity else tolerance, as_json=as_json,
        )  # fmt: skip


@app.command()
def uninstall(
    agent: Annotated[str | None, typer.Argument(metavar="[AGENT]", help="Default: all that Strop installed.")] = None,
    *,
    client: InstalledClient = "opencode",
    project: Project = None,
    force: Annotated[bool, typer.Option("--force", help="Also out of files that were changed since.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Take an installed prompt away and bring every file back as it was."""
    from strop.agents import uninstall as take_away
    from strop.cli.prompts import place_for, show_installation

    done = take_away(place_for(client, project), agent, force=force, dry_run=dry_run)
    show_installation(done, "removed", as_json=as_json)


@app.command()
def watch(
    *,
    client: Client = None,
    enough: Annotated[int, typer.Option(help="New examples that are worth a new run.")] = 20,
    every: Annotated[float, typer.Option(metavar="SECONDS", help="Time between two looks.")] = 10.0,
    once: Annotated[bool, typer.Option("--once", help="Import once and say what came.")] = False,
    plugin: Annotated[bool, typer.Option("--plugin", help="Install an OpenCode plugin that imports instead.")] = False,
    project: Project = None,
    dry_run: DryRun = False,
    directory: Directory = Path(),
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Import new sessions as they end, and say when enough have come for a new run."""
    from strop.app import House
    from strop.cli.histories import watch_sessions

    if plugin:
        from strop.agents import install_plugin
        from strop.cli.prompts import place_for, show_installation

        done = install_plugin(place_for(client or "opencode", project), directory, dry_run=dry_run)
        show_installation(done, "installed", as_json=as_json, project=project)
        return
    with House.at(directory, database=database) as house:
        watch_sessions(house, directory, client, (enough, every, once), as_json=as_json)
