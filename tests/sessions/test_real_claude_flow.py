"""The real `claude-flow` stores our value and returns it byte for byte, in a directory of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from strop.sessions import TrainingPhase
from strop.sessions.events import HooksIntegration, Start
from strop.sessions.hooks import HookReport, Hooks
from strop.sessions.hooks_claude_flow import ClaudeFlowHook
from strop.sessions.hooks_command import run_command
from tests.agents.clients import COMMANDS, command_of

VALUE = json.dumps(
    {
        "bestModel": "klein \"ü\" 'q' `id` $HOME \\n --x",
        "comparison": {name: {"avg_quality_score": 0.1, "model": name} for name in ("a", "日本", "b\nc")},
        "totalCost": 5.23,
        "timestamp": "2025-11-22T10:00:00+00:00",
    },
    ensure_ascii=False,
)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_it_stores_and_returns_our_value_byte_for_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = command_of("claude-flow")
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", os.pathsep.join([str(COMMANDS), "/usr/bin", "/bin"]))
    # Nothing of the outside is needed; whatever it wants there is refused at once.
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    # The limit is for users, whose machine is not shared with other tests.
    hook = ClaudeFlowHook(directory=tmp_path / "private", step_timeout_s=40)
    reports: list[HookReport] = []
    hooks = Hooks([hook], lambda event: reports.append(event) if isinstance(event, HookReport) else None)
    hooks.hear(Start(session_id="s1", phase=TrainingPhase.BASELINE, models=("a", "b")))
    hooks.hear(HooksIntegration(session_id="s1", value=VALUE))
    hooks.close()
    assert [report.ok for report in reports] == [True], [report.detail for report in reports]
    assert f"{len(VALUE.encode())} bytes alike" in reports[0].detail

    words = ["memory", "retrieve", "--key", "swarm/training/dspy-results", "--namespace", "swarm", "--value-only"]
    again = run_command(
        [str(command), *words], timeout_s=40, directory=tmp_path / "private",
        environment={**os.environ, "RUFLO_DAEMON_AUTOSTART": "0"},
    )  # fmt: skip
    assert again.out == VALUE
    left = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*") if path.is_file()}
    assert left <= {"private", "home"}
