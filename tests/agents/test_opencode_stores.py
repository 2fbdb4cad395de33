"""Where OpenCode keeps its history, and that reading it leaves no trace and needs no memory."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from strop.agents.importers.opencode import OpenCodeImporter
from strop.agents.transcript import Refusal, Transcript
from tests.agents import opencode_stores as stores

IMPORTER = OpenCodeImporter()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "opencode" / "opencode.db"
    path.parent.mkdir(parents=True)
    stores.write_database(path, [stores.load("subagent"), stores.load("subagent_child")])
    return path


def entries(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_store_is_found_where_the_client_keeps_it(database: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert IMPORTER.stores({}, home) == ()
    assert IMPORTER.stores({"XDG_DATA_HOME": str(tmp_path / "data")}, home) == (database.parent,)
    shutil.copytree(tmp_path / "data", home / ".local" / "share")
    assert IMPORTER.stores({}, home) == (home / ".local" / "share" / "opencode",)


def test_a_named_database_is_the_only_store(database: Path, tmp_path: Path) -> None:
    data = {"XDG_DATA_HOME": str(tmp_path / "data")}
    other = shutil.copy(database, database.with_name("other.db"))
    elsewhere = shutil.copy(database, tmp_path / "elsewhere.db")
    assert IMPORTER.stores({**data, "OPENCODE_DB": "other.db"}, tmp_path) == (other,)
    assert IMPORTER.stores({**data, "OPENCODE_DB": str(elsewhere)}, tmp_path) == (elsewhere,)
    assert IMPORTER.stores({**data, "OPENCODE_DB": ":memory:"}, tmp_path) == ()
    assert IMPORTER.stores({**data, "OPENCODE_DB": "missing.db"}, tmp_path) == ()


def test_what_is_accepted(database: Path, tmp_path: Path) -> None:
    assert IMPORTER.accepts(database.parent, b"")
    assert not IMPORTER.accepts(tmp_path / "data", b"")
    assert IMPORTER.accepts(database, database.read_bytes()[:4096])
    foreign = tmp_path / "foreign.db"
    sqlite3.connect(foreign).executescript("CREATE TABLE session (id); CREATE TABLE t (a);")
    assert not IMPORTER.accepts(foreign, foreign.read_bytes()[:4096])
    for words in ('{"info": {}, "examples": []}', "# ses_ notes", '{"type":"user","sessionId":"x"}\n', "\0\1\2"):
        path = tmp_path / "file.json"
        path.write_text(words)
        assert not IMPORTER.accepts(path, path.read_bytes())
    stores.write_storage(tmp_path / "old" / "storage", [stores.load("reason")])
    assert IMPORTER.accepts(tmp_path / "old", b"")
    assert IMPORTER.accepts(tmp_path / "old" / "storage", b"")
    file = next((tmp_path / "old").rglob("ses_*.json"))
    assert IMPORTER.accepts(file, file.read_bytes())
    assert stores.one(file).id == "ses_e0516f5f9ffeWu8dnVQwfhNYt2"


def test_reading_leaves_no_trace(database: Path) -> None:
    before = entries(database.parent)
    assert IMPORTER.accepts(database, database.read_bytes()[:4096])
    transcripts, refusals = stores.read(database.parent)
    assert (len(transcripts), refusals) == (2, [])
    assert entries(database.parent) == before
    assert list(before) == ["opencode.db"]


def test_what_a_running_client_has_only_in_its_log_is_read(database: Path) -> None:
    client = sqlite3.connect(database)
    stores.insert(client, stores.load("reason"))
    assert database.with_name("opencode.db-wal").stat().st_size > 0
    before = entries(database.parent)
    assert len(stores.read(database)[0]) == 3
    assert entries(database.parent).keys() == before.keys()
    assert entries(database.parent)["opencode.db-wal"] == before["opencode.db-wal"]
    client.close()


def test_a_locked_database_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strop.agents.importers.opencode_database._WAIT", 0.05)
    path = tmp_path / "opencode.db"
    stores.write_database(path, [stores.load("reason")], journal="delete")
    client = sqlite3.connect(path, isolation_level=None)
    client.execute("BEGIN EXCLUSIVE")
    transcripts, refusals = stores.read(path)
    client.close()
    assert transcripts == []
    assert [(one.source, "locked" in one.reason) for one in refusals] == [(str(path), True)]
    assert len(stores.read(path)[0]) == 1


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "opencode.db"
    store = sqlite3.connect(path)
    store.execute("CREATE TABLE session_v2 (id)")
    store.close()
    transcripts, refusals = stores.read(path)
    assert transcripts == []
    assert "lacks the tables" in refusals[0].reason


@pytest.mark.parametrize("keep", [100, 5_000])
def test_a_damaged_database_is_refused(keep: int, database: Path) -> None:
    database.write_bytes(database.read_bytes()[:keep] + b"\xaa" * 3000)
    transcripts, refusals = stores.read(database)
    assert transcripts == []
    assert refusals
    assert all(one.source.startswith(str(database)) for one in refusals)


def test_a_broken_row_is_named_and_the_rest_is_read(database: Path) -> None:
    store = sqlite3.connect(database)
    store.execute("UPDATE part SET data = '{\"type\": \"te' WHERE id = 'prt_1faf38a6e001LYjQR4LhX62owt'")
    store.execute("UPDATE message SET data = '[1]' WHERE id = 'msg_1faf3ae24001U8Gpxi9ec4APWq'")
    store.commit()
    store.close()
    transcripts, refusals = stores.read(database)
    assert [one.row for one in refusals] == [
        "prt_1faf38a6e001LYjQR4LhX62owt",
        "msg_1faf3ae24001U8Gpxi9ec4APWq",
        "msg_1faf3ae24001U8Gpxi9ec4APWq",
    ][: len(refusals)]
    parent, child = transcripts
    assert [one.task for one in parent.turns] == [""]
    assert [len(one.steps) for one in child.turns] == [1]


@pytest.mark.parametrize("kind", ["database", "storage", "export"])
def test_sessions_that_rest_since_a_moment_are_left_out(kind: str, tmp_path: Path) -> None:
    exports = [stores.load("reason"), stores.load("edit_ok")]
    writers: dict[str, Any] = {
        "database": lambda: stores.write_database(tmp_path / "opencode.db", exports),
        "storage": lambda: stores.write_storage(tmp_path / "storage", exports),
        "export": lambda: [stores.save(tmp_path / f"{export['info']['id']}x.json", export) for export in exports],
    }
    writers[kind]()
    latest = datetime.fromtimestamp(1795211666.543, UTC)
    assert [one.title for one in stores.read(tmp_path, latest)[0]] == ["edit_ok"]
    assert [one.title for one in stores.read(tmp_path, latest.replace(tzinfo=None))[0]] == ["edit_ok"]
    assert stores.read(tmp_path, latest.replace(microsecond=544_000))[0] == []


def test_what_the_database_took_over_from_the_older_files_is_read_once(database: Path) -> None:
    stores.write_storage(database.parent / "storage", [stores.load("subagent"), stores.load("reason")])
    transcripts, refusals = stores.read(database.parent)
    assert refusals == []
    assert [one.title for one in transcripts] == ["subagent", "Find functions (@general subagent)", "reason"]


def test_the_oldest_files_lie_under_their_projects(tmp_path: Path) -> None:
    stores.write_first_storage(tmp_path / "project" / "home-dev" / "storage", [stores.load("reason")])
    assert IMPORTER.accepts(tmp_path, b"")
    assert [one.title for one in stores.read(tmp_path)[0]] == ["reason"]


def test_a_broken_file_of_the_older_store_is_named(tmp_path: Path) -> None:
    stores.write_storage(tmp_path / "storage", [stores.load("reason")])
    broken = next(tmp_path.rglob("prt_1fae90c1b0014gWAh4CZcpQ5pe.json"))
    broken.write_text("{")
    transcripts, refusals = stores.read(tmp_path)
    assert [one.row for one in refusals] == [str(broken)]
    assert len(transcripts[0].turns[0].steps) == 1


def test_exports_that_caught_the_banner_or_lie_in_a_list(tmp_path: Path) -> None:
    banner = tmp_path / "banner.json"
    banner.write_text("Exporting session: ses_x\n" + json.dumps(stores.load("reason")))
    assert IMPORTER.accepts(banner, banner.read_bytes()[:4096])
    assert stores.one(banner).title == "reason"
    both = stores.save(tmp_path / "both.json", [stores.load("reason"), stores.load("err400")])
    assert [one.title for one in stores.read(both)[0]] == ["reason", "err400"]
    served = stores.save(tmp_path / "messages.json", stores.load("reason")["messages"])
    assert (stores.one(served).id, len(stores.one(served).turns)) == ("ses_e0516f5f9ffeWu8dnVQwfhNYt2", 1)


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    assert list(IMPORTER.read(tmp_path / "gone.json")) == [
        Refusal(source=str(tmp_path / "gone.json"), reason="it cannot be read: No such file or directory")
    ]


def test_sessions_stream_one_at_a_time(tmp_path: Path) -> None:
    export = stores.load("reason")
    export["messages"][1]["parts"][2]["state"]["output"] = "x" * 1_000_000
    path = tmp_path / "opencode.db"
    stores.write_database(path, [])
    store = sqlite3.connect(path)
    for number in range(40):
        words = json.dumps(export).replace("ses_e0516f5f9ffeWu8dnVQwfhNYt2", f"ses_{number:02}")
        words = words.replace('"msg_', f'"msg_{number:02}').replace('"prt_', f'"prt_{number:02}')
        stores.insert(store, json.loads(words))
    store.close()
    tracemalloc.start()
    count = sum(isinstance(found, Transcript) for found in IMPORTER.read(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 40
    assert peak < path.stat().st_size / 2
