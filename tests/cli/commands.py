"""Runs command lines in this process and catches what they print."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strop.cli.main import run


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value on stdout."""
        return json.loads(self.out)


def strop(*argv: object) -> Done:
    """Run `strop argv...`."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([str(word) for word in argv])
    return Done(code=code, out=out.getvalue(), err=err.getvalue())


def small_task(directory: Path, changes: Mapping[str, str] | None = None) -> Path:
    """The demo's task with 200 of its rows; `changes` replace text of strop.yaml."""
    assert strop("init", directory).code == 0
    data, task = directory / "sections.jsonl", directory / "strop.yaml"
    data.write_text("".join(data.read_text().splitlines(keepends=True)[:200]))
    text = task.read_text()
    for old, new in (changes or {}).items():
        assert old in text
        text = text.replace(old, new)
    task.write_text(text)
    return directory
