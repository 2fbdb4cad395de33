"""A provider that is dead, half dead, silent or interrupted ends a run as what it is, and the run goes on later."""

from __future__ import annotations

import json
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from strop.app import House
from strop.errors import CallFailed, ProviderDown
from strop.runs import RunResult
from tests.support.campaign import QUICK, SIMULATED, Provider, outcome, rows, run, task_directory
from tests.support.campaign_ledger import bought, calls, count_calls
from tests.support.campaign_process import command, strop
from tests.support.faults import Faults
from tests.support.provider_server import ProviderServer

CONCURRENCY = 8
QUICKLY_S = 30.0
LATE_S, HOUSEKEEPING_S = 4.0, 5.0
"""Opening and closing the house and writing the report, on a busy machine."""
MODEL = {"model": SIMULATED, "retries": 0}
Fate = Callable[[int, threading.Event], None]


@pytest.fixture(scope="module", autouse=True)
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], RunResult]:
    """The run of an algorithm that nothing disturbs. Asked for by every test: importing DSPy must not be timed."""

    @cache
    def undisturbed(algorithm: str) -> RunResult:
        directory = directory_for(tmp_path_factory.mktemp(algorithm), algorithm)
        result = run(directory, provider=Provider(), database=":memory:")
        assert result.status == "completed"
        return result

    undisturbed("gepa")
    return undisturbed


def dead_after(calls: int) -> Fate:
    def fate(number: int, over: threading.Event) -> None:
        if number > calls:
            raise CallFailed(SIMULATED, "server", "503: the lights are out")

    return fate


def silent_after(calls: int) -> Fate:
    def fate(number: int, over: threading.Event) -> None:
        if number > calls:
            over.wait()
            raise CallFailed(SIMULATED, "timeout", "too late")

    return fate


def half_dead(number: int, over: threading.Event) -> None:
    if number % 10 in {3, 6, 9}:
        raise CallFailed(SIMULATED, "server", "500: try again")


def directory_for(path: Path, algorithm: str, **keys: Any) -> Path:
    keys = {"models": {"task": MODEL}, "concurrency": CONCURRENCY, "seed": 2} | keys
    return task_directory(path, rows(84 if algorithm == "simba" else 60), algorithm=algorithm, **keys)


def versions(directory: Path) -> int:
    with closing(sqlite3.connect(directory / ".strop" / "strop.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM versions").fetchone()[0])


def check_failed(result: Any, directory: Path, cause: str) -> None:
    assert result.status == "failed"
    assert isinstance(result.error, ProviderDown)
    assert result.error.exit_code == 3
    assert cause in result.error.message
    assert SIMULATED in result.error.message
    assert (result.verdict, result.data["test"], result.program, result.version) == (None, None, None, None)
    assert cause in result.data["error"]
    assert versions(directory) == 0


@pytest.mark.parametrize("algorithm", QUICK)
def test_a_provider_dead_from_the_start_ends_the_run_with_its_cause(tmp_path: Path, algorithm: str) -> None:
    directory = directory_for(tmp_path, algorithm)
    provider = Provider(dead_after(0))
    begun = time.monotonic()
    result = run(directory, provider=provider)
    assert time.monotonic() - begun < QUICKLY_S
    check_failed(result, directory, "the lights are out")
    assert result.data["dev"] is None
    assert provider.calls <= 5 + CONCURRENCY


@pytest.mark.parametrize("algorithm", QUICK)
def test_a_provider_that_dies_in_the_search_fails_the_run_and_its_return_completes_it(
    tmp_path: Path, algorithm: str, whole: Callable[[str], RunResult]
) -> None:
    # All calls of some algorithms are measuring: there the provider dies in the sealed test.
    alive = min(70, whole(algorithm).data["cost"]["paid_calls"] - 10)
    directory = directory_for(tmp_path / "task", algorithm)
    provider = Provider(dead_after(alive))
    begun = time.monotonic()
    result = run(directory, provider=provider)
    assert time.monotonic() - begun < QUICKLY_S
    check_failed(result, directory, "the lights are out")
    assert provider.calls <= alive + 5 + 2 * CONCURRENCY

    paid_before = bought(directory)
    assert len(paid_before) == alive
    again = Provider()
    resumed = run(directory, result.run_id, provider=again)
    assert outcome(resumed) == outcome(whole(algorithm))
    assert max(bought(directory).values()) == 1
    assert again.calls == len(bought(directory)) - alive


@pytest.mark.parametrize("algorithm", ["bootstrap_random_search", "gepa", "miprov2"])
def test_a_half_dead_provider_is_not_taken_for_a_bad_program(
    tmp_path: Path, algorithm: str, whole: Callable[[str], RunResult]
) -> None:
    directory = directory_for(tmp_path / "task", algorithm)
    failed = run(directory, provider=Provider(half_dead))
    check_failed(failed, directory, "try again")
    assert outcome(run(directory, failed.run_id, provider=Provider())) == outcome(whole(algorithm))
    assert max(bought(directory).values()) == 1


TIMEOUT_S = 2.0


