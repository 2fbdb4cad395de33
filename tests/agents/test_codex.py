"""Codex rollouts of every age: real logs against what a person read in them, every trap in small, and damage."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from strop.agents.importers.codex import CodexImporter
from strop.agents.transcript import Refusal, Transcript
from tests.agents.test_claude_code import mutations, plain, read, survives

HERE = Path(__file__).parent
LOGS = HERE / "logs" / "codex"
EXPECTED = HERE / "expected" / "codex"
NAMES = ["edit_ok_heredoc.rollout", "false_success.rollout", "tool_fail.rollout"]
META = {
    "id": "th1",
    "timestamp": "2026-01-01T00:00:00.000Z",
    "cwd": "/p",
    "cli_version": "0.50.0",
    "git": {"branch": "b"},
}


class Rollout:
    """Records of one thread, a second apart."""

    def __init__(self, **meta: Any) -> None:
        self.records: list[dict[str, Any]] = []
        self.add("session_meta", {**META, **meta})

    def add(self, kind: str, payload: dict[str, Any]) -> None:
        stamp = f"2026-01-01T00:00:{len(self.records):02}.000Z"
        self.records.append({"timestamp": stamp, "type": kind, "payload": payload})

    def event(self, kind: str, /, **more: Any) -> None:
        self.add("event_msg", {"type": kind, **more})

    def item(self, kind: str, /, **more: Any) -> None:
        self.add("response_item", {"type": kind, **more})

    def words(self, text: str, role: str = "user", **more: Any) -> None:
        kind = "output_text" if role == "assistant" else "input_text"
        self.item("message", role=role, content=[{"type": kind, "text": text}], **more)

    def ask(self, text: str) -> None:
        self.words(text)
        self.event("user_message", message=text, kind="plain")

    def say(self, text: str) -> None:
        self.event("agent_message", message=text)
        self.words(text, "assistant")

    def call(self, name: str, arguments: Any, output: Any = None) -> str:
        call = f"c{len(self.records)}"
        given = arguments if isinstance(arguments, str) else json.dumps(arguments)
        self.item("function_call", name=name, arguments=given, call_id=call)
        if output is not None:
            self.item("function_call_output", call_id=call, output=output)
        return call

    def tokens(self, total: tuple[int, int] | None) -> None:
        counts = total and {"input_tokens": total[0], "cached_input_tokens": 1, "output_tokens": total[1]}
        self.event("token_count", info=counts and {"total_token_usage": counts}, rate_limits=None)

    def write(self, path: Path) -> Path:
        path.write_text("".join(json.dumps(record) + "\n" for record in self.records))
        return path


def one(rollout: Rollout, tmp_path: Path) -> Transcript:
    sessions, refusals = read(CodexImporter(), rollout.write(tmp_path / "rollout-1.jsonl"))
    assert refusals == []
    assert len(sessions) == 1
    return sessions[0]


def test_every_real_log_has_a_hand_written_example() -> None:
    assert sorted(path.stem for path in LOGS.iterdir()) == NAMES == sorted(path.stem for path in EXPECTED.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_a_real_log_becomes_the_hand_written_example(name: str) -> None:
    path = LOGS / f"{name}.jsonl"
    sessions, refusals = read(CodexImporter(), path)
    assert refusals == []
    assert [plain(session) for session in sessions] == [json.loads((EXPECTED / f"{name}.json").read_text())]
    assert CodexImporter().accepts(path, path.read_bytes()[:4096])


def test_a_false_success_shows_the_failed_patch_and_the_failed_tests() -> None:
    (session,), _ = read(CodexImporter(), LOGS / "false_success.rollout.jsonl")
    assert [(step.tool, step.status, step.exit_code) for step in session.turns[0].steps] == [
        ("bash", "ok", 0),
        ("patch", "failed", None),
        ("bash", "failed", 1),
    ]
    assert session.turns[0].answer == "Fixed add(); tests pass."


def test_the_older_event_names(tmp_path: Path) -> None:
    log = Rollout(instructions="be nice")
    log.words("<user_instructions>be nice</user_instructions>")
    log.words("<environment_context><cwd>/p</cwd></environment_context>")
    log.ask("first")
    log.add("turn_context", {"cwd": "/p", "model": "gpt-5"})
    log.event("agent_reasoning", text="hm")
    log.call(
        "shell",
        {"command": ["bash", "-lc", "ls -l"]},
        '{"output":"a","metadata":{"exit_code":2,"duration_seconds":0.5}}',
    )
    log.say("done")
    log.ask("second")
    log.say("done too")
    session = one(log, tmp_path)
    assert [(turn.key, turn.task, turn.answer, turn.finish) for turn in session.turns] == [
        ("1", "first", "done", "stop"),
        ("2", "second", "done too", "stop"),
    ]
    (step,) = session.turns[0].steps
    assert (step.tool, dict(step.arguments), step.result) == ("bash", {"command": "ls -l"}, "a")
    assert (step.status, step.exit_code, step.seconds) == ("failed", 2, 0.5)
    assert (session.model, session.turns[0].model, dict(session.turns[0].context)) == (
        "gpt-5", "gpt-5", {"directory": "/p", "branch": "b"},
    )  # fmt: skip
    assert dict(session.extra) == {"instructions": "be nice"}
    assert session.system_prompt is None


def test_the_oldest_rollouts_have_no_envelope(tmp_path: Path) -> None:
    path = tmp_path / "rollout-old.jsonl"
    records: list[dict[str, Any]] = [
        {"id": "old", "timestamp": "2025-05-01T00:00:00Z", "instructions": None},
        {"record_type": "state"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "fix it"}]},
        {"type": "reasoning", "summary": []},
        {"type": "local_shell_call", "call_id": "c1", "status": "completed",
         "action": {"type": "exec", "command": ["ls"]}},
        {"type": "function_call_output", "call_id": "c1", "output": "Exit code: 1\nWall time: 2 seconds\nOutput:\nno"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "no"}]},
    ]  # fmt: skip
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert CodexImporter().accepts(path, path.read_bytes()[:4096])
    (session,), refusals = read(CodexImporter(), path)
    assert (refusals, session.id, [turn.task for turn in session.turns]) == ([], "old", ["fix it"])
    (step,) = session.turns[0].steps
    assert (step.tool, dict(step.arguments), step.exit_code, step.result) == ("bash", {"command": "ls"}, 1, "no")
    assert session.turns[0].finish == "stop"


@pytest.mark.parametrize(
    ("output", "status", "code", "result"),
    [
        ("Chunk ID: a\nWall time: 1.5 seconds\nProcess exited with code 0\nOutput:\nok", "ok", 0, "ok"),
        ("Wall time: 1.5 seconds\nProcess exited with code 7\nOutput:\nProcess exited with code 0", "failed", 7,
         "Process exited with code 0"),
        ("I say: Process exited with code 0", "unknown", None, "I say: Process exited with code 0"),
        ("exec command rejected by user", "denied", None, "exec command rejected by user"),
        ("approval policy is Never; reject command", "denied", None, "approval policy is Never; reject command"),
        ("aborted by user after 3.2s", "aborted", None, "aborted by user after 3.2s"),
        ("failed to parse function arguments: missing field", "invalid", None,
         "failed to parse function arguments: missing field"),
        ('{"output":"x","metadata":{"exit_code":0}}', "ok", 0, "x"),
        ({"content": "no", "success": False}, "failed", None, "no"),
        ([{"type": "input_text", "text": "a"}], "unknown", None, "a"),
    ],
)  # fmt: skip
def test_how_a_command_ended(output: Any, status: str, code: int | None, result: str, tmp_path: Path) -> None:
    log = Rollout()
    log.ask("go")
    log.call("exec_command", {"cmd": "x"}, output)
    (step,) = one(log, tmp_path).turns[0].steps
    assert (step.status, step.exit_code, step.result) == (status, code, result)


def test_a_tool_that_does_not_exist_is_invalid(tmp_path: Path) -> None:
    log = Rollout()
    log.ask("go")
    log.call("teleport", {}, "unsupported call: teleport")
    log.call("update_plan", {"plan": []}, "Plan updated")
    assert [(step.tool, step.status) for step in one(log, tmp_path).turns[0].steps] == [
        ("teleport", "invalid"),
        ("todo", "ok"),
    ]


def test_what_the_client_says_of_a_command_outweighs_its_output(tmp_path: Path) -> None:
    log = Rollout()
    log.ask("go")
    call = log.call("shell", {"command": ["bash", "-lc", "make"]})
    log.event("exec_command_begin", call_id=call, command=["bash", "-lc", "make"])
    log.event(
        "exec_command_end", call_id=call, exit_code=2, aggregated_output="bad", duration={"secs": 1, "nanos": 5e8}
    )
    log.item("function_call_output", call_id=call, output="ok")
    (step,) = one(log, tmp_path).turns[0].steps
    assert (step.status, step.exit_code, step.seconds, step.result) == ("failed", 2, 1.5, "ok")


def test_a_command_left_running_gets_the_exit_code_that_a_later_look_found(tmp_path: Path) -> None:
    log = Rollout()
    log.ask("go")
    log.call(
        "exec_command", {"cmd": "make test"}, "Wall time: 10 seconds\nProcess running with session ID 42\nOutput:\n.."
    )
    log.call(
        "write_stdin",
        {"session_id": 42, "chars": ""},
        "Wall time: 5 seconds\nProcess exited with code 1\nOutput:\nFAIL",
    )
    first, second = one(log, tmp_path).turns[0].steps
    assert (first.status, first.exit_code) == ("failed", 1)
    assert second.tool == "write_stdin"


def test_patches_by_event_and_commands_of_the_person(tmp_path: Path) -> None:
    log = Rollout()
    log.ask("go")
    log.item("custom_tool_call", name="apply_patch", input="*** Begin Patch", call_id="c1")
    log.event("patch_apply_end", call_id="c1", success=False, stderr="no such file", changes={"/p/a.py": {}})
    log.item("custom_tool_call_output", call_id="c1", output="done?")
    log.event("exec_command_end", call_id="u1", source="user_shell", command=["ls"], exit_code=0)
    log.event("mcp_tool_call_end", call_id="c2", invocation={"server": "db", "tool": "query", "arguments": {"q": 1}},
              result={"Ok": {"isError": True}})  # fmt: skip
    steps = one(log, tmp_path).turns[0].steps
    assert [(step.tool, step.status, dict(step.arguments), dict(step.extra)) for step in steps] == [
        ("patch", "failed", {"patch": "*** Begin Patch"}, {"files": ["/p/a.py"]}),
        ("db__query", "failed", {"q": 1}, {}),
    ]


def test_usage_is_the_difference_of_sums_and_rate_limits_change_nothing(tmp_path: Path) -> None:
    log = Rollout()
    log.ask("one")
    log.tokens((100, 10))
    log.tokens((100, 10))
    log.tokens((250, 30))
    log.say("a")
    log.ask("two")
    log.tokens(None)
    log.tokens((300, 31))
    log.say("b")
    log.ask("three, in a thread built anew")
    log.tokens((40, 4))
    log.say("c")
    usages = [(turn.usage.input_tokens, turn.usage.output_tokens) for turn in one(log, tmp_path).turns]
    assert usages == [(250, 30), (50, 1), (40, 4)]


def test_ends_of_turns(tmp_path: Path) -> None:
    log = Rollout()
    for name in ("done", "stopped", "broken", "without words", "killed"):
        log.event("task_started", turn_id=name)
        log.ask(name)
        log.call("exec_command", {"cmd": "x"}, "Process exited with code 0\nOutput:\n")
        if name == "done":
            log.say("fine")
            log.event("task_complete", last_agent_message="fine")
        elif name == "stopped":
            log.event("turn_aborted", reason="interrupted")
        elif name == "broken":
            log.event("task_complete", last_agent_message=None, error={"message": "context window"})
        elif name == "without words":
            log.event("task_complete", last_agent_message=None)
    turns = one(log, tmp_path).turns
    assert [(turn.task, turn.finish, turn.error) for turn in turns] == [
        ("done", "stop", None),
        ("stopped", "interrupted", None),
        ("broken", "error", "context window"),
        ("without words", "tools", None),
        ("killed", "interrupted", None),
    ]


def test_a_call_without_an_output_means_that_the_client_died(tmp_path: Path) -> None:
    log = Rollout()
    log.ask("go")
    log.call("shell", {"command": ["sleep", "100"]})
    turn = one(log, tmp_path).turns[0]
    assert (turn.finish, turn.steps[0].status, dict(turn.steps[0].arguments)) == (
        "interrupted", "unfinished", {"command": "sleep 100"},
    )  # fmt: skip


def test_an_error_event_breaks_the_turn(tmp_path: Path) -> None:
    log = Rollout()
    log.ask("go")
    log.event("error", message="quota exceeded", codex_error_info="usage_limit")
    assert [(turn.finish, turn.error) for turn in one(log, tmp_path).turns] == [("error", "quota exceeded")]


def test_a_rollback_reverts_the_last_turns(tmp_path: Path) -> None:
    log = Rollout()
    for name in ("a", "b", "c"):
        log.ask(name)
        log.say(name)
    log.event("thread_rolled_back", num_turns=2)
    log.ask("d")
    log.say("d")
    log.event("thread_rolled_back", num_turns=1)
    assert [(turn.task, turn.reverted) for turn in one(log, tmp_path).turns] == [
        ("a", False), ("b", True), ("c", True), ("d", True),
    ]  # fmt: skip


def test_compaction_and_work_that_nobody_asked_for(tmp_path: Path) -> None:
    log = Rollout()
    log.event("task_started")
    log.ask("task")
    log.say("done")
    log.event("task_complete")
    log.add("compacted", {"message": "Summary", "replacement_history": [{"type": "message", "role": "user"}]})
    log.event("task_started")
    log.words("You have exceeded the maximum number of processes")
    log.say("reviewed")
    log.call("shell", {"command": ["ls"]}, "x")
    log.event("task_complete")
    log.add("hologram", {})
    session = one(log, tmp_path)
    assert [(turn.task, turn.answer, len(turn.steps)) for turn in session.turns] == [("task", "done", 0)]
    assert dict(session.extra) == {"unknown_records": {"hologram": 1}}


def test_a_request_out_of_an_editor(tmp_path: Path) -> None:
    log = Rollout()
    log.ask("# Context from my IDE setup:\n\n## Open tabs:\n- a.py\n\n## My request for Codex:\nfix a.py\n")
    log.say("ok")
    assert [turn.task for turn in one(log, tmp_path).turns] == ["fix a.py"]


def test_a_resumed_thread_repeats_its_head_and_a_fork_leaves_out_what_it_copied(tmp_path: Path) -> None:
    log = Rollout()
    log.ask("one")
    log.say("a")
    log.add("session_meta", META)
    log.ask("two")
    log.say("b")
    resumed = one(log, tmp_path)
    assert (resumed.id, [turn.task for turn in resumed.turns]) == ("th1", ["one", "two"])
    fork = Rollout(id="th2", timestamp="2026-01-01T00:01:00.000Z", forked_from_id="th1")
    fork.records += log.records
    fork.records += [
        {
            "timestamp": "2026-01-01T00:01:05.000Z",
            "type": "event_msg",
            "payload": {"type": "user_message", "message": "three"},
        }
    ]
    forked = one(fork, tmp_path)
    assert (forked.id, [turn.task for turn in forked.turns]) == ("th2", ["three"])
    assert forked.extra["forked_from"] == "th1"


def test_a_sub_agent_names_its_parent_and_the_prompt_is_kept(tmp_path: Path) -> None:
    spawn = {"parent_thread_id": "th0", "depth": 1, "agent_role": "explorer"}
    log = Rollout(source={"subagent": {"thread_spawn": spawn}}, base_instructions={"text": "You are Codex"})
    log.ask("look")
    session = one(log, tmp_path)
    assert (session.parent, session.agent, session.system_prompt) == ("th0", "explorer", "You are Codex")
    assert session.turns[0].agent == "explorer"


STREAM: list[dict[str, Any]] = [
    {"type": "thread.started", "thread_id": "th5"},
    {"type": "turn.started"},
    {"type": "item.completed", "item": {"id": "i0", "type": "reasoning", "text": "hm"}},
    {"type": "item.started", "item": {"id": "i1", "type": "command_execution", "command": "bash -lc 'make'"}},
    {"type": "item.completed", "item": {"id": "i1", "type": "command_execution", "command": "bash -lc 'make'",
                                        "aggregated_output": "bad", "exit_code": 2, "status": "failed"}},
    {"type": "item.completed", "item": {"id": "i2", "type": "file_change", "status": "completed",
                                        "changes": [{"path": "a.py", "kind": "update"}]}},
    {"type": "item.completed", "item": {"id": "i3", "type": "agent_message", "text": "Did what I could."}},
    {"type": "turn.completed", "usage": {"input_tokens": 9, "cached_input_tokens": 2, "output_tokens": 4}},
]  # fmt: skip


def test_the_stream_of_an_exec_run(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in STREAM))
    assert CodexImporter().accepts(path, path.read_bytes()[:4096])
    (session,), (refusal,) = read(CodexImporter(), path)
    (turn,) = session.turns
    assert (session.id, turn.task, turn.answer, turn.finish) == ("th5", "", "Did what I could.", "stop")
    assert [(step.tool, step.status, step.exit_code, step.result) for step in turn.steps] == [
        ("bash", "failed", 2, "bad"),
        ("patch", "ok", None, ""),
    ]
    assert (turn.usage.input_tokens, turn.usage.cached_tokens, turn.usage.output_tokens) == (9, 2, 4)
    assert isinstance(refusal, Refusal)
    assert "prompt is not in this output" in refusal.reason


def test_a_stream_that_failed(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(
        "".join(json.dumps(r) + "\n" for r in [*STREAM[:2], {"type": "turn.failed", "error": {"message": "400"}}])
    )
    (session,), _ = read(CodexImporter(), path)
    assert (session.turns[0].finish, session.turns[0].error) == ("error", "400")


def test_the_stores_and_a_whole_configuration_folder(tmp_path: Path) -> None:
    home = tmp_path / ".codex"
    (home / "sessions" / "2026" / "01" / "01").mkdir(parents=True)
    (home / "archived_sessions").mkdir()
    log = Rollout()
    log.ask("task")
    log.write(home / "sessions" / "2026" / "01" / "01" / "rollout-a.jsonl")
    (home / "archived_sessions" / "foreign.jsonl").write_text('{"hello": 1}\n')
    (home / "history.jsonl").write_text('{"session_id": "x", "ts": 1, "text": "y"}\n')
    importer = CodexImporter()
    assert importer.stores({}, tmp_path) == (home / "sessions", home / "archived_sessions")
    assert importer.stores({"CODEX_HOME": str(home)}, Path("/nowhere")) == importer.stores({}, tmp_path)
    assert importer.accepts(home, b"")
    sessions, refusals = read(importer, home)
    assert [one.id for one in sessions] == ["th1"]
    assert [Path(one.source).name for one in refusals] == ["foreign.jsonl"]
    late = datetime(2026, 1, 2, tzinfo=UTC)
    assert read(importer, home / "sessions" / "2026" / "01" / "01" / "rollout-a.jsonl", late) == ([], [])


def test_a_broken_line_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    log = Rollout()
    log.ask("task")
    path = log.write(tmp_path / "rollout-1.jsonl")
    path.write_text(path.read_text() + '{"type": "eve\n[1]\n{"type": "event_msg", "payload": 3}\n{"no": "type"}\n')
    sessions, refusals = read(CodexImporter(), path)
    assert [turn.task for turn in sessions[0].turns] == ["task"]
    assert [one.line for one in refusals] == [4, 5, 6, 7]


def test_a_grown_file_begins_with_the_same_turns(tmp_path: Path) -> None:
    log = Rollout()
    for name in ("a", "b", "c"):
        log.ask(name)
        log.call("exec_command", {"cmd": name}, "Process exited with code 0\nOutput:\n")
        log.say(name)
    full = one(log, tmp_path)
    del log.records[10:]
    half = one(log, tmp_path)
    assert (half.id, len(half.turns), len(full.turns)) == (full.id, 2, 3)
    assert [turn.key for turn in half.turns] == [turn.key for turn in full.turns[:2]]
    assert half.turns[0] == full.turns[0]


@pytest.mark.parametrize("name", NAMES)
def test_damage_is_read_or_refused(name: str, tmp_path: Path) -> None:
    lines = (LOGS / f"{name}.jsonl").read_bytes().splitlines()
    chance = random.Random(name)
    for number in range(80):
        path = tmp_path / f"{number}.jsonl"
        path.write_bytes(mutations(lines, chance))
        survives(CodexImporter(), path)


def test_a_patch_in_an_argument_list(tmp_path: Path) -> None:
    log = Rollout()
    log.ask("patch it")
    patch = "*** Begin Patch\n*** Update File: a.py\n*** End Patch"
    log.call("shell", {"command": ["apply_patch", patch]}, '{"output":"Success.","metadata":{"exit_code":0}}')
    (step,) = one(log, tmp_path).turns[0].steps
    assert (step.tool, dict(step.arguments), step.status) == ("patch", {"patch": patch}, "ok")


@pytest.mark.parametrize("told_first", [True, False])
def test_a_command_that_was_interrupted_has_no_exit_code(told_first: bool, tmp_path: Path) -> None:
    log = Rollout()
    log.ask("sleep")
    call = log.call("exec_command", {"cmd": "sleep 30"})
    ended = {"type": "CommandExecution", "id": call, "command": ["bash", "-lc", "sleep 30"], "exit_code": -1}
    if told_first:
        log.event("item_completed", item=ended)
    log.item("function_call_output", call_id=call, output="Wall time: 4.6 seconds\naborted by user")
    log.event("turn_aborted", reason="interrupted")
    if not told_first:
        log.event("item_completed", item=ended)
    turn = one(log, tmp_path).turns[0]
    assert turn.finish == "interrupted"
    assert (turn.steps[0].status, turn.steps[0].exit_code) == ("aborted", None)


@pytest.mark.parametrize(
    ("name", "output", "status", "result"),
    [
        (
            "write_stdin",
            "write_stdin failed: Unknown process id 1",
            "failed",
            "write_stdin failed: Unknown process id 1",
        ),
        (
            "view_image",
            "unable to locate image at `/p/x.png`: none",
            "failed",
            "unable to locate image at `/p/x.png`: none",
        ),
        ("view_image", [{"type": "input_image", "image_url": "data:image/png;base64,AA=="}], "ok", "[image]"),
    ],
)
def test_the_words_of_a_tool_say_how_it_ended(name: str, output: Any, status: str, result: str, tmp_path: Path) -> None:
    log = Rollout()
    log.ask("look")
    log.call(name, {}, output)
    (step,) = one(log, tmp_path).turns[0].steps
    assert (step.status, step.result) == (status, result)
