"""Logs of strangers are damaged in every way; each is read or refused by name, never an exception, never a hang."""

from __future__ import annotations

import copy
import json
import random
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strop.agents.importers.opencode import OpenCodeImporter
from strop.agents.transcript import Finish, Refusal, StepStatus, Transcript
from tests.agents import opencode_stores as stores

FILES = sorted(stores.LOGS.iterdir())
STRANGE: list[Any] = [
    *(None, True, -1, 0, 1e308, 2**62, "", "x", [], {}, [[]], [None], {"a": None}, "\0", "ses_", "[redacted:x]"),
    *({"status": "completed"}, [{"type": "text"}], {"type": ["text"]}, {"id": {"x": 1}}, "9" * 50, {"messageID": []}),
]
STATUSES = set(StepStatus.__args__)  # type: ignore[attr-defined]
FINISHES = set(Finish.__args__)  # type: ignore[attr-defined]


def survives(path: Path) -> list[Transcript | Refusal]:
    """What is read of a damaged source; every field has its type, every refusal its reason."""
    importer = OpenCodeImporter()
    began = time.monotonic()
    importer.accepts(path, path.read_bytes()[:4096])
    found = list(importer.read(path))
    assert time.monotonic() - began < 5
    for one in found:
        assert str(path) in one.source
        if isinstance(one, Refusal):
            assert one.reason
            continue
        assert one.id
        assert len({turn.key for turn in one.turns}) == len(one.turns)
        for turn in one.turns:
            assert turn.finish in FINISHES
            assert isinstance(turn.task + turn.answer + turn.model + turn.agent, str)
            assert turn.usage.input_tokens >= turn.usage.cached_tokens >= 0
            assert all(step.status in STATUSES and isinstance(step.result, str) for step in turn.steps)
        json.dumps(stores.plain(one))
    return found


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of each value inside a JSON value."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, entry in entries for found in places(entry, (*path, key)))]


def mutate(value: Any, chance: random.Random) -> Any:
    """The value with something wrong in one to three places: of another type, gone, doubled, out of order."""
    for _ in range(chance.randint(1, 3)):
        path = chance.choice(places(value))
        if not path:
            continue
        parent = value
        for key in path[:-1]:
            parent = parent[key]
        match chance.randrange(4):
            case 0:
                del parent[path[-1]]
            case 1 if isinstance(parent, list):
                parent.insert(0, parent[path[-1]])
            case 2 if isinstance(parent, list):
                chance.shuffle(parent)
            case _:
                parent[path[-1]] = copy.deepcopy(chance.choice(STRANGE))
    return value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_wrong_types_and_missing_fields(path: Path, tmp_path: Path) -> None:
    chance = random.Random(path.name)
    copy = tmp_path / path.name
    for _ in range(60):
        if path.suffix == ".jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            copy.write_text("\n".join(json.dumps(line) for line in mutate(lines, chance)))
        else:
            copy.write_text(json.dumps(mutate(json.loads(path.read_text()), chance)))
        assert survives(copy)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_cut_and_flipped_bytes(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    chance = random.Random(path.name)
    copy = tmp_path / path.name
    for _ in range(40):
        damaged = bytearray(whole[: chance.randrange(1, len(whole))] if chance.random() < 0.5 else whole)
        for _ in range(chance.randrange(4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        copy.write_bytes(damaged)
        assert survives(copy)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["id", "type", "text", "time", "state"]), inner)
        ),
    )
)
def test_any_json_in_place_of_a_part(value: Any, tmp_path: Path) -> None:
    info = {"id": "msg_1", "role": "assistant", "tokens": value, "error": value, "time": value, "path": value}
    request = {"id": "msg_0", "role": "user", "summary": {"diffs": [value]}, "model": value}
    messages = [{"info": request, "parts": [{"type": "text", "text": value}]}, {"info": info, "parts": [value, value]}]
    part = {"type": "tool", "tool": value, "state": value, "callID": value}
    messages.append(
        {"info": {**info, "id": "msg_2", "finish": value}, "parts": [part, {**part, "state": {"input": value}}]}
    )
    survives(stores.save(tmp_path / "export.json", {"info": {"id": "ses_1", "revert": value}, "messages": messages}))


def test_deep_huge_and_binary(tmp_path: Path) -> None:
    export = stores.load("reason")
    part = export["messages"][1]["parts"][2]
    part["state"]["input"] = json.loads("[" * 900 + "]" * 900)
    deep = {"a": part["state"]["input"]}
    part["state"]["input"] = deep
    part["deep"] = deep
    part["state"]["output"] = "x" * 5_000_000
    transcript = stores.one(stores.save(tmp_path / "deep.json", export))
    step = transcript.turns[0].steps[0]
    assert 100_000 <= len(step.result) < 101_000
    assert "nested too deep" in json.dumps(step.arguments["a"])
    assert len(json.dumps(stores.plain(transcript))) < 200_000
    for name, raw, reason in (
        ("deeper.json", b'{"info": ' + b"[" * 100_000, "nested too deep"),
        ("binary.json", bytes(range(256)) * 100, "binary"),
        ("empty.json", b"", "empty"),
        ("array.json", b"[]", "no session"),
        ("number.json", b"7", "no OpenCode export"),
        ("log.jsonl", b'{"type":"text","sessionID":"s","timestamp":1}\n' + b"\xff\0" * 50, "binary"),
    ):
        path = tmp_path / name
        path.write_bytes(raw)
        refusals = [one for one in survives(path) if isinstance(one, Refusal)]
        assert any(reason in one.reason for one in refusals), (name, refusals)


def test_damaged_pages_of_a_database(tmp_path: Path) -> None:
    stores.write_database(tmp_path / "whole.db", [json.loads(path.read_text()) for path in stores.EXPORTS])
    whole = (tmp_path / "whole.db").read_bytes()
    chance = random.Random(7)
    path = tmp_path / "opencode.db"
    for _ in range(80):
        damaged = bytearray(whole[: chance.randrange(100, len(whole))] if chance.random() < 0.3 else whole)
        for _ in range(chance.choice([1, 5, 200])):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        assert survives(path)


def test_cells_of_other_types(tmp_path: Path) -> None:
    path = tmp_path / "opencode.db"
    stores.write_database(path, [stores.load("subagent")])
    store = sqlite3.connect(path)
    for column in ("title", "model", "revert", "permission", "time_updated", "directory", "agent", "parent_id"):
        for value in (b"\xff\0", 7, 1.5, "[", "{}", '"x"'):
            store.execute(f"UPDATE session SET {column} = ?", (value,))
            store.commit()
            assert any(isinstance(one, Transcript) for one in survives(path))
    for table in ("part", "message"):
        for value in (b"\xff\0", 7, 1.5, "[", "{}", '"x"'):
            store.execute(f"UPDATE {table} SET data = ?", (value,))
            store.commit()
            assert any(isinstance(one, Refusal) for one in survives(path))
    store.close()