@pytest.mark.parametrize(("algorithm", "alive"), [("copro", 0), ("miprov2", 30), ("gepa", 30)])
def test_a_silent_provider_ends_at_the_timeout_and_nothing_is_invented(
    tmp_path: Path, algorithm: str, alive: int, whole: Callable[[str], RunResult]
) -> None:
    directory = directory_for(tmp_path / "task", algorithm)
    provider = Provider(silent_after(alive))
    ends: list[float] = []

    def look(_: House) -> None:
        ends.append(time.monotonic() - begun)

    begun = time.monotonic()
    result = run(directory, provider=provider, look=look, timeout_s=TIMEOUT_S)
    assert result.data["seconds"] <= TIMEOUT_S + LATE_S
    assert ends[0] <= TIMEOUT_S + LATE_S + HOUSEKEEPING_S
    assert result.status == "timeout"
    assert result.data["test"] is None
    assert versions(directory) == 0
    if alive:
        assert result.verdict == "INSUFFICIENT DATA"
        baseline = whole(algorithm).data["dev"]["baseline"]
        assert result.data["dev"]["baseline"] == baseline
        assert result.data["dev"]["optimized"] in {baseline, *(row["dev"] for row in result.data["candidates"])}
    else:
        assert (result.verdict, result.data["dev"]) == (None, None)
    resumed = run(directory, result.run_id, provider=Provider(), timeout_s=None)
    assert outcome(resumed) == outcome(whole(algorithm))


# --- the command line over HTTP


def served(path: Path, server: ProviderServer, **keys: Any) -> Path:
    model = {"model": "openai/tiny", "api_base": server.openai_base, "retries": 0, "timeout_s": 20}
    return directory_for(path, "bootstrap_random_search", models={"task": model}, **keys)


def test_the_command_line_says_what_is_wrong_with_the_provider_and_resumes(tmp_path: Path) -> None:
    environment = {"OPENAI_API_KEY": "sk-not-a-real-key-0123456789"}
    with ProviderServer(faults=Faults.parse("71-:503")) as server:
        directory = served(tmp_path / "task", server)
        words = ("optimize", str(directory), "--json", "--quiet")
        code, text = strop(*words, output=tmp_path / "a", environment=environment)
        assert code == 3, text
        data = json.loads(text)
        assert (data["status"], data["verdict"], data["version"]) == ("failed", None, None)
        assert "openai/tiny" in data["error"]
        assert versions(directory) == 0
        server.faults = Faults()
        asked = len(server.log.calls)
        resume = ("optimize", str(directory), "--json", "--quiet", "--resume", data["run_id"])
        code, text = strop(*resume, output=tmp_path / "b", environment=environment)
        assert code == 0, text
        assert json.loads(text)["status"] == "completed"
        again = len(server.log.calls) - asked
    assert max(bought(directory).values()) == 1
    assert again == len(bought(directory)) - 70


def test_the_command_line_leaves_a_silent_provider_at_the_timeout(tmp_path: Path) -> None:
    environment = {"OPENAI_API_KEY": "sk-not-a-real-key-0123456789"}
    with ProviderServer(faults=Faults.parse("30-:hang")) as server:
        directory = served(tmp_path / "task", server)
        words = ("optimize", str(directory), "--timeout", str(TIMEOUT_S), "--json", "--quiet")
        with command(*words, output=tmp_path / "a", environment=environment) as child:
            assert child.wait_until(lambda: count_calls(directory) >= 30)
            begun = time.monotonic()
            code = child.wait()
            took = time.monotonic() - begun
    data = json.loads(child.text)
    assert (code, data["status"], data["test"], data["version"]) == (4, "timeout", None, None)
    assert data["seconds"] <= TIMEOUT_S + LATE_S
    assert took <= TIMEOUT_S + LATE_S + HOUSEKEEPING_S


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)])
def test_an_interrupted_command_can_be_resumed(tmp_path: Path, number: int) -> None:
    models = {"task": {"model": "embedded/small", "latency_ms": 30}, "prompt": "embedded/large"}
    whole = run(directory_for(tmp_path / "whole", "copro", models=models))
    directory = directory_for(tmp_path / "task", "copro", models=models)
    with command("optimize", str(directory), output=tmp_path / "a") as child:
        assert child.wait_until(lambda: count_calls(directory) >= 60)
        child.send(number)
        code = child.wait()
    assert code == 130
    assert "Traceback" not in child.text
    with closing(sqlite3.connect(directory / ".strop" / "strop.db")) as connection:
        run_id, status = connection.execute("SELECT id, status FROM runs").fetchone()
    assert status == "cancelled"
    assert f"--resume {run_id}" in child.text
    assert versions(directory) == 0
    code, text = strop("optimize", str(directory), "--resume", run_id, "--json", "--quiet", output=tmp_path / "b")
    assert code == 0, text
    data = json.loads(text)
    assert {key: data[key] for key in ("status", "verdict", "test", "dev", "program")} == {
        key: whole.data[key] for key in ("status", "verdict", "test", "dev", "program")
    }
    assert max(bought(directory).values()) == 1
    assert not [row for row in calls(directory) if row["status"] == "open"]
