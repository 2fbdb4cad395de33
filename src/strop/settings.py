"""Where the house stands: database, reports and prices, from the command line, the task file and the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from strop.runs import TaskSpec

HOME = ".strop"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where things are kept. `database` is a URL or path; the directories are made when something is written."""

    database: str
    reports: Path
    prices: Path

    @classmethod
    def of(cls, directory: Path, task: TaskSpec | None = None, *, database: str | None = None) -> Place:
        """A flag wins over the task file, the task file over STROP_DATABASE_URL; else it is `.strop/strop.db`."""
        named = database or (task.database if task is not None else None) or os.environ.get("STROP_DATABASE_URL")
        if named is None:
            named = str(directory / HOME / "strop.db")
        elif "://" not in named and named != ":memory:":
            named = str(directory / Path(named).expanduser())
        return cls(database=named, reports=directory / HOME / "reports", prices=directory / "prices.yaml")


def load_env(directory: Path) -> None:
    """Read `.env` of the directory into the environment; what is set already stays."""
    file = directory / ".env"
    if file.is_file():
        from dotenv import load_dotenv

        load_dotenv(file, override=False)
