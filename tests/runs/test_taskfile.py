"""Reading strop.yaml: what is wrong, on which line, and what would be right; and what a hostile file cannot do."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from strop.errors import TaskFileError
from strop.runs.schema import SCHEMA_FILE, json_schema, schema_text
from strop.runs.task import TaskSpec
from strop.runs.taskfile import MAX_BYTES, TaskFile, load_task

GOOD = """\
task: sections
signature: "description -> section"
data:
  file: d.jsonl
metric: accuracy
models:
  task: embedded/small
"""


def read(directory: Path, text: str | bytes) -> TaskFile:
    (directory / "strop.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_task(directory)


def refused(directory: Path, text: str | bytes) -> TaskFileError:
    with pytest.raises(TaskFileError) as caught:
        read(directory, text)
    assert caught.value.file == str(directory / "strop.yaml")
    return caught.value


def test_lines_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = read(tmp_path, GOOD)
    assert file.spec.task == "sections"
    assert file.line("models", "task") == 7
    assert file.line("models", "task", "temperature") == 7
    assert file.line("models", "prompt") == 6
    assert file.line("gate") is None
    assert file.resolve("d.jsonl") == tmp_path / "d.jsonl"
    assert file.resolve("/data/d.jsonl") == Path("/data/d.jsonl")
    monkeypatch.chdir(tmp_path)
    for way in (".", "strop.yaml", Path("strop.yaml")):
        assert load_task(way) == file
    assert load_task() == file


def test_yaml_1_2_types(tmp_path: Path) -> None:
    text = (
        GOOD
        + "algorithm: {name: x, a: 1e3, b: 2024-01-01, c: yes, d: 010, e: 0x1F, f: ~, g: True, h: 1_000, i: !!str 5}\n"
    )
    assert read(tmp_path, text).spec.algorithm.settings == {
        "a": 1000.0, "b": "2024-01-01", "c": "yes", "d": 10, "e": 31, "f": None, "g": True, "h": 1000, "i": "5",
    }  # fmt: skip


def test_an_alias_stands_for_its_value(tmp_path: Path) -> None:
    text = GOOD.replace("task: embedded/small", "task: &m embedded/small\n  prompt: *m")
    assert read(tmp_path, text).spec.models.prompt.model == "embedded/small"


@pytest.mark.parametrize(
    ("added", "line", "words"),
    [
        ("stratgy: cot", 8, ("unknown key `stratgy`", "did you mean `strategy`?")),
        ("budget: 3", 8, ("unknown key `budget`", "`budget_usd`")),
        ("num_threads: 3", 8, ("`concurrency`",)),
        ("latency_ms: 4", 8, ("it belongs at `models.task.latency_ms`",)),
        ("  prompt:\n    model: openai/x\n    temprature: 1", 10, ("`models.prompt.temprature`", "`temperature`")),
        ("  prompt: {model: openai/x, api_key: abc}", 8, ("environment", "`api_key_env`")),
        ("  prompt: {model: openai/x, api_key_env: 'my key!'}", 8, ("`models.prompt.api_key_env`",)),
        ("zzz: 1", 8, ("unknown key `zzz`", "known here: task, signature")),
        ("concurrency: '8'", 8, ("'8'", "must be an integer")),
        ("seed: yes", 8, ("'yes'", "must be an integer")),
        ("warm_ahead: 1", 8, ("must be true or false",)),
        ("strategy: cott", 8, ("'cott'", "did you mean 'cot'?")),
        ("gate:\n  policy: manuell", 9, ("did you mean 'manual'?",)),
        ("constraints:\n\n  min_accuracy: 2", 10, ("`constraints.min_accuracy`", "2", "less than or equal to 1")),
        ("constraints: 5", 8, ("must be a mapping of max_tokens, max_cost_usd_per_request",)),
        ("tools: a:b", 8, ("`tools`", "must be a list")),
        ("strategy: react\ntools:\n- a:b\n- c", 11, ("`tools.1`", "'c'")),
        ("budget_usd: .inf", 8, ("finite",)),
        ("budget_usd: ${BUDGET}", 8, ("'${BUDGET}'", "must be a number")),
        ("fields: [a]", 8, ("must be a mapping",)),
        ("algorithm: 5", 8, ("must be text (its `name`) or a mapping",)),
        ("task: again", 8, ("key 'task' appears twice, first on line 1",)),
        ("1: 2", 8, ("a key must be text",)),
        ("? [a]\n: 2", 8, ("a key must be text",)),
        ("- x", 8, ("is not YAML",)),
        ("instructions: 'unclosed", 9, ("is not YAML",)),
        ("---\na: 1", 8, ("another document",)),
        ("seed: *nowhere", 8, ("nowhere",)),
        ("<<: {seed: 1}", 8, ("merge keys",)),
        ("seed: " + "1" * 5000, 8, ("not a number that can be used",)),
        ("instructions: !!python/object/apply:os.system ['true']", 8, ("tag", "not allowed")),
        ("instructions: !mine x", 8, ("tag", "not allowed")),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(tmp_path: Path, added: str, line: int, words: tuple[str, ...]) -> None:
    error = refused(tmp_path, GOOD + added + "\n")
    assert error.line == line, str(error)
    assert str(error).startswith(f"{tmp_path / 'strop.yaml'}:{line}: ")
    for word in words:
        assert word in str(error), str(error)


def test_all_mistakes_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = GOOD.replace("metric: accuracy\n", "metrik: accuracy\n") + "seed: x\nconcurency: 4\n"
    lines = str(refused(tmp_path, text)).splitlines()
    assert [line.split(":")[1] for line in lines] == ["1", "5", "8", "9"]
    assert "`metric` is missing" in lines[0]
    assert "did you mean `metric`?" in lines[1]
    assert "`seed`" in lines[2]
    assert "did you mean `concurrency`?" in lines[3]


KEYS = sorted(name for name in TaskSpec.model_fields if len(name) > 4)


@settings(deadline=None, max_examples=40)
@given(key=st.sampled_from(KEYS), data=st.data())
def test_one_dropped_letter_finds_its_key(
    tmp_path_factory: pytest.TempPathFactory, key: str, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(key) - 1))
    error = refused(tmp_path_factory.mktemp("t"), f"{GOOD}{key[:at]}{key[at + 1 :]}: 1\n")
    assert f"did you mean `{key}`?" in str(error)


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-c4n4ry0123456789abcdefgh",
        "sk-ant-api03-c4n4ryc4n4ryc4n4ry",
        "AKIAC4N4RYC4N4RYC4N4",
        "AIzaSyC4n4ryC4n4ryC4n4ryC4n4ryC4n4ry012",
        "ghp_c4n4ryc4n4ryc4n4ryc4n4ryc4n4ry012345",
        "hf_c4n4ryc4n4ryc4n4ryc4n4ry",
        "gsk_c4n4ryc4n4ryc4n4ryc4n4ry",
        "Bearer c4n4ryc4n4ryc4n4ry",
        "postgresql://strop:c4n4ry@db/strop",
    ],
)
@pytest.mark.parametrize("where", ["database: {}", "# old: {}", "  prompt: {{model: openai/x, api_key: '{}'}}"])
def test_a_key_in_the_file_is_refused_and_not_repeated(tmp_path: Path, secret: str, where: str) -> None:
    error = refused(tmp_path, GOOD + where.format(secret) + "\n")
    assert error.line == 8
    assert ".env" in (error.hint or "")
    assert "c4n4ry" not in (str(error) + str(error.hint)).lower()


def test_words_that_only_resemble_keys_pass(tmp_path: Path) -> None:
    text = GOOD + "instructions: 'Ask sk-learn about task-1234567890123456789, see https://user.example/a:b'\n"
    assert read(tmp_path, text).spec.instructions


@pytest.mark.parametrize("wrong", ["c4n4ry key!", "c4n4ry-0123"])
def test_a_key_in_place_of_its_variable_is_not_repeated(tmp_path: Path, wrong: str) -> None:
    error = refused(tmp_path, GOOD + f"  prompt: {{model: openai/x, api_key_env: '{wrong}'}}\n")
    assert "c4n4ry" not in str(error)


def test_aliases_cannot_explode(tmp_path: Path) -> None:
    levels = ["&a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"&a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    bomb = "\n".join(f"  k{n}: {level}" for n, level in enumerate(levels))
    assert "aliases" in str(refused(tmp_path, GOOD + "algorithm:\n  name: x\n" + bomb + "\n"))


def test_an_alias_to_itself_ends(tmp_path: Path) -> None:
    assert "aliases" in str(refused(tmp_path, GOOD + "algorithm: &a {name: x, again: *a}\n"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"# only a comment\n", "must be a mapping"),
        (b"- a\n", "must be a mapping"),
        (b"task: \xff\xfe\n", "not UTF-8"),
        (GOOD.encode() + b"a\x00b: 1\n", "is not YAML"),
        (b"[" * 500, "nested too deeply"),
        (b"#" * (MAX_BYTES + 1), "larger than"),
    ],
)
def test_no_task_in_it(tmp_path: Path, content: bytes, words: str) -> None:
    assert words in str(refused(tmp_path, content))


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbf" + GOOD.encode()).spec.task == "sections"


@pytest.mark.parametrize("name", ["", "strop.yaml", "no/such/dir"])
def test_nothing_there_points_to_init(tmp_path: Path, name: str) -> None:
    with pytest.raises(TaskFileError, match="there is no task file") as caught:
        load_task(tmp_path / name)
    assert "strop init" in (caught.value.hint or "")


@settings(deadline=None, max_examples=40)
@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_a_task_or_a_told_mistake(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    directory = tmp_path_factory.mktemp("t")
    for content in (text, GOOD + text):
        with contextlib.suppress(TaskFileError):
            read(directory, content.encode("utf-8", "replace"))


def test_the_published_schema_is_the_current_one() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), (
        "write it anew: python -c 'from strop.runs.schema import *; SCHEMA_FILE.write_text(schema_text())'"
    )


def test_the_schema_is_valid_and_documents_every_key() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)

    def undocumented(part: object, way: str) -> list[str]:
        if isinstance(part, list):
            return [gap for at, item in enumerate(part) for gap in undocumented(item, f"{way}[{at}]")]
        if not isinstance(part, dict):
            return []
        keys = part.get("properties", {})
        return [f"{way}.{key}" for key, value in keys.items() if not value.get("description")] + [
            gap for key, value in part.items() for gap in undocumented(value, f"{way}/{key}")
        ]

    assert undocumented(schema, "") == []


@pytest.mark.parametrize(
    ("added", "fits"),
    [
        ("", True),
        ("algorithm: gepa", True),
        ("algorithm: {name: gepa, anything: [1]}", True),
        ("gate: {policy: manual}", True),
        ("budget_usd: null", True),
        ("metric2: 1", False),
        ("gate: sometimes", False),
        ("seed: x", False),
        ("constraints: {min_accuracy: 2}", False),
    ],
)
def test_schema_and_reader_agree(tmp_path: Path, added: str, fits: bool) -> None:
    text = f"{GOOD}{added}\n"
    assert jsonschema.Draft202012Validator(json_schema()).is_valid(YAML(typ="safe").load(text)) is fits
    if fits:
        read(tmp_path, text)
    else:
        refused(tmp_path, text)


def test_reading_a_task_costs_no_heavy_import() -> None:
    code = "import sys, json, strop.runs.taskfile; print(json.dumps([m for m in sys.argv[1:] if m in sys.modules]))"
    heavy = ["dspy", "litellm", "optuna"]
    done = subprocess.run(
        [sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert json.loads(done.stdout) == []
