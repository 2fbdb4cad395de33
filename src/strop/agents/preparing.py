"""The whole of `strop agents prepare`: from the archive to `examples.json` and the splits that training reads."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from strop.agents.archive import AgentArchive, Chosen, SessionRow
from strop.agents.example import AgentExample, session_key
from strop.agents.prepared_rows import prepared_row
from strop.agents.splitting import Parts, SetName, divide
from strop.agents.transcript import ClientName
from strop.errors import DataError, StoreUnwritable

EXAMPLES = "examples.json"
STAMP = "examples.stamp.json"
FORMAT = 2


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """Which examples are prepared, and where to. Directories are made.

    `shares` are those of train, dev and the sealed test set. The document's 20 % train and 80 % validation become
    20/40/40: a verdict needs examples that the search never saw, and half of the validation share is sealed for it.
    """

    processed_dir: Path = Path("data/processed")
    splits_dir: Path = Path("data/splits")
    shares: tuple[float, float, float] = (0.2, 0.4, 0.4)
    min_examples: int = 10
    require_success: bool = True
    success_of: Literal["example", "session"] = "example"
    """`session` is the document's rule: every example of a session that succeeded as a whole."""
    client: ClientName | None = None
    agents: tuple[str, ...] | None = None
    project: str | None = None
    since: datetime | None = None
    min_correctness: float | None = None
    min_efficiency: float | None = None
    seed: int = 42


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What was prepared, in the document's counts and ours. `examples` are those kept."""

    sessions: int
    successful_sessions: int
    found: int
    successful: int
    failed: int
    unknown: int
    examples: int
    flagged: int
    train: int
    dev: int
    test: int
    file: Path
    splits: Path
    reused: bool = False
    notes: tuple[str, ...] = ()


def prepare(archive: AgentArchive, settings: PrepareSettings, *, looked_in: str | None = None) -> Prepared:
    """Filter, shorten, write and divide the archive's examples; what is there already for the same input is reused.

    `looked_in` names where session logs were looked for, for the message when there are none.

    Raises:
        DataError: there are no sessions, none that succeeded, too few examples, or no split can be made of them.
        StoreUnwritable: a directory cannot be written.
    """
    sessions = {row.key: row for row in archive.sessions()}
    if not sessions:
        where = f" in {looked_in}" if looked_in else ""
        hint = "`strop agents import` reads them; check that the JSON files are there, readable and valid"
        raise DataError(f"No session logs found{where}", hint=hint)
    stamp = _stamp(archive, settings, sessions.values())
    reused = _reusable(settings, stamp)
    return reused if reused is not None else _prepare(archive, settings, sessions, stamp)


@dataclass(kw_only=True)
class _Sorted:
    """What is kept of the examples that came by, and how many were not."""

    kept: list[AgentExample] = field(default_factory=list[AgentExample])
    counts: dict[bool | None, int] = field(default_factory=lambda: dict.fromkeys((True, False, None), 0))
    sessions: set[str] = field(default_factory=set[str])
    unusable: int = 0
    copies: int = 0
    commands: int = 0
    told: dict[tuple[str, str, str, int], str] = field(default_factory=dict[tuple[str, str, str, int], str])

    def take(self, example: AgentExample, *, wanted: bool) -> None:
        """Count the example; keep it where its outcome is `wanted` and there is something to learn from."""
        self.counts[example.outcome.success] += 1
        if not wanted:
            return
        if example.command:
            self.commands += 1
        elif not example.usable:
            self.unusable += 1
        elif _is_copy(example, self.told):
            self.copies += 1
        else:
            self.kept.append(_light(example))


def _prepare(
    archive: AgentArchive, settings: PrepareSettings, sessions: Mapping[str, SessionRow], stamp: str
) -> Prepared:
    found = _Sorted()
    for example in chosen_examples(archive, settings):
        key = session_key(example.client, example.session)
        found.sessions.add(key)
        wanted = not settings.require_success or _succeeded(example, sessions[key], settings)
        found.take(example, wanted=wanted)
    _check(found, settings)
    kept, counts = found.kept, found.counts
    parts = divide(kept, settings.shares, settings.seed)
    rows = {example.id: prepared_row(example) for example in kept}
    prepared = Prepared(
        sessions=len(found.sessions),
        successful_sessions=sum(_session_succeeded(sessions[key]) for key in found.sessions),
        found=sum(counts.values()), successful=counts[True], failed=counts[False], unknown=counts[None],
        examples=len(kept), flagged=sum(bool(example.flags) for example in kept), train=len(parts.train),
        dev=len(parts.dev), test=len(parts.test), file=settings.processed_dir / EXAMPLES, splits=settings.splits_dir,
        notes=(*parts.notes, *_notes(found, settings)),
    )  # fmt: skip
    _write(prepared, settings, rows, parts, stamp)
    return prepared


def _check(found: _Sorted, settings: PrepareSettings) -> None:
    kept, counts = found.kept, found.counts
    if not found.sessions:
        hint = "loosen client, agent_filter, project or since"
        raise DataError("No session logs found that pass the filters", hint=hint)
    if found.unusable and not kept:
        raise DataError(
            f"Failed to convert any examples: of {found.unusable} none has a task together with steps or an answer",
            hint="check that the session logs match the expected format; `strop agents import` lists what it refused",
        )
    if not kept:
        why = f"{counts[False]} examples failed, and of {counts[None]} nothing says how they ended"
        raise DataError(
            f"No successful sessions found. Try setting require_success: false ({why})",
            hint="or add session logs that succeeded, or say how sessions ended in a label file "
            "(`strop agents import --labels FILE`), or ask a judge (`strop agents prepare --judge MODEL`)",
        )
    if len(kept) < settings.min_examples:
        raise DataError(
            f"Only {len(kept)} examples found, need at least {settings.min_examples}",
            hint="import more sessions, lower min_examples, or set require_success: false",
        )


