"""Ready tasks that run as they are: each a folder with a commented strop.yaml and its data, to be copied.

A project is a folder too, with a config.yaml in place of the strop.yaml: what `strop agents` works on.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from strop.errors import BadInput, NotFound, StoreUnwritable

__all__ = ["DEFAULT", "copy", "describe", "names", "projects"]

DEFAULT = "package-sections"
TASK_FILE = "strop.yaml"
PROJECT_FILE = "config.yaml"
SCHEMA = "strop.schema.json"


def names() -> tuple[str, ...]:
    """Every example, the default one first."""
    found = (entry.name for entry in files(__name__).iterdir() if entry.joinpath(TASK_FILE).is_file())
    return tuple(sorted(found, key=lambda name: (name != DEFAULT, name)))


def projects() -> tuple[str, ...]:
    """Every example that is a project for `strop agents`."""
    return tuple(sorted(entry.name for entry in files(__name__).iterdir() if entry.joinpath(PROJECT_FILE).is_file()))


def describe(name: str) -> str:
    """What it is, in one sentence: the second line of a strop.yaml, the first of a config.yaml. Raises NotFound."""
    folder = _folder(name)
    file, line = (PROJECT_FILE, 0) if name in projects() else (TASK_FILE, 1)
    return folder.joinpath(file).read_text(encoding="utf-8").splitlines()[line].removeprefix("# ")


def copy(name: str, directory: str | Path) -> list[Path]:
    """Write an example, and the schema that editors check strop.yaml with, into `directory`; returns the new files.

    Overwrites nothing: raises BadInput when any of the files is there already, before any is written.
    Raises NotFound for an unknown name, StoreUnwritable when the directory cannot be written.
    """
    target = Path(directory)
    sources = dict(_files(_folder(name)))
    if name not in projects():
        # not through `strop.runs`: `strop init` must not pay for importing it
        sources[SCHEMA] = files("strop").joinpath("runs", SCHEMA)
    planned = sorted((target / way, source.read_bytes()) for way, source in sources.items())
    if target.exists() and not target.is_dir():
        raise BadInput(f"{str(target)!r} is a file, not a directory")
    there = [str(path) for path, _ in planned if path.exists() or path.is_symlink()]
    if there:
        raise BadInput(f"nothing is overwritten, and there is already {', '.join(there)}", hint="name a new directory")
    try:
        target.mkdir(parents=True, exist_ok=True)
        for path, content in planned:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(content)
    except OSError as error:
        raise StoreUnwritable(f"the example cannot be written to {str(target)!r}: {error.strerror}") from None
    return [path for path, _ in planned]


def _files(folder: Traversable, way: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_file():
            yield f"{way}{entry.name}", entry
        elif entry.name != "__pycache__":
            yield from _files(entry, f"{way}{entry.name}/")


def _folder(name: str) -> Traversable:
    known = (*names(), *projects())
    if name not in known:
        close = get_close_matches(name, known, n=1, cutoff=0.4)
        raise NotFound(
            f"there is no example {name!r}",
            hint=(f"did you mean {close[0]!r}? " if close else "") + f"known: {', '.join(known)}",
        )
    return files(__name__).joinpath(name)
