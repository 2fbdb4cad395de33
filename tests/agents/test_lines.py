"""JSON of strangers from bytes: what can be read is read, the rest is refused with its line and in plain words."""

from __future__ import annotations

from pathlib import Path

import pytest

from strop.agents.importers.lines import MAX_REFUSED, json_document, json_lines, parsed
from strop.agents.transcript import Refusal


def read(path: Path, raw: bytes, limit: int = 10_000) -> list[object]:
    path.write_bytes(raw)
    return [one if isinstance(one, Refusal) else tuple(one) for one in json_lines(path, limit)]


def test_lines_with_their_numbers(tmp_path: Path) -> None:
    raw = b'\xef\xbb\xbf{"a": 1}\r\n\n  \n[2]\n"last"'
    assert read(tmp_path / "a.jsonl", raw) == [(1, {"a": 1}), (4, [2]), (5, "last")]
    assert read(tmp_path / "a.jsonl", b"") == []


def test_bad_lines_are_refused_one_by_one_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    first, good, binary, cut = read(path, b'{a}\n{"a": 1}\n\0\1\2\n{"a": "x')
    assert good == (2, {"a": 1})
    for found, line, reason in (
        (first, 1, "invalid JSON"),
        (binary, 3, "binary"),
        (cut, 4, "breaks off in the middle"),
    ):
        assert isinstance(found, Refusal)
        assert (found.source, found.line) == (str(path), line)
        assert reason in found.reason


def test_a_line_beyond_the_limit_is_passed_over(tmp_path: Path) -> None:
    raw = b'"' + b"x" * 3_000_000 + b'"\n7\n"' + b"y" * 9_998 + b'"\n' + b"z" * 20_000
    first, good, fits, last = read(tmp_path / "a.jsonl", raw, limit=10_001)
    assert good == (2, 7)
    assert fits == (3, "y" * 9_998)
    for found, line in ((first, 1), (last, 4)):
        assert isinstance(found, Refusal)
        assert (found.line, found.reason) == (line, "the line is longer than 10,001 bytes")


def test_a_file_of_rubbish_is_not_refused_line_by_line(tmp_path: Path) -> None:
    found = read(tmp_path / "a.jsonl", b"rubbish\n" * 5_000 + b"1\n")
    assert len(found) == MAX_REFUSED + 2
    assert found[-2] == (5_001, 1)
    assert isinstance(found[-1], Refusal)
    assert found[-1].reason.startswith("4980 further lines")


def test_halves_of_an_emoji_and_stray_bytes_are_replaced() -> None:
    assert parsed(rb'{"a": "cut \ud83d"}') == {"a": "cut �"}
    assert parsed(rb'{"a": "\\ud83d \ud83d\ude00 \udc00"}') == {"a": "\\ud83d 😀 �"}
    assert parsed(b'{"a": "\xff"}') == {"a": "�"}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b"[" * 2_000 + b"]" * 2_000, "nested too deep"),
        (b'{"a": 1e999}', "infinity"),
        (b"{a: 1}", "character 1"),
        (b"\x89PNG\0\0", "binary"),
    ],
)
def test_what_is_no_json_is_refused_in_plain_words(raw: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parsed(raw)


def test_documents(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert json_document(path) == {"a": 1}
    assert json_document(path, limit=3) == Refusal(source=str(path), reason="the file is larger than 3 bytes")
    path.write_bytes(b'{"a": ')
    found = json_document(path)
    assert isinstance(found, Refusal)
    assert "breaks off" in found.reason
    gone = json_document(tmp_path / "gone.json")
    assert gone == Refusal(source=str(tmp_path / "gone.json"), reason="it cannot be read: No such file or directory")