def _is_copy(example: AgentExample, told: dict[tuple[str, str, str, int], str]) -> bool:
    """Whether the turn came before, in the session that this one was forked or resumed from: clients copy history."""
    if example.started is None:
        return False
    one = (example.client, example.task, example.started.isoformat(), len(example.steps))
    return told.setdefault(one, example.session) != example.session


def _notes(found: _Sorted, settings: PrepareSettings) -> Iterator[str]:
    if found.copies:
        yield f"{_left_out(found.copies)} because a forked or resumed session repeats what is there"
    if found.commands:
        yield f"{_left_out(found.commands)} because the text of a slash command is nobody's task"
    unknown = found.counts[None]
    if unknown and settings.require_success:
        yield (
            f"{_left_out(unknown)} because nothing says how it ended: `strop agents prepare --judge MODEL` asks "
            "a model, `strop agents import --labels FILE` takes your word"
        )
    train, dev, test = settings.shares
    yield (
        f"shares: {train:.0%} train, {dev:.0%} dev, {test:.0%} sealed test (dev and test share the validation part), "
        "by session and time, the same task never in two sets"
    )


def _left_out(count: int) -> str:
    return "1 example was left out" if count == 1 else f"{count} examples were left out"


def chosen_examples(archive: AgentArchive, settings: PrepareSettings) -> Iterator[AgentExample]:
    """The archive's examples that pass the filters, whatever their outcome."""
    chosen = Chosen(client=settings.client, project=settings.project, since=settings.since)
    for example in archive.examples(chosen):
        if (settings.agents is None or example.agent in settings.agents) and _scores_well(example, settings):
            yield example


def _scores_well(example: AgentExample, settings: PrepareSettings) -> bool:
    """Whether the scores that the log itself records, where it does, are high enough."""
    recorded = example.extra.get("evaluation")
    evaluation = recorded if isinstance(recorded, dict) else {}
    floors = {"correctness": settings.min_correctness, "efficiency": settings.min_efficiency}
    for name, floor in floors.items():
        value = evaluation.get(name)
        if floor is not None and isinstance(value, int | float) and value < floor:
            return False
    return True


def _succeeded(example: AgentExample, session: SessionRow, settings: PrepareSettings) -> bool:
    if settings.success_of == "session":
        return _session_succeeded(session)
    return example.outcome.success is True


def _session_succeeded(session: SessionRow) -> bool:
    """The log's own word on the session; else no turn of it failed and at least one is known to have succeeded."""
    if session.label is not None:
        return session.label
    return False not in session.outcomes and True in session.outcomes


def _light(example: AgentExample) -> AgentExample:
    """The example without what preparing does not need: results of tools are most of a history."""
    return replace(example, steps=tuple(replace(step, result="") for step in example.steps))


def _stamp(archive: AgentArchive, settings: PrepareSettings, sessions: Iterable[SessionRow]) -> str:
    """Hash of everything that the result follows from."""
    digest = hashlib.sha256(repr((FORMAT, settings)).encode())
    for id, content in archive.stamps(Chosen(client=settings.client, project=settings.project, since=settings.since)):
        digest.update(f"{id}{content}\n".encode())
    for row in sorted(sessions, key=lambda each: each.key):
        digest.update(f"{row.key}{row.label}\n".encode())
    return digest.hexdigest()


def _files(settings: PrepareSettings) -> dict[str, Path]:
    names: tuple[SetName, ...] = ("train", "dev", "test")
    splits = {name: settings.splits_dir / f"{name}.jsonl" for name in names}
    return {EXAMPLES: settings.processed_dir / EXAMPLES, **splits}


def _reusable(settings: PrepareSettings, stamp: str) -> Prepared | None:
    """The report of the last preparation when its input was the same and its files are as it wrote them."""
    try:
        noted: Any = json.loads((settings.processed_dir / STAMP).read_text(encoding="utf-8"))
        hashes = {name: _hash(path) for name, path in _files(settings).items()}
        if noted["stamp"] != stamp or noted["files"] != hashes:
            return None
        report: dict[str, Any] = {**noted["report"], "notes": tuple(noted["report"]["notes"])}
        report |= {"file": settings.processed_dir / EXAMPLES, "splits": settings.splits_dir, "reused": True}
        return Prepared(**report)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(
    prepared: Prepared, settings: PrepareSettings, rows: Mapping[str, Mapping[str, Any]], parts: Parts, stamp: str
) -> None:
    files = _files(settings)
    report = {key: value for key, value in asdict(prepared).items() if key not in {"file", "splits", "reused"}}
    try:
        settings.processed_dir.mkdir(parents=True, exist_ok=True)
        settings.splits_dir.mkdir(parents=True, exist_ok=True)
        # Without its stamp a preparation that was cut off is simply done again.
        (settings.processed_dir / STAMP).unlink(missing_ok=True)
        _replace(files[EXAMPLES], json.dumps(list(rows.values()), indent=2, ensure_ascii=False) + "\n")
        for name, ids in parts.sets().items():
            _replace(files[name], "".join(json.dumps(rows[id], ensure_ascii=False) + "\n" for id in ids))
        hashes = {name: _hash(path) for name, path in files.items()}
        noted = {"stamp": stamp, "files": hashes, "report": report}
        _replace(settings.processed_dir / STAMP, json.dumps(noted, indent=2) + "\n")
    except OSError as error:
        raise StoreUnwritable(
            f"the prepared examples cannot be written: {error}", hint="name another processed_dir and splits_dir"
        ) from error


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8", errors="replace")
    draft.replace(path)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
