"""The real Claude Code works through a script, and the project history that it wrote down is imported."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from strop.agents import Choice, Transcript, derive, install, place_of, uninstall
from strop.agents.importers.claude_code import ClaudeCodeImporter
from tests.agents import clients
from tests.exporters.prompts import prompt
from tests.support.provider_log import ReceivedRequest
from tests.support.provider_script import Script, Use
from tests.support.provider_server import ProviderServer

pytestmark = pytest.mark.slow

TASK = "add() in calc.py gives wrong sums. Repair it."
WORDS = "Measure twice, then cut; run the tests before you answer."


@dataclass(frozen=True)
class Recorded:
    """One session of two turns, and all that is left of it."""

    client: clients.Client
    id: str
    history: Path
    session: Transcript
    requests: list[ReceivedRequest]
    strays: list[str]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    home = tmp_path_factory.mktemp("claude")
    file = str(home / "project" / "calc.py")
    check = Use("Bash", {"command": clients.RUN_CHECK, "description": "Run the tests"})
    script = Script(
        ["I look first.", Use("Read", {"file_path": file}), check],
        Use("Edit", {"file_path": file, "old_string": "a - b", "new_string": "a + b"}),
        check,
        "It was a minus; the test passes now.",
        Use("Write", {"file_path": str(home / "project" / "notes.md"), "content": "Done."}),
        "I may not write that.",
    )
    with ProviderServer(script) as server:
        client = clients.claude(home, server)
        flags = ("--allowedTools", "Read,Edit,Bash", "--output-format", "json")
        first = json.loads(client.run("-p", TASK, *flags).ok().out)
        client.run("-p", "Write it down.", "--resume", first["session_id"], *flags).ok()
    script.assert_played()
    (history,) = ClaudeCodeImporter().stores(client.environment, home)
    (session,) = imported(history)
    return Recorded(
        client=client,
        id=first["session_id"],
        history=history,
        session=session,
        requests=server.requests,
        strays=[call.path for call in server.strays],
    )


def imported(path: Path) -> list[Transcript]:
    found = list(ClaudeCodeImporter().read(path))
    assert all(isinstance(one, Transcript) for one in found), found
    return [one for one in found if isinstance(one, Transcript)]


def test_the_history_tells_the_whole_session(recorded: Recorded) -> None:
    session, (turn, _) = recorded.session, recorded.session.turns
    assert (session.id, session.version) == (recorded.id, "2.1.197")
    assert session.directory == str(recorded.client.project)
    assert (turn.task, turn.answer) == (TASK, "It was a minus; the test passes now.")
    assert (turn.finish, turn.error) == ("stop", None)
    assert [(step.tool, step.status, step.exit_code) for step in turn.steps] == [
        ("read", "ok", None),
        ("bash", "failed", 1),
        ("edit", "ok", None),
        ("bash", "ok", 0),
    ]
    assert "-1 != 5" in turn.steps[1].result
    assert (recorded.client.project / "calc.py").read_text() == clients.FIXED


def test_tokens_are_counted_once_though_a_message_has_a_line_for_each_block(recorded: Recorded) -> None:
    lines = [json.loads(line) for file in recorded.history.rglob("*.jsonl") for line in file.read_text().splitlines()]
    answers = [line["message"] for line in lines if line["type"] == "assistant"]
    usages = {answer["id"]: answer["usage"] for answer in answers}
    assert len(answers) > len(usages) == len(recorded.requests)
    first = list(usages.values())[:4]
    usage = recorded.session.turns[0].usage
    assert usage.input_tokens == sum(one["input_tokens"] for one in first)
    assert usage.output_tokens == sum(one["output_tokens"] for one in first)


def test_a_refused_tool_is_denied_and_not_a_failure_of_the_turn_before(recorded: Recorded) -> None:
    first, second = recorded.session.turns
    assert (second.task, second.answer) == ("Write it down.", "I may not write that.")
    assert [(step.tool, step.status) for step in second.steps] == [("write", "denied")]
    assert derive(recorded.session.turns, 0).success is True
    assert second.key != first.key


def test_nothing_but_the_model_was_asked(recorded: Recorded) -> None:
    assert recorded.strays == []


def test_an_installed_agent_sends_our_prompt_until_it_is_uninstalled(tmp_path: Path) -> None:
    with ProviderServer() as server:
        client = clients.claude(tmp_path, server)
        place = place_of("claude-code", environment=client.environment, home=tmp_path)
        made = prompt("Careful", instructions=WORDS)
        about = {"provenance": {"run": "r1"}, "parity": None, "environment": client.environment}
        (name,) = install(made, place, Choice(), **about).agents
        client.run("-p", "Say hello.", "--agent", name).ok()
        ours = server.requests[-1]
        uninstall(place)
        client.run("-p", "Say hello.").ok()
        theirs = server.requests[-1]
    assert WORDS in ours.system
    assert WORDS not in theirs.raw.decode()
