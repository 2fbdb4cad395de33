"""What there is to import: the clients' own stores, or the files below what the user names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from strop.agents.importers import IMPORTERS, importer_for, json_values, recognise
from strop.agents.transcript import Importer, Refusal
from strop.errors import NotFound

HISTORY_SUFFIXES = frozenset({".json", ".jsonl", ".ndjson", ".db", ".sqlite"})
_JSON = (".json", ".ndjson")
_NEVER = frozenset({".git", "node_modules", ".venv", "__pycache__", ".strop"})
_ROOMS = {".claude": "projects", ".codex": "sessions"}
"""Where the histories lie in a client's home."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file, or a directory that is one history (OpenCode's store), and who reads it."""

    path: Path
    importer: Importer

    def fingerprint(self) -> str:
        """Changes when the file does: size, time and inode; of a directory those of its files."""
        if self.path.is_dir():
            files = sorted(each for each in self.path.rglob("*") if _counts(each))
        else:
            files = [self.path, self.path.with_name(self.path.name + "-wal")]
        stamps = hashlib.sha256()
        for file in files:
            try:
                stat = file.stat()
            except OSError:
                continue
            stamps.update(
                f"{file.absolute()}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ino}\n".encode(errors="replace")
            )
        return stamps.hexdigest()

    def changed_at(self) -> float | None:
        """When a file was written last, in seconds since 1970; None for a directory and for a database."""
        if self.path.is_dir() or self.path.suffix in {".db", ".sqlite"}:
            return None
        try:
            return self.path.stat().st_mtime
        except OSError:
            return None


def found_stores(
    client: str | None, environment: Mapping[str, str] | None = None, home: Path | None = None
) -> tuple[tuple[Importer, Path], ...]:
    """The stores of one client, or of all, on this machine."""
    importers = IMPORTERS if client is None else (importer_for(client),)
    given = os.environ if environment is None else environment
    where = home or Path.home()
    return tuple((importer, path) for importer in importers for path in importer.stores(given, where))


def named_sources(paths: Sequence[Path], client: str | None) -> Iterator[Source | Refusal]:
    """What lies at and below the named paths. A file that no client's history is recognised in is refused.

    Raises:
        NotFound: a path does not exist.
        BadInput: there is no such client.
    """
    importer = None if client is None else importer_for(client)
    missing = next((path for path in paths if not path.exists()), None)
    if missing is not None:
        raise NotFound(f"there is nothing at {missing}", hint="name a session log, or a directory of them")
    for path in paths:
        if path.is_dir():
            yield from below(path, importer, strict=True)
        else:
            yield _file(path, importer)


def below(directory: Path, importer: Importer | None, *, strict: bool = False) -> Iterator[Source | Refusal]:
    """The sources of a directory, sorted by path; with `strict` files that nobody recognises are refused."""
    room = _ROOMS.get(directory.name)
    if room is not None and (directory / room).is_dir():
        directory = directory / room
    whole = next((each for each in IMPORTERS if each.client == "opencode"), None)
    if whole is not None and importer in {None, whole} and whole.accepts(directory, b""):
        yield Source(path=directory, importer=whole)
        return
    try:
        entries = sorted(directory.iterdir())
    except OSError as error:
        yield Refusal(source=str(directory), reason=f"the directory cannot be read: {error.strerror}")
        return
    for entry in entries:
        if entry.is_dir():
            if entry.name not in _NEVER and not entry.is_symlink():
                yield from below(entry, importer, strict=strict)
        elif entry.suffix.lower() in HISTORY_SUFFIXES:
            found = _file(entry, importer)
            if isinstance(found, Source) or strict:
                yield found


def _file(path: Path, importer: Importer | None) -> Source | Refusal:
    if path.exists() and not path.is_file():
        return Refusal(source=str(path), reason="it is a pipe, a socket or a device, no file")
    reader = importer or recognise(path)
    if reader is not None:
        return Source(path=path, importer=reader)
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        return Refusal(source=str(path), reason=f"the file cannot be read: {error.strerror}")
    first = next(json_values(path), None) if path.suffix.lower().startswith(_JSON) and not empty else None
    if isinstance(first, Refusal):
        return first
    known = ", ".join(each.client for each in IMPORTERS)
    reason = "the file is empty" if empty else f"it is not recognised as a history of {known}; --client says what it is"
    return Refusal(source=str(path), reason=reason)


def _counts(path: Path) -> bool:
    return path.suffix.lower() in HISTORY_SUFFIXES or path.name.endswith("-wal")
