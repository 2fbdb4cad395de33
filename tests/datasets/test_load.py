import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strop.datasets import Dataset, load, readers
from strop.errors import DataError, SettingsError
from tests.datasets.dataset_samples import SECTIONS, jsonl


def read(path: Path, **options: Any) -> Dataset:
    return load(path, inputs=["text"], labels=["label"], **options)


def pairs(data: Dataset) -> list[tuple[Any, Any]]:
    return [(example.inputs["text"], example.labels["label"]) for example in data]


def refusal(path: Path, content: bytes | str) -> DataError:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError) as caught:
        read(path)
    assert caught.value.file == str(path)
    assert caught.value.hint
    return caught.value


def test_real_file_loads_with_its_ids() -> None:
    data = load(SECTIONS, inputs=["description"], labels=["section"], id_field="id")
    lines = [json.loads(line) for line in SECTIONS.read_text().splitlines()]
    assert [(e.id, e.inputs["description"], e.labels["section"]) for e in data] == [
        (row["id"], row["description"], row["section"]) for row in lines
    ]
    assert data[6].origin == "sections.jsonl:7"
    assert data.name == "sections"


def test_id_is_the_hash_of_the_content_and_repetitions_are_numbered() -> None:
    row = {"text": "Grüße", "label": "de"}
    canonical = '{"inputs":{"text":"Grüße"},"labels":{"label":"de"}}'
    expected = hashlib.sha256(canonical.encode()).hexdigest()[:16]
    data = load([row, {"text": "x", "label": "y"}, row, row], inputs=["text"], labels=["label"])
    assert [data[0].id, data[2].id, data[3].id] == [expected, f"{expected}-2", f"{expected}-3"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_csv_of_any_delimiter(tmp_path: Path, delimiter: str, bom: bytes) -> None:
    path = tmp_path / "data.csv"
    rows = [
        ["text", "n", "label"],
        ['"a, b; c | d\te ""q"""', "1", "01"],
        ['"two\r\nlines"', "2", "1.50"],
        ["é", "", ""],
    ]
    path.write_bytes(bom + "\r\n".join(delimiter.join(row) for row in rows).encode())
    data = read(path)
    assert pairs(data) == [('a, b; c | d\te "q"', "01"), ("two\r\nlines", "1.50"), ("é", "")]
    assert [example.origin for example in data] == ["data.csv:2", "data.csv:3", "data.csv:5"]


@pytest.mark.parametrize(
    "text",
    [
        '[{"text": "a", "label": 1},\n {"text": "b", "label": 2}]',
        '{"version": {"data": [1]}, "examples": [{"text": "a", "label": 1},\n{"text": "b", "label": 2}], "z": 1}',
        '\ufeff{"data":\n[{"text": "a", "label": 1}, {"text": "b", "label": 2}]}',
    ],
)
def test_json_lists(tmp_path: Path, text: str) -> None:
    path = tmp_path / "data.json"
    path.write_text(text, encoding="utf-8")
    assert pairs(read(path)) == [("a", 1), ("b", 2)]


def test_fields_map_columns_and_groups_are_read(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "d.jsonl",
        [{"input": "a", "expected_output": "b", "who": 7}, {"input": "c", "expected_output": "d", "who": None}],
    )
    data = read(path, fields={"text": "input", "label": "expected_output"}, group_field="who")
    assert pairs(data) == [("a", "b"), ("c", "d")]
    assert [example.group for example in data] == ["7", None]


def test_dspy_examples() -> None:
    import dspy

    source = [
        dspy.Example(question="q", context="c", answer="a").with_inputs("question", "context"),
        dspy.Example(question="r", context="d", answer="b"),
    ]
    data = load(source, inputs=["context", "question"], labels=["answer"])
    assert [(e.inputs, e.labels, e.origin) for e in data] == [
        ({"context": "c", "question": "q"}, {"answer": "a"}, "row 1"),
        ({"context": "d", "question": "r"}, {"answer": "b"}, "row 2"),
    ]


def test_mlflow_records() -> None:
    source = [
        {"inputs": {"question": "q"}, "expectations": {"expected_response": "a"}},
        {"inputs": {"question": "r"}, "expectations": {"answer": "b", "expected_response": "long b"}},
    ]
    data = load(source, inputs=["question"], labels=["answer"])
    assert [example.labels["answer"] for example in data] == ["a", "b"]
    with pytest.raises(DataError, match="row 1: no column 'answer'; the columns are none"):
        load([{"inputs": {"question": "q"}}], inputs=["question"], labels=["answer"])


def test_missing_column_names_those_that_exist_and_the_nearest(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "d.jsonl", [{"text": "a", "Lable": "b"}])
    with pytest.raises(DataError, match=r"d\.jsonl:1: no column 'label'; the columns are 'text', 'Lable'") as caught:
        read(path)
    assert "did you mean 'Lable'?" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("name", "content", "line", "words"),
    [
        ("a.jsonl", '{"text": "a", "label": 1}\n\n{"text": "b"}\n', 3, "no column 'label'"),
        ("a.jsonl", '{"text": "a", "label": 1}\r\n{"text": "b",\r\n', 2, "not valid JSON"),
        ("a.jsonl", '{"text": "a\u2028", "label": 1}\n[1]\n', 2, "not list"),
        ("a.jsonl", '{"text": "a", "label": NaN}\n', 1, "NaN is not JSON"),
        ("a.jsonl", '{"text": "a\\u0000", "label": 1}\n', 1, "column 'text': the text contains a NUL"),
        ("a.jsonl", '{"text": "\\ud800", "label": 1}\n', 1, "surrogate"),
        ("a.jsonl", b'{"text": 1, "label": 1}\n{"text": "\xff"}\n', 2, "byte 11 of the line is not UTF-8"),
        ("a.jsonl", b'{"text": "a", "label": 1}\n\0\n', 2, "NUL byte"),
        ("a.jsonl", "[" * 100_000 + "\n", 1, "nested too deeply"),
        ("a.jsonl", "\n \n", None, "no examples"),
        ("a.jsonl", "", None, "no examples"),
        ("a.csv", "", None, "no examples"),
        ("a.csv", "text,label\n", None, "no examples"),
        ("a.csv", 'text,label\n"a\nb",1\nc\n', 4, "1 cells, but the header has 2"),
        ("a.csv", "text,label\na,1,2\n", 2, "3 cells, but the header has 2"),
        ("a.csv", 'text,label\nx,y\n"never closed,1\nb,2\n', 3, "not valid CSV"),
        ("a.csv", "text,text,label\na,b,c\n", 1, "'text' more than once"),
        ("a.csv", "txt,label\na,b\n", 2, "no column 'text'"),
        ("a.csv", b"text,label\na,\xe9\n", 2, "not UTF-8 (0xe9)"),
        ("a.csv", "text,label\na,b\n".encode("utf-16"), 1, "UTF-16"),
        ("a.json", '[{"text": "a", "label": 1},\n\n 7]', 3, "not int"),
        ("a.json", '[{"text": "a", "label": 1},\n {"text": "b"}]', 2, "no column 'label'"),
        ("a.json", '[{"text": "a", "label": 1}\n {"text": "b"}]', 2, "',' or ']'"),
        ("a.json", '[{"text": "a", "label": 1},\n', 2, "not valid JSON"),
        ("a.json", '{"rows": []}', 1, 'no list under "examples" or "data"'),
        ("a.json", "[]", None, "no examples"),
        ("a.json", "", None, "no examples"),
        ("a.txt", "text", None, "suffix '.txt'"),
    ],
)  # fmt: skip
def test_bad_files_are_refused_at_their_line(
    tmp_path: Path, name: str, content: bytes | str, line: int | None, words: str
) -> None:
    error = refusal(tmp_path / name, content)
    assert error.line == line
    assert words in str(error)


