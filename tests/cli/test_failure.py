"""Errors: where, what, what to do; one object with --json; the class's exit code; no secrets."""

import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer

from strop.cli.console import emit
from strop.cli.options import noun
from tests.cli.commands import strop

SECRET = "sk-canary-0123456789abcdef"


@pytest.fixture
def bad_task(tmp_path: Path) -> Path:
    strop("init", tmp_path)
    file = tmp_path / "strop.yaml"
    file.write_text(file.read_text().replace("metric: accuracy", "metrik: accuracy"))
    return file


def test_a_bad_task_file_is_told_with_file_line_and_name(bad_task: Path) -> None:
    line = 1 + bad_task.read_text().splitlines().index("metrik: accuracy")
    done = strop("optimize", bad_task)
    assert done.code == 2
    assert done.out == ""
    assert f"{bad_task}:{line}: unknown key `metrik`; did you mean `metric`?" in done.err
    assert "hint: " in done.err
    assert "Traceback" not in done.err


def test_with_json_an_error_is_one_object_on_stdout(bad_task: Path) -> None:
    done = strop("optimize", bad_task, "--json", "--quiet")
    assert done.code == 2
    error = done.json["error"]
    assert set(error) == {"kind", "message", "hint", "exit_code"}
    assert (error["kind"], error["exit_code"]) == ("TaskFileError", 2)
    assert "error:" not in done.err


@pytest.mark.parametrize("argv", [("optimize", "--budget", "much"), ("runs", "--nosuch"), ("runs", "nosuch")])
def test_a_wrong_command_line_is_told_like_any_error(argv: tuple[str, ...]) -> None:
    words = strop(*argv)
    assert words.code == 2
    assert words.err.startswith("error: ")
    assert strop(*argv, "--json").json["error"]["kind"] == "UsageError"


def test_an_unknown_command_names_the_nearest() -> None:
    done = strop("optimise")
    assert done.code == 2
    assert "did you mean `strop optimize`?" in done.err


def broken(error: BaseException) -> typer.Typer:
    app = noun("Breaks.")

    @app.command()
    def schema() -> None:
        raise error

    return app


class Module:
    """Stands for a command's module."""

    def __init__(self, app: typer.Typer) -> None:
        self.app = app


def test_an_unexpected_error_is_short_and_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    import_module("strop.gateway")  # the redactor is at work once a secret can have been read
    monkeypatch.delenv("STROP_DEBUG", raising=False)
    monkeypatch.setitem(sys.modules, "strop.cli.schema", Module(broken(RuntimeError(f"key {SECRET}"))))
    done = strop("schema")
    assert done.code == 1
    assert "error: unexpected RuntimeError: key [redacted]" in done.err
    assert "STROP_DEBUG=1" in done.err
    assert "Traceback" not in done.err


def test_debugging_shows_a_redacted_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STROP_DEBUG", "1")
    monkeypatch.setitem(sys.modules, "strop.cli.schema", Module(broken(RuntimeError(f"key {SECRET}"))))
    done = strop("schema")
    assert "Traceback" in done.err
    assert SECRET not in done.err


def test_a_keyboard_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "strop.cli.schema", Module(broken(KeyboardInterrupt())))
    assert strop("schema").code == 130


def test_json_has_no_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    app = noun("Prints.")

    @app.command()
    def schema() -> None:
        emit({"a": [float("nan"), 1.5], "b": (float("inf"),)})

    monkeypatch.setitem(sys.modules, "strop.cli.schema", Module(app))
    assert strop("schema").json == {"a": [None, 1.5], "b": [None]}
