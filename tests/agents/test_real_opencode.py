"""The real OpenCode works through a script, and what it wrote down is imported from each of its four forms."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from strop.agents import Transcript, derive
from strop.agents.importers.opencode import OpenCodeImporter
from tests.agents import clients
from tests.support.provider_log import ReceivedRequest
from tests.support.provider_script import Script, Use
from tests.support.provider_server import ProviderServer

pytestmark = pytest.mark.slow

LOGS = Path(__file__).parent / "logs" / "opencode"
TASK = "add() in calc.py gives wrong sums. Repair it."
WORDS = "Look before you leap: read a file before you change it. # {env:HOME} `!ls` Ünïcode"
AGENT = f"""\
---
description: "Looks before it leaps"
mode: primary
permission:
  webfetch: deny
---
{WORDS}
"""


@dataclass(frozen=True)
class Recorded:
    """One session of the real client and all that is left of it."""

    client: clients.Client
    id: str
    store: Path
    stream: Path
    export: Path
    requests: list[ReceivedRequest]
    outside: list[str]
    written_by_import: list[str]
    stored: Transcript


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    home = tmp_path_factory.mktemp("opencode")
    file = str(home / "project" / "calc.py")
    check = Use("bash", {"command": clients.RUN_CHECK, "description": "Run the tests"})
    script = Script(
        ["I look first.", Use("read", {"filePath": file}), check],
        Use("fly", {"where": "moon"}),
        Use("edit", {"filePath": file, "oldString": "a - b", "newString": "a + b"}),
        check,
        "It was a minus; the test passes now.",
    )
    with ProviderServer(script) as server:
        client = clients.opencode(home, server)
        clients.written(home / ".config/opencode/agent/looker.md", AGENT)
        ran = client.run("run", "--agent", "looker", "--format", "json", "--title", "Sums", TASK).ok()
        (store,) = OpenCodeImporter().stores(client.environment, home)
        before = contents(store)
        (stored,) = imported(store)
        changed = [name for name, content in contents(store).items() if before.get(name) != content]
        session = ran.lines()[0]["sessionID"]
        export = client.run("export", session).ok()
    script.assert_played()
    return Recorded(
        client=client,
        id=session,
        store=store,
        stream=clients.written(home / "stream.jsonl", ran.out),
        export=clients.written(home / "export.json", export.out),
        requests=[call for call in server.requests if call.model == "fake-coder"],
        outside=clients.asked_outside(server),
        written_by_import=changed,
        stored=stored,
    )


def contents(directory: Path) -> dict[str, bytes]:
    """Every file but SQLite's shared memory, where readers of an open database leave their marks."""
    files = (path for path in directory.rglob("*") if path.is_file() and not path.name.endswith("-shm"))
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def imported(path: Path) -> list[Transcript]:
    found = list(OpenCodeImporter().read(path))
    assert all(isinstance(one, Transcript) for one in found), found
    return [one for one in found if isinstance(one, Transcript)]


def steps(session: Transcript) -> list[tuple[str, str, int | None]]:
    (turn,) = session.turns
    return [(step.tool, step.status, step.exit_code) for step in turn.steps]


STEPS = [("read", "ok", None), ("bash", "failed", 1), ("fly", "invalid", None), ("edit", "ok", None), ("bash", "ok", 0)]


def test_the_clients_own_database_tells_the_whole_session(recorded: Recorded) -> None:
    session, (turn,) = recorded.stored, recorded.stored.turns
    assert (session.id, session.title, session.agent) == (recorded.id, "Sums", "looker")
    assert (session.version, session.model) == ("1.18.33", "fake/fake-coder")
    assert session.directory == str(recorded.client.project)
    assert (turn.task, turn.answer) == (TASK, "It was a minus; the test passes now.")
    assert (turn.finish, turn.error, turn.agent) == ("stop", None, "looker")
    assert steps(session) == STEPS
    assert turn.steps[1].arguments["command"] == clients.RUN_CHECK
    assert "-1 != 5" in turn.steps[1].result
    assert turn.usage.input_tokens > 0
    # 3 dollars a million tokens in, 15 out, as the client was told.
    price = (3 * turn.usage.input_tokens + 15 * turn.usage.output_tokens) / 1e6
    assert turn.usage.cost_usd == pytest.approx(price, rel=1e-6)
    assert (recorded.client.project / "calc.py").read_text() == clients.FIXED


def test_the_outcome_follows_from_the_last_test(recorded: Recorded) -> None:
    outcome = derive(recorded.stored.turns, 0)
    assert (outcome.success, outcome.complete) == (True, True)
    assert [evidence.where for evidence in outcome.evidence if evidence.says] == ["step 5"]


def test_importing_writes_nothing_beside_the_clients_data(recorded: Recorded) -> None:
    assert recorded.written_by_import == []


def test_the_export_tells_the_same_as_the_database(recorded: Recorded) -> None:
    (session,) = imported(recorded.export)
    assert (session.id, session.title, session.agent, session.model) == (
        recorded.id, "Sums", "looker", "fake/fake-coder",
    )  # fmt: skip
    assert session.turns[0].steps == recorded.stored.turns[0].steps
    assert (session.turns[0].task, session.turns[0].usage) == (TASK, recorded.stored.turns[0].usage)


def test_the_stream_of_events_tells_what_it_knows(recorded: Recorded) -> None:
    (session,) = imported(recorded.stream)
    assert session.id == recorded.id
    assert sorted(steps(session), key=str) == sorted(STEPS, key=str)
    assert session.turns[0].answer == "It was a minus; the test passes now."


def test_an_agent_file_replaces_the_clients_own_prompt(recorded: Recorded) -> None:
    assert all(call.system.startswith(WORDS) for call in recorded.requests)
    assert "webfetch" not in [tool["function"]["name"] for tool in recorded.requests[0].body["tools"]]


def test_the_client_resolves_the_agent_file(recorded: Recorded) -> None:
    resolved = json.loads(recorded.client.run("debug", "agent", "looker").ok().out)
    assert (resolved["prompt"], resolved["mode"]) == (WORDS, "primary")


def test_nothing_but_the_model_was_asked(recorded: Recorded) -> None:
    assert recorded.outside == []


def test_the_client_takes_a_fixture_of_ours_as_its_own(recorded: Recorded) -> None:
    """`opencode import` refuses what breaks its schema, so a fixture that it takes could be its own."""
    fixture = LOGS / "tool_fail.json"
    recorded.client.run("import", str(fixture)).ok()
    (ours,) = imported(fixture)
    theirs = {session.id: session for session in imported(recorded.store)}[ours.id]
    assert [told(turn) for turn in theirs.turns] == [told(turn) for turn in ours.turns]


def test_the_client_refuses_a_fixture_that_lacks_an_agent(recorded: Recorded, tmp_path: Path) -> None:
    broken = json.loads((LOGS / "edit_ok.json").read_text())
    del broken["messages"][0]["info"]["agent"]
    ran = recorded.client.run("import", str(clients.written(tmp_path / "broken.json", json.dumps(broken))))
    assert ran.code != 0
    assert "agent" in ran.out + ran.err


def told(turn: Any) -> tuple[Any, ...]:
    return turn.key, turn.task, turn.answer, turn.finish, turn.steps, turn.usage
