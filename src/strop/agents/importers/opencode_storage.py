"""OpenCode's older store: a JSON file for each session, message and part.

    up to 1.1   storage/  session/<project>/<ses>.json  message/<ses>/<msg>.json  part/<msg>/<prt>.json
    before      project/<name>/storage/session/  info/<ses>.json  message/<ses>/<msg>.json  part/<ses>/<msg>/<prt>.json

Ids come from the names of files: a move of the client's own left the ones inside behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from strop.agents.importers.lines import json_document
from strop.agents.importers.opencode_messages import Session, outcome
from strop.agents.transcript import Json, Refusal, Transcript


def storage_roots(path: Path) -> list[Path]:
    """The `storage` directories at or under `path`."""
    places = [path, path / "storage", *_sorted(path, "*/storage"), *_sorted(path, "project/*/storage")]
    return [place for place in places if _is_root(place)]


def storage_of(file: Path) -> Path | None:
    """The `storage` directory that a session's file belongs to."""
    if not (file.name.startswith("ses_") and file.suffix == ".json"):
        return None
    return next((place for place in file.parents if _is_root(place) and place / "session" in file.parents), None)


def session_files(root: Path) -> list[Path]:
    return [file for file in _sorted(root / "session", "*/*.json") if file.name.startswith("ses_")]


def read_stored(root: Path, file: Path, since: datetime | None = None) -> Iterator[Transcript | Refusal]:
    """The session of one session file."""
    key = file.stem
    info = json_document(file)
    if not isinstance(info, dict):
        yield info if isinstance(info, Refusal) else Refusal(source=str(file), reason="the session's JSON is no object")
        return
    info["id"] = key
    session = Session(source=str(file), info=info)
    folders = [root / "message" / key, root / "session" / "message" / key]
    for path in sorted((path for folder in folders for path in _sorted(folder, "*.json")), key=lambda path: path.name):
        message = _object(session, path)
        if message is not None:
            message["id"] = path.stem
            message["sessionID"] = key
            session.add(message, _parts(session, root, key, path.stem), path.stem)
    yield from outcome(session, since)


def _parts(session: Session, root: Path, key: str, message: str) -> list[Json]:
    folders = [root / "part" / message, root / "session" / "part" / key / message]
    found: list[Json] = []
    for path in (path for folder in folders for path in _sorted(folder, "*.json")):
        part = _object(session, path)
        if part is not None:
            part["id"] = path.stem
            found.append(part)
    return found


def _object(session: Session, path: Path) -> dict[str, Json] | None:
    value = json_document(path)
    if isinstance(value, dict):
        return value
    reason = value.reason if isinstance(value, Refusal) else "the file's JSON is no object"
    session.refuse(reason, str(path))
    return None


def _is_root(path: Path) -> bool:
    session = path / "session"
    try:
        if (path / "message").is_dir():
            return session.is_dir()
        return (session / "info").is_dir() and (session / "message").is_dir()
    except OSError:
        return False


def _sorted(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []
