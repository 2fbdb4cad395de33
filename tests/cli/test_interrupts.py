"""Signals and pipes, on real processes."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.commands import small_task, strop

CHILD = """
import sys, time
from strop.cli.interrupts import Interrupts
with Interrupts(lambda first: first and print("asked", flush=True)):
    print("ready", flush=True)
    time.sleep(60)
"""


def start(*argv: object) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "strop", *map(str, argv)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"the process ended without saying {text!r}")


@pytest.mark.slow
def test_a_signal_ends_the_run_cleanly(tmp_path: Path) -> None:
    lazy = "task: {model: embedded/small, latency_ms: 1000}"
    small_task(tmp_path, {"task: embedded/small": lazy, "concurrency: 16": "concurrency: 4"})
    with start("optimize", tmp_path, "--json") as process:
        wait_for(process, "baseline started")
        time.sleep(1.2)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopping" in err
    data = json.loads(out)
    assert data["status"] == "cancelled"
    assert data["cost"]["paid_calls"] > 0
    record = strop("runs", "-C", tmp_path, "--json").json[0]
    assert (record["id"], record["status"]) == (data["run_id"], "cancelled")
    assert f"--resume {data['run_id']}" in strop("runs", "show", data["run_id"], "-C", tmp_path).out


@pytest.mark.slow
def test_a_run_and_a_session_whose_process_was_killed_are_listed_as_interrupted(tmp_path: Path) -> None:
    lazy = "task: {model: embedded/small, latency_ms: 1000}"
    small_task(tmp_path, {"task: embedded/small": lazy, "concurrency: 16": "concurrency: 4"})
    for words, said, noun in (
        (("optimize", tmp_path), "baseline started", "runs"),
        (("sessions", "train", "--task", tmp_path, "-C", tmp_path, "-m", "small"), "phase: baseline", "sessions"),
    ):
        with start(*words) as process:
            wait_for(process, said)
            assert strop(noun, "-C", tmp_path, "--json").json[0]["status"] == "running"
            process.kill()
            process.communicate(timeout=60)
        (record,) = strop(noun, "-C", tmp_path, "--json").json
        assert record["status"] == "interrupted"
        shown = strop(noun, "show", "last", "-C", tmp_path).out
        assert "interrupted" in shown
        assert f"resume {record['id']}" in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_leaves_at_once(number: signal.Signals) -> None:
    words = [sys.executable, "-c", CHILD]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.readline() == "asked\n"
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(timeout=10) == 130


def test_a_closed_pipe_is_quiet() -> None:
    with start("schema") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode in {1, 141}


def test_the_process_ends_though_a_thread_does_not() -> None:
    code = (
        "import sys, threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); "
        "sys.argv = ['strop', 'schema']; from strop.cli.main import main; main()"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert json.loads(done.stdout)["title"] == "strop.yaml"
    assert time.monotonic() - began < 30
