"""`strop demo`: a real task, a true optimisation, a true verdict, in under a minute and without a key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from strop.cli.console import PREPARING, typed
from strop.cli.options import Json, Quiet, noun

app = noun("Watch a real optimisation with small offline models.")
FOLDER = "strop-demo"
BANNER = (
    "Demo: sort Debian programs into archive sections by their one-line description (real data).",
    "The models embedded/small and embedded/large are small offline learners that come with Strop, for trials and "
    "tests; their scores say nothing about real models, and their prices are never billed.",
)


@app.command()
def demo(
    seed: Annotated[int | None, typer.Option(help="Another seed is another split and search.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew: forget the runs made here before.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Watch a real optimisation with small offline models; it uses ./strop-demo and needs neither key nor network."""
    import sys

    from strop.cli.console import flowing, tell, width

    tell("\n".join(flowing([line], width(sys.stderr), indent="") for line in BANNER))
    if not quiet:
        tell(PREPARING)
    from strop.app import House
    from strop.cli.running import carry_out, finish
    from strop.cli.tasks import changed
    from strop.runs import load_task

    folder = _folder(fresh=fresh)
    file = load_task(folder)
    spec = changed(file.spec, {} if seed is None else {"seed": seed})
    with House.at(folder, spec) as house:
        result = carry_out(house, house.plan(spec, file.directory), quiet=quiet)
        return finish(
            house,
            result,
            as_json=as_json,
            task=folder,
            given=() if seed is None else ("--seed", str(seed)),
            then=_then(folder, result),
        )


def _folder(*, fresh: bool) -> Path:
    """The demo's directory here, written on first use."""
    import shutil

    from strop import examples
    from strop.settings import HOME

    folder = Path(FOLDER)
    if fresh and (folder / HOME).is_dir():
        shutil.rmtree(folder / HOME)
    if not (folder / "strop.yaml").exists():
        examples.copy(examples.DEFAULT, folder)
    return folder


def _then(folder: Path, result: Any) -> list[str]:
    used = ["Use it: " + typed(f'predict {result.data["task"]} -C {folder} description="a chess game"')]
    yours = ["Yours:  " + typed("init my-task") + ", and put your data and model into my-task/strop.yaml"]
    return [*(used if result.version is not None else []), *yours]
