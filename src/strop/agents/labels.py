"""Labels that a person wrote in a file: which sessions or turns succeeded."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from strop.agents.example import AgentExample
from strop.agents.outcome import Evidence
from strop.agents.transcript import Transcript
from strop.errors import DataError, NotFound

_HINT = 'one row for each label: {"session": "ses_1", "turn": 0, "success": false}; without `turn` it means every turn'
_YES = frozenset({"true", "yes", "1", "success", "good", "pass"})
_NO = frozenset({"false", "no", "0", "failure", "bad", "fail"})

Place = tuple[str, str | None]


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Labels by session and turn; a turn is named by its key or its 0-based number, None is the whole session."""

    rows: Mapping[Place, Evidence] = field(default_factory=dict[Place, Evidence])

    def sessions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(session for session, _ in self.rows))

    def evidence(self, transcript: Transcript, number: int) -> Evidence | None:
        """The label of a transcript's turn."""
        return self._find(transcript.id, transcript.turns[number].key, number) if self.rows else None

    def for_example(self, example: AgentExample) -> Evidence | None:
        return self._find(example.session, example.turn, example.number)

    def _find(self, session: str, key: str, number: int) -> Evidence | None:
        places: tuple[Place, ...] = ((session, key), (session, str(number)), (session, None))
        return next((self.rows[place] for place in places if place in self.rows), None)


def load_labels(path: Path) -> Labels:
    """Read labels from JSON lines or CSV with the columns session, turn (optional) and success.

    Raises:
        NotFound: there is no such file.
        DataError: a row cannot be used; says which.
    """
    if not path.is_file():
        raise NotFound(f"there is no label file {path}")
    rows: dict[Place, Evidence] = {}
    for line, row in _rows(path):
        session, success = row.get("session"), _boolean(row.get("success"))
        if not isinstance(session, str) or not session or success is None:
            raise DataError(
                "a label needs a session and a success of true or false", file=str(path), line=line, hint=_HINT
            )
        turn = row.get("turn")
        place = session, None if turn is None or turn == "" else str(turn)
        text = f"labelled as {'a success' if success else 'a failure'}"
        rows[place] = Evidence(kind="label_file", says=success, where=f"{path.name}:{line}", text=text)
    return Labels(rows=rows)


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        if path.suffix.lower() == ".csv":
            reader = csv.DictReader(file)
            for row in reader:
                yield reader.line_num, row
            return
        for line, text in enumerate(file, start=1):
            if text.strip():
                yield line, _object(text, path, line)


def _object(text: str, path: Path, line: int) -> Mapping[str, Any]:
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"this is no JSON: {error}", file=str(path), line=line, hint=_HINT) from error
    if not isinstance(value, dict):
        raise DataError("a label is an object", file=str(path), line=line, hint=_HINT)
    return cast("dict[str, Any]", value)


def _boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    return True if word in _YES else False if word in _NO else None
