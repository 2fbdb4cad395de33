"""Importing finds what there is, reads it once, and keeps what it read whatever happens."""

from __future__ import annotations

import json
import os
import shutil
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from strop.agents import AgentArchive, Wanted, import_history, parse_since
from strop.errors import BadInput, DataError, NotFound
from strop.store import Store

LOGS = Path(__file__).parent / "logs"
NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)


@pytest.fixture
def archive():
    with Store.open(":memory:") as store:
        yield AgentArchive(store)


def log(directory: Path, name: str, *tasks: str, success: bool | None = True) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    examples = [
        {
            "input": {"task": task, "context": {"workingDirectory": "/home/alice/shop"}},
            "actions": [{"step": 1, "tool": "read", "args": {"filePath": "/home/alice/shop/a.py"}, "result": "x = 1"}],
            "output": {"response": "Done"},
            "outcome": {"success": success, "taskCompleted": True, "metrics": {}},
        }
        for task in tasks
    ]  # fmt: skip
    whole = {"session": name, "generated": "2026-05-01T00:00:00Z", "totalExamples": len(tasks), "examples": examples}
    path = directory / f"{name}.json"
    path.write_text(json.dumps(whole))
    return path


def test_importing_twice_opens_nothing_again(archive, tmp_path: Path):
    log(tmp_path, "one", "add a page", "fix the page")
    log(tmp_path, "two", "write a test")
    first = import_history(archive, Wanted(paths=[tmp_path]))
    assert (first.files, first.sessions, first.turns, first.added.new, first.added.turns_new) == (2, 2, 3, 2, 3)
    second = import_history(archive, Wanted(paths=[tmp_path]))
    assert (second.files, second.skipped, second.sessions, second.added.turns_new) == (0, 2, 0, 0)
    assert archive.counts().examples == 3
    assert archive.projects() == ("~/shop",)
    assert first.redactions["home path"] > 0


def test_a_file_that_grew_adds_what_is_new(archive, tmp_path: Path):
    log(tmp_path, "one", "add a page")
    import_history(archive, Wanted(paths=[tmp_path]))
    log(tmp_path, "one", "add a page", "fix the page")
    report = import_history(archive, Wanted(paths=[tmp_path]))
    assert (report.added.new, report.added.grown, report.added.turns_new) == (0, 1, 1)


def test_other_redactions_read_an_unchanged_file_again(archive, tmp_path: Path):
    log(tmp_path, "one", "add a page for Fabrikam")
    import_history(archive, Wanted(paths=[tmp_path]))
    report = import_history(archive, Wanted(paths=[tmp_path], listed=["fabrikam"]))
    assert report.redactions["listed"] >= 1
    assert [example.task for example in archive.examples()] == ["add a page for [redacted listed]"]


def test_real_logs_of_every_client_are_found_below_one_directory(archive):
    report = import_history(archive, Wanted(paths=[LOGS]))
    assert {example.client for example in archive.examples()} >= {"opencode", "claude-code", "codex"}
    assert report.added.turns_new == archive.counts().examples
    stored = [example for example in archive.examples() if "false_success" in example.source]
    assert [example.outcome.success for example in stored] == [False]


def test_stores_are_found_in_a_home(archive, tmp_path: Path):
    projects = tmp_path / ".claude" / "projects" / "-home-dev-shop"
    projects.mkdir(parents=True)
    shutil.copy(next(LOGS.rglob("claude-code/edit_ok.jsonl")), projects / "a.jsonl")
    rollouts = tmp_path / ".codex" / "sessions" / "2026" / "05"
    rollouts.mkdir(parents=True)
    shutil.copy(next(LOGS.rglob("false_success.rollout.jsonl")), rollouts / "rollout-b.jsonl")
    report = import_history(archive, Wanted(home=tmp_path, environment={}))
    assert {example.client for example in archive.examples()} == {"claude-code", "codex"}
    assert report.files == 2
    only = import_history(archive, Wanted(home=tmp_path, environment={}, client="codex"))
    assert (only.files, only.skipped) == (0, 1)


def test_what_cannot_be_read_is_named_and_stops_nothing(archive, tmp_path: Path):
    log(tmp_path, "good", "add a page")
    (tmp_path / "bad.json").write_text('{"session": "x", "examples": [')
    (tmp_path / "empty.json").write_text("")
    (tmp_path / "other.json").write_text('{"name": "a package", "version": 1}')
    report = import_history(archive, Wanted(paths=[tmp_path]))
    assert archive.counts().examples == 1
    named = {Path(refusal.source).name for refusal in report.refusals}
    assert named == {"bad.json", "empty.json", "other.json"}
    assert report.refused == 3
    assert {Path(refusal.source).name for refusal in archive.refusals()} == named
    (tmp_path / "bad.json").unlink()
    log(tmp_path, "bad", "now it is good")
    import_history(archive, Wanted(paths=[tmp_path]))
    assert {Path(refusal.source).name for refusal in archive.refusals()} == {"empty.json", "other.json"}


