"""Keeps what was imported: examples by turn, each once, however often and from wherever its session is read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Select, bindparam, delete, func, insert, select, tuple_, update

from strop.agents.example import (
    AgentExample,
    from_json,
    make_example,
    outcome_to_json,
    session_key,
    to_json,
)  # fmt: skip
from strop.agents.injection import flags_of
from strop.agents.labels import Labels
from strop.agents.outcome import Evidence, Judge, derive, with_evidence
from strop.agents.storable import dumped, storable
from strop.agents.tables import agent_files, agent_refusals, agent_sessions, agent_turns
from strop.agents.transcript import ClientName, Refusal, Transcript
from strop.store import Prepared, Store, Upsert

PAGE = 100
"""Examples in memory at a time while they are streamed."""

_SESSION_CHANGES = (
    "parent", "title", "project", "agent", "model", "version", "source", "started_us", "updated_us", "label",
    "system_prompt", "extra", "imported_us",
)  # fmt: skip
_SESSIONS = Upsert(agent_sessions, key="key", update=_SESSION_CHANGES)
_TURNS = Upsert(agent_turns, key="id", update=("number", "at_us", "told", "success", "flags", "digest", "example"))
_STORED_SESSION = Prepared(select(agent_sessions.c.updated_us).where(agent_sessions.c.key == bindparam("key")), ["key"])
_STORED_TURNS = Prepared(
    select(agent_turns.c.id, agent_turns.c.digest, agent_turns.c.told).where(
        agent_turns.c.session_key == bindparam("key")
    ),
    ["key"],
)

_DELETE_UNTOLD = delete(agent_turns).where(agent_turns.c.session_key == bindparam("key"), agent_turns.c.told.is_(False))


@dataclass(frozen=True, kw_only=True)
class Added:
    """What adding transcripts changed: sessions (new, grown, unchanged) and turns (new, changed), and flags raised."""

    new: int = 0
    grown: int = 0
    unchanged: int = 0
    turns_new: int = 0
    turns_changed: int = 0
    flags: int = 0

    def __add__(self, other: Added) -> Added:
        return Added(**{name: getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__})


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What the archive holds. `unknown` are examples whose outcome nothing says."""

    sessions: int
    examples: int
    successful: int
    failed: int
    unknown: int
    flagged: int


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Which examples are wanted; None is no condition. `project` is a directory as it was redacted, or one above it."""

    client: ClientName | None = None
    agent: str | None = None
    project: str | None = None
    since: datetime | None = None
    success: bool | None = None


@dataclass(frozen=True, kw_only=True)
class SessionRow:
    """What a filter needs to know of a session."""

    key: str
    label: bool | None
    outcomes: tuple[bool | None, ...]
    """Of its turns, in order."""


class AgentArchive:
    """The archive in one database. Transcripts must be redacted before they come here."""

    def __init__(self, store: Store, *, labels: Labels | None = None, judged: Judge | None = None) -> None:
        self._store = store
        self._labels = labels or Labels()
        self._judged = judged

    def add(self, transcript: Transcript) -> Added:
        """Add one session in one transaction; see `add_all`."""
        return self.add_all([transcript])

    def add_all(self, transcripts: Iterable[Transcript], *, also: Callable[[Connection], None] | None = None) -> Added:
        """Add sessions in one transaction; `also` is committed with them.

        A turn that is there already and has not changed is left alone. A grown session gets its new turns, and its
        turns whose outcome they change are derived again. An older copy of a session only adds what was missing.
        """
        total = Added()
        sessions: list[Mapping[str, Any]] = []
        turns: dict[str, Mapping[str, Any]] = {}
        with self._store.write() as connection:
            for transcript in transcripts:
                added, row, changed = self._plan(connection, transcript, turns)
                total += added
                turns.update(changed)
                if row is not None:
                    sessions.append(row)
            _SESSIONS.run(connection, list({row["key"]: row for row in sessions}.values()))
            _TURNS.run(connection, list(turns.values()))
            if also is not None:
                also(connection)
        return total

    def _plan(
        self, connection: Connection, transcript: Transcript, pending: Mapping[str, Mapping[str, Any]]
    ) -> tuple[Added, Mapping[str, Any] | None, Mapping[str, Mapping[str, Any]]]:
        """What adding a transcript would change, given the turns that this transaction will write."""
        key = session_key(transcript.client, transcript.id)
        stored = _STORED_SESSION.first(connection, {"key": key})
        kept = _STORED_TURNS.all(connection, {"key": key}) if stored is not None else ()
        known = {str(row[0]): str(row[1]) for row in kept}
        known.update((id, row["digest"]) for id, row in pending.items() if row["session_key"] == key)
        told = any(row[2] for row in kept)
        if any(turn.task for turn in transcript.turns) and not all(row[2] for row in kept):
            connection.execute(_DELETE_UNTOLD, {"key": key})
        updated = _micros(transcript.updated)
        older = stored is not None and stored[0] is not None and updated is not None and updated < int(stored[0])
        changed: dict[str, Mapping[str, Any]] = {}
        fresh = flags = 0
        for row in self._turn_rows(transcript, key):
            is_new = row["id"] not in known
            if not row["told"] and told:
                continue
            if known.get(row["id"]) == row["digest"] or (older and not is_new):
                continue
            fresh += is_new
            flags += row["flags"]
            changed[row["id"]] = row if is_new else _keep_verdicts(connection, row)
        if stored is not None and not changed:
            return Added(unchanged=1), None, changed
        added = Added(
            new=int(stored is None), grown=int(stored is not None), turns_new=fresh,
            turns_changed=len(changed) - fresh, flags=flags,
        )  # fmt: skip
        return added, None if older else _session_row(transcript, key), changed

    def _turn_rows(self, transcript: Transcript, key: str) -> Iterator[dict[str, Any]]:
        started = _micros(transcript.started) or 0
        flags = flags_of(transcript.turns)
        for number, turn in enumerate(transcript.turns):
            label = self._labels.evidence(transcript, number)
            outcome = derive(transcript.turns, number, label=label, session_label=transcript.label, judged=self._judged)
            plain = to_json(make_example(transcript, number, outcome, flagged=flags[number]))
            source = plain["source"]
            # The texts, which are long, are written once; where a session was read from does not change it.
            for name in ("task", "context", "steps", "answer", "extra"):
                plain[name] = orjson.Fragment(dumped(plain[name]))
            plain["source"] = ""
            body = dumped(plain)
            plain["source"] = source
            yield {
                "id": plain["id"],
                "session_key": key,
                "number": number,
                "at_us": _micros(turn.started) or started,
                "told": bool(turn.task.strip()),
                "success": outcome.success,
                "flags": len(plain["flags"]),
                "digest": hashlib.blake2b(body, digest_size=16).hexdigest(),
                "example": dumped(plain).decode(),
            }

    def label(self, labels: Labels) -> int:
        """Add the labels of a file to examples that are here already; returns how many examples changed."""
        changed = 0
        with self._store.write() as connection:
            for example in _of_sessions(connection, labels.sessions()):
                evidence = labels.for_example(example)
                if evidence is not None and evidence not in example.outcome.evidence:
                    _set_evidence(connection, example, evidence)
                    changed += 1
        return changed

    def judge(self, judge: Callable[[AgentExample], tuple[bool | None, str]]) -> int:
        """Ask a judge about every example whose outcome nothing says; returns how many it decided."""
        decided = 0
        for example in self.examples():
            if example.outcome.success is None:
                says, why = judge(example)
                with self._store.write() as connection:
                    _set_evidence(connection, example, Evidence(kind="judge", says=says, where="judge", text=why))
                decided += says is not None
        return decided

    def examples(self, chosen: Chosen | None = None) -> Iterator[AgentExample]:
        """The examples, oldest first, `PAGE` at a time in memory."""
        for row in self._pages(chosen or Chosen(), agent_turns.c.example):
            yield from_json(orjson.loads(row[0]))

    def stamps(self, chosen: Chosen | None = None) -> Iterator[tuple[str, str]]:
        """Id and a digest of each example's content with its outcome, oldest first: cheap to compare."""
        columns = agent_turns.c.id, agent_turns.c.digest, agent_turns.c.success
        for row in self._pages(chosen or Chosen(), *columns):
            yield row[0], f"{row[1]}{row[2]}"

    def sessions(self) -> Iterator[SessionRow]:
        """Every session with its label and the outcomes of its turns."""
        with self._store.read() as connection:
            query = select(agent_turns.c.session_key, agent_turns.c.success).order_by(
                agent_turns.c.session_key, agent_turns.c.number
            )
            outcomes: dict[str, list[bool | None]] = {}
            for key, success in connection.execute(query):
                outcomes.setdefault(key, []).append(success)
            rows = connection.execute(select(agent_sessions.c.key, agent_sessions.c.label)).all()
        for key, label in rows:
            yield SessionRow(key=key, label=label, outcomes=tuple(outcomes.get(key, ())))

    def counts(self) -> Counts:
        turns = agent_turns.c
        with self._store.read() as connection:
            sessions = connection.execute(select(func.count()).select_from(agent_sessions)).scalar_one()
            found = connection.execute(select(turns.success, func.count()).group_by(turns.success)).all()
            flagged = connection.execute(select(func.count()).where(turns.flags > 0)).scalar_one()
        by = {row[0]: int(row[1]) for row in found}
        good, bad, unknown = by.get(True, 0), by.get(False, 0), by.get(None, 0)
        return Counts(
            sessions=sessions, examples=good + bad + unknown, successful=good, failed=bad, unknown=unknown,
            flagged=flagged,
        )  # fmt: skip

    def projects(self) -> tuple[str, ...]:
        with self._store.read() as connection:
            query = select(agent_sessions.c.project).distinct().order_by(agent_sessions.c.project)
            return tuple(connection.execute(query).scalars())

    def system_prompt(self, client: ClientName, session: str) -> str | None:
        """The system prompt that a session's log carried."""
        with self._store.read() as connection:
            query = select(agent_sessions.c.system_prompt).where(agent_sessions.c.key == session_key(client, session))
            return connection.execute(query).scalar()

    def refusals(self) -> tuple[Refusal, ...]:
        """What could not be read when each file was read last."""
        with self._store.read() as connection:
            rows = connection.execute(select(agent_refusals).order_by(agent_refusals.c.id)).all()
        return tuple(Refusal(source=row.source, reason=row.reason, line=row.line, row=row.place) for row in rows)

    def was_read(self, path: str, fingerprint: str, settings: str, since: datetime | None) -> bool:
        """Whether this file, unchanged, was read to its end with the same settings (and no later `since`)."""
        query = select(agent_files).where(agent_files.c.path == _hashed(path))
        with self._store.read() as connection:
            row = connection.execute(query).first()
        return (
            row is not None
            and row.fingerprint == fingerprint
            and row.settings == settings
            and row.since_us <= (_micros(since) or 0)
        )

    def note_file(
        self, connection: Connection, path: str, fingerprint: str, settings: str, since: datetime | None
    ) -> None:
        """Remember that a file was read to its end."""
        row = {"path": _hashed(path), "fingerprint": fingerprint, "settings": settings, "since_us": _micros(since) or 0,
               "read_us": _now_us()}  # fmt: skip
        names = [name for name in row if name != "path"]
        connection.execute(self._store.upsert(agent_files, ["path"], names), row)

    def note_refusals(self, connection: Connection, path: str, refusals: Sequence[Refusal], *, first: bool) -> None:
        """Keep what could not be read in a file, in place of what an earlier import said of it (when `first`)."""
        hashed = _hashed(path)
        if first:
            connection.execute(delete(agent_refusals).where(agent_refusals.c.path == hashed))
        rows = [
            {"path": hashed, "source": storable(each.source), "line": each.line, "reason": storable(each.reason),
             "place": None if each.row is None else storable(each.row)}
            for each in refusals
        ]  # fmt: skip
        if rows:
            connection.execute(insert(agent_refusals), rows)

    def _pages(self, chosen: Chosen, *columns: Any) -> Iterator[tuple[Any, ...]]:
        """Rows of the wanted columns, a page a query: no connection is held between them."""
        turns = agent_turns.c
        order = (turns.at_us, turns.session_key, turns.number)
        wanted: Select[Any] = select(*order, *columns)  # pyright: ignore[reportAssignmentType] - the number of columns varies
        query = _narrowed(wanted, chosen).order_by(*order).limit(PAGE)
        last: tuple[Any, ...] | None = None
        while True:
            page = query if last is None else query.where(tuple_(*order) > tuple_(*last))
            with self._store.read() as connection:
                rows = connection.execute(page).all()
            yield from (tuple(row[3:]) for row in rows)
            if len(rows) < PAGE:
                return
            last = tuple(rows[-1][:3])


