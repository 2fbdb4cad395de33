"""Words that the user listed once are taken out of everything that is imported from then on."""

from __future__ import annotations

from pathlib import Path

import pytest

from strop.agents.listed import list_file, remember, remembered
from strop.errors import StoreUnwritable


def test_the_file_is_in_the_users_configuration(tmp_path: Path) -> None:
    assert list_file({}, tmp_path) == tmp_path / ".config/strop/redact.txt"
    assert list_file({"XDG_CONFIG_HOME": str(tmp_path / "x")}, tmp_path) == tmp_path / "x/strop/redact.txt"


def test_words_are_added_once_and_only_the_owner_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "strop/redact.txt"
    assert remembered(file) == ()
    assert remember(file, ["Blue Heron", r"/cust-\d+/"])
    assert remember(file, ["Blue Heron", " ", "Osprey"])
    assert remembered(file) == ("Blue Heron", r"/cust-\d+/", "Osprey")
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["redact.txt"]


def test_a_list_that_cannot_be_read_stops_the_import_and_one_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "redact.txt").mkdir()
    with pytest.raises(StoreUnwritable, match=r"redact\.txt"):
        remembered(tmp_path / "redact.txt")
    (tmp_path / "file").write_text("")
    assert remember(tmp_path / "file" / "redact.txt", ["x"]) is False