def test_huge_line_is_refused_without_reading_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(b'{"text": "a", "label": 1}\n')
        file.truncate(3 * 2**30)  # a sparse file: three gigabytes that take no disk
    with pytest.raises(DataError, match=r"a\.jsonl:2: the line is longer than"):
        read(path)


def test_long_csv_cell_is_data(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "x" * 300_000 + ",1\n")
    assert len(pairs(read(path))[0][0]) == 300_000


def test_missing_file_and_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / "none.csv")
    (tmp_path / "dir.csv").mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "dir.csv")


def test_repeated_and_empty_ids_are_refused(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": 1, "id": 5}, {"text": "b", "label": 1, "id": "5"}]
    with pytest.raises(DataError, match=r"d\.jsonl:2: id '5' was already used at d\.jsonl:1"):
        read(jsonl(tmp_path / "d.jsonl", rows), id_field="id")
    with pytest.raises(DataError, match="row 1: the id in column 'id' is empty"):
        load([{"text": "a", "label": 1, "id": None}], inputs=["text"], labels=["label"], id_field="id")


@pytest.mark.parametrize("source", [{"text": "a"}, b"abc", 5, ["abc"], [3]])
def test_other_values_are_refused(source: Any) -> None:
    with pytest.raises(DataError, match=r"cannot be read from|a mapping was expected"):
        load(source, inputs=["text"], labels=["label"])


def test_fields_that_cannot_be_used_are_refused() -> None:
    rows = [{"text": "a", "label": 1}]
    with pytest.raises(SettingsError, match="no field of the signature") as caught:
        load(rows, inputs=["text"], labels=["label"], fields={"lable": "text"})
    assert "did you mean 'label'?" in (caught.value.hint or "")
    with pytest.raises(SettingsError, match="both input and label"):
        load(rows, inputs=["text"], labels=["text"])
    with pytest.raises(SettingsError, match="no input field"):
        load(rows, inputs=[], labels=["text"])


def test_rows_are_read_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a", "label": 1}\n' + b"broken\n")
    rows = readers.read(path, ["text", "label"])
    assert next(rows).values["text"] == "a"
    with pytest.raises(DataError):
        next(rows)


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=60), suffix=st.sampled_from([".jsonl", ".csv", ".json"]))
def test_any_bytes_load_or_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    prefix = {".csv": b"text,label\n", ".json": b"[", ".jsonl": b'{"text": 1, "label": 2}\n'}[suffix]
    path.write_bytes(prefix + content)
    with contextlib.suppress(DataError):
        assert len(read(path)) > 0
