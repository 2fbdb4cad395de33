"""Which files there are to read, and what their first bytes say about them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import orjson

from strop.agents.importers.lines import MAX_FILE, MAX_LINE, json_document, json_lines, parsed
from strop.agents.transcript import Json, Refusal, Transcript

HEAD = 4096
"""Bytes of a file that recognition looks at."""

LINED = frozenset({".jsonl", ".ndjson"})
"""Suffixes of files that hold one JSON value a line."""

_BOM = b"\xef\xbb\xbf"
_SUFFIXES = LINED | {".json"}
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]:]')


def head(path: Path) -> bytes:
    """The first bytes of a file; empty for a directory and for what cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def json_files(path: Path) -> Iterator[Path]:
    """The file itself, whatever its name; of a directory every JSON file below it, sorted by path."""
    if not path.is_dir():
        yield path
        return
    for found in sorted(path.rglob("*")):
        if found.suffix.lower() in _SUFFIXES and found.is_file():
            yield found


def top_keys(start: bytes) -> frozenset[str]:
    """The keys of the first JSON object, as far as `start` reaches; of the first one in a list of objects likewise.

    Only the outermost level counts: a log that quotes another format in a text is not taken for it.
    """
    found: set[str] = set()
    depth, level, last = 0, 0, b""
    for token in _TOKEN.findall(start):
        if token in b"{[":
            depth += 1
            if token == b"{" and level == 0:
                level = depth
        elif token in b"}]":
            depth -= 1
            if depth < level:
                break
        elif token == b":":
            if depth == level:
                found.add(last[1:-1].decode("utf-8", "replace"))
        else:
            last = token
    return frozenset(found)


def is_older(found: Transcript, since: datetime | None) -> bool:
    """Whether a session was last updated before `since` (UTC, where it names no zone); one without a time is not."""
    if since is None or found.updated is None:
        return False
    return found.updated < (since if since.tzinfo else since.replace(tzinfo=UTC))


def json_values(path: Path) -> Iterator[tuple[int | None, Json] | Refusal]:
    """The JSON values of a file with their lines; a document on many lines has none."""
    if _is_lined(path):
        yield from json_lines(path)
        return
    found = json_document(path)
    if isinstance(found, Refusal):
        yield Refusal(source=found.source, reason=found.reason, line=_broken_line(path))
    else:
        yield None, found


def _is_lined(path: Path) -> bool:
    """Whether each line is a value: by the suffix, unless a document was given it; else by the first of many lines."""
    try:
        with path.open("rb") as file:
            first = file.readline(MAX_LINE).removeprefix(_BOM).strip()
            more = bool(file.read(64).strip())
    except OSError:
        return False
    if path.suffix.lower() in LINED:
        return first not in (b"{", b"[")
    if not more or not first.endswith(b"}"):
        return False
    try:
        return isinstance(parsed(first), dict)
    except ValueError:
        return False


def _broken_line(path: Path) -> int | None:
    """The line at which a document stops being JSON; None where that is not what is wrong with it."""
    try:
        raw = path.read_bytes() if path.stat().st_size <= MAX_FILE else b"0"
        orjson.loads(raw.removeprefix(_BOM))
    except orjson.JSONDecodeError as error:
        return error.lineno
    except OSError:
        return None
    return None
