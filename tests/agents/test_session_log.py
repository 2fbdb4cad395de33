"""The session-log format as documented, as its recorder writes it, raw, damaged, and many to a file."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from strop.agents.importers.files import top_keys
from strop.agents.importers.session_log import SessionLogImporter
from strop.agents.transcript import Refusal, Transcript, Usage

LOGS = Path(__file__).with_name("logs") / "log"

# The document's own example, word for word in its structure.
DOCUMENTED: dict[str, Any] = json.loads((LOGS / "documented.json").read_text("utf-8"))

# Every optional field that the recorder knows, and a few that nobody knows.
FULL: dict[str, Any] = json.loads((LOGS / "full.json").read_text("utf-8"))

# The recorder's own file; its third message was written twice, and its tool calls are not in order.
RAW: dict[str, Any] = json.loads((LOGS / "session-raw.json").read_text("utf-8"))


def read(path: Path, **options: Any) -> tuple[list[Transcript], list[Refusal]]:
    found = list(SessionLogImporter().read(path, **options))
    return [one for one in found if isinstance(one, Transcript)], [one for one in found if isinstance(one, Refusal)]


def written(path: Path, value: Any, indent: int | None = 2) -> Path:
    path.write_text(json.dumps(value, indent=indent), "utf-8")
    return path


def changed(document: dict[str, Any], **header: Any) -> dict[str, Any]:
    copy = json.loads(json.dumps(document))
    copy.update(header)
    return copy


def test_the_documents_example(tmp_path: Path) -> None:
    (session,), refused = read(written(tmp_path / "a.json", DOCUMENTED))
    assert refused == []
    assert (session.client, session.id, session.label) == ("log", "session-id", True)
    assert session.source == str(tmp_path / "a.json")
    assert session.updated == datetime(2024, 1, 1, tzinfo=UTC)
    (turn,) = session.turns
    assert (turn.key, turn.task, turn.answer, turn.finish) == (
        "1",
        "Add a new feature",
        "Feature added successfully",
        "unknown",
    )
    assert (turn.label, turn.label_complete, turn.usage) == (True, True, Usage())
    (step,) = turn.steps
    assert (step.tool, dict(step.arguments), step.result, step.status) == (
        "read",
        {"filePath": "/path/to/file"},
        "...",
        "ok",
    )


def test_every_optional_field(tmp_path: Path) -> None:
    (session,), refused = read(written(tmp_path / "full.json", FULL))
    assert refused == []
    assert session.label is True
    assert (session.directory, session.agent, session.model) == ("/home/dev/project", "build", "anthropic/claude")
    assert session.extra == {
        "generated": "2025-11-02T10:00:30.500Z", "totalExamples": 1, "totalTurns": 3, "successfulTurns": 1,
        "overallSuccess": True, "totalToolCalls": 5, "schemaVersion": 2,
    }  # fmt: skip
    (turn,) = session.turns
    context = FULL["examples"][0]["input"]["context"]
    assert turn.context == {
        "directory": "/home/dev/project", "branch": "main", "changed_files": ["calc.py"], "projectType": "python",
        "relevantFiles": ["calc.py"], "lspDiagnostics": context["lspDiagnostics"], "gitStatus": context["gitStatus"],
        "fileCount": 3, "history": FULL["examples"][0]["input"]["conversationHistory"], "mood": "calm",
    }  # fmt: skip
    assert turn.usage == Usage(input_tokens=1410, output_tokens=90, cached_tokens=400)
    assert (turn.label, turn.label_complete) == (None, False)
    assert turn.started == datetime(2025, 11, 2, 10, 0, tzinfo=UTC)
    assert turn.ended == datetime(2025, 11, 2, 10, 0, 13, tzinfo=UTC)
    outcome = FULL["examples"][0]["outcome"]
    assert turn.extra["metrics"] == outcome["metrics"]
    assert turn.extra["evaluation"] == outcome["evaluation"]
    assert turn.extra["final_message"] == "Done, I've fixed it."
    assert turn.extra["agent"] == {"temperature": 0.1}
    assert turn.extra["novelty"] == [1]


def test_a_file_that_mentions_an_error_is_not_a_failed_call(tmp_path: Path) -> None:
    (session,), _ = read(written(tmp_path / "full.json", FULL))
    steps = session.turns[0].steps
    assert [(step.tool, step.status) for step in steps] == [
        ("read", "unknown"), ("edit", "ok"), ("bash", "failed"), ("fetch", "unknown"), ("invalid", "invalid"),
    ]  # fmt: skip
    assert steps[0].extra == {"success": False}
    assert steps[1].extra == {"lspDiagnosticsAfter": {"errors": [], "warnings": []}}
    assert steps[1].call == "call_2"
    missing = changed(DOCUMENTED)
    missing["examples"][0]["actions"][0].update(result="Error: File not found: /path/to/file", success=False)
    (session,), _ = read(written(tmp_path / "missing.json", missing))
    assert session.turns[0].steps[0].status == "failed"


@pytest.mark.parametrize(
    ("header", "label"),
    [
        ({"outcome": {"success": True, "taskCompleted": False}}, False),
        ({"outcome": {"success": True}}, True),
        ({"outcome": {"success": None, "taskCompleted": True}}, None),
        ({"outcome": {"success": "yes"}}, None),
        ({"outcome": None}, None),
        ({"overallSuccess": False}, False),
        ({"overallSuccess": None}, None),
    ],
)
def test_the_sessions_label(tmp_path: Path, header: dict[str, Any], label: bool | None) -> None:
    (session,), refused = read(written(tmp_path / "a.json", changed(DOCUMENTED, **header)))
    assert session.label is label
    assert refused == []


def test_raw_file(tmp_path: Path) -> None:
    (session,), refused = read(written(tmp_path / "session-1.json", RAW))
    assert refused == []
    assert (session.id, session.model, session.agent, session.directory) == (
        "ses_raw", "fake/coder", "build", "/home/dev/project",
    )  # fmt: skip
    assert session.extra == {"updateCount": 9, "initialLspDiagnostics": {"errors": [], "warnings": []}}
    first, second = session.turns
    assert (first.key, first.task, first.answer, first.finish, first.error) == (
        "m1", "Fix the add function", "Fixed.", "stop", None,
    )  # fmt: skip
    assert [(step.tool, step.call, step.status) for step in first.steps] == [("edit", "c1", "ok")]
    assert first.usage == Usage(
        input_tokens=172, output_tokens=18, cached_tokens=50, reasoning_tokens=5, cost_usd=pytest.approx(0.03)
    )
    assert first.ended == datetime.fromtimestamp(1762077604, UTC)
    assert (second.task, second.answer, second.finish) == ("thanks", "", "interrupted")
    assert second.error == "MessageAbortedError: aborted"
    assert [step.tool for step in second.steps] == ["bash"]


@pytest.mark.parametrize(
    ("break_it", "row", "word"),
    [
        (lambda log: log["examples"][3]["actions"][0].update(tool=7), "examples[3].actions[0].tool", "a number"),
        (lambda log: log["examples"][3]["actions"][0].pop("tool"), "examples[3].actions[0].tool", "nothing"),
        (lambda log: log["examples"][3]["actions"][0].update(args=[1]), "examples[3].actions[0].args", "a list"),
        (lambda log: log["examples"][3]["actions"].__setitem__(0, "read"), "examples[3].actions[0]", "a text"),
        (lambda log: log["examples"][3].update(actions={}), "examples[3].actions", "an object"),
        (lambda log: log["examples"][3]["input"].update(task=None), "examples[3].input.task", "nothing"),
        (lambda log: log["examples"][3]["input"].update(task=""), "examples[3].input.task", "empty"),
        (lambda log: log["examples"][3].update(input="x"), "examples[3].input", "a text"),
        (lambda log: log["examples"].__setitem__(3, True), "examples[3]", "true or false"),
        (lambda log: log.update(examples=None), "examples", "nothing"),
    ],
)
def test_refusals_name_the_place(tmp_path: Path, break_it: Any, row: str, word: str) -> None:
    log = changed(DOCUMENTED, examples=DOCUMENTED["examples"] * 5)
    log = json.loads(json.dumps(log))
    break_it(log)
    sessions, (refusal,) = read(written(tmp_path / "a.json", log))
    assert (refusal.source, refusal.row) == (str(tmp_path / "a.json"), row)
    assert word in refusal.reason
    # The rest goes on.
    assert [len(session.turns) for session in sessions] in ([5], [4], [])
    assert bool(sessions) == (row != "examples")


def test_many_broken_places_are_counted(tmp_path: Path) -> None:
    log = changed(DOCUMENTED, examples=[1] * 500)
    sessions, refused = read(written(tmp_path / "a.json", log))
    assert sessions == []
    assert len(refused) == 21
    assert refused[-1].reason == "480 further places are wrong likewise"


def test_broken_json_names_the_line(tmp_path: Path) -> None:
    text = json.dumps(FULL, indent=1).splitlines()
    text[6] = text[6].replace(":", "")
    path = tmp_path / "broken.json"
    path.write_text("\n".join(text), "utf-8")
    sessions, (refusal,) = read(path)
    assert sessions == []
    assert refusal.line == 7


def test_jsonl(tmp_path: Path) -> None:
    lines = [json.dumps(FULL), "", "{broken", json.dumps(changed(DOCUMENTED, examples=[1, *DOCUMENTED["examples"]]))]
    for name in ("logs.jsonl", "logs.json"):
        path = tmp_path / name
        path.write_text("\r\n".join(lines), "utf-8")
        sessions, refused = read(path)
        assert [session.id for session in sessions] == ["ses_full", "session-id"]
        assert [session.source for session in sessions] == [f"{path}:1", f"{path}:4"]
        assert [(one.line, one.row) for one in refused] == [(3, None), (4, "examples[0]")]


def test_list_of_logs(tmp_path: Path) -> None:
    broken = changed(FULL)
    broken["examples"][0]["input"] = 0
    sessions, refused = read(written(tmp_path / "all.json", [DOCUMENTED, broken, 3, RAW]))
    assert [session.id for session in sessions] == ["session-id", "ses_raw"]
    assert [one.row for one in refused] == ["[1].examples[0].input", "[2]"]


def test_document_with_the_wrong_suffix_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "pretty.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(DOCUMENTED, indent=2).encode())
    (session,), refused = read(path)
    assert (session.id, refused) == ("session-id", [])


def test_directory_and_since(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    written(tmp_path / "deep" / "old.json", DOCUMENTED)
    written(tmp_path / "new.json", FULL)
    written(tmp_path / "other.json", {"name": "package", "version": "1"})
    (tmp_path / "notes.txt").write_text("not looked at")
    sessions, refused = read(tmp_path)
    assert [session.id for session in sessions] == ["session-id", "ses_full"]
    assert [Path(one.source).name for one in refused] == ["other.json"]
    for since in (datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 1)):
        sessions, _ = read(tmp_path, since=since)
        assert [session.id for session in sessions] == ["ses_full"]
    assert SessionLogImporter().accepts(tmp_path, b"")


def test_missing_file_is_a_refusal(tmp_path: Path) -> None:
    sessions, (refusal,) = read(tmp_path / "nowhere.json")
    assert sessions == []
    assert "cannot be read" in refusal.reason


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (DOCUMENTED, True), (FULL, True), (RAW, True), ([RAW], True), ({"examples": []}, True),
        ({"session": "x"}, False), ({"info": {}, "messages": []}, False), ({"resourceSpans": []}, False),
        # A claude-code line: a sessionId, but one message only; and its text quotes our format.
        ({"type": "user", "sessionId": "s", "message": {"content": '{"session": 1, "examples": []}'}}, False),
        ([], False), ("examples", False),
    ],
)  # fmt: skip
def test_accepts(tmp_path: Path, value: Any, expected: bool) -> None:
    head = json.dumps(value).encode()[:4096]
    assert SessionLogImporter().accepts(tmp_path / "x.json", head) is expected


def test_top_keys_survive_a_cut_head() -> None:
    head = json.dumps({"session": 'a \\ " { [', "inner": {"examples": 1}, "totalExamples": 3, "x": "y" * 99}).encode()
    for end in range(len(head)):
        assert top_keys(head[:end]) <= {"session", "inner", "totalExamples", "x"}
    assert top_keys(head) == {"session", "inner", "totalExamples", "x"}
