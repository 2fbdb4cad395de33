"""The real Codex works through a script, and the rollout that it wrote down is imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from strop.agents import Choice, Refusal, Transcript, derive, install, place_of, uninstall
from strop.agents.importers.codex import CodexImporter
from tests.agents import clients
from tests.exporters.prompts import prompt
from tests.support.provider_log import ReceivedRequest
from tests.support.provider_script import Script, Use
from tests.support.provider_server import ProviderServer

pytestmark = pytest.mark.slow

TASK = "add() in calc.py gives wrong sums. Repair it."
WORDS = "Measure twice, then cut; run the tests before you answer."
PATCH = """\
*** Begin Patch
*** Update File: calc.py
@@
 def add(a, b):
-    return a - b
+    return a + b
*** End Patch
"""
EXEC = ("exec", "--skip-git-repo-check", "--disable", "plugins", "--json")


@dataclass(frozen=True)
class Recorded:
    """One session of the real client and all that is left of it."""

    client: clients.Client
    id: str
    session: Transcript
    stream: Path
    requests: list[ReceivedRequest]
    strays: list[str]


@pytest.fixture(scope="module", params=["fake-coder", "gpt-5.5"])
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """A model whose name Codex does not know patches through the shell; one that it knows has a tool for it."""
    home = tmp_path_factory.mktemp("codex")
    check = Use("exec_command", {"cmd": clients.RUN_CHECK})
    known = request.param != "fake-coder"
    patch = Use("apply_patch", PATCH) if known else Use("exec_command", {"cmd": f"apply_patch <<'EOF'\n{PATCH}EOF\n"})
    script = Script(["I look first.", check], patch, check, "It was a minus; the test passes now.")
    with ProviderServer(script) as server:
        client = clients.codex(home, server, model=request.param)
        ran = client.run(*EXEC, TASK).ok()
    script.assert_played()
    (store,) = CodexImporter().stores(client.environment, home)
    (session,) = imported(store)
    return Recorded(
        client=client,
        id=ran.lines()[0]["thread_id"],
        session=session,
        stream=clients.written(home / "stream.jsonl", ran.out),
        requests=server.requests,
        strays=[call.path for call in server.strays],
    )


def imported(path: Path) -> list[Transcript]:
    found = list(CodexImporter().read(path))
    assert all(isinstance(one, Transcript) for one in found), found
    return [one for one in found if isinstance(one, Transcript)]


STEPS = [("bash", "failed", 1), ("patch", "ok", 0), ("bash", "ok", 0)]


def test_the_rollout_tells_the_whole_session(recorded: Recorded) -> None:
    session, (turn,) = recorded.session, recorded.session.turns
    assert (session.id, session.version) == (recorded.id, "0.169.0")
    assert session.directory == str(recorded.client.project)
    assert session.model.endswith(recorded.requests[0].model)
    assert (turn.task, turn.answer) == (TASK, "It was a minus; the test passes now.")
    assert (turn.finish, turn.error) == ("stop", None)
    assert [(step.tool, step.status, step.exit_code) for step in turn.steps] == STEPS
    assert "-1 != 5" in turn.steps[0].result
    assert turn.usage.output_tokens > 0
    assert derive(session.turns, 0).success is True
    assert (recorded.client.project / "calc.py").read_text() == clients.FIXED


def test_the_system_prompt_is_known(recorded: Recorded) -> None:
    """Its beginning only: Codex writes down more sections than it sends."""
    known = recorded.session.system_prompt
    assert known is not None
    assert recorded.requests[0].system[:1000] == known[:1000]


def test_the_stream_of_events_tells_what_it_knows(recorded: Recorded) -> None:
    refusal, session = CodexImporter().read(recorded.stream)
    assert isinstance(refusal, Refusal)
    assert "the prompt is not in this output" in refusal.reason
    assert isinstance(session, Transcript)
    (turn,) = session.turns
    assert (session.id, turn.answer) == (recorded.id, "It was a minus; the test passes now.")
    assert [(step.tool, step.status) for step in turn.steps] == [(tool, status) for tool, status, _ in STEPS]
    assert [step.exit_code for step in turn.steps if step.tool == "bash"] == [1, 0]


def test_nothing_but_the_model_was_asked(recorded: Recorded) -> None:
    assert recorded.strays == []


def test_installed_instructions_are_sent_until_they_are_uninstalled(tmp_path: Path) -> None:
    with ProviderServer() as server:
        client = clients.codex(tmp_path, server)
        place = place_of("codex", environment=client.environment, home=tmp_path)
        before = place.memory.exists()
        made = prompt("Careful", instructions=WORDS)
        install(made, place, Choice(), provenance={"run": "r1"}, parity=None, environment=client.environment)
        client.run(*EXEC, "Say hello.").ok()
        ours = server.requests[-1]
        uninstall(place)
        client.run(*EXEC, "Say hello.").ok()
        theirs = server.requests[-1]
    assert WORDS in ours.raw.decode()
    assert WORDS not in theirs.raw.decode()
    assert place.memory.exists() is before
