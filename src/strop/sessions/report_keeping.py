"""Where a report is written there may be another: that of an earlier session is kept, and no other file is touched."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from strop.errors import BadInput

KINDS = (".html", ".md", ".json")
_MARKS = {
    ".html": re.compile(r"<title>[^<]*\(session (\w+)\)</title>"),
    ".md": re.compile(r"\A# Training Session Report\n.*?^- Session: (\w+),", re.DOTALL | re.MULTILINE),
    ".json": re.compile(r'\A\{\s*"format": "strop\.session/1",.*?"session_id": "(\w+)"', re.DOTALL),
}


def session_of(file: Path) -> str | None:
    """Whose report a file is; None when it is no report of a session."""
    try:
        found = _MARKS[file.suffix].search(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return found[1] if found else None


def check_place(path: Path) -> None:
    """Look before anything is paid for whether a report can be named like `path`, whose ending does not matter.

    Raises:
        BadInput: one of its three files is there already and is no report of a session, or none can be written there.
    """
    folder = path.absolute().parent
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise BadInput(f"no report can be written to {folder}", hint="name another file with -o")
    for file in named_like(path):
        if file.exists() and session_of(file) is None:
            raise BadInput(
                f"{file} is there already and is no report of a session, so no report is written over it",
                hint="name another file with -o, or move this one away; HTML, Markdown and JSON share one name",
            )


def keep_earlier(path: Path, session_id: str) -> list[Path]:
    """Make room for the report of a session: another session's gets that session's id into its name.

    Returns the new names of what was moved.

    Raises:
        BadInput: as `check_place`.
    """
    check_place(path)
    moved: list[Path] = []
    for file in named_like(path):
        owner = session_of(file) if file.exists() else None
        if owner is not None and owner != session_id:
            moved.append(_free(file.with_name(f"{file.stem}-{owner}{file.suffix}"), owner))
            file.replace(moved[-1])
    return moved


def named_like(path: Path) -> Sequence[Path]:
    """The three files of a report, for a path that ends in one of their endings or in none."""
    stem = path.stem if path.suffix in KINDS else path.name
    return [path.with_name(f"{stem}{kind}") for kind in KINDS]


def _free(wanted: Path, owner: str) -> Path:
    """The same report under the same name may be replaced by a later one; anything else may not."""
    number, path = 1, wanted
    while path.exists() and session_of(path) != owner:
        number += 1
        path = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
    return path