@pytest.mark.parametrize("client", [None, "log"])
def test_a_pipe_among_the_logs_is_refused_by_name_and_not_waited_for(archive, tmp_path: Path, client: str | None):
    def hangs(*_: object) -> None:
        pytest.fail("the import waits for the pipe")

    log(tmp_path, "good", "add a page")
    os.mkfifo(tmp_path / "apipe.jsonl")
    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(5)
    try:
        report = import_history(archive, Wanted(paths=[tmp_path], client=client))
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert [(Path(each.source).name, "pipe" in each.reason) for each in report.refusals] == [("apipe.jsonl", True)]
    assert (report.sessions, archive.counts().examples) == (1, 1)


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [("a.json", "{", 1), ("b.json", '{\n "a": 1,\n "b": oops\n}', 3), ("c.jsonl", '{"a": 1]\n{}\n', 1)],
)
def test_broken_json_is_called_so_with_its_line(archive, tmp_path: Path, name: str, content: str, line: int):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=rf"{name}:{line}: it is invalid JSON"):
        import_history(archive, Wanted(paths=[tmp_path]))
    (refusal,) = archive.refusals()
    assert (refusal.line, "invalid JSON" in refusal.reason) == (line, True)


def test_what_could_not_be_read_is_counted_again_while_its_file_is_unchanged(archive, tmp_path: Path):
    log(tmp_path, "good", "add a page")
    broken = tmp_path / "bad.json"
    broken.write_text('{"session": "x", "examples": [')
    first = import_history(archive, Wanted(paths=[tmp_path, broken]))
    assert (first.refused, first.refused_before) == (1, 0)
    again = import_history(archive, Wanted(paths=[tmp_path]))
    assert (again.files, again.skipped, again.refused, again.refused_before) == (0, 2, 0, 1)
    assert import_history(archive, Wanted(paths=[tmp_path / "good.json"])).refused_before == 0
    broken.unlink()
    assert import_history(archive, Wanted(paths=[tmp_path])).refused_before == 0


def test_a_secret_in_a_refusal_is_not_kept(archive, tmp_path: Path):
    folder = tmp_path / "alice@example.com"
    log(folder, "good", "add a page")
    (folder / "bad.json").write_text("{")
    import_history(archive, Wanted(paths=[folder]))
    assert "alice" not in " ".join(refusal.source + refusal.reason for refusal in archive.refusals())


def test_files_that_are_archived_together_count_like_files_one_by_one(archive, tmp_path: Path):
    """The same session in two files, one longer; and a file that is named twice."""
    short = log(tmp_path / "a", "one", "add a page")
    log(tmp_path / "b", "one", "add a page", "fix the page")
    shutil.copy(short, tmp_path / "c.json")
    report = import_history(archive, Wanted(paths=[tmp_path, short]))
    assert (report.files, report.skipped, report.sessions) == (3, 1, 3)
    added = report.added
    assert (added.new, added.grown, added.unchanged, added.turns_new, added.turns_changed) == (1, 1, 1, 2, 0)


def test_only_a_project(archive, tmp_path: Path):
    log(tmp_path, "one", "add a page")
    away = import_history(archive, Wanted(paths=[tmp_path], project=Path("/home/alice/other")))
    assert (away.sessions, archive.counts().examples) == (0, 0)
    here = import_history(archive, Wanted(paths=[tmp_path], project=Path("/home/alice")))
    assert (here.sessions, archive.counts().examples) == (1, 1)


def test_since_leaves_older_files_alone(archive, tmp_path: Path):
    path = log(tmp_path, "one", "add a page")
    import os

    os.utime(path, (0, 0))
    report = import_history(archive, Wanted(paths=[tmp_path], since=parse_since("2020-01-01")))
    assert (report.files, report.skipped) == (0, 1)
    assert import_history(archive, Wanted(paths=[tmp_path])).sessions == 1


def test_ctrl_c_keeps_what_was_read(archive, tmp_path: Path):
    for name in "abc":
        log(tmp_path, name, f"task {name}")

    def stop_at_c(path: Path, _report) -> None:
        if path.name == "c.json":
            raise KeyboardInterrupt

    report = import_history(archive, Wanted(paths=[tmp_path]), stop_at_c)
    assert report.interrupted
    assert archive.counts().examples == 2
    again = import_history(archive, Wanted(paths=[tmp_path]))
    assert (again.files, again.skipped, archive.counts().examples) == (1, 2, 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7d", datetime(2026, 6, 8, 12, tzinfo=UTC)),
        ("2W", datetime(2026, 6, 1, 12, tzinfo=UTC)),
        ("90m", datetime(2026, 6, 15, 10, 30, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T10:00:00+02:00", datetime(2026, 1, 31, 8, tzinfo=UTC)),
    ],
)
def test_since_is_a_date_or_an_age(text, expected):
    assert parse_since(text, NOW) == expected


@pytest.mark.parametrize("text", ["yesterday", "7", "99999999w", "999999w", ""])
def test_since_that_is_neither_is_refused(text):
    with pytest.raises(BadInput, match="no date and no age"):
        parse_since(text, NOW)


def test_nothing_found_is_said_in_the_documents_words(archive, tmp_path: Path):
    with pytest.raises(DataError, match=r"^No session logs found in .*"):
        import_history(archive, Wanted(paths=[tmp_path]))
    with pytest.raises(DataError, match=r"^No session logs found: neither OpenCode nor Claude Code nor Codex has a"):
        import_history(archive, Wanted(environment={}, home=tmp_path))
    with pytest.raises(DataError, match=r"^No session logs found: session logs lie nowhere in particular"):
        import_history(archive, Wanted(client="log", environment={}, home=tmp_path))
    with pytest.raises(DataError, match=r"^No session logs found: codex has no history"):
        import_history(archive, Wanted(client="codex", home=tmp_path, environment={}))
    with pytest.raises(NotFound):
        import_history(archive, Wanted(paths=[tmp_path / "none"]))
