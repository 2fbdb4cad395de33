"""JSON files and JSON lines of strangers, read from bytes: bounded, tolerant of damage, every refusal with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import orjson

from strop.agents.transcript import Json, Refusal

MAX_LINE = 64 * 2**20
"""Bytes of one line; a longer one is refused without being held in memory."""

MAX_FILE = 512 * 2**20
"""Bytes of one JSON document, which has to be held in memory as a whole."""

MAX_REFUSED = 20
"""Lines of one file that are refused one by one; further ones are counted in a last refusal."""

_BUFFER = 2**20
_BOM = b"\xef\xbb\xbf"
_SURROGATES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def parsed(raw: bytes | str) -> Json:
    """The JSON value in `raw`.

    JavaScript writes half of an emoji that it cut in two, and logs hold stray bytes: both become U+FFFD.
    Raises ValueError, with the reason in plain words, for what is no JSON.
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as first:
        try:
            return orjson.loads(_mended(raw))
        except orjson.JSONDecodeError:
            raise ValueError(_plain(raw, first)) from None


def json_lines(path: Path, limit: int = MAX_LINE) -> Iterator[tuple[int, Json] | Refusal]:
    """Every value of a JSONL file with its 1-based line, and a refusal for each line that holds none.

    Blank lines are passed over. Nothing of what the file contains raises; a file that cannot be opened is a refusal.
    """
    refused = last = line = 0
    try:
        with path.open("rb", buffering=_BUFFER) as file:
            readline, most, loads = file.readline, limit + 1, orjson.loads
            while raw := readline(most):
                line += 1
                if len(raw) <= limit:
                    try:
                        yield line, loads(raw)
                        continue
                    except orjson.JSONDecodeError:
                        raw = raw.removeprefix(_BOM) if line == 1 else raw
                        if not raw or raw.isspace():
                            continue
                    try:
                        yield line, parsed(raw)
                        continue
                    except ValueError as error:
                        reason = str(error)
                else:
                    _pass_over(file, raw)
                    reason = f"the line is longer than {limit:,} bytes"
                refused, last = refused + 1, line
                if refused <= MAX_REFUSED:
                    yield Refusal(source=str(path), line=line, reason=reason)
    except OSError as error:
        yield Refusal(source=str(path), reason=unreadable(error))
    if refused > MAX_REFUSED:
        more = refused - MAX_REFUSED
        yield Refusal(source=str(path), line=last, reason=f"{more} further lines, up to this one, are invalid JSON too")


def json_document(path: Path, limit: int = MAX_FILE) -> Json | Refusal:
    """The one JSON value of a file, or why there is none."""
    try:
        if path.stat().st_size > limit:
            return Refusal(source=str(path), reason=f"the file is larger than {limit:,} bytes")
        raw = path.read_bytes()
    except OSError as error:
        return Refusal(source=str(path), reason=unreadable(error))
    try:
        return parsed(raw.removeprefix(_BOM))
    except ValueError as error:
        return Refusal(source=str(path), reason=str(error))


def unreadable(error: OSError) -> str:
    """Why a file could not be opened or read, in plain words."""
    return f"it cannot be read: {error.strerror or error}"


def _pass_over(file: BinaryIO, raw: bytes) -> None:
    """Read on to the end of a line of which `raw` is the beginning."""
    while raw and not raw.endswith(b"\n"):
        raw = file.readline(_BUFFER)


def _mended(raw: bytes | str) -> bytes:
    data = raw.encode("utf-8", "replace") if isinstance(raw, str) else raw
    if b"\\ud" in data or b"\\uD" in data:
        data = _SURROGATES.sub(lambda found: rb"\ufffd" if found[1] else found[0], data)
    return data.decode("utf-8", "replace").encode()


def _plain(raw: bytes | str, error: orjson.JSONDecodeError) -> str:
    head = raw[:4096]
    if (b"\0" in head) if isinstance(head, bytes) else ("\0" in head):
        return "it holds binary data instead of JSON"
    if not raw.strip():
        return "it is empty"
    if "depth" in error.msg:
        return "it is nested too deep (more than 1,024 levels)"
    if "unexpected end" in error.msg or "EOF" in error.msg:
        return "it is invalid JSON that breaks off in the middle (still being written, or cut); import it when complete"
    return f"it is invalid JSON: {error.msg} at character {error.pos}"
