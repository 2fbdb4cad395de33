"""Sessions of coding agents on the command line: imported, prepared, listed, watched."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strop.cli.console import emit, show, table, tell, typed
from strop.cli.running import EXIT_OF_STATUS
from strop.events import Event

if TYPE_CHECKING:
    from strop.agents import ConfigFile, ImportReport, Prepared, PrepareSettings, Wanted
    from strop.app import House

SHOWN_REFUSALS = 20
EVERY_S = 1.0
MARK = "trained.json"


def import_sessions(
    directory: Path, database: str | None, wanted: Wanted, *, labels: Path | None, quiet: bool, as_json: bool,
    show_redactions: bool,
) -> int:  # fmt: skip
    """Import, and print what came, what was refused and what was taken out; the exit code."""
    from strop.agents import AgentArchive, import_history, list_file, load_labels, remember
    from strop.app import House

    if wanted.listed and not remember(list_file(), wanted.listed):
        tell(f"note: what --redact names cannot be written to {list_file()}; name it again with every import")
    known = load_labels(labels) if labels is not None else None
    with House.at(directory, database=database) as house:
        archive = AgentArchive(house.store, labels=known)
        report = import_history(archive, wanted, None if quiet else told_progress())
        labelled = archive.label(known) if known is not None else 0
        missing = archive.lacks(known.sessions()) if known is not None else ()
        counts = archive.counts()
    code = EXIT_OF_STATUS["cancelled"] if report.interrupted else 0
    if as_json:
        emit({**report_data(report), "labelled": labelled, "labels_unused": missing, "archive": asdict(counts)})
        return code
    show_report(report, show_redactions=show_redactions)
    if known is not None:
        show(f"Labels: {len(known.rows)} read, for {_counted(len(known.sessions()) - len(missing), 'session')}")
    if missing:
        tell(f"note: {_counted(len(missing), 'session')} of the label file not in the archive, {missing[0]!r} first")
    show(
        f"In the archive: {counts.sessions} sessions, {counts.examples} examples "
        f"({counts.successful} succeeded, {counts.failed} failed, {counts.unknown} not known)"
    )
    if counts.flagged:
        held = "1 example holds" if counts.flagged == 1 else f"{counts.flagged} examples hold"
        show(f"{held} text that gives orders to a model; it is kept as data and obeyed by nobody")
    return code


def show_report(report: ImportReport, *, show_redactions: bool = False) -> None:
    """What an import did, refusals by name, line and reason."""
    added = report.added
    passed = _passed_over(report)
    if passed and not report.files:
        show(f"Nothing new: {passed}")
    else:
        unchanged = f", {passed}" if passed else ""
        read = f"{_counted(report.sessions, 'session')} with {_counted(report.turns, 'turn')}"
        changed = f", {_counted(added.turns_changed, 'example')} changed" if added.turns_changed else ""
        show(f"Read {read} from {_counted(report.files, 'file')}{unchanged}")
        show(
            f"New: {_counted(added.new, 'session')}, {_counted(added.turns_new, 'example')}; "
            f"grown: {_counted(added.grown, 'session')}{changed}"
        )
    if report.interrupted:
        show("Interrupted; what was read is kept, and the same command goes on")
    for refusal in report.refusals[:SHOWN_REFUSALS]:
        tell(f"not read: {refusal.where}: {refusal.reason}")
    if report.refused > SHOWN_REFUSALS:
        tell(f"not read: {report.refused - SHOWN_REFUSALS} more; --json lists them")
    if report.refused_before:
        known = _counted(report.refused_before, "place")
        tell(f"not read: {known} in unchanged files, as before; `{typed('agents list')}` names them")
    if report.redactions:
        kinds = ", ".join(f"{count} x {kind}" for kind, count in sorted(report.redactions.items()))
        show(f"Taken out: {kinds}" + ("" if show_redactions else " (--show-redactions shows them, masked)"))
    if show_redactions:
        table(("Kind", "Masked"), [(sample.kind, sample.masked) for sample in report.samples])


def _passed_over(report: ImportReport) -> str:
    same = report.skipped - report.older
    told = [f"{_counted(same, 'file')} unchanged since the last time"] if same else []
    return ", ".join([*told, *([f"{_counted(report.older, 'file')} older than --since"] if report.older else [])])


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def report_data(report: ImportReport) -> dict[str, Any]:
    """An import as JSON."""
    plain = asdict(report)
    return {**plain, "redactions": dict(report.redactions)}


def told_progress() -> Any:
    """Says now and then which file is read."""
    told = -math.inf

    def hear(path: Path, report: ImportReport) -> None:
        nonlocal told
        if time.monotonic() - told >= EVERY_S:
            told = time.monotonic()
            tell(f"reading {path} ({report.sessions} sessions so far)")

    return hear


def prepare_examples(
    file: ConfigFile, house: House, *, quiet: bool, judge: Callable[[PrepareSettings], None] | None = None
) -> tuple[ImportReport, Prepared]:
    """Import from raw_dir what is new, ask the judge if there is one, and prepare."""
    from strop.agents import AgentArchive, read_and_prepare

    progress = None if quiet else told_progress()
    return read_and_prepare(file, AgentArchive(house.store), progress, judge=judge)


def show_prepared(
    report: ImportReport, done: Prepared, *, as_json: bool, judged: Mapping[str, Any] | None = None
) -> None:
    """The document's counts, and ours."""
    if as_json:
        told = {} if judged is None else {"judge": judged}
        emit({**asdict(done), "import": report_data(report), **told})
        return
    if report.files or report.refused or report.refused_before:
        show_report(report)
    show(f"Sessions:            {done.sessions}")
    show(f"Successful sessions: {done.successful_sessions}")
    show(f"Examples:            {done.examples} of {done.found}")
    show(f"  succeeded {done.successful}, failed {done.failed}, not known {done.unknown}, flagged {done.flagged}")
    show(f"Split:               {done.train} train, {done.dev} dev, {done.test} sealed test")
    for note in done.notes:
        show(f"note: {note}")
    for path in (done.file, done.splits):
        near = os.path.relpath(path) if path.is_relative_to(Path.cwd()) else path
        show(f"{'as before' if done.reused else 'wrote'}: {near}")


