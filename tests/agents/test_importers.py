"""All importers together: each real log is recognised as its client's, and no damage to one stops or starves us."""

from __future__ import annotations

import dataclasses
import json
import time
import tracemalloc
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from strop.agents.importers import IMPORTERS, importer_for, recognise
from strop.agents.importers.files import head
from strop.agents.transcript import MAX_TEXT, Refusal, Transcript
from strop.errors import BadInput
from tests.agents.mutations import HUGE, MUTATIONS

LOGS = Path(__file__).with_name("logs")
FILES = sorted(path for path in LOGS.rglob("*") if path.is_file())
CLIENTS = sorted({path.parent.name for path in FILES})
SEEDS = 1
SECONDS = 10.0
"""Nothing here takes a tenth of it on an idle machine."""


def names(paths: list[Path]) -> list[str]:
    return [f"{path.parent.name}/{path.name}" for path in paths]


def test_there_is_a_log_of_every_client() -> None:
    assert {importer.client for importer in IMPORTERS} == set(CLIENTS)


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_every_log_is_recognised_as_its_clients_and_nobody_elses(path: Path, tmp_path: Path) -> None:
    start = head(path)
    assert [importer.client for importer in IMPORTERS if importer.accepts(path, start)] == [path.parent.name]
    # Neither its name nor its suffix matters.
    other = tmp_path / "data.txt"
    other.write_bytes(path.read_bytes())
    found = recognise(other)
    assert found is not None
    assert found.client == path.parent.name
    assert any(isinstance(one, Transcript) for one in found.read(other))


@pytest.mark.parametrize("client", CLIENTS)
def test_a_directory_of_logs_is_recognised(client: str) -> None:
    found = recognise(LOGS / client)
    assert found is None or found.client == client
    assert any(isinstance(one, Transcript) for one in importer_for(client).read(LOGS / client))


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"{}", b"[]", b'{"name": "strop", "version": "1"}', b"import os\n", bytes(range(256)), b"\x89PNG\r\n",
     b"SQLite format 3\x00" + bytes(200), b'{"messages": [{"role": "user", "content": "hi"}]}\n'],
)  # fmt: skip
def test_nobodys_files_are_nobodys(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    assert recognise(path) is None
    assert recognise(tmp_path / "nowhere") is None
    (tmp_path / "folder").mkdir()
    assert recognise(tmp_path / "folder") is None


def test_importer_for() -> None:
    for client in CLIENTS:
        assert importer_for(client).client == client
    with pytest.raises(BadInput, match=r"'cursor'.*opencode, claude-code, codex, log, otel"):
        importer_for("cursor")


def texts(value: Any, depth: int = 0) -> Iterator[str]:
    """Every text in what an importer gave, keys too."""
    assert depth < 64
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from texts(getattr(value, field.name), depth + 1)
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield key
            yield from texts(entry, depth + 1)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from texts(entry, depth + 1)
    elif isinstance(value, str):
        yield value
    else:
        assert value is None or isinstance(value, bool | int | float | datetime), type(value)


def read(client: str, path: Path) -> list[Transcript | Refusal]:
    """What the client's importer makes of a file: sound, or refused by name, and soon."""
    started = time.process_time()
    found = list(importer_for(client).read(path))
    took = time.process_time() - started
    assert took < SECONDS, f"{took:.1f} s"
    for one in found:
        if isinstance(one, Refusal):
            assert one.source.startswith(str(path))
            assert one.reason.strip()
            assert len(one.reason) < 1_000
            assert one.line is None or one.line >= 1
            continue
        assert one.client == client
        assert one.id
        assert one.source.startswith(str(path))
        for text in texts(one):
            assert len(text) <= MAX_TEXT + 100
            # Half a surrogate pair would break whoever writes it down.
            text.encode()
    return found


def is_read_or_refused(client: str, path: Path, data: bytes, found: list[Transcript | Refusal]) -> bool:
    """A journal in which nothing is asked, or not yet, may be passed over in silence; every other file may not."""
    if found or not data.strip():
        return True
    if client not in ("claude-code", "codex"):
        return False
    tasks = [json.dumps(turn.task)[1:40].encode() for one in read(client, path) if isinstance(one, Transcript)
             for turn in one.turns]  # fmt: skip
    return not any(task in line and intact(line) for task in tasks for line in data.splitlines())


def intact(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def mutated(tmp_path: Path, path: Path, data: bytes) -> Path:
    other = tmp_path / path.name
    other.write_bytes(data)
    return other


@pytest.mark.parametrize("name", MUTATIONS)
@pytest.mark.parametrize("client", CLIENTS)
def test_damage_never_raises_never_hangs_and_is_named(client: str, name: str, tmp_path: Path) -> None:
    for path in (path for path in FILES if path.parent.name == client):
        for seed in range(SEEDS):
            random = Random(f"{path.name} {name} {seed}")
            data = MUTATIONS[name](path.read_bytes(), random)
            broken = mutated(tmp_path, path, data)
            recognise(broken)
            found = read(client, broken)
            assert is_read_or_refused(client, path, data, found), f"{path.name}: neither read nor refused"


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".txt", ".db", ""])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_wrong_suffix_is_no_obstacle(client: str, suffix: str, tmp_path: Path) -> None:
    for path in (path for path in FILES if path.parent.name == client):
        other = tmp_path / f"renamed{suffix}"
        other.write_bytes(path.read_bytes())
        found = read(client, other)
        assert any(isinstance(one, Transcript) for one in found), path.name


@pytest.mark.parametrize("client", CLIENTS)
def test_one_damaged_file_does_not_stop_the_others(client: str, tmp_path: Path) -> None:
    whole = [path for path in FILES if path.parent.name == client]
    for number, path in enumerate(whole):
        (tmp_path / f"{number}-{path.name}").write_bytes(path.read_bytes())
    ids = {one.id for one in importer_for(client).read(tmp_path) if isinstance(one, Transcript)}
    (tmp_path / f"0a-{whole[0].name}").write_bytes(whole[0].read_bytes()[: len(whole[0].read_bytes()) // 2])
    (tmp_path / "0b-nothing.json").write_bytes(b"")
    (tmp_path / "0c-binary.jsonl").write_bytes(bytes(range(256)) * 10)
    again = {one.id for one in importer_for(client).read(tmp_path) if isinstance(one, Transcript)}
    assert ids <= again


@pytest.mark.parametrize("name", HUGE)
@pytest.mark.parametrize("client", CLIENTS)
def test_huge_values_are_bounded(client: str, name: str, tmp_path: Path) -> None:
    path = next(path for path in FILES if path.parent.name == client)
    data = HUGE[name](path.read_bytes(), Random(f"{client} {name}"))
    broken = mutated(tmp_path, path, data)
    tracemalloc.start()
    try:
        found = read(client, broken)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert is_read_or_refused(client, path, data, found)
    # Parsed JSON of the worst kind (many tiny objects) takes some thirty times its text.
    assert peak < 40 * broken.stat().st_size + 20 * 2**20, f"{peak:,} bytes for {broken.stat().st_size:,}"
