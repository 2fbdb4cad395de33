"""Sessions that the real client recorded, against what a person read in them; the same from each of its stores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from strop.agents.importers.opencode import OpenCodeImporter
from tests.agents import opencode_stores as stores

NAMES = [path.stem for path in sorted(stores.LOGS.iterdir())]


def test_every_real_log_has_a_hand_written_example() -> None:
    assert sorted(path.stem for path in stores.EXPECTED.iterdir()) == NAMES
    assert len(NAMES) == 12


@pytest.mark.parametrize("path", sorted(stores.LOGS.iterdir()), ids=lambda path: path.name)
def test_a_real_log_becomes_the_hand_written_example(path: Path) -> None:
    transcript = stores.one(path)
    assert stores.without_source(transcript) == stores.expected(path.stem)
    assert transcript.source == str(path)


@pytest.mark.parametrize("path", sorted(stores.LOGS.iterdir()), ids=lambda path: path.name)
def test_a_real_log_is_accepted_by_its_head(path: Path) -> None:
    assert OpenCodeImporter().accepts(path, path.read_bytes()[:4096])


def test_the_database_gives_the_sessions_of_the_exports(tmp_path: Path) -> None:
    stores.write_database(tmp_path / "opencode.db", [json.loads(path.read_text()) for path in stores.EXPORTS])
    transcripts, refusals = stores.read(tmp_path / "opencode.db")
    assert refusals == []
    found = {one.id: stores.without_source(one) for one in transcripts}
    assert found == {one["id"]: one for one in (stores.expected(path.stem) for path in stores.EXPORTS)}
    assert [one.started for one in transcripts] == sorted(one.started for one in transcripts if one.started)
    assert transcripts[0].source == f"{tmp_path / 'opencode.db'}#{transcripts[0].id}"


@pytest.mark.parametrize("write", [stores.write_storage, stores.write_first_storage])
def test_the_older_files_give_the_sessions_of_the_exports(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    write(tmp_path / "storage", [json.loads(path.read_text()) for path in stores.EXPORTS])
    transcripts, refusals = stores.read(tmp_path)
    assert refusals == []
    found = {one.id: stores.without_source(one) for one in transcripts}
    assert found == {one["id"]: one for one in (stores.expected(path.stem) for path in stores.EXPORTS)}


def test_a_directory_of_exports_and_streams_is_read_file_by_file() -> None:
    transcripts, refusals = stores.read(stores.LOGS)
    assert refusals == []
    assert sorted(Path(one.source).stem for one in transcripts) == NAMES


def test_a_subagent_names_the_session_that_started_it_and_the_step_names_the_subagent() -> None:
    child = stores.one(stores.LOGS / "subagent_child.json")
    parent = stores.one(stores.LOGS / "subagent.json")
    assert child.parent == parent.id
    assert parent.turns[0].steps[0].extra["session"] == child.id
