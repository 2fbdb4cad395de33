"""`strop init`: a task that runs as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from strop.cli.options import Json, noun

app = noun("Write a commented strop.yaml and data that run as they are.")


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write; nothing is overwritten.")] = Path(),
    example: Annotated[str | None, typer.Option(help="Which example; --list shows them.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the examples.")] = False,
    as_json: Json = False,
) -> None:
    """Write a commented strop.yaml and data that run as they are."""
    from strop import examples
    from strop.cli.console import emit, show, table, typed

    if list_:
        rows = [(name, examples.describe(name)) for name in (*examples.names(), *examples.projects())]
        emit([{"name": name, "about": about} for name, about in rows]) if as_json else table(("Example", "About"), rows)
        return
    files = examples.copy(example or examples.DEFAULT, directory)
    if as_json:
        emit({"example": example or examples.DEFAULT, "files": [str(path) for path in files]})
        return
    for path in files:
        show(f"wrote {path}")
    where = "" if directory == Path() else f" {directory}"
    if example in examples.projects():
        where = "" if directory == Path() else f" -C {directory}"
        show(f"Next: {typed(f'agents prepare{where}')}, then {typed(f'agents train{where}')}")
        return
    show(f"Next: {typed(f'optimize{where} --dry-run')}, then {typed(f'optimize{where}')}")
