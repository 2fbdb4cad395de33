"""Reads rows from files one at a time and knows on which physical line each of them began."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn, cast

from strop.errors import DataError

MAX_LINE = 16 * 2**20
"""Bytes in a line of JSONL or CSV. No example is that long; a file that has such a line is something else."""

MAX_JSON = 2**30
"""Bytes in a JSON file, which is parsed in memory."""

DELIMITERS = (",", ";", "\t", "|")
LIST_KEYS = ("examples", "data")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row as written: its columns, and where it stands (`line` is 1-based; for a list in memory the row's number)."""

    values: Mapping[str, Any]
    file: str | None
    line: int

    @property
    def origin(self) -> str:
        return f"{Path(self.file).name}:{self.line}" if self.file else f"row {self.line}"

    def refuse(self, message: str, hint: str) -> NoReturn:
        """Raises DataError that points at this row."""
        if self.file is None:
            raise DataError(f"row {self.line}: {message}", hint=hint)
        raise DataError(message, hint=hint, file=self.file, line=self.line)


def read(path: Path, wanted: Sequence[str]) -> Iterator[Row]:
    """Rows of a .jsonl, .ndjson, .csv, .tsv or .json file; `wanted` columns help to tell a CSV file's delimiter."""
    readers = {".jsonl": _jsonl, ".ndjson": _jsonl, ".json": _json}
    suffix = path.suffix.lower()
    if suffix not in readers and suffix not in {".csv", ".tsv"}:
        raise DataError(
            f"cannot tell the format from the suffix {path.suffix!r}",
            hint="name it .jsonl (one object a line), .csv or .tsv (with a header), or .json (a list of objects)",
            file=str(path),
        )
    try:
        with path.open("rb") as file:
            yield from readers[suffix](file, path) if suffix in readers else _csv(file, path, wanted)
    except FileNotFoundError:
        raise DataError("no such file", hint=f"the path was looked up from {Path.cwd()}", file=str(path)) from None
    except OSError as error:
        raise DataError(
            f"cannot be read: {error.strerror}", hint="give a readable file, not a directory", file=str(path)
        ) from error


def _lines(file: IO[bytes], path: Path, limit: int = MAX_LINE) -> Iterator[str]:
    number = 0
    while raw := file.readline(limit + 1):
        number += 1

        def refuse(message: str, hint: str, line: int = number) -> NoReturn:
            raise DataError(message, hint=hint, file=str(path), line=line)

        if number == 1 and raw[:2] in {b"\xff\xfe", b"\xfe\xff"}:
            refuse("the file is UTF-16", "save it as UTF-8")
        if len(raw) > limit:
            refuse(f"the line is longer than {limit:,} bytes", "check that this is a data file, one example a line")
        if b"\0" in raw:
            refuse("the line contains a NUL byte", "this is a binary or damaged file; export the data again as UTF-8")
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            refuse(f"byte {error.start + 1} of the line is not UTF-8 (0x{raw[error.start]:02x})", "save it as UTF-8")
        yield text.removeprefix("\ufeff") if number == 1 else text


def _jsonl(file: IO[bytes], path: Path) -> Iterator[Row]:
    for number, text in enumerate(_lines(file, path), start=1):
        if not text.strip():
            continue
        try:
            value = DECODER.decode(text.strip())
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"not valid JSON: {_reason(error)}",
                hint="every line must be one complete JSON object; a file that is one JSON document is named .json",
                file=str(path),
                line=number,
            ) from None
        yield _row(value, path, number)


def _csv(file: IO[bytes], path: Path, wanted: Sequence[str]) -> Iterator[Row]:
    # The module's limit of 131,072 characters is process-wide and smaller than a long document; it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE))
    lines = _lines(file, path)
    first = next(lines, "")
    if not first:
        return

    def all_lines() -> Iterator[str]:
        yield first
        yield from lines

    reader = csv.reader(all_lines(), delimiter=_delimiter(first, wanted), strict=True)
    header: list[str] = []
    begins = 1
    try:
        for cells in reader:
            row = Row(values={}, file=str(path), line=begins)
            begins = reader.line_num + 1
            if not cells:
                continue
            if not header:
                header = _header(cells, row)
                continue
            if len(cells) != len(header):
                row.refuse(
                    f"{len(cells)} cells, but the header has {len(header)}",
                    'put cells that contain the delimiter or a line break into double quotes ("...")',
                )
            values = {name: cell for name, cell in zip(header, cells, strict=True) if name}
            yield Row(values=values, file=row.file, line=row.line)
    except csv.Error as error:
        raise DataError(
            f"not valid CSV: {error}",
            hint='close every quoted cell, and write a quote inside it twice ("")',
            file=str(path),
            line=begins,
        ) from None


def _delimiter(header: str, wanted: Sequence[str]) -> str:
    """The delimiter under which the header has most of the wanted columns, then most columns at all."""

    def columns(delimiter: str) -> tuple[int, int]:
        cells = [cell.strip() for cell in next(csv.reader([header], delimiter=delimiter), [])]
        return len(set(wanted) & set(cells)), len(cells)

    return max(DELIMITERS, key=columns)


def _header(cells: list[str], row: Row) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        row.refuse(f"the header names {twice[0]!r} more than once", "give every column its own name")
    return names


def _json(file: IO[bytes], path: Path) -> Iterator[Row]:
    text = "".join(_lines(file, path, MAX_JSON))
    at = 0
    line = 1
    try:
        for start, value in _elements(text):
            line += text.count("\n", at, start)
            at = start
            yield _row(value, path, line)
    except (ValueError, RecursionError) as error:
        where = error.pos if isinstance(error, json.JSONDecodeError) else at
        raise DataError(
            f"not valid JSON: {_reason(error)}",
            hint='write a list of objects, or {"examples": [...]}; a file with one object a line is named .jsonl',
            file=str(path),
            line=text.count("\n", 0, where) + 1,
        ) from None


def _elements(text: str) -> Iterator[tuple[int, Any]]:
    """Offset and value of each element of the top-level list, or of the list under "examples" or "data"."""
    at = _skip(text, 0)
    if at == len(text):
        return
    if text[at] == "{":
        at = _list_in_object(text, at)
    if text[at : at + 1] != "[":
        raise json.JSONDecodeError("a list of objects was expected", text, at)
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        value, end = DECODER.raw_decode(text, at)
        yield at, value
        at = _skip(text, end)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] != "]":
            raise json.JSONDecodeError("',' or ']' was expected", text, at)


def _list_in_object(text: str, start: int) -> int:
    at = _skip(text, start + 1)
    while text[at : at + 1] == '"':
        key, at = DECODER.raw_decode(text, at)
        at = _skip(text, at)
        if text[at : at + 1] != ":":
            raise json.JSONDecodeError("':' was expected", text, at)
        at = _skip(text, at + 1)
        if key in LIST_KEYS and text[at : at + 1] == "[":
            return at
        _, at = DECODER.raw_decode(text, at)
        at = _skip(text, at)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
    raise json.JSONDecodeError('no list under "examples" or "data" in the object', text, start)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _row(value: Any, path: Path, line: int) -> Row:
    if not isinstance(value, dict):
        raise DataError(
            f"a JSON object was expected, not {type(value).__name__}",
            hint='write the row as {"field": value, ...}',
            file=str(path),
            line=line,
        )
    return Row(values=cast("dict[str, Any]", value), file=str(path), line=line)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON; use null or leave the row out")


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} (column {error.colno})"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


DECODER = json.JSONDecoder(parse_constant=_no_constant)