def _of_sessions(connection: Connection, sessions: Iterable[str]) -> Iterator[AgentExample]:
    for session in sessions:
        query = (
            select(agent_turns.c.example)
            .join(agent_sessions, agent_sessions.c.key == agent_turns.c.session_key)
            .where(agent_sessions.c.session == session)
            .order_by(agent_turns.c.number)
        )
        for text in connection.execute(query).scalars().all():
            yield from_json(orjson.loads(text))


def _narrowed(query: Select[Any], chosen: Chosen) -> Select[Any]:
    sessions = agent_sessions.c
    query = query.join(agent_sessions, sessions.key == agent_turns.c.session_key)
    if chosen.client is not None:
        query = query.where(sessions.client == chosen.client)
    if chosen.agent is not None:
        query = query.where(sessions.agent == chosen.agent)
    if chosen.project is not None:
        base = chosen.project.rstrip("/")
        query = query.where((sessions.project == base) | sessions.project.startswith(f"{base}/", autoescape=True))
    if chosen.since is not None:
        query = query.where(agent_turns.c.at_us >= _micros(chosen.since))
    if chosen.success is not None:
        query = query.where(agent_turns.c.success.is_(chosen.success))
    return query


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
        "started_us": _micros(transcript.started),
        "updated_us": _micros(transcript.updated),
        "label": transcript.label,
        "system_prompt": None if prompt is None else storable(prompt),
        "extra": dumped(dict(transcript.extra)).decode(),
        "imported_us": _now_us(),
    }


