"""What an OpenCode session says and what is true: each trap of the format in a session of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from strop.agents.importers.opencode import OpenCodeImporter
from strop.agents.transcript import Step, Transcript, Turn
from tests.agents import opencode_stores as stores

T0 = 1_795_000_000_000


def said(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def tool(name: str, status: str = "completed", **state: Any) -> dict[str, Any]:
    return {"type": "tool", "tool": name, "callID": f"call_{name}", "state": {"status": status, "input": {}, **state}}


def user(number: int, *parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "info": {"id": f"msg_{number}", "role": "user", "time": {"created": T0 + number}, **more},
        "parts": [*parts],
    }


def reply(number: int, *parts: dict[str, Any], to: int = 1, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    info: dict[str, Any] = {"id": f"msg_{number}", "role": "assistant", "parentID": f"msg_{to}"}
    info["time"] = {"created": T0 + number, "completed": T0 + number + 1}
    if finish:
        info["finish"] = finish
    return {"info": {**info, **more}, "parts": [*parts]}


def session(tmp_path: Path, *messages: dict[str, Any], **info: Any) -> Transcript:
    name = {"id": "ses_1", "directory": "/p", "time": {"created": T0, "updated": T0 + 99}}
    return stores.one(stores.save(tmp_path / "export.json", {"info": {**name, **info}, "messages": [*messages]}))


def turn(tmp_path: Path, *messages: dict[str, Any], **info: Any) -> Turn:
    turns = session(tmp_path, *messages, **info).turns
    assert len(turns) == 1
    return turns[0]


def step(tmp_path: Path, part: dict[str, Any]) -> Step:
    return turn(tmp_path, user(1, said("do it")), reply(2, part)).steps[0]


@pytest.mark.parametrize(
    ("part", "status", "code"),
    [
        (tool("bash", output="boom", metadata={"exit": 3}), "failed", 3),
        (tool("bash", output="ok", metadata={"exit": 0}), "ok", 0),
        (tool("bash", output="User aborted the command", metadata={"exit": None}), "aborted", None),
        (tool("bash", output="x\n\nUser aborted the command", metadata={}), "aborted", None),
        (tool("read", output="how to write: User aborted the command"), "ok", None),
        (tool("edit", "error", error="The edit tool was called with invalid arguments: x"), "invalid", None),
        (tool("edit", "error", error="Could not find oldString"), "failed", None),
        (tool("bash", "error", error="The user rejected permission to use this specific tool call."), "denied", None),
        (tool("bash", "error", error="The user has specified a rule which prevents you from using"), "denied", None),
        (tool("write", "error", error="EACCES: permission denied, open '/x'"), "failed", None),
        (tool("bash", "error", error="Tool execution aborted"), "aborted", None),
        (tool("bash", "running"), "unfinished", None),
        (tool("bash", "pending"), "unfinished", None),
        (tool("bash", "paused"), "unknown", None),
        ({"type": "tool", "tool": "bash", "state": None}, "unknown", None),
    ],
)
def test_the_truth_about_a_tool_call(part: dict[str, Any], status: str, code: int | None, tmp_path: Path) -> None:
    found = step(tmp_path, part)
    assert (found.status, found.exit_code) == (status, code)


def test_an_unknown_tool_is_named_as_it_was_called(tmp_path: Path) -> None:
    part = tool("invalid", input={"tool": "no_such", "error": "unavailable", "path": "x"})
    found = step(tmp_path, part)
    assert (found.tool, found.status, found.arguments, found.result) == (
        "no_such",
        "invalid",
        {"path": "x"},
        "unavailable",
    )


@pytest.mark.parametrize(
    ("own", "neutral"),
    [
        ("bash", "bash"),
        ("webfetch", "fetch"),
        ("websearch", "search"),
        ("todowrite", "todo"),
        ("apply_patch", "patch"),
        ("multiedit", "edit"),
        ("my_server_query", "my_server_query"),
    ],
)
def test_tools_have_neutral_names_where_there_is_one(own: str, neutral: str, tmp_path: Path) -> None:
    assert step(tmp_path, tool(own)).tool == neutral


def test_parallel_tools_stand_in_the_order_of_starting(tmp_path: Path) -> None:
    parts = [tool(name, time={"start": T0 + start}) for name, start in (("grep", 30), ("read", 10), ("glob", 20))]
    found = turn(tmp_path, user(1, said("look")), reply(2, *parts), reply(3, tool("bash", time={"start": T0})))
    assert [one.tool for one in found.steps] == ["read", "glob", "grep", "bash"]


@pytest.mark.parametrize(
    ("recorded", "task"),
    [
        ('"fix the bug"', "fix the bug"),
        ('"say \\"hi\\" twice"', 'say "hi" twice'),
        ('""fix""', '""fix""'),
        ('"a" and "b"', '"a" and "b"'),
        ('fix "this"', 'fix "this"'),
        ('"', '"'),
        ('""', '""'),
        ("  fix  ", "fix"),
    ],
)
def test_one_outer_pair_of_quotes_is_not_the_tasks(recorded: str, task: str, tmp_path: Path) -> None:
    assert turn(tmp_path, user(1, said(recorded)), reply(2, said("ok"))).task == task


def test_what_the_client_wrote_is_no_task(tmp_path: Path) -> None:
    found = turn(
        tmp_path,
        user(1, said("real"), said("Called the Read tool", synthetic=True), said("shown only", ignored=True)),
        reply(2, finish="tool-calls"),
        user(3, {"type": "compaction", "auto": True}),
        reply(4, said("Summary"), to=3, summary=True, mode="compaction", cost=0.25),
        user(5, said("Continue if you have next steps", synthetic=True)),
        reply(6, said("Done"), to=5, cost=0.5),
    )
    assert (found.task, found.answer, found.finish, found.usage.cost_usd) == ("real", "Done", "stop", 0.75)


def test_the_error_of_a_failed_compaction_ends_the_turn_around_it(tmp_path: Path) -> None:
    error = {"name": "ContextOverflowError", "data": {"message": "too long"}}
    found = turn(
        tmp_path,
        user(1, said("real")),
        reply(2, said("I look"), finish="tool-calls"),
        user(3, {"type": "compaction", "auto": True, "overflow": True}),
        reply(4, to=3, summary=True, error=error, finish=None),
    )
    assert (found.finish, found.error) == ("error", "ContextOverflowError: too long")
    assert found.answer == "I look"


def test_a_request_sent_again_after_an_overflow_is_the_same_turn(tmp_path: Path) -> None:
    again = [
        user(3, {"type": "compaction", "overflow": True}),
        reply(4, said("Summary"), to=3, summary=True),
        user(5, said("real")),
        reply(6, said("Done"), to=5),
    ]
    found = turn(tmp_path, user(1, said("real")), reply(2, finish="tool-calls"), *again)
    assert (found.key, found.answer) == ("msg_1", "Done")
    repeated = session(tmp_path, user(1, said("go on")), reply(2), user(3, said("go on")), reply(4, to=3))
    assert [one.key for one in repeated.turns] == ["msg_1", "msg_3"]


@pytest.mark.parametrize(
    ("last", "finish", "error"),
    [
        (reply(2, said("x"), finish="length"), "length", None),
        (reply(2, finish="tool-calls"), "tools", None),
        (reply(2, said("x"), finish="something-new"), "unknown", None),
        (reply(2, said("x"), finish=None, time={"created": T0 + 2}), "interrupted", None),
        (reply(2, tool("bash", "running")), "interrupted", None),
        (
            reply(2, finish=None, error={"name": "MessageAbortedError", "data": {}}),
            "interrupted",
            "MessageAbortedError",
        ),
        (reply(2, error={"name": "MessageOutputLengthError", "data": {}}), "length", "MessageOutputLengthError"),
        (
            reply(2, error={"name": "APIError", "data": {"message": "down", "statusCode": 503}}),
            "error",
            "APIError: down (status 503)",
        ),
        (reply(2, error="odd"), "error", "odd"),
    ],
)
def test_how_a_turn_ended(last: dict[str, Any], finish: str, error: str | None, tmp_path: Path) -> None:
    found = turn(tmp_path, user(1, said("real")), last)
    assert (found.finish, found.error) == (finish, error)


def test_a_request_that_nobody_answered_was_interrupted(tmp_path: Path) -> None:
    assert turn(tmp_path, user(1, said("real"))).finish == "interrupted"


def test_an_error_that_was_overcome_is_kept_but_does_not_end_the_turn(tmp_path: Path) -> None:
    failed = reply(2, finish=None, error={"name": "APIError", "data": {"message": "down"}})
    found = turn(tmp_path, user(1, said("real")), failed, reply(3, said("Done")))
    assert (found.finish, found.error, found.extra) == ("stop", None, {"earlier_errors": ["APIError: down"]})


def test_a_reply_belongs_to_the_request_that_it_names(tmp_path: Path) -> None:
    found = session(
        tmp_path, user(1, said("a")), user(2, said("b")), reply(3, said("for a")), reply(4, said("for b"), to=2)
    )
    assert [(one.task, one.answer) for one in found.turns] == [("a", "for a"), ("b", "for b")]


def test_messages_stand_in_the_order_of_time(tmp_path: Path) -> None:
    found = session(
        tmp_path, reply(4, said("two"), to=3), user(3, said("b")), reply(2, said("one")), user(1, said("a"))
    )
    assert [(one.task, one.answer) for one in found.turns] == [("a", "one"), ("b", "two")]


@pytest.mark.parametrize("message", ["msg_3", "msg_4"])
def test_a_revert_takes_back_its_turn_and_all_after_it(message: str, tmp_path: Path) -> None:
    messages = [user(1, said("a")), reply(2), user(3, said("b")), reply(4, to=3), user(5, said("c")), reply(6, to=5)]
    found = session(tmp_path, *messages, revert={"messageID": message})
    assert [one.reverted for one in found.turns] == [False, True, True]


def test_a_sanitized_export_is_refused_with_the_remedy(tmp_path: Path) -> None:
    export = stores.load("edit_ok")
    for message in export["messages"]:
        for part in message["parts"]:
            if "text" in part:
                part["text"] = f"[redacted:text:{part['id']}]"
            if part["type"] == "tool":
                part["state"]["input"] = {"redacted": "input"}
    transcripts, refusals = stores.read(stores.save(tmp_path / "export.json", export))
    assert transcripts == []
    assert [(one.row, "--sanitize" in one.reason) for one in refusals] == [("ses_e050c0c0bffeJhvGuIm4m4VZkh", True)]


def test_a_task_that_speaks_of_redaction_is_no_sanitized_export(tmp_path: Path) -> None:
    words = "Why does the log say [redacted:text] here?"
    assert turn(tmp_path, user(1, said(words)), reply(2)).task == words


@pytest.mark.parametrize(("title", "kept"), [("New session - 2026-11-20T21:40:20.404Z", ""), ("", ""), ("Fix", "Fix")])
def test_a_title_that_nobody_gave_is_none(title: str, kept: str, tmp_path: Path) -> None:
    assert session(tmp_path, user(1, said("a")), title=title).title == kept


def test_attachments_subtasks_and_models_are_read(tmp_path: Path) -> None:
    attached = {"type": "file", "mime": "image/png", "url": "data:image/png;base64,AAAA"}
    model = {"providerID": "acme", "modelID": "m"}
    found = turn(tmp_path, user(1, said("see"), attached, {"type": "file", "filename": "a.py"}, agent="x", model=model))
    assert found.context == {"directory": "/p", "files": ["data:image/png", "a.py"]}
    assert (found.model, found.agent) == ("acme/m", "x")
    assert turn(tmp_path, user(1, {"type": "subtask", "prompt": "review it"})).task == "review it"


def test_tokens_come_from_the_steps_where_the_message_has_none(tmp_path: Path) -> None:
    ends = {"input": 10, "output": 2, "reasoning": 3, "cache": {"read": 4, "write": 5}}
    part = {"type": "step-finish", "reason": "stop", "tokens": ends, "cost": 0.1}
    usage = turn(tmp_path, user(1, said("a")), reply(2, part, finish=None)).usage
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens) == (19, 5, 4, 3)
    assert usage.cost_usd == 0.1
    assert turn(tmp_path, user(1, said("a")), reply(2)).usage.cost_usd is None


def test_what_this_version_does_not_know_is_kept(tmp_path: Path) -> None:
    found = session(
        tmp_path,
        user(1, said("a"), mood="calm", system="Be brief."),
        reply(
            2,
            {"type": "hologram", "depth": 3},
            {**tool("bash", later=1, metadata={"exit": 0, "cpu": 7, "sessionId": "ses_2"}), "colour": "red"},
            rating=5,
        ),
        planet="mars",
    )
    assert found.extra == {"planet": "mars"}
    assert found.turns[0].extra == {
        "user": {"mood": "calm", "system": "Be brief."},
        "replies": {"msg_2": {"rating": 5}},
        "parts": [{"type": "hologram", "depth": 3}],
    }
    extra = {"colour": "red", "later": 1, "metadata": {"cpu": 7}, "session": "ses_2"}
    assert found.turns[0].steps[0].extra == extra


def test_a_stream_of_a_failed_run_has_its_error(tmp_path: Path) -> None:
    events = [
        {"type": "step_start", "part": {"id": "prt_1", "type": "step-start", "messageID": "msg_1"}},
        {"type": "text", "part": {"id": "prt_2", "type": "text", "text": "I begin", "messageID": "msg_1"}},
        {"type": "error", "error": {"name": "APIError", "data": {"message": "down"}}},
    ]
    lines = [json.dumps({"timestamp": T0 + at, "sessionID": "ses_1", **one}) for at, one in enumerate(events)]
    path = tmp_path / "run.jsonl"
    path.write_text("\n".join(["opencode starts", *lines]) + "\n")
    assert OpenCodeImporter().accepts(path, path.read_bytes())
    transcripts, refusals = stores.read(path)
    assert [(one.line, one.source) for one in refusals] == [(1, str(path))]
    found = transcripts[0].turns[0]
    assert (found.task, found.answer, found.finish, found.error) == ("", "I begin", "error", "APIError: down")


def test_a_stream_of_two_runs_is_two_transcripts(tmp_path: Path) -> None:
    events = (stores.LOGS / "edit_ok.run-events.jsonl").read_text()
    path = tmp_path / "runs.jsonl"
    path.write_text(events + events.replace("ses_e050c0c0bffeJhvGuIm4m4VZkh", "ses_other"))
    transcripts, refusals = stores.read(path)
    assert refusals == []
    assert [one.id for one in transcripts] == ["ses_e050c0c0bffeJhvGuIm4m4VZkh", "ses_other"]
    assert [len(one.turns[0].steps) for one in transcripts] == [3, 3]


def by_hand(number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    note = said("The following tool was executed by the user", synthetic=True)
    ran = reply(number + 1, tool("bash", output="calc.py"), to=number, finish=None)
    return user(number, note), ran


def test_a_command_that_the_person_runs_by_hand_is_no_work_of_the_agent(tmp_path: Path) -> None:
    one = turn(tmp_path, user(1, said("do it")), reply(2, said("Done.")), *by_hand(3))
    assert (one.answer, one.steps, one.finish) == ("Done.", (), "stop")


def test_taking_back_a_command_run_by_hand_takes_back_what_came_after_it(tmp_path: Path) -> None:
    later = (user(5, said("now this")), reply(6, said("Done too."), to=5))
    one = session(
        tmp_path, user(1, said("do it")), reply(2, said("Done.")), *by_hand(3), *later, revert={"messageID": "msg_3"}
    )
    assert [(each.task, each.reverted) for each in one.turns] == [("do it", False), ("now this", True)]
