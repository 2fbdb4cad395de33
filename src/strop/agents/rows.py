"""One session as it is stored: a row for it, and one for each of its turns with the whole example in it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from strop.agents.example import make_example, session_key, to_json
from strop.agents.injection import Flag, flags_of
from strop.agents.labels import Labels
from strop.agents.outcome import Judge, derive
from strop.agents.storable import dumped, storable
from strop.agents.transcript import Transcript


@dataclass(frozen=True, kw_only=True)
class SessionRows:
    """What of a redacted session may be stored; the archive decides what of it is new."""

    key: str
    session: dict[str, Any]
    turns: tuple[dict[str, Any], ...]
    has_task: bool
    """Whether the log carried what was asked, of any turn."""


def session_rows(
    transcript: Transcript,
    *,
    flags: Sequence[tuple[Flag, ...]] | None = None,
    labels: Labels | None = None,
    judged: Judge | None = None,
) -> SessionRows:
    """The rows of a redacted transcript, its outcomes derived. `flags` are those of its turns where they are known."""
    key = session_key(transcript.client, transcript.id)
    known = flags_of(transcript.turns) if flags is None else flags
    started = micros(transcript.started) or 0
    turns: list[dict[str, Any]] = []
    for number, turn in enumerate(transcript.turns):
        label = None if labels is None else labels.evidence(transcript, number)
        outcome = derive(transcript.turns, number, label=label, session_label=transcript.label, judged=judged)
        plain = to_json(make_example(transcript, number, outcome, flagged=known[number]))
        example, digest = _written(plain)
        turns.append({
            "id": plain["id"],
            "session_key": key,
            "number": number,
            "at_us": micros(turn.started) or started,
            "told": bool(turn.task.strip()),
            "success": outcome.success,
            "flags": len(plain["flags"]),
            "digest": digest,
            "example": example,
        })  # fmt: skip
    return SessionRows(
        key=key,
        session=_session_row(transcript, key),
        turns=tuple(turns),
        has_task=any(turn.task for turn in transcript.turns),
    )


def _written(plain: dict[str, Any]) -> tuple[str, str]:
    """The example as JSON text, and its digest: where a session was read from is not in it."""
    source = plain["source"]
    # The texts, which are long, are written once.
    for name in ("task", "context", "steps", "answer", "extra"):
        plain[name] = orjson.Fragment(dumped(plain[name]))
    plain["source"] = ""
    digest = hashlib.blake2b(dumped(plain), digest_size=16).hexdigest()
    plain["source"] = source
    return dumped(plain).decode(), digest


def _session_row(transcript: Transcript, key: str) -> dict[str, Any]:
    prompt = transcript.system_prompt
    return {
        "key": key,
        "client": transcript.client,
        "session": storable(transcript.id),
        "parent": None if transcript.parent is None else storable(transcript.parent),
        "title": storable(transcript.title),
        "project": storable(transcript.directory),
        "agent": storable(transcript.agent),
        "model": storable(transcript.model),
        "version": storable(transcript.version),
        "source": storable(transcript.source),
        "started_us": micros(transcript.started),
        "updated_us": micros(transcript.updated),
        "label": transcript.label,
        "system_prompt": None if prompt is None else storable(prompt),
        "extra": dumped(dict(transcript.extra)).decode(),
        "imported_us": now_us(),
    }


def micros(moment: datetime | None) -> int | None:
    """Microseconds since 1970; a moment without a zone is UTC."""
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1_000_000)


def now_us() -> int:
    """Microseconds since 1970, now."""
    return round(datetime.now(UTC).timestamp() * 1_000_000)
