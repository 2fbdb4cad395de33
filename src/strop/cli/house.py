"""The house that a command works in: found from a directory, a task file, a flag or the environment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from strop.cli.console import tell, typed
from strop.errors import NotFound

if TYPE_CHECKING:
    from strop.app import House
    from strop.settings import Place

TASK_FILE = "strop.yaml"


def place_of(directory: Path, database: str | None = None) -> Place:
    """Where the house of `directory` stands. A broken task file is an error: it may name another database."""
    from strop.runs import load_task
    from strop.settings import Place, load_env

    if not directory.is_dir():
        raise NotFound(f"there is no directory {str(directory)!r}")
    load_env(directory)
    named = database is None and (directory / TASK_FILE).is_file()
    return Place.of(directory, load_task(directory).spec if named else None, database=database)


def status_of(house: House, kind: str, id: str, status: str) -> str:
    """The status of a run or session; one that is `running` and has no process any more is `interrupted`."""
    from strop.store import Lease

    return "interrupted" if status == "running" and not Lease.is_held(house.store, f"{kind}:{id}") else status


def house_at(directory: Path, database: str | None = None, *, replay: bool = False, maker: str = "optimize") -> House:
    """The house of `directory` for looking around: where no database is yet, an empty one in memory stands for it.

    `maker` is the command that makes one.
    """
    from strop.app import House

    place = place_of(directory, database)
    if "://" not in place.database and place.database != ":memory:" and not Path(place.database).exists():
        tell(f"there is no database {place.database} yet; `{typed(maker)}` makes it, --database names another")
        place = replace(place, database=":memory:")
    return House(place, replay=replay)
