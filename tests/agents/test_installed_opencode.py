"""What was installed, as the real OpenCode sees it: the prompt that reaches the model, and the plugin at work."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from strop.agents.installing import Choice, install, uninstall
from strop.agents.places import Place, place_of
from strop.agents.watching import install_plugin
from tests.agents import clients
from tests.agents.test_installing import tree
from tests.exporters.prompts import DEMO, prompt
from tests.support.provider_server import ProviderServer

pytestmark = pytest.mark.slow

WORDS = "Measure twice, then cut. # Ünïcode {env:HOME} $5"


def put_in(client: clients.Client, place: Place, **choice: Any) -> tuple[str, ...]:
    done = install(
        prompt("Qwen2.5:7b", instructions=WORDS, demos=[DEMO]), place, Choice(**choice), provenance={"run": "r1"},
        parity=None, environment=client.environment,
    )  # fmt: skip
    return done.checks


def sent(server: ProviderServer) -> str:
    """The system prompt that the coding model was sent last."""
    return [call.system for call in server.requests if call.model == "fake-coder"][-1]


def test_the_default_agent_sends_our_prompt_instead_of_its_own_until_uninstalled(tmp_path: Path) -> None:
    with ProviderServer() as server:
        client = clients.opencode(tmp_path, server)
        place = place_of("opencode", environment={}, home=tmp_path)
        settings = (place.root / "opencode.json").read_bytes()
        checks = put_in(client, place, default=True)
        client.run("run", "--title", "t", "Say hello.").ok()
        ours = sent(server)
        uninstall(place)
        client.run("run", "--title", "t", "Say hello.").ok()
        theirs = sent(server)

    assert checks[-1] == "opencode itself accepts it (mode primary)"
    assert ours.startswith("# Coding agent\n\n## Instructions\n\n" + WORDS)
    assert "**Plan:** read(cart.py)" in ours
    assert WORDS not in theirs
    assert len(theirs) > 3 * len(ours)
    assert (place.root / "opencode.json").read_bytes() == settings
    assert not (place.root / "agent").exists()


def test_an_appended_prompt_is_added_to_its_own(tmp_path: Path) -> None:
    with ProviderServer() as server:
        client = clients.opencode(tmp_path, server)
        for fmt in ("agents-md", "jsonc"):
            place = place_of("opencode", environment={}, home=tmp_path, project=client.project)
            before = tree(client.project)
            put_in(client, place, mode="append", format=fmt)
            client.run("run", "--title", "t", "Say hello.").ok()
            assert WORDS in sent(server), fmt
            assert len(sent(server)) > 5000, fmt
            uninstall(place)
            assert tree(client.project) == before, fmt


def test_an_agent_in_the_settings_is_read(tmp_path: Path) -> None:
    with ProviderServer() as server:
        client = clients.opencode(tmp_path, server)
        place = place_of("opencode", environment={}, home=tmp_path)
        checks = put_in(client, place, format="jsonc")
        resolved = json.loads(client.run("debug", "agent", "qwen2.5-7b").ok().out)
    assert checks == ("opencode itself accepts it (mode primary)",)
    assert WORDS in resolved["prompt"]


def test_the_plugin_is_told_when_a_session_comes_to_rest(tmp_path: Path) -> None:
    script, notes = tmp_path / "strop.py", tmp_path / "notes"
    script.write_text(f"import sys\nopen({str(notes)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n")
    with ProviderServer() as server:
        client = clients.opencode(tmp_path, server)
        place = place_of("opencode", environment={}, home=tmp_path)
        install_plugin(place, client.project, command=(sys.executable, str(script)))
        client.run("run", "--title", "t", "Say hello.").ok()
        patience = time.monotonic() + 10
        while not notes.exists() and time.monotonic() < patience:
            time.sleep(0.05)
    assert notes.read_text() == "agents import --client opencode\n"
