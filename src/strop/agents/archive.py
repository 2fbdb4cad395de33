"""Keeps what was imported: examples by turn, each once, however often and from wherever its session is read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Select, bindparam, delete, func, insert, select, tuple_, update

from strop.agents.example import AgentExample, from_json, outcome_to_json, session_key, to_json
from strop.agents.injection import Flag
from strop.agents.labels import Labels
from strop.agents.outcome import Evidence, Judge, with_evidence
from strop.agents.rows import SessionRows, micros, now_us, session_rows
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
_FILE = Prepared(
    select(agent_files.c.fingerprint, agent_files.c.settings, agent_files.c.since_us).where(
        agent_files.c.path == bindparam("path")
    ),
    ["path"],
)
_FILES = Upsert(agent_files, key="path", update=("fingerprint", "settings", "since_us", "read_us"))
_DELETE_REFUSALS = Prepared(delete(agent_refusals).where(agent_refusals.c.path == bindparam("path")), ["path"])


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
        """Add sessions in one transaction; see `add_rows`."""
        return self.add_rows([self.rows(transcript) for transcript in transcripts], also=also)

    def rows(self, transcript: Transcript, flags: Sequence[tuple[Flag, ...]] | None = None) -> SessionRows:
        """A transcript as it is stored. `flags` are those of its turns, where they are known."""
        return session_rows(transcript, flags=flags, labels=self._labels, judged=self._judged)

    def add_rows(self, sessions: Sequence[SessionRows], *, also: Callable[[Connection], None] | None = None) -> Added:
        """Add sessions in one transaction; `also` is committed with them.

        A turn that is there already and has not changed is left alone. A grown session gets its new turns, and its
        turns whose outcome they change are derived again. An older copy of a session only adds what was missing.
        """
        total = Added()
        rows: dict[str, Mapping[str, Any]] = {}
        turns: dict[str, dict[str, Mapping[str, Any]]] = {}
        with self._store.write() as connection:
            for session in sessions:
                pending = turns.setdefault(session.key, {})
                added, row, changed = _plan(connection, session, pending)
                total += added
                pending.update(changed)
                if row is not None:
                    rows[session.key] = row
            _SESSIONS.run(connection, list(rows.values()))
            _TURNS.run(connection, [row for pending in turns.values() for row in pending.values()])
            if also is not None:
                also(connection)
        return total

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

    def lacks(self, sessions: Sequence[str]) -> tuple[str, ...]:
        """Those of the sessions, by the client's own ids, that are not here."""
        with self._store.read() as connection:
            there = {
                session
                for session in sessions
                if connection.execute(select(agent_sessions.c.key).where(agent_sessions.c.session == session)).first()
            }
        return tuple(session for session in sessions if session not in there)

    def judge(self, judge: Callable[[AgentExample], tuple[bool | None, str]]) -> int:
        """Ask a judge about every example whose outcome nothing says; returns how many it decided."""
        decided = 0
        for example in self.examples():
            if example.outcome.success is None:
                says, why = judge(example)
                self.add_evidence(example.id, Evidence(kind="judge", says=says, where="judge", text=why))
                decided += says is not None
        return decided

    def add_evidence(self, example: str, evidence: Evidence) -> None:
        """Add to the evidence of the example of this id, in place of what it has of the kind."""
        with self._store.write() as connection:
            text = connection.execute(select(agent_turns.c.example).where(agent_turns.c.id == example)).scalar()
            if text is not None:
                _set_evidence(connection, from_json(orjson.loads(text)), evidence)

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

    def refused_in(self, paths: Iterable[str]) -> int:
        """How many places in these files could not be read when each was read last."""
        query = select(agent_refusals.c.path, func.count()).group_by(agent_refusals.c.path)
        with self._store.read() as connection:
            counts = {str(row[0]): int(row[1]) for row in connection.execute(query)}
        return sum(counts.get(_hashed(path), 0) for path in paths) if counts else 0

    def was_read(self, path: str, fingerprint: str, settings: str, since: datetime | None) -> bool:
        """Whether this file, unchanged, was read to its end with the same settings (and no later `since`)."""
        with self._store.read() as connection:
            row = _FILE.first(connection, {"path": _hashed(path)})
        return row is not None and tuple(row[:2]) == (fingerprint, settings) and int(row[2]) <= (micros(since) or 0)

    def note_file(
        self, connection: Connection, path: str, fingerprint: str, settings: str, since: datetime | None
    ) -> None:
        """Remember that a file was read to its end."""
        row = {"path": _hashed(path), "fingerprint": fingerprint, "settings": settings, "since_us": micros(since) or 0,
               "read_us": now_us()}  # fmt: skip
        _FILES.run(connection, [row])

    def note_refusals(self, connection: Connection, path: str, refusals: Sequence[Refusal], *, first: bool) -> None:
        """Keep what could not be read in a file, in place of what an earlier import said of it (when `first`)."""
        hashed = _hashed(path)
        if first:
            _DELETE_REFUSALS.run(connection, {"path": hashed})
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


def _plan(
    connection: Connection, new: SessionRows, pending: Mapping[str, Mapping[str, Any]]
) -> tuple[Added, Mapping[str, Any] | None, Mapping[str, Mapping[str, Any]]]:
    """What adding a session would change, given the turns of it that this transaction will write."""
    stored = _STORED_SESSION.first(connection, {"key": new.key})
    kept = _STORED_TURNS.all(connection, {"key": new.key}) if stored is not None else ()
    known = {str(row[0]): str(row[1]) for row in kept}
    known.update((id, row["digest"]) for id, row in pending.items())
    told = any(row[2] for row in kept)
    if new.has_task and not all(row[2] for row in kept):
        connection.execute(_DELETE_UNTOLD, {"key": new.key})
    updated = new.session["updated_us"]
    older = stored is not None and stored[0] is not None and updated is not None and updated < int(stored[0])
    changed: dict[str, Mapping[str, Any]] = {}
    fresh = flags = 0
    for row in new.turns:
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
    return added, None if older else new.session, changed


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
        query = query.where(agent_turns.c.at_us >= micros(chosen.since))
    if chosen.success is not None:
        query = query.where(agent_turns.c.success.is_(chosen.success))
    return query


def _keep_verdicts(connection: Connection, row: dict[str, Any]) -> dict[str, Any]:
    """The new row with what a label file or a judge said of the old one."""
    old = connection.execute(select(agent_turns.c.example).where(agent_turns.c.id == row["id"])).scalar()
    if old is None:
        return row
    before, after = from_json(orjson.loads(old)), from_json(orjson.loads(row["example"]))
    new_kinds = {each.kind for each in after.outcome.evidence}
    # A judge spoke of what was done then; a turn that went on since is another one.
    same = (before.task, before.steps, before.answer) == (after.task, after.steps, after.answer)
    lasting = {"label_file", "judge"} if same else {"label_file"}
    kept = [each for each in before.outcome.evidence if each.kind in lasting - new_kinds]
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


def _hashed(path: str) -> str:
    return hashlib.sha256(path.encode(errors="surrogatepass")).hexdigest()
