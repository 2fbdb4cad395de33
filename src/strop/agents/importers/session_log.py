"""The session-log format: sessions written down as examples, in both header dialects, and the recorder's raw files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from strop.agents.importers.fields import mapping
from strop.agents.importers.files import head, is_older, json_files, json_values, top_keys
from strop.agents.importers.log_examples import Complaints, session_of_examples
from strop.agents.importers.log_raw import session_of_messages
from strop.agents.transcript import ClientName, Json, Refusal, Transcript

_WHAT = "no session log: an object with `session` and `examples`, or with `sessionId` and `messages`, is expected"
_LOOKED_AT = 50


class SessionLogImporter:
    """Reads session logs: one JSON document a file, a list of them, or one a line."""

    client: ClientName = "log"

    def stores(self, environment: Mapping[str, str], home: Path) -> tuple[Path, ...]:  # noqa: ARG002 - the contract's
        """None: this format has no place of its own; a path is always given."""
        return ()

    def accepts(self, path: Path, head: bytes) -> bool:
        """Whether the outermost keys are a session log's; of a directory, those of any of its first files."""
        if path.is_dir():
            return _any_log_in(path)
        keys = top_keys(head)
        if "examples" in keys:
            return not keys & {"$schema", "openapi"}
        counted = {"totalExamples", "totalTurns", "overallSuccess", "generated"}
        return ("session" in keys and bool(keys & counted)) or ("sessionId" in keys and bool(keys & _RAW))

    def read(self, path: Path, since: datetime | None = None) -> Iterator[Transcript | Refusal]:
        """Every session under `path`; a broken example or action is refused by its path inside the document."""
        for file in json_files(path):
            for found in json_values(file):
                if isinstance(found, Refusal):
                    yield found
                    continue
                line, value = found
                yield from _sessions(Complaints(str(file), line), value, since)


_RAW = frozenset({"messages", "toolCalls"})


def _any_log_in(directory: Path) -> bool:
    importer = SessionLogImporter()
    for looked_at, file in enumerate(json_files(directory)):
        if looked_at == _LOOKED_AT:
            return False
        if importer.accepts(file, head(file)):
            return True
    return False


def _sessions(complaints: Complaints, value: Json, since: datetime | None) -> Iterator[Transcript | Refusal]:
    """The session of one JSON value, or of each entry of a list of them."""
    if isinstance(value, list) and value:
        for index, entry in enumerate(value):
            yield from _sessions(complaints.inside(f"[{index}]."), entry if isinstance(entry, dict) else None, since)
        return
    log = mapping(value)
    if "examples" in log:
        found = session_of_examples(log, complaints)
    elif "sessionId" in log and _RAW & log.keys():
        found = session_of_messages(log, complaints)
    else:
        complaints.add("", _WHAT)
        found = None
    yield from complaints.refusals()
    if found is not None and not is_older(found, since):
        yield found
