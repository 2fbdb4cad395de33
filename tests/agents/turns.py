"""Turns and transcripts written by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from strop.agents import Step, Transcript, Turn

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def bash(command: str, exit_code: int | None = 0, **more) -> Step:
    status = more.pop("status", "ok" if exit_code == 0 else "failed" if exit_code is not None else "unknown")
    return Step(tool="bash", arguments={"command": command}, exit_code=exit_code, status=status, **more)


def edit(path: str = "src/calc.py") -> Step:
    return Step(tool="edit", arguments={"filePath": path, "oldString": "a", "newString": "b"}, status="ok")


def turn(task: str = "Fix it", *steps: Step, key: str = "", **more) -> Turn:
    values = {"answer": "Done, all tests pass.", "finish": "stop", "started": NOON, **more}
    return Turn(key=key or task, task=task, steps=steps, **values)


def transcript(*turns: Turn, id: str = "s1", **more) -> Transcript:
    values = {
        "client": "opencode", "source": f"{id}.json", "directory": "/home/dev/shop", "started": NOON,
        "updated": NOON + timedelta(minutes=len(turns)), **more,
    }  # fmt: skip
    return Transcript(id=id, turns=turns, **values)