def show_archive(house: House, directory: Path, *, as_json: bool) -> None:
    """What the archive has, what could not be read, what is installed for this user."""
    from strop.agents import INSTALL_CLIENTS, AgentArchive, installed, place_of

    archive = AgentArchive(house.store)
    counts, projects, refusals = archive.counts(), archive.projects(), archive.refusals()
    places = {name: place_of(name, environment=os.environ, home=Path.home()) for name in INSTALL_CLIENTS}
    agents = {name: {key: dict(value) for key, value in installed(place).items()} for name, place in places.items()}
    if as_json:
        emit({"archive": asdict(counts), "projects": projects, "refusals": [asdict(one) for one in refusals],
              "installed": agents})  # fmt: skip
        return
    show(
        f"{counts.sessions} sessions, {counts.examples} examples: {counts.successful} succeeded, "
        f"{counts.failed} failed, {counts.unknown} not known, {counts.flagged} flagged"
    )
    for project in projects:
        show(f"  {project or '(no directory)'}")
    for refusal in refusals[:SHOWN_REFUSALS]:
        show(f"not read: {refusal.where}: {refusal.reason}")
    if len(refusals) > SHOWN_REFUSALS:
        show(f"not read: {len(refusals) - SHOWN_REFUSALS} more; --json lists them")
    for client, found in agents.items():
        for name, about in found.items():
            show(f"installed for {client}: {name} ({about.get('format', '')})")
    if not counts.sessions:
        near = "" if directory == Path() else f" -C {directory}"
        is_project = (directory / "config.yaml").is_file()
        show(f"Next: {typed('agents prepare' if is_project else 'agents import')}{near}")


def mark_trained(file: ConfigFile, house: House) -> None:
    """Remember how many examples there were, so that `watch` knows what has come since."""
    from strop.agents import AgentArchive

    mark = file.directory / ".strop" / MARK
    mark.parent.mkdir(exist_ok=True)
    mark.write_text(json.dumps({"examples": AgentArchive(house.store).counts().examples}) + "\n", encoding="utf-8")


def watch_sessions(
    house: House, directory: Path, client: str | None, when: tuple[int, float, bool], *, as_json: bool
) -> None:
    """Import as sessions end until Ctrl-C."""
    from strop.agents import AgentArchive, Arrived, Wanted, WatchPlan, found_stores, import_history, watch

    enough, every, once = when
    archive, wanted = AgentArchive(house.store), Wanted(client=client)

    def import_new() -> Arrived:
        report = import_history(archive, wanted)
        if report.interrupted:
            raise KeyboardInterrupt
        added = report.added
        since = archive.counts().examples - _trained(directory)
        return Arrived(sessions=added.new + added.grown, examples=added.turns_new, since_training=max(0, since))

    def hear(event: Event) -> None:
        tell(_told(event.name, event.data))

    def stores() -> list[Path]:
        return [path for _, path in found_stores(client)]

    if not once:
        tell(f"watching {', '.join(map(str, stores())) or 'for the first session'}; Ctrl-C ends it")
    seen = watch(WatchPlan(stores=stores, enough=enough, every_s=every, once=once), import_new, hear)
    if as_json:
        emit(asdict(seen))
        return
    show(f"{seen.sessions} sessions, {seen.examples} new examples; {seen.since_training} since the last training")
    if seen.ready:
        show(f"Next: {typed('agents train')}")


def _trained(directory: Path) -> int:
    try:
        return int(json.loads((directory / ".strop" / MARK).read_text(encoding="utf-8"))["examples"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _told(name: str, data: Mapping[str, Any]) -> str:
    if name == "examples.enough":
        return f"{data['since_training']} new examples since the last training, enough for a new run: " + typed(
            "agents train"
        )
    if name == "sessions.unread":
        return f"could not import: {data['error']}"
    return f"{data['sessions']} sessions, {data['examples']} new examples"
