"""OpenCode's history in each of its forms: database, older JSON store, `opencode export`, `run --format json`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from strop.agents.importers.fields import mapping
from strop.agents.importers.files import top_keys
from strop.agents.importers.lines import MAX_FILE, json_document, parsed, unreadable
from strop.agents.importers.opencode_database import holds_sessions, is_database, read_database
from strop.agents.importers.opencode_events import is_stream, read_stream
from strop.agents.importers.opencode_messages import Session, outcome
from strop.agents.importers.opencode_storage import read_stored, session_files, storage_of, storage_roots
from strop.agents.transcript import ClientName, Json, Refusal, Transcript

HEAD = 4096

_EXPORT = re.compile(rb"\A(?:\xef\xbb\xbf)?(?:Exporting session[^\n]*\n)?\s*[\[{]")
_BANNER = re.compile(rb"\A(?:\xef\xbb\xbf)?Exporting session[^\n]*\n")


class OpenCodeImporter:
    """Reads OpenCode's sessions; see `Importer` for what is promised."""

    client: ClientName = "opencode"

    def stores(self, environment: Mapping[str, str], home: Path) -> tuple[Path, ...]:
        """The database that OPENCODE_DB names, else the data directory where it holds a database or a JSON store."""
        data = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share") / "opencode"
        named = environment.get("OPENCODE_DB")
        if named:
            database = data / named
            return (database,) if named != ":memory:" and database.is_file() else ()
        return (data,) if _is_store(data) else ()

    def accepts(self, path: Path, head: bytes) -> bool:
        if not head:
            return path.is_dir() and _is_store(path)
        if is_database(head):
            return holds_sessions(path)
        if storage_of(path) is not None or is_stream(head):
            return True
        is_export = _EXPORT.match(head) is not None and b'"info"' in head and b'"ses_' in head
        return is_export and (b'sessionId"' not in head or "sessionId" not in top_keys(head))

    def read(self, path: Path, since: datetime | None = None) -> Iterator[Transcript | Refusal]:
        moment = since.replace(tzinfo=UTC) if since is not None and since.tzinfo is None else since
        try:
            if path.is_dir():
                yield from self._directory(path, moment)
            else:
                with path.open("rb") as file:
                    head = file.read(HEAD)
                yield from self._file(path, head, moment)
        except OSError as error:
            yield Refusal(source=str(path), reason=unreadable(error))

    def _file(self, path: Path, head: bytes, since: datetime | None) -> Iterator[Transcript | Refusal]:
        if is_database(head):
            yield from read_database(path, since)
        elif (root := storage_of(path)) is not None:
            yield from read_stored(root, path, since)
        elif is_stream(head):
            yield from read_stream(path, since)
        else:
            yield from _read_export(path, head, since)

    def _directory(self, path: Path, since: datetime | None) -> Iterator[Transcript | Refusal]:
        """The databases, then what the JSON store holds besides (the client copied it over), or any files of ours."""
        seen: set[str] = set()
        for database in _databases(path):
            for found in read_database(database, since):
                if isinstance(found, Transcript):
                    seen.add(found.id)
                yield found
        roots = storage_roots(path)
        for root in roots:
            for file in session_files(root):
                if file.stem not in seen:
                    seen.add(file.stem)
                    yield from read_stored(root, file, since)
        if not seen and not roots:
            for file in sorted(path.rglob("*.json*")):
                if file.is_file() and (head := _head(file)) and self.accepts(file, head):
                    yield from self._file(file, head, since)


def _is_store(path: Path) -> bool:
    try:
        return bool(_databases(path) or storage_roots(path))
    except OSError:
        return False


def _databases(path: Path) -> list[Path]:
    """opencode.db and its siblings of other release channels (opencode-beta.db)."""
    return sorted(file for file in path.glob("opencode*.db") if file.is_file())


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def _read_export(path: Path, head: bytes, since: datetime | None) -> Iterator[Transcript | Refusal]:
    value = _banner_cut(path) if _BANNER.match(head) else json_document(path)
    if isinstance(value, Refusal):
        yield value
        return
    exports = value if isinstance(value, list) else [value]
    if exports and all("parts" in mapping(entry) for entry in exports):
        exports: list[Json] = [{"info": {}, "messages": exports}]
    if not exports:
        yield Refusal(source=str(path), reason="it holds no session")
    for place, export in enumerate(exports):
        yield from _exported(str(path), export, f"[{place}]." if isinstance(value, list) else "", since)


def _exported(source: str, export: Json, prefix: str, since: datetime | None) -> Iterator[Transcript | Refusal]:
    fields = mapping(export)
    messages = fields.get("messages")
    if not isinstance(messages, list):
        yield Refusal(
            source=source, row=prefix or None, reason="it is no OpenCode export: it lacks the list 'messages'"
        )
        return
    session = Session(source=source, info=mapping(fields.get("info")))
    if not session.info and not messages:
        session.refuse("it is an empty export", prefix or None)
    for place, message in enumerate(messages):
        row = f"{prefix}messages[{place}]"
        if isinstance(message, dict):
            session.add(message.get("info"), message.get("parts"), row)
        else:
            session.refuse("the message is no object", row)
    yield from outcome(session, since)


def _banner_cut(path: Path) -> Json | Refusal:
    """An export whose file caught the client's line on standard error as well."""
    try:
        if path.stat().st_size > MAX_FILE:
            return Refusal(source=str(path), reason=f"the file is larger than {MAX_FILE:,} bytes")
        return parsed(_BANNER.sub(b"", path.read_bytes(), count=1))
    except OSError as error:
        return Refusal(source=str(path), reason=unreadable(error))
    except ValueError as error:
        return Refusal(source=str(path), reason=str(error))
