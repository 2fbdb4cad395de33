"""Hooks store what they say they store, hear what they asked for, and cost at most their time, whatever they do."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strop.errors import BadInput, RunFailed, SettingsError
from strop.sessions import TrainingConfig, TrainingPhase
from strop.sessions.events import Complete, Error, HooksIntegration, Phase, SessionEvent, Start
from strop.sessions.hooks import FunctionHook, HookReport, Hooks, hooking, parse_hook
from strop.sessions.hooks_claude_flow import ClaudeFlowHook
from strop.sessions.hooks_command import CommandHook, run_command
from strop.sessions.hooks_sink import ResultSink, recall
from strop.sessions.hooks_worker import Hook
from strop.store import Store
from tests.sessions.sim_session import Sim, works

VALUE = json.dumps({"bestModel": "a", "comparison": {"ü": "x\ny \"z\" 'q' $HOME `id`"}, "totalCost": 0.5})
KEY = "swarm/training/dspy-results"

STAND_IN = '''\
#!{python} -IS
"""Stands for claude-flow: what it was asked goes to calls.jsonl beside it, what to do comes from plan.json."""
import json, os, pathlib, sys, time

here = pathlib.Path({here!r})
plan = json.loads((here / "plan.json").read_text())
words = sys.argv[1:]
secrets = [name for name in os.environ if "API_KEY" in name]
with (here / "calls.jsonl").open("a") as log:
    log.write(json.dumps({{"words": words, "cwd": os.getcwd(), "daemon": os.environ.get("RUFLO_DAEMON_AUTOSTART"),
                          "stdin": sys.stdin.read(), "secrets": secrets}}) + "\\n")
name = " ".join(words[:2])
if name in plan.get("hangs", []):
    time.sleep(600)
if name in plan.get("fails", []):
    print("[ERROR] no", file=sys.stderr)
    sys.exit(1)
if words == ["--version"]:
    print(plan["version"])
elif name == "memory store" and not plan.get("lies"):
    if plan["version"].startswith("v2"):
        pathlib.Path("memory").mkdir(exist_ok=True)
        entry = {{"key": words[2], "value": words[3], "namespace": "swarm"}}
        pathlib.Path("memory/memory-store.json").write_text(json.dumps({{"swarm": [entry]}}))
    else:
        (here / "stored").write_text(words[words.index("--key") + 2].removeprefix("--value="))
elif name == "memory retrieve":
    if not (here / "stored").exists():
        print("[WARN] Key not found")
        sys.exit(0)
    sys.stdout.write("Using native better-sqlite3\\n" + (here / "stored").read_text() + plan.get("adds", ""))
elif name == "hooks session-end" and not pathlib.Path(".claude-flow/sessions/current.json").exists():
    sys.exit("No active session state found")
'''


class StandIn:
    """A small script in the place of the real command."""

    def __init__(self, directory: Path, **plan: Any) -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.command = directory / "claude-flow"
        self.command.write_text(STAND_IN.format(python=sys.executable, here=str(directory)))
        self.command.chmod(self.command.stat().st_mode | stat.S_IXUSR)
        (directory / "plan.json").write_text(json.dumps({"version": "ruflo v3.43.0", **plan}))

    @property
    def calls(self) -> list[dict[str, Any]]:
        """What it was asked, in order."""
        path = self.directory / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def steps(self) -> list[str]:
        """The first two words of each call."""
        return [" ".join(call["words"][:2]) for call in self.calls]

    def hook(self, step_timeout_s: float = 10.0) -> ClaudeFlowHook:
        """The hook that calls it."""
        return ClaudeFlowHook(
            directory=self.directory / "private", command=str(self.command), step_timeout_s=step_timeout_s
        )


def told(*hooks: Hook, events: list[SessionEvent] | None = None) -> list[HookReport]:
    """What becomes of hooks in a session that starts, ends and is closed."""
    reports: list[Any] = []
    usual = [
        Start(session_id="s1", phase=TrainingPhase.BASELINE, models=("a", "b")),
        HooksIntegration(session_id="s1", value=VALUE),
        Complete(session_id="s1", duration=1, total_cost=0.5, report="", best_model="a"),
    ]
    every = Hooks(hooks, reports.append)
    for event in usual if events is None else events:
        every.hear(event)
    every.close()
    return reports


def seconds(work: Callable[[], Any]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def test_major_3_is_driven_in_order_in_a_directory_of_its_own_without_keys(tmp_path, monkeypatch):
    for name in ("OPENAI_API_KEY", "CLAUDE_FLOW_API_KEY"):
        monkeypatch.setenv(name, "sk-canary-0123456789abcdef")
    one = StandIn(tmp_path / "bin")
    (report,) = [each for each in told(one.hook()) if "stored" in each.detail]
    assert report.ok
    assert report.name == "hooks_integration"
    assert (report.hook, report.session_id, report.key, report.value) == ("claude-flow", "s1", KEY, VALUE)
    assert one.steps == [
        "--version", "memory init", "hooks pre-task", "hooks notify", "memory store", "memory retrieve",
        "hooks post-task", "hooks session-end",
    ]  # fmt: skip
    assert (one.directory / "stored").read_text() == VALUE
    store = one.calls[4]["words"]
    assert store == [
        "memory", "store", "--key", KEY, f"--value={VALUE}", "--namespace", "swarm", "--provenance", "agent_output",
    ]  # fmt: skip
    assert {call["cwd"] for call in one.calls} == {str(tmp_path / "bin" / "private")}
    assert {(call["daemon"], call["stdin"]) for call in one.calls} == {("0", "")}
    assert all(call["secrets"] == [] for call in one.calls)


def test_major_2_stores_by_position_and_is_checked_in_its_file(tmp_path):
    one = StandIn(tmp_path / "bin", version="v2.7.47")
    report = told(one.hook())[-1]
    assert report.ok, report.detail
    assert ["memory", "store", KEY, VALUE, "--namespace", "swarm", "--basic"] in [call["words"] for call in one.calls]
    assert "memory retrieve" not in one.steps
    assert "memory init" not in one.steps
    lying = StandIn(tmp_path / "bin2", version="v2.7.47", lies=True)
    assert not told(lying.hook())[-1].ok


@pytest.mark.parametrize("plan", [{"lies": True}, {"adds": "?"}, {"fails": ["memory store"]}])
def test_a_command_that_says_it_stored_is_not_believed(tmp_path, plan):
    one = StandIn(tmp_path / "bin", **plan)
    report = told(one.hook())[-1]
    assert not report.ok
    assert "was not stored" in report.detail
    assert one.steps[-2:] == ["hooks post-task", "hooks session-end"]


def test_a_hook_that_fails_on_the_side_is_told_though_the_value_was_stored(tmp_path):
    report = told(StandIn(tmp_path / "bin", fails=["hooks post-task"]).hook())[-1]
    assert not report.ok
    assert "read it back" in report.detail
    assert "post-task" in report.detail
    assert "exit code 1: [ERROR] no" in report.detail


@pytest.mark.parametrize("step", ["--version", "hooks pre-task", "memory store", "hooks session-end"])
def test_a_command_that_hangs_costs_one_timeout_and_is_not_asked_again(tmp_path, step):
    one = StandIn(tmp_path / "bin", hangs=[step])
    reports: list[HookReport] = []
    took = seconds(lambda: reports.extend(told(one.hook(step_timeout_s=1.5))))
    assert one.steps[-1] == step
    assert any(not each.ok and "did not end within 1.5 s" in each.detail for each in reports)
    assert took < 1.5 + 8  # the other steps are processes too, on a machine that may be busy


def test_a_command_that_is_absent_costs_nothing(tmp_path):
    hook = ClaudeFlowHook(directory=tmp_path / "p", command="claude-flow-that-is-not-there")
    reports: list[HookReport] = []
    assert seconds(lambda: reports.extend(told(hook))) < 5
    assert [each.ok for each in reports] == [False]
    assert "no command" in reports[0].detail
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("version", ["v1.0.72", "v4.0.0", "nonsense"])
def test_an_unknown_version_is_not_driven(tmp_path, version):
    one = StandIn(tmp_path / "bin", version=version)
    assert not any(each.ok for each in told(one.hook()))
    assert one.steps == ["--version"]


def test_a_session_that_fails_as_a_whole_ends_its_task_as_failed(tmp_path):
    one = StandIn(tmp_path / "bin")
    events = [
        Start(session_id="s1", phase=TrainingPhase.BASELINE),
        Error(session_id="s1", error=RunFailed("the disk is gone")),
    ]
    told(one.hook(), events=events)
    assert one.steps[-2:] == ["hooks post-task", "hooks session-end"]
    words = one.calls[-2]["words"]
    assert words[words.index("--success") + 1] == "false"


def test_the_group_of_a_killed_command_is_killed_with_it(tmp_path):
    mark = tmp_path / "child"
    waits = "import time; time.sleep(600)"
    script = (
        f"import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', {waits!r}])\n"
        f"open({str(mark)!r}, 'w').write(str(child.pid)); time.sleep(600)"
    )
    ran = run_command([sys.executable, "-c", script], timeout_s=1.5)
    assert ran.hung
    child = int(mark.read_text())
    for _ in range(100):
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            break
        time.sleep(0.02)
    else:
        pytest.fail("the child is still running")


def test_any_command_gets_placeholders_as_words_and_the_event_on_stdin(tmp_path):
    out = tmp_path / "out.json"
    script = "import json,sys; json.dump([sys.argv[2:], json.load(sys.stdin)], open(sys.argv[1],'w'))"
    hook = CommandHook(argv=(sys.executable, "-c", script, str(out), "{session_id}", "--v={value}", "{event}", "{no}"))
    (report,) = told(hook)
    assert report.ok
    argv, event = json.loads(out.read_text())
    assert argv == ["s1", f"--v={VALUE}", "hooks_integration", "{no}"]
    assert (event["event"], event["key"], event["value"]) == ("hooks_integration", KEY, VALUE)


@pytest.mark.parametrize(
    ("argv", "detail"),
    [
        ((sys.executable, "-c", "import sys; print('so far'); sys.exit('no room')"), "exit code 1: no room"),
        (("strop-hook-that-is-not-there",), "cannot be started: No such file or directory"),
        ((sys.executable, "-c", "import time; time.sleep(60)"), "did not end within 1 s and was killed"),
    ],
)
def test_a_command_that_fails_is_told_in_words(argv, detail):
    (report,) = told(CommandHook(argv=argv, timeout_s=1.0))
    assert (report.ok, report.detail) == (False, detail)


def test_a_value_is_no_template_and_no_shell_reads_it(tmp_path):
    out = tmp_path / "out"
    hook = CommandHook(argv=(sys.executable, "-c", f"import sys; open({str(out)!r},'w').write(sys.argv[1])", "{value}"))
    evil = "{session_id}; touch " + str(tmp_path / "evil") + " $(touch x)\0"
    told(hook, events=[HooksIntegration(session_id="s1", value=evil)])
    assert out.read_text() == evil.rstrip("\0")
    assert not (tmp_path / "evil").exists()


def test_no_secret_reaches_a_command(tmp_path):
    out = tmp_path / "out"
    script = f"import sys; open({str(out)!r},'w').write(sys.stdin.read())"
    hook = CommandHook(argv=(sys.executable, "-c", script), events=frozenset({"error"}))
    told(hook, events=[Error(session_id="s1", error=RunFailed("401 for key sk-canary-0123456789abcdef"))])
    assert "401 for key" in out.read_text()
    assert "canary" not in out.read_text()


def test_functions_sync_and_async_hear_their_events_in_order():
    heard: list[str] = []

    async def later(event: SessionEvent) -> None:
        await asyncio.sleep(0.01)
        heard.append(f"async {event.name}")

    def broken(_event: SessionEvent) -> None:
        raise ValueError("no")

    reports = told(
        FunctionHook(function=later, events=frozenset({"start", "complete"})),
        FunctionHook(function=lambda event: heard.append(event.name), events=frozenset({"complete"})),
        FunctionHook(function=broken),
    )
    assert sorted(heard) == ["async complete", "async start", "complete"]
    assert heard.index("async start") < heard.index("async complete")
    assert [(each.ok, each.detail) for each in reports if not each.ok] == [(False, "ValueError: no")]


def test_a_function_that_never_returns_costs_its_timeout_once():
    hang = threading.Event()

    async def forever(_event: object) -> None:
        await asyncio.sleep(600)

    hooks = [
        FunctionHook(function=lambda _e: hang.wait(), timeout_s=0.4),
        FunctionHook(function=forever, timeout_s=0.4),
    ]
    reports: list[HookReport] = []
    assert seconds(lambda: reports.extend(told(*hooks))) < 8
    hang.set()
    assert [each.ok for each in reports] == [False, False]
    assert all("did not end within 0.4 s" in each.detail for each in reports)


def test_a_slow_hook_for_many_events_does_not_hold_the_session_up():
    hook = FunctionHook(function=lambda _e: time.sleep(0.05), events=frozenset({"phase"}), timeout_s=0.3)
    events = [Phase(phase=TrainingPhase.BASELINE)] * 200
    reports: list[HookReport] = []
    assert seconds(lambda: reports.extend(told(hook, events=list(events)))) < 1.5
    assert "events were not delivered" in reports[-1].detail


def test_our_own_memory_is_a_file_and_a_row_and_the_newest_counts(store: Store, tmp_path):
    with store.write() as connection:
        for name in ("s1", "s2"):
            connection.execute(_session_row(name))
    assert recall(store) is None
    sink = ResultSink(store=store, directory=tmp_path)
    for name, cost in (("s1", 1.0), ("s1", 2.0), ("s2", 3.0)):
        value = {"bestModel": None, "totalCost": cost}
        assert sink.run(HooksIntegration(session_id=name, value=json.dumps(value))).ok
        assert recall(store) == value
        kept = json.loads((tmp_path / "swarm/training/dspy-results.json").read_text())
        assert kept == {"key": KEY, "session": name, "value": value}
    assert [path.name for path in (tmp_path / "swarm/training").iterdir()] == ["dspy-results.json"]


def test_a_disk_that_cannot_be_written_is_told_and_the_row_kept(tmp_path):
    with Store.open(":memory:") as store:
        with store.write() as connection:
            connection.execute(_session_row("s1"))
        (tmp_path / "swarm").write_text("in the way")
        (report,) = told(ResultSink(store=store, directory=tmp_path))
        assert not report.ok
        assert recall(store) == json.loads(VALUE)


def _session_row(name: str) -> Any:
    from strop.sessions.result import now
    from strop.sessions.tables import sessions

    return sessions.insert().values(
        id=name, name=name, status="running", config={}, problem=None, directory=None, data_fingerprint="",
        created_at=now(), updated_at=now(), seconds=0.0, attempts=0, cancel_requested=0, result=None, error=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "kind", "events"),
    [
        ("claude-flow", ClaudeFlowHook, {"start", "hooks_integration"}),
        ("json:dumps", FunctionHook, {"hooks_integration"}),
        ("complete,error=json:dumps", FunctionHook, {"complete", "error"}),
        ("complete=notify-send 'it is done' {session_id}", CommandHook, {"complete"}),
        ("env A=1 true", CommandHook, {"hooks_integration"}),
    ],
)
def test_hooks_in_words(text, kind, events, tmp_path):
    hook = parse_hook(text, tmp_path)
    assert isinstance(hook, kind)
    assert hook.events == events
    if text.startswith("complete=notify"):
        assert isinstance(hook, CommandHook)
        assert hook.argv == ("notify-send", "it is done", "{session_id}")


@pytest.mark.parametrize(
    "text", ["", "nonsuch=say hi", "strop.nothing:x", "json:nothing", "say 'open", "json:__name__"]
)
def test_hooks_that_cannot_be_read_are_refused_before_anything_is_called(text, tmp_path):
    with pytest.raises(SettingsError):
        parse_hook(text, tmp_path)


@pytest.mark.parametrize("plan", [{}, {"hangs": ["hooks pre-task"]}, {"lies": True}, None])
def test_a_session_ends_the_same_whatever_its_hooks_do(tmp_path, monkeypatch, plan):
    if plan is not None:
        one = StandIn(tmp_path / "bin", **plan)
        monkeypatch.setenv("PATH", f"{one.directory}{os.pathsep}{os.environ['PATH']}")
    else:
        monkeypatch.setenv("PATH", "/nonexistent")
    with works(Sim("a", 0.6), Sim("b", 0.4)) as w:
        session = w.session(12, optimization_rounds=1, benchmark_samples=5)
        fast = StandIn(tmp_path / "bin", **plan).hook(1.5) if plan is not None else parse_hook("claude-flow", tmp_path)
        with hooking(
            session.config, store=w.store, directory=tmp_path / ".strop", listen=session.listen, tell=w.events.append,
            more=[fast],
        ):  # fmt: skip
            result = session.run()
        assert result.status == "completed"
        memory = recall(w.store)
        assert (memory["bestModel"], set(memory["comparison"])) == (result.best_model, {"a", "b"})
        assert memory["totalCost"] == pytest.approx(result.total_cost_usd)
        assert json.loads((tmp_path / ".strop/hooks" / f"{KEY}.json").read_text())["value"] == memory
        reports = [event for event in w.events if isinstance(event, HookReport)]
        assert [each.ok for each in reports if each.hook == "results"] == [True]
        stored = [each.ok for each in reports if each.hook == "claude-flow"]
        assert stored[-1:] == [plan == {}]
        ends = [event.name for event in w.events if event.name in {"complete", "hooks_integration"}]
        assert ends[-1] == "complete"


def test_a_session_takes_callables_and_hook_objects_and_says_what_became_of_them(tmp_path):
    heard: list[str] = []

    async def later(event: SessionEvent) -> None:
        heard.append(f"later {event.name} {event.session_id}")

    def at_the_end(event: SessionEvent) -> None:
        heard.append(f"end {event.name} {json.loads(event.value)['bestModel']}")  # type: ignore[attr-defined]

    def broken(_event: SessionEvent) -> None:
        raise ValueError("no")

    words = tmp_path / "words"
    script = f"import sys; open({str(words)!r}, 'w').write(sys.argv[1])"
    command = CommandHook(argv=(sys.executable, "-c", script, "{event}"), events=frozenset({"complete"}))
    with works(Sim("a", 0.6)) as w:
        session = w.session(12, optimization_rounds=0, benchmark_samples=3)
        session.hook(at_the_end).hook(later, "start", "complete").hook(broken, "phase").hook(command)
        result = session.run()
        reports = {event.hook.rpartition(".")[2]: event for event in w.events if isinstance(event, HookReport)}
        assert recall(w.store) is None  # a store was brought and no home: only what was added is run
    assert set(heard) == {
        "end hooks_integration a", f"later start {result.session_id}", f"later complete {result.session_id}",
    }  # fmt: skip
    assert words.read_text() == "complete"
    assert {name: (each.ok, each.name) for name, each in reports.items()} == {
        "at_the_end": (True, "hooks_integration"), "later": (True, "hooks_integration"),
        "broken": (False, "hooks_integration"), Path(sys.executable).name: (True, "hooks_integration"),
    }  # fmt: skip
    assert "ValueError: no" in reports["broken"].detail


def test_added_hooks_are_off_with_the_integration_and_unknown_events_are_refused():
    heard: list[object] = []
    with works(Sim("a", 0.6)) as w:
        session = w.session(12, optimization_rounds=0, benchmark_samples=3, enable_hooks_integration=False)
        session.hook(heard.append, "start").run()
        with pytest.raises(BadInput, match="there is no event 'strat'"):
            session.hook(heard.append, "strat")  # type: ignore[arg-type]
        with pytest.raises(BadInput, match="names its events itself"):
            session.hook(CommandHook(argv=("true",)), "start")
    assert heard == []


def test_disabled_integration_runs_nothing(tmp_path):
    config = TrainingConfig(models="embedded/small", enable_hooks_integration=False, hooks=["claude-flow"])
    heard: list[Any] = []

    def listen(listener: Any) -> Callable[[], None]:
        heard.append(listener)
        return lambda: None

    with (
        Store.open(":memory:") as store,
        hooking(config, store=store, directory=tmp_path, listen=listen, tell=heard.append),
    ):
        pass
    assert heard == []
