"""Claude Code histories: real logs against what a person read in them, every trap in small, and damage of all kinds."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from strop.agents.importers.claude_code import ClaudeCodeImporter
from strop.agents.transcript import Importer, Refusal, Transcript, Turn

HERE = Path(__file__).parent
LOGS = HERE / "logs" / "claude-code"
EXPECTED = HERE / "expected" / "claude-code"
NAMES = ["edit_ok", "multi_turn", "tool_fail"]
STRANGE: list[Any] = [
    None, True, -1, 1e308, 2**62, "", "x", [], {}, [[]], [None], {"a": None}, "\0", "9" * 60, {"type": "text"},
    [{"type": "tool_result"}], [{"type": ["text"]}], {"id": {"x": 1}}, "toolu_x", ["a"] * 3, "2026-13-40T99:00:00Z",
]  # fmt: skip


def read(importer: Importer, path: Path, since: datetime | None = None) -> tuple[list[Transcript], list[Refusal]]:
    """What there is under a path, sessions and refusals apart."""
    found = list(importer.read(path, since))
    return [one for one in found if isinstance(one, Transcript)], [one for one in found if isinstance(one, Refusal)]


def plain(transcript: Transcript) -> dict[str, Any]:
    """The fields that the hand-written examples name, as JSON."""
    names = ("id", "parent", "title", "directory", "version", "model", "system_prompt")
    return {name: getattr(transcript, name) for name in names} | {"turns": [_turn(turn) for turn in transcript.turns]}


def _turn(turn: Turn) -> dict[str, Any]:
    usage = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost_usd")
    step = ("tool", "status", "exit_code", "result", "call", "seconds")
    return {
        **{name: getattr(turn, name) for name in ("key", "task", "answer", "finish", "error", "reverted", "model")},
        "context": dict(turn.context),
        "started": turn.started.isoformat() if turn.started else None,
        "ended": turn.ended.isoformat() if turn.ended else None,
        "usage": {name: getattr(turn.usage, name) for name in usage},
        "steps": [
            {"arguments": dict(one.arguments), **{name: getattr(one, name) for name in step}} for one in turn.steps
        ],
    }


def mutations(lines: Sequence[bytes], chance: random.Random) -> bytes:
    """The lines of a real log with one kind of damage."""
    kind = chance.randrange(8)
    if kind == 0:
        whole = b"\n".join(lines)
        return whole[: chance.randrange(len(whole))]
    if kind == 1:
        return b"\n".join(chance.sample(lines, len(lines)))
    if kind == 2:
        return b"\n".join(line for line in lines if chance.random() < 0.6)
    if kind == 3:
        broken = bytearray(b"\n".join(lines))
        for _ in range(20):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        return bytes(broken)
    if kind == 4:
        return b"\n".join([*lines, b'{"type":' * 3_000, b"[" * 2_000, chance.randbytes(5_000)])
    if kind == 5:
        deep = b'{"type":"user","message":{"content":' + b'[{"text":' * 400 + b"1" + b"}]" * 400 + b"}}"
        return b"\n".join([deep, *lines, *lines])
    records = [json.loads(line) for line in lines]
    for _ in range(chance.randint(1, 12)):
        _spoil(chance.choice(records), chance)
    return b"\n".join(json.dumps(record).encode() for record in records)


def _spoil(value: Any, chance: random.Random) -> None:
    """Something inside of another type, or gone."""
    while isinstance(value, dict | list) and value:
        key = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
        inner = value[key]
        if not isinstance(inner, dict | list) or not inner or chance.random() < 0.3:
            if chance.random() < 0.25:
                del value[key]
            else:
                value[key] = chance.choice(STRANGE)
            return
        value = inner


def survives(importer: Importer, path: Path) -> None:
    """Whatever the file holds: no exception, no hang, every field of its type, every refusal with a reason."""
    began = time.monotonic()
    importer.accepts(path, path.read_bytes()[:4096])
    sessions, refusals = read(importer, path)
    assert time.monotonic() - began < 5
    assert all(one.reason and one.source == str(path) for one in refusals)
    for session in sessions:
        assert session.id
        assert len({turn.key for turn in session.turns}) == len(session.turns)
        for turn in session.turns:
            texts = (turn.key, turn.task, turn.answer, turn.model, turn.agent, turn.finish, turn.error or "")
            assert all(isinstance(text, str) for text in texts)
            assert turn.usage.input_tokens >= 0
            assert turn.usage.output_tokens >= 0
            assert all(isinstance(step.result, str) and isinstance(step.tool, str) for step in turn.steps)
        json.dumps(plain(session))


class Log:
    """Records of one conversation, each continuing the one before."""

    def __init__(self, session: str = "s1") -> None:
        self.session = session
        self.records: list[dict[str, Any]] = []
        self.last: str | None = None

    def add(self, kind: str, message: dict[str, Any] | None = None, **more: Any) -> str:
        number = len(self.records) + 1
        record = {
            "type": kind, "uuid": f"u{number}", "parentUuid": self.last, "sessionId": self.session,
            "isSidechain": False, "timestamp": f"2026-01-01T00:00:{number:02}.000Z", "cwd": "/p", "version": "2.0.0",
        }  # fmt: skip
        if message is not None:
            record["message"] = message
        record.update(more)
        self.records.append(record)
        self.last = record["uuid"]
        return record["uuid"]

    def ask(self, text: Any, **more: Any) -> str:
        return self.add("user", {"role": "user", "content": text}, **more)

    def say(self, text: str, stop: str | None = "end_turn", message: str | None = None, **more: Any) -> str:
        return self._assistant({"type": "text", "text": text}, stop, message, more)

    def call(self, tool: str, stop: str | None = "tool_use", message: str | None = None, **given: Any) -> str:
        block = {"type": "tool_use", "id": f"t{len(self.records) + 1}", "name": tool, "input": given}
        self._assistant(block, stop, message, {})
        return block["id"]

    def _assistant(self, block: dict[str, Any], stop: str | None, message: str | None, more: dict[str, Any]) -> str:
        return self.add(
            "assistant",
            {
                "id": message or f"m{len(self.records)}", "role": "assistant", "model": "claude-x", "content": [block],
                "stop_reason": stop, "usage": {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 3},
            },
            **more,
        )  # fmt: skip

    def give(self, call: str, content: Any, error: bool | None = None, **more: Any) -> str:
        block = {"type": "tool_result", "tool_use_id": call, "content": content}
        if error is not None:
            block["is_error"] = error
        return self.add("user", {"role": "user", "content": [block]}, **more)

    def write(self, path: Path) -> Path:
        path.write_text("".join(json.dumps(record) + "\n" for record in self.records))
        return path


def one(log: Log, tmp_path: Path) -> Transcript:
    sessions, refusals = read(ClaudeCodeImporter(), log.write(tmp_path / "s1.jsonl"))
    assert refusals == []
    assert len(sessions) == 1
    return sessions[0]


def test_every_real_log_has_a_hand_written_example() -> None:
    assert sorted(path.stem for path in LOGS.iterdir()) == NAMES == sorted(path.stem for path in EXPECTED.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_a_real_log_becomes_the_hand_written_example(name: str) -> None:
    path = LOGS / f"{name}.jsonl"
    sessions, refusals = read(ClaudeCodeImporter(), path)
    assert refusals == []
    assert [plain(session) for session in sessions] == [json.loads((EXPECTED / f"{name}.json").read_text())]
    assert sessions[0].source == str(path)
    assert ClaudeCodeImporter().accepts(path, path.read_bytes()[:4096])


def test_blocks_of_one_message_are_merged_and_its_usage_counted_once(tmp_path: Path) -> None:
    log = Log()
    log.ask("do it")
    log.say("one", message="m")
    log.say("two", message="m")
    turn = one(log, tmp_path).turns[0]
    assert turn.answer == "one\ntwo"
    assert (turn.usage.input_tokens, turn.usage.cached_tokens, turn.usage.output_tokens) == (15, 5, 3)


@pytest.mark.parametrize(
    ("content", "error", "rich", "status", "code"),
    [
        ("Exit code 3\nboom", True, "Error: Exit code 3\nboom", "failed", 3),
        ("Exit code 137\n[Request interrupted by user for tool use]", True, None, "aborted", 137),
        ("[Request interrupted by user for tool use]", True, None, "aborted", None),
        ("This command requires approval", True, "Error: This command requires approval", "denied", None),
        ("Claude requested permissions to write to /p/a, but you haven't granted it yet.", True, None, "denied", None),
        ("The user doesn't want to proceed with this tool use. The tool use was rejected", True, None, "denied", None),
        ("Exit code 1\nls: this requires approval of root", True, None, "failed", 1),
        ("<tool_use_error>InputValidationError: Bash failed</tool_use_error>", True, None, "invalid", None),
        ("<tool_use_error>Error: No such tool available: Foo</tool_use_error>", True, None, "invalid", None),
        ("no lines", False, {"stdout": "no lines", "interrupted": False}, "ok", 0),
        ("half", False, {"stdout": "half", "interrupted": True}, "aborted", None),
        ("", False, {"stdout": "", "returnCodeInterpretation": "No matches found"}, "ok", None),
        ("Command running in background with ID: x", False, {"backgroundTaskId": "x"}, "unknown", None),
        ([{"type": "text", "text": "out"}, {"type": "image"}], None, None, "ok", 0),
    ],
)
def test_how_a_command_ended(
    content: Any, error: bool | None, rich: Any, status: str, code: int | None, tmp_path: Path
) -> None:
    log = Log()
    log.ask("do it")
    log.give(log.call("Bash", command="x"), content, error, toolUseResult=rich)
    log.say("done")
    (step,) = one(log, tmp_path).turns[0].steps
    assert (step.tool, step.status, step.exit_code) == ("bash", status, code)
    assert step.result == (content if isinstance(content, str) else "out\n[image]")


def test_a_call_without_a_result_means_that_the_client_died(tmp_path: Path) -> None:
    log = Log()
    log.ask("do it")
    log.call("Bash", stop=None, command="sleep 100")
    turn = one(log, tmp_path).turns[0]
    assert (turn.finish, turn.steps[0].status, turn.steps[0].seconds) == ("interrupted", "unfinished", None)


def test_a_refused_call_without_an_answer_stops_at_the_tools(tmp_path: Path) -> None:
    log = Log()
    log.ask("do it")
    log.give(log.call("Edit", file_path="a"), "The user doesn't want to proceed with this tool use.", True)
    assert one(log, tmp_path).turns[0].finish == "tools"


def test_what_the_client_says_in_the_persons_name_is_no_task(tmp_path: Path) -> None:
    log = Log()
    log.ask("Caveat: The messages below were generated by the user", isMeta=True)
    log.ask("<local-command-stdout>hello</local-command-stdout>")
    log.ask("real task")
    log.say("fine")
    log.ask("This session is being continued from a previous conversation", isCompactSummary=True)
    log.ask("<bash-input>ls</bash-input>")
    log.ask([{"type": "text", "text": "<system-reminder>be nice</system-reminder>"}])
    log.ask("<task-notification>done</task-notification>")
    assert [(turn.task, turn.answer) for turn in one(log, tmp_path).turns] == [("real task", "fine")]


def test_the_work_of_a_slash_command_is_nobodys_turn(tmp_path: Path) -> None:
    log = Log()
    log.ask("real task")
    log.say("fine")
    log.ask("<command-message>review</command-message>\n<command-name>/review</command-name>")
    log.ask("You are a reviewer", isMeta=True)
    log.give(log.call("Bash", command="git diff"), "diff", False)
    log.say("Looks good")
    log.ask("thanks")
    log.say("bye")
    turns = one(log, tmp_path).turns
    assert [(turn.task, turn.answer, len(turn.steps)) for turn in turns] == [
        ("real task", "fine", 0),
        ("thanks", "bye", 0),
    ]
    assert not any(turn.reverted for turn in turns)


@pytest.mark.parametrize("wrap", [lambda text: text, lambda text: [{"type": "text", "text": text}]])
def test_an_interruption_belongs_to_the_turn_before(wrap: Any, tmp_path: Path) -> None:
    log = Log()
    log.ask("long task")
    log.say("I begin", stop=None)
    log.ask(wrap("[Request interrupted by user]"))
    log.ask("other task")
    log.say("done")
    assert [(turn.task, turn.finish) for turn in one(log, tmp_path).turns] == [
        ("long task", "interrupted"),
        ("other task", "stop"),
    ]


def test_an_edited_request_leaves_the_abandoned_branch_reverted(tmp_path: Path) -> None:
    log = Log()
    log.ask("first")
    fork = log.say("one")
    log.ask("second, wrong")
    log.say("two")
    log.ask("third, wrong too")
    log.say("three")
    log.ask("second, right", parentUuid=fork)
    log.say("four")
    turns = one(log, tmp_path).turns
    assert [(turn.task, turn.reverted, turn.answer) for turn in turns] == [
        ("first", False, "one"),
        ("second, wrong", True, "two"),
        ("third, wrong too", True, "three"),
        ("second, right", False, "four"),
    ]


def test_the_very_first_request_can_be_edited_too(tmp_path: Path) -> None:
    log = Log()
    hook = log.add("attachment", attachment={"type": "hook"})
    log.ask("wrong")
    log.say("one")
    log.ask("right", parentUuid=hook)
    log.say("two")
    assert [turn.reverted for turn in one(log, tmp_path).turns] == [True, False]


def test_results_of_parallel_calls_are_no_branches(tmp_path: Path) -> None:
    log = Log()
    log.ask("look at both")
    first = log.call("Read", message="m", file_path="a")
    after_first = log.last
    second = log.call("Read", message="m", file_path="b")
    after_second = log.last
    log.give(first, "A", parentUuid=after_first)
    log.give(second, "B", parentUuid=after_second)
    log.say("both read")
    log.ask("next")
    log.say("ok")
    turns = one(log, tmp_path).turns
    assert [step.result for step in turns[0].steps] == ["A", "B"]
    assert not any(turn.reverted for turn in turns)


def test_an_error_of_the_provider_breaks_the_turn_unless_it_recovers(tmp_path: Path) -> None:
    log = Log()
    log.ask("one")
    log.say("API Error: 529 overloaded", isApiErrorMessage=True, error="overloaded")
    log.say("now it works")
    log.ask("two")
    log.say("API Error: 400 bad", isApiErrorMessage=True, apiErrorStatus=400)
    first, second = one(log, tmp_path).turns
    assert (first.finish, first.error, first.answer) == ("stop", None, "now it works")
    assert (second.finish, second.error, second.answer) == ("error", "API Error: 400 bad", "")


def test_a_version_that_never_writes_stop_reasons_still_stops(tmp_path: Path) -> None:
    log = Log()
    log.ask("one")
    log.say("done", stop=None)
    assert one(log, tmp_path).turns[0].finish == "stop"
    log.ask("two")
    log.say("done", stop="end_turn")
    assert [turn.finish for turn in one(log, tmp_path).turns] == ["unknown", "stop"]


@pytest.mark.parametrize(("reason", "finish"), [("max_tokens", "length"), ("refusal", "error"), ("odd", "unknown")])
def test_other_ends(reason: str, finish: str, tmp_path: Path) -> None:
    log = Log()
    log.ask("one")
    log.say("half", stop=reason)
    assert one(log, tmp_path).turns[0].finish == finish


def test_side_chains_are_sessions_of_their_own(tmp_path: Path) -> None:
    log = Log()
    log.ask("main task")
    call = log.call("Task", prompt="look around", subagent_type="Explore")
    main = log.last
    log.ask("look around", isSidechain=True, parentUuid=None)
    log.say("found it", isSidechain=True)
    log.ask("and there", isSidechain=True, parentUuid=None, agentId="a7")
    log.say("nothing", isSidechain=True, agentId="a7")
    log.last = main
    log.give(call, [{"type": "text", "text": "found it"}], toolUseResult={"agentId": "a7", "totalTokens": 9})
    log.say("all done")
    sessions, refusals = read(ClaudeCodeImporter(), log.write(tmp_path / "s1.jsonl"))
    assert refusals == []
    assert [(one.id, one.parent, [turn.task for turn in one.turns]) for one in sessions] == [
        ("s1", None, ["main task"]),
        ("s1/u3", "s1", ["look around"]),
        ("s1/a7", "s1", ["and there"]),
    ]
    assert sessions[0].turns[0].answer == "all done"
    assert [(step.tool, step.status, dict(step.extra)) for step in sessions[0].turns[0].steps] == [
        ("task", "ok", {"agent": "a7"})
    ]


def test_the_files_of_sub_agents_and_a_whole_configuration_folder(tmp_path: Path) -> None:
    project = tmp_path / ".claude" / "projects" / "-p"
    (project / "s1" / "subagents").mkdir(parents=True)
    main, child = Log(), Log()
    main.ask("main task")
    main.say("done")
    child.ask("sub task", isSidechain=True, agentId="a1")
    child.say("found", isSidechain=True, agentId="a1")
    main.write(project / "s1.jsonl")
    child.write(project / "s1" / "subagents" / "agent-a1.jsonl")
    (project / "empty.jsonl").write_text("")
    (project / "foreign.jsonl").write_text('{"hello": 1}\n')
    (tmp_path / ".claude" / "history.jsonl").write_text('{"display": "x"}\n')
    sessions, refusals = read(ClaudeCodeImporter(), tmp_path / ".claude")
    assert [(one.id, one.parent) for one in sessions] == [("s1/a1", "s1"), ("s1", None)]
    assert [Path(one.source).name for one in refusals] == ["foreign.jsonl"]
    assert ClaudeCodeImporter().stores({}, tmp_path) == (tmp_path / ".claude" / "projects",)
    assert ClaudeCodeImporter().stores({"CLAUDE_CONFIG_DIR": str(tmp_path / "no")}, tmp_path) == ()
    assert ClaudeCodeImporter().accepts(tmp_path / ".claude", b"")


def test_copied_lines_count_once_and_the_session_of_a_line_decides(tmp_path: Path) -> None:
    log = Log("old")
    log.ask("old task")
    log.say("old answer")
    copied = [dict(record) for record in log.records]
    log.session = "new"
    log.ask("new task")
    log.say("new answer")
    log.records += copied
    sessions, refusals = read(ClaudeCodeImporter(), log.write(tmp_path / "new.jsonl"))
    assert refusals == []
    assert [(one.id, [turn.task for turn in one.turns]) for one in sessions] == [
        ("old", ["old task"]),
        ("new", ["new task"]),
    ]
    assert [turn.usage.output_tokens for one in sessions for turn in one.turns] == [3, 3]


def test_titles_and_unknown_records(tmp_path: Path) -> None:
    log = Log()
    log.ask("task", permissionMode="plan", somethingNew=7)
    last = log.say("done")
    log.records.append({"type": "summary", "summary": "Of another file", "leafUuid": "elsewhere"})
    log.records.append({"type": "summary", "summary": "Fixing add", "leafUuid": last})
    log.records += [{"type": "hologram", "sessionId": "s1"}] * 2
    session = one(log, tmp_path)
    assert session.title == "Fixing add"
    assert dict(session.extra) == {"unknown_records": {"hologram": 2}}
    assert dict(session.turns[0].extra) == {"permissionMode": "plan", "somethingNew": 7}
    log.records.append({"type": "custom-title", "customTitle": "Mine", "sessionId": "s1"})
    assert one(log, tmp_path).title == "Mine"


def test_what_was_said_while_the_turn_ran(tmp_path: Path) -> None:
    log = Log()
    log.ask("task")
    log.call("Bash", command="x")
    log.add("attachment", attachment={"type": "queued_command", "prompt": "no, the other file"})
    assert one(log, tmp_path).turns[0].extra["said_meanwhile"] == ["no, the other file"]


NOTE = (
    "<task-notification>\n<task-id>b1</task-id>\n<tool-use-id>{call}</tool-use-id>\n<output-file>/t/b1.output"
    '</output-file>\n<status>{status}</status>\n<summary>Background command "run" {how}</summary>\n'
    "</task-notification>"
)


@pytest.mark.parametrize(
    ("status", "how", "ends"),
    [
        ("completed", "completed (exit code 0)", ("ok", 0)),
        ("failed", "failed with exit code 2", ("failed", 2)),
        ("killed", "was stopped", ("unknown", None)),
    ],
)
@pytest.mark.parametrize("queued", [True, False])
def test_a_command_left_running_ends_with_the_clients_note(
    queued: bool, status: str, how: str, ends: Any, tmp_path: Path
) -> None:
    log = Log()
    log.ask("task")
    call = log.call("Bash", command="npm test", run_in_background=True)
    log.give(call, "Command running in background with ID: b1", toolUseResult={"backgroundTaskId": "b1"})
    log.say("Waiting.")
    note = NOTE.format(call=call, status=status, how=how)
    if queued:
        log.add("attachment", attachment={"type": "queued_command", "prompt": note, "commandMode": "task-notification"})
    else:
        log.ask(note)
    (turn,) = one(log, tmp_path).turns
    assert (turn.steps[0].status, turn.steps[0].exit_code) == ends
    assert "said_meanwhile" not in turn.extra


@pytest.mark.parametrize(
    "rich",
    [
        {"shellId": "b1", "command": "npm test", "status": "completed", "exitCode": 1, "stdout": "1 failed"},
        {"retrieval_status": "success", "task": {"task_id": "b1", "task_type": "local_bash", "exitCode": 1}},
    ],
)
def test_a_command_left_running_ends_with_the_look_at_it(rich: dict[str, Any], tmp_path: Path) -> None:
    log = Log()
    log.ask("task")
    log.give(log.call("Bash", command="npm test"), "running", toolUseResult={"backgroundTaskId": "b1"})
    log.give(log.call("BashOutput", bash_id="b1"), "<exit_code>1</exit_code>", toolUseResult=rich)
    (first, second) = one(log, tmp_path).turns[0].steps
    assert (first.status, first.exit_code) == ("failed", 1)
    assert (second.status, second.exit_code) == ("ok", None)


STREAM = [
    {"type": "system", "subtype": "init", "session_id": "s9", "cwd": "/p", "model": "claude-x",
     "claude_code_version": "2.1.0"},
    {"type": "assistant", "session_id": "s9", "parent_tool_use_id": None, "uuid": "a", "message": {
        "id": "m1", "model": "claude-x", "content": [{"type": "tool_use", "id": "t1", "name": "Write", "input": {}}],
        "usage": {"input_tokens": 5, "output_tokens": 2}}},
    {"type": "user", "session_id": "s9", "parent_tool_use_id": None, "uuid": "b", "message": {
        "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "no", "is_error": True}]}},
    {"type": "assistant", "session_id": "s9", "parent_tool_use_id": None, "uuid": "c", "message": {
        "id": "m2", "model": "claude-x", "content": [{"type": "text", "text": "Sorry."}],
        "usage": {"input_tokens": 6, "output_tokens": 3}}},
    {"type": "result", "subtype": "success", "is_error": False, "session_id": "s9", "result": "Sorry.",
     "total_cost_usd": 0.25, "usage": {"input_tokens": 11, "output_tokens": 5},
     "permission_denials": [{"tool_name": "Write", "tool_use_id": "t1", "tool_input": {}}]},
]  # fmt: skip


def test_the_stream_of_a_print_run(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in STREAM))
    assert ClaudeCodeImporter().accepts(path, path.read_bytes()[:4096])
    (session,), (refusal,) = read(ClaudeCodeImporter(), path)
    (turn,) = session.turns
    assert (session.id, session.directory, session.version, session.model) == (
        "s9",
        "/p",
        "2.1.0",
        "anthropic/claude-x",
    )
    assert (turn.task, turn.answer, turn.finish, turn.usage.cost_usd) == ("", "Sorry.", "stop", 0.25)
    assert (turn.usage.input_tokens, turn.usage.output_tokens) == (11, 5)
    assert [(step.tool, step.status) for step in turn.steps] == [("write", "denied")]
    assert "prompt is not in this output" in refusal.reason


def test_the_last_record_of_a_stream_counts_the_tokens(tmp_path: Path) -> None:
    """The messages before it carry what was known when each began: a token or two of output."""
    path = tmp_path / "run.jsonl"
    last = {**STREAM[-1], "usage": {"input_tokens": 11, "cache_read_input_tokens": 4, "output_tokens": 340}}
    path.write_text("".join(json.dumps(record) + "\n" for record in [*STREAM[:-1], last]))
    (session,), _ = read(ClaudeCodeImporter(), path)
    usage = session.turns[0].usage
    assert (usage.input_tokens, usage.cached_tokens, usage.output_tokens) == (15, 4, 340)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("as_list", [False, True])
def test_the_result_file_of_a_print_run(indent: int | None, as_list: bool, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(STREAM if as_list else STREAM[-1], indent=indent))
    assert ClaudeCodeImporter().accepts(path, path.read_bytes()[:4096])
    (session,), _ = read(ClaudeCodeImporter(), path)
    assert (session.id, session.turns[0].answer, session.turns[0].usage.output_tokens) == ("s9", "Sorry.", 5)


def test_a_print_run_that_failed(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"type": "result", "subtype": "error_max_turns", "is_error": True, "session_id": "s"}))
    (session,), _ = read(ClaudeCodeImporter(), path)
    assert (session.turns[0].finish, session.turns[0].error) == ("error", "error_max_turns")


def test_a_broken_line_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    log = Log()
    log.ask("task")
    path = log.write(tmp_path / "s1.jsonl")
    path.write_text(path.read_text() + '{"type": "assis\n[1]\n{"type": "user", "message": 3}\n{"no": "type"}\n')
    sessions, refusals = read(ClaudeCodeImporter(), path)
    assert [turn.task for turn in sessions[0].turns] == ["task"]
    assert [one.line for one in refusals] == [2, 3, 4, 5]


def test_since_leaves_out_what_is_older(tmp_path: Path) -> None:
    log = Log()
    log.ask("task")
    path = log.write(tmp_path / "s1.jsonl")
    assert read(ClaudeCodeImporter(), path, datetime(2026, 1, 2, tzinfo=UTC)) == ([], [])
    assert len(read(ClaudeCodeImporter(), path, datetime(2026, 1, 1, tzinfo=UTC))[0]) == 1
    assert read(ClaudeCodeImporter(), tmp_path, datetime(2100, 1, 1, tzinfo=UTC)) == ([], [])


def test_a_grown_file_begins_with_the_same_turns(tmp_path: Path) -> None:
    lines = (LOGS / "multi_turn.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "half.jsonl").write_bytes(b"".join(lines[:16]))
    (half,), _ = read(ClaudeCodeImporter(), tmp_path / "half.jsonl")
    (full,), _ = read(ClaudeCodeImporter(), LOGS / "multi_turn.jsonl")
    assert half.id == full.id
    assert half.turns == full.turns[:1]
    assert len(full.turns) == 2


@pytest.mark.parametrize("name", NAMES)
def test_damage_is_read_or_refused(name: str, tmp_path: Path) -> None:
    lines = (LOGS / f"{name}.jsonl").read_bytes().splitlines()
    chance = random.Random(name)
    for number in range(80):
        path = tmp_path / f"{number}.jsonl"
        path.write_bytes(mutations(lines, chance))
        survives(ClaudeCodeImporter(), path)


def test_a_huge_result_is_clipped(tmp_path: Path) -> None:
    log = Log()
    log.ask("x" * 3_000_000)
    log.give(log.call("Write", content="y" * 3_000_000), "z" * 3_000_000, False)
    turn = one(log, tmp_path).turns[0]
    sizes = [len(turn.task), len(turn.steps[0].result), len(str(turn.steps[0].arguments["content"]))]
    assert all(100_000 <= size < 100_200 for size in sizes)
