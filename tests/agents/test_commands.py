"""What a slash command's own text asks for is nobody's task: kept in the archive, and never learnt from."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from strop.agents import AgentArchive, PrepareSettings, Wanted, derive, import_history, prepare
from strop.agents.commands import command_of
from strop.agents.importers import importer_for
from strop.store import Store
from tests.agents import opencode_stores as stores
from tests.agents.turns import NOON, bash, transcript, turn

OLD_INIT = (
    "Please analyze this codebase and create an AGENTS.md file containing:\n"
    "1. Build/lint/test commands - especially for running a single test\n"
)
NEW_INIT = (
    "Create or update `AGENTS.md` for this repository.\n\n"
    "The goal is a compact instruction file that helps future OpenCode sessions avoid mistakes and ramp up quickly.\n"
)
REVIEW = (
    "You are a code reviewer. Your job is to review code changes and provide actionable feedback.\n\n---\n\n"
    "Input: the last commit\n\n---\n"
)
CODEX_INIT = (
    "Generate a file named AGENTS.md that serves as a contributor guide for this repository.\n"
    "Your goal is to produce a clear, concise, and well-structured document\n"
)


@pytest.mark.parametrize(
    ("client", "task", "command"),
    [
        ("opencode", OLD_INIT, "init"),
        ("opencode", NEW_INIT, "init"),
        ("opencode", REVIEW, "review"),
        ("codex", CODEX_INIT, "init"),
        ("claude-code", "Please analyze this codebase and create a CLAUDE.md file, which will be given to", "init"),
        # A person's own words, even about the same.
        ("opencode", "Please analyze this codebase", ""),
        ("opencode", "Create or update `AGENTS.md` for this repository.", ""),
        ("opencode", "You are a code reviewer. Look at cart.py", ""),
        ("opencode", f"Why does /init say this: {OLD_INIT}", ""),
        ("codex", OLD_INIT, ""),
        ("log", OLD_INIT, ""),
        ("opencode", "", ""),
    ],
)
def test_the_texts_of_the_clients_own_commands_are_known(client, task: str, command: str):
    assert command_of(client, task, {}) == command


def test_only_opencode_names_a_command_beside_the_task():
    assert command_of("opencode", "Do the release", {"command": "release"}) == "release"
    assert command_of("log", "Do the release", {"command": "release"}) == ""
    assert command_of("opencode", "Do the release", {"command": 3}) == ""


def test_a_command_that_a_sub_agent_carries_out_is_marked(tmp_path: Path):
    def read(*parts):
        message = {"info": {"id": "msg_1", "role": "user", "time": {"created": 1}}, "parts": list(parts)}
        info = {"id": "ses_1", "directory": "/p", "time": {"created": 1, "updated": 9}}
        return stores.one(stores.save(tmp_path / "export.json", {"info": info, "messages": [message]})).turns[0]

    task = {"type": "subtask", "prompt": "Write the notes", "description": "notes", "agent": "general"}
    assert read({**task, "command": "release"}).extra["command"] == "release"
    assert "command" not in read(task).extra
    assert "command" not in read({"type": "text", "text": "Go"}, {**task, "command": "release"}).extra


def test_claude_code_marks_its_commands_and_they_are_no_turns(tmp_path: Path):
    def record(number: int, role: str, content, **more):
        about = {"uuid": f"u{number}", "parentUuid": f"u{number - 1}" if number else None, "sessionId": "s"}
        return {"type": role, "message": {"role": role, "content": content}, **about, **more}

    lines = [
        record(0, "user", "<command-message>init is analyzing</command-message>\n<command-name>/init</command-name>"),
        record(
            1, "user", [{"type": "text", "text": "Please analyze this codebase and create a CLAUDE.md"}], isMeta=True
        ),
        record(2, "assistant", [{"type": "text", "text": "Written."}]),
        record(3, "user", "Fix the cart"),
        record(4, "assistant", [{"type": "text", "text": "Fixed."}]),
    ]
    log = tmp_path / "s.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (found,) = importer_for("claude-code").read(log)
    assert [one.task for one in found.turns] == ["Fix the cart"]


def test_what_is_said_after_a_command_is_no_word_on_the_task_before_it(tmp_path: Path):
    def record(number: int, role: str, content):
        about = {"uuid": f"u{number}", "parentUuid": f"u{number - 1}" if number else None, "sessionId": "s"}
        return {"type": role, "message": {"role": role, "content": content}, **about}

    def first_outcome(*lines) -> bool | None:
        log = tmp_path / "s.jsonl"
        log.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        (found,) = importer_for("claude-code").read(log)
        return derive(found.turns, 0).success

    asked, done = record(0, "user", "Fix the cart"), record(1, "assistant", [{"type": "text", "text": "Fixed."}])
    command = record(2, "user", "<command-name>/review</command-name>")
    worked = record(3, "assistant", [{"type": "text", "text": "The cart is fine."}])
    assert first_outcome(asked, done, record(2, "user", "no, that is wrong")) is False
    assert first_outcome(asked, done, command, worked, record(4, "user", "no, that is wrong")) is None
    # One that does no work of the model's (/model, /clear) stands between nobody.
    assert first_outcome(asked, done, command, record(3, "user", "no, that is wrong")) is False


def test_a_command_is_left_out_of_what_is_learnt_and_said_to_be(tmp_path: Path):
    with Store.open(":memory:") as store:
        archive = AgentArchive(store)
        for number, task in enumerate(["Fix the cart", "Mend the mailer", "Sort the coupons", "Test login", OLD_INIT]):
            at = NOON + timedelta(hours=number)
            archive.add(transcript(turn(task, bash("pytest", 0), started=at), id=f"s{number}", started=at))
        places = {"processed_dir": tmp_path / "processed", "splits_dir": tmp_path / "splits"}
        report = prepare(archive, PrepareSettings(**places, min_examples=1))
    assert (report.found, report.successful, report.examples) == (5, 5, 4)
    assert any(note.startswith("1 example was left out because the text of a slash command") for note in report.notes)
    assert "AGENTS.md" not in (tmp_path / "processed" / "examples.json").read_text(encoding="utf-8")


def test_the_command_of_a_real_client_is_left_out_from_its_store_to_the_splits(tmp_path: Path):
    export = stores.load("edit_ok")
    text = next(part for part in export["messages"][0]["parts"] if part["type"] == "text")
    text["text"] = NEW_INIT
    stores.write_database(tmp_path / "opencode.db", [export])
    with Store.open(":memory:") as store:
        archive = AgentArchive(store)
        import_history(archive, Wanted(paths=(tmp_path / "opencode.db",), environment={}, home=tmp_path))
        (example,) = archive.examples()
    assert (example.command, example.usable) == ("init", False)