def _keep_verdicts(connection: Connection, row: dict[str, Any]) -> dict[str, Any]:
    """The new row with what a label file or a judge said of the old one."""
    old = connection.execute(select(agent_turns.c.example).where(agent_turns.c.id == row["id"])).scalar()
    if old is None:
        return row
    before, after = from_json(orjson.loads(old)), from_json(orjson.loads(row["example"]))
    new_kinds = {each.kind for each in after.outcome.evidence}
    kept = [
        each for each in before.outcome.evidence if each.kind in {"label_file", "judge"} and each.kind not in new_kinds
    ]
    if not kept:
        return row
    outcome = with_evidence(after.outcome, *kept)
    example = dumped(to_json(replace(after, outcome=outcome))).decode()
    return {**row, "example": example, "success": outcome.success}


def _set_evidence(connection: Connection, example: AgentExample, evidence: Evidence) -> None:
    outcome = with_evidence(example.outcome, evidence)
    plain = to_json(example)
    plain["outcome"] = outcome_to_json(outcome)
    connection.execute(
        update(agent_turns)
        .where(agent_turns.c.id == example.id)
        .values(success=outcome.success, example=dumped(plain).decode())
    )


def _micros(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1_000_000)


def _now_us() -> int:
    return round(datetime.now(UTC).timestamp() * 1_000_000)


def _hashed(path: str) -> str:
    return hashlib.sha256(path.encode(errors="surrogatepass")).hexdigest()
