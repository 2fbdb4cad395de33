"""A report is never written over another session's, nor over a file that is no report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from strop.errors import BadInput
from strop.sessions import check_place, write_reports
from strop.sessions.report_keeping import KINDS, session_of
from tests.sessions.made_results import rich_session


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_every_form_says_whose_it_is_whatever_strangers_wrote(tmp_path: Path) -> None:
    hostile = 'x</title> (session other)\n- Session: other, "session_id": "other"'
    made = rich_session()
    result = replace(made, session_id="mine", task=replace(made.task, name=hostile, instructions=hostile))
    write_reports(result, tmp_path, name="r")
    assert {session_of(tmp_path / f"r{kind}") for kind in KINDS} == {"mine"}


def test_the_same_session_writes_over_its_own_and_another_keeps_both(tmp_path: Path) -> None:
    first = rich_session()
    for _ in range(2):
        assert write_reports(first, tmp_path, name="gpt-4.1").earlier == ()
    assert names(tmp_path) == {f"gpt-4.1{kind}" for kind in KINDS}
    files = write_reports(replace(first, session_id="later"), tmp_path, name="gpt-4.1")
    kept = [f"gpt-4.1-{first.session_id}{kind}" for kind in KINDS]
    assert [path.name for path in files.earlier] == kept
    assert names(tmp_path) == {*kept, *(f"gpt-4.1{kind}" for kind in KINDS)}
    assert session_of(files.markdown) == "later"
    assert session_of(tmp_path / kept[1]) == first.session_id
    assert set(files.by_kind()) == {"html", "markdown", "json"}


def test_what_is_in_the_way_of_the_one_that_is_kept_stays(tmp_path: Path) -> None:
    first = rich_session()
    write_reports(first, tmp_path, name="r")
    (tmp_path / f"r-{first.session_id}.md").write_text("notes")
    write_reports(replace(first, session_id="later"), tmp_path, name="r")
    assert (tmp_path / f"r-{first.session_id}.md").read_text() == "notes"
    assert session_of(tmp_path / f"r-{first.session_id}-2.md") == first.session_id


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_no_report_is_refused_and_nothing_is_touched(kind: str, tmp_path: Path) -> None:
    (tmp_path / f"notes{kind}").write_bytes(b"\xff mine")
    with pytest.raises(BadInput, match="is no report of a session"):
        check_place(tmp_path / "notes.md")
    with pytest.raises(BadInput):
        write_reports(rich_session(), tmp_path, name="notes")
    assert (names(tmp_path), (tmp_path / f"notes{kind}").read_bytes()) == ({f"notes{kind}"}, b"\xff mine")
    check_place(tmp_path / "other")


@pytest.mark.parametrize("below", ["r.md", "deep/er/r.md"])
def test_a_place_where_nothing_can_be_written_is_refused_beforehand(below: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="no report can be written to"):
        check_place(tmp_path / "file" / below)
    check_place(tmp_path / "folder" / below)
    assert names(tmp_path) == {"file"}
